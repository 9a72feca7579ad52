"""The config of `rerank-eval judge`: one YAML file, read as strictly as that of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import yaml
from pydantic import Field, field_validator, model_validator

from pipelines.base.config import CONFIG_VERSION, VERSION_KEY, read_sections, refuse_hidden, validated
from pipelines.base.judge_sections import JudgeSettings
from pipelines.base.overrides import set_keys
from pipelines.base.paid_sections import HostedSettings
from pipelines.base.sections import EvaluateSettings, TrackingSettings
from serve_app.base_settings import Settings
from serve_app.settings import DeploymentSettings, EngineSettings
from stages.core.errors import ConfigError
from stages.quality.evaluate import check_metric
from stages.quality.measures import parse_metric
from stages.quality.significance import CONFIDENCE

DEFAULT_METRICS: tuple[str, ...] = EvaluateSettings.model_fields["metrics"].get_default()
# Of the section hosted: what is about rerankers alone.
OF_RERANKERS = ("batch_documents", "price_per_1000_search_units", "recheck_pairs")


class JudgedSettings(Settings):
    """What the grades are for: the verdicts at the end."""

    metrics: tuple[str, ...] = Field(DEFAULT_METRICS, min_length=1, description="As of a run.")
    confidence: float = Field(CONFIDENCE, gt=0.5, lt=1, description="Of intervals.")
    seed: int = Field(0, ge=0, description="Of what is drawn for intervals.")

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        try:
            known = tuple(check_metric(name) for name in metrics)
            if measures := [name for name in known if parse_metric(name).measure == "judged"]:
                raise ValueError(f"{measures[0]} measures the judgements, not the order; choose another, as ndcg@10")
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return known


class JudgeConfig(Settings):
    """All sections of a judge's config."""

    judge: JudgeSettings
    engine: EngineSettings = EngineSettings()
    serve: DeploymentSettings = DeploymentSettings()
    hosted: HostedSettings = HostedSettings()
    evaluate: JudgedSettings = JudgedSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _nothing_idle(self) -> Self:
        """What does nothing would be taken for something that does."""
        if self.judge.url is None and self.hosted != HostedSettings():
            raise ValueError("hosted: is about a hosted judge. Set judge.url, or remove the section")
        if self.judge.url is not None:
            if self.engine != EngineSettings() or self.serve != DeploymentSettings():
                raise ValueError("engine, serve: a hosted judge has none here. Remove the sections, or set judge.model")
            fields = HostedSettings.model_fields
            if idle := [one for one in OF_RERANKERS if getattr(self.hosted, one) != fields[one].get_default()]:
                raise ValueError(f"hosted.{idle[0]}: is about hosted rerankers. Remove it")
        if self.judge.depth is None and (open_ := [one for one in self.evaluate.metrics if not _cutoff(one)]):
            raise ValueError(
                f"evaluate.metrics: {open_[0]} has no cutoff: say with judge.depth how deep the lists are graded, or "
                "choose one that has, as ndcg@10"
            )
        if (depth := self.judge.depth) is not None and (
            deep := [m for m in self.evaluate.metrics if _cutoff(m) > depth]
        ):
            raise ValueError(
                f"judge.depth {depth}: {deep[0]} looks deeper, and what is not graded counts as not relevant. Give "
                f"{_cutoff(deep[0])} or more"
            )
        return self

    @property
    def depth(self) -> int:
        """How deep every list is pooled."""
        return self.judge.depth or max(map(_cutoff, self.evaluate.metrics))

    def to_yaml(self) -> str:
        """The resolved config, every default spelled out."""
        content = {VERSION_KEY: CONFIG_VERSION} | self.model_dump(mode="json")
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def load_judge_config(path: Path, overrides: Sequence[str] = ()) -> JudgeConfig:
    """Read and validate it; `overrides` are `section.key=value`. Raises ConfigError that names file, key and remedy."""
    content = read_sections(path, JudgeConfig)
    set_keys(content, overrides)
    refuse_hidden(content, f"config {path}")
    return validated(JudgeConfig, content, f"config {path}")


def _cutoff(metric: str) -> int:
    return parse_metric(metric).cutoff or 0
