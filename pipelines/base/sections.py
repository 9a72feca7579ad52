"""The sections of a run config that are about the job itself; those of data and engine stand with what they set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from serve_app.settings import Settings
from stages.analysis.depth import DEPTHS
from stages.core.errors import ConfigError
from stages.quality.evaluate import check_metric
from stages.quality.significance import CONFIDENCE


class RerankSettings(Settings):
    """How the job feeds the engine, and what it does about failures."""

    store: str | None = Field(None, description="Folder of the score store. null: scores are not kept between runs.")
    store_mode: Literal["read_write", "read_only"] = Field(
        "read_write", description="read_only: use what the store knows, and write nothing to it."
    )
    max_failed_share: float = Field(0.0, ge=0, le=1, description="Share of pairs that may fail before exit code 3.")
    workers: int | None = Field(None, gt=0, description="Ray Data workers that feed the engine. null: one per replica.")
    batch_queries: int = Field(8, gt=0, description="Queries per batch; a worker has up to 12 batches in flight.")


class EvaluateSettings(Settings):
    """What is measured."""

    metrics: tuple[str, ...] = Field(
        ("ndcg@10", "mrr@10"), min_length=1, description="Names as in `ndcg@10`; the first is the one that decides."
    )
    depths: tuple[int, ...] = Field(DEPTHS, description="Depths that the report's depth curve looks at.")
    confidence: float = Field(
        CONFIDENCE, gt=0.5, lt=1, description="Of intervals; what is left is the level of the tests."
    )
    seed: int = Field(0, ge=0, description="Of permutations, resamples and folds.")
    position_queries: int = Field(
        2, ge=0, description="Queries scored once more, shuffled, to see that a document's place does not matter."
    )

    @field_validator("depths")
    @classmethod
    def _from_one_on(cls, depths: tuple[int, ...]) -> tuple[int, ...]:
        if any(depth < 1 for depth in depths):
            raise ValueError("a depth counts documents from 1 on")
        return depths

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        if repeated := {name for name in metrics if metrics.count(name) > 1}:
            raise ValueError(f"named twice: {', '.join(sorted(repeated))}")
        try:
            return tuple(check_metric(name) for name in metrics)
        except ConfigError as error:
            raise ValueError(str(error)) from error


class CostSettings(Settings):
    """What the engines cost, to tell the price of a gain."""

    per_hour: float | None = Field(
        None, gt=0, description="Price of one replica for an hour, in your currency. null: no money is told."
    )


class TrackingSettings(Settings):
    """Where the run is logged."""

    uri: str | None = Field("sqlite:///mlflow.db", description="MLflow tracking URI. null: nothing is logged.")
    experiment: str = Field("rerank-eval", min_length=1, description="MLflow experiment.")
    tags: dict[str, str] = Field({}, description="Further tags of the MLflow run.")


class OutputSettings(Settings):
    """Where results go."""

    dir: str = Field("results", min_length=1, description="Run folders are made here, with a link `latest`.")
    copy_to: str | None = Field(
        None,
        min_length=1,
        description="Where a finished folder is copied to, without the config's secrets: s3://BUCKET/DIR, gs://..., or "
        "a folder.",
    )
    texts: bool = Field(
        True,
        description="false: queries and documents stay out of the run folder, its report and MLflow; ids and digests "
        "stand for them.",
    )
