"""Hops 1 to 6 of a cascade: each stage is scored as a job of one model is, over what the stage before left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

from pipelines.base.config import RunConfig
from pipelines.base.redaction import write_config
from pipelines.job.engine import JobEngine
from pipelines.job.prepare import Prepared, See, prepare_data
from pipelines.job.prepare_next import prepare_next
from pipelines.job.score import Job, Part, make_engine, score, stop
from pipelines.job.scored import Scored
from pipelines.job.unfinished import stopped_between
from pipelines.runs.folder import RunFolder
from serve_app.engine.models import ModelInfo


def score_stages(job: Job, config: RunConfig, models: Sequence[ModelInfo], folder: RunFolder) -> list[Scored]:
    """One after the other, each in the folder of its stage. Where there is room for two engines the next one starts
    while this one scores.

    Raises InterruptedRunError, with what is ranked kept.
    """
    stages, scored = config.stages(), list[Scored]()
    engines = _Engines(job, stages, models, folder)
    prepare: Callable[[See], Prepared] = partial(prepare_data, job.source, config, folder)
    try:
        for place, (own, model) in enumerate(zip(stages, models, strict=True)):
            here = folder.stage(place + 1)
            here.logs.mkdir(parents=True)
            write_config(here.config, own.to_yaml(), own.model_dump(mode="json"))
            if scored:
                prepare = partial(prepare_next, folder.stage(place), here, own.data.depth or 0, scored[-1].prepared)
            if scored and job.interruption.requested:
                raise stopped_between(config, folder, place + 1)
            job.console.stage(place + 1, len(stages), model, own.data.depth)
            part = Part(own, model, here, prepare)
            scored.append(score(job, part, partial(engines.take, place), partial(engines.start_ahead, place + 1)))
    finally:
        engines.stop_ahead()
    return scored


class _Engines:
    """Those of the stages, by place from 0. One that was started ahead and never taken is stopped at the end."""

    def __init__(self, job: Job, stages: Sequence[RunConfig], models: Sequence[ModelInfo], folder: RunFolder) -> None:
        self._job, self._stages, self._models, self._folder = job, stages, models, folder
        self._ahead: dict[int, JobEngine] = {}

    def take(self, place: int) -> JobEngine:
        if (engine := self._ahead.pop(place, None)) is not None:
            return engine
        return make_engine(self._models[place], self._stages[place], self._job.console, self._job.cluster)

    def start_ahead(self, place: int) -> None:
        """Start the engine of a stage whose scores are all new, where it fits beside those that run."""
        if place >= len(self._stages) or self._models[place].recipe is None or not self._fit_together:
            return
        engine = self._ahead[place] = self.take(place)
        if not engine.needed and not engine.has_stored:
            engine.start()

    def stop_ahead(self) -> None:
        for place, engine in self._ahead.items():
            stop(engine, self._folder.stage(place + 1), self._job.console)

    @cached_property
    def _fit_together(self) -> bool:
        """Asked once an engine runs, so that the cluster is there."""
        from pipelines.job.side_by_side import fit, need, room

        there = room()
        needs = [need(config, model, there.gpus) for config, model in zip(self._stages, self._models, strict=True)]
        together = fit(needs, there)
        self._job.console.side_by_side(together=together)
        return together
