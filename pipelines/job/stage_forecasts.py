"""What a job will take, before it runs: of the one model, or of each stage of a cascade."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.job.forecast import Forecaster
from pipelines.job.forecast_words import forecast_lines
from pipelines.job.hosted_forecast import HostedForecaster, hosted_lines
from serve_app.engine.models import ModelInfo
from stages.core.records import Candidates

ADDED = ("pairs", "stored_pairs", "new_pairs", "scoring_s", "start_s", "money", "money_with_start")
GUESSED = (
    "which documents stage {before} will leave at the top is not known yet: told of the first stage's top {depth}. The "
    "number of pairs holds, what is stored of them and how long they are is a guess"
)


class Forecasts:
    """Sees every candidate of a job, then tells. `gpu` as of a Forecaster."""

    def __init__(self, config: RunConfig, models: Sequence[ModelInfo], gpu: str | None) -> None:
        self._stages = config.stages()
        self._forecasters = [
            Forecaster(one, model, gpu) if model.api is None else HostedForecaster(one)
            for one, model in zip(self._stages, models, strict=True)
        ]

    def add(self, candidates: Candidates) -> None:
        self._forecasters[0].add(candidates)
        for config, forecaster in zip(self._stages[1:], self._forecasters[1:], strict=True):
            forecaster.add(_top(candidates, config.data.depth))

    def tell(self) -> dict[str, Any]:
        """As JSON. Of a cascade what each stage takes, under `stages`, and their sums, null where one is not known."""
        first, *others = (one.tell() for one in self._forecasters)
        if not others:
            return first
        for before, (config, told) in enumerate(zip(self._stages[1:], others, strict=True), 1):
            told["remarks"] = [*told["remarks"], GUESSED.format(before=before, depth=config.data.depth)]
        stages = [first, *others]
        return {name: _sum([one[name] for one in stages]) for name in ADDED} | {"stages": stages}


def told_forecast(config: RunConfig, forecast: Mapping[str, Any]) -> Iterator[str]:
    """As `run --dry-run` prints it."""
    several = forecast.get("stages") or [forecast]
    for number, (one, told) in enumerate(zip(config.stages(), several, strict=True), 1):
        if len(several) > 1:
            yield f"stage {number}     {one.model.name}"
        yield from (hosted_lines if one.model.api is not None else forecast_lines)(told)


def _top(candidates: Candidates, depth: int | None) -> Candidates:
    return replace(
        candidates,
        doc_ids=candidates.doc_ids[:depth],
        texts=candidates.texts[:depth],
        scores=candidates.scores[:depth],
        tail=(),
        listed=(),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    return None if None in values else sum(one or 0 for one in values)
