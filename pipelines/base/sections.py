"""The sections of a run config that are about the job itself; those of data and engine stand with what they set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AllowInfNan,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from pipelines.base.cascade import StageSettings
from serve_app.base_settings import Settings
from stages.analysis.depth import DEPTHS
from stages.core.errors import ConfigError
from stages.quality.evaluate import check_metric
from stages.quality.has_answer import Match
from stages.quality.regression import MIN_QUERIES
from stages.quality.significance import CONFIDENCE


class RerankSettings(Settings):
    """How the job feeds the engine, and what it does about failures."""

    store: str | None = Field(None, description="Folder of the score store. null: scores are not kept between runs.")
    store_mode: Literal["read_write", "read_only"] = Field(
        "read_write", description="read_only: use what the store knows, and write nothing to it."
    )
    store_vectors_gib: float = Field(
        8,
        ge=0,
        description="What the vectors of embedding models' documents may take in the store's folder, in GiB: another "
        "experiment over the same documents embeds only those that are new. 0: none are kept.",
    )
    store_days: float = Field(
        30,
        ge=0,
        description="Of a hosted model: for so many days a stored score is used, since nobody tells when such a model "
        "changes. Those of other models do not age.",
    )
    max_failed_share: float = Field(0.0, ge=0, le=1, description="Share of pairs that may fail before exit code 3.")
    workers: int | None = Field(None, gt=0, description="Ray Data workers that feed the engine. null: one per replica.")
    batch_queries: int = Field(
        8,
        gt=0,
        description="Queries per call; a worker has three times as many at work. With serve.max_replicas a call is a "
        "query.",
    )
    stages: tuple[StageSettings, ...] | None = Field(
        None,
        description="A cascade, instead of the section model: each stage reranks the top of what the one before left. "
        "null: one model.",
    )

    @model_serializer(mode="wrap")
    def _without_no_stages(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Of one model nothing is said of stages: its digest is what it was before there were any."""
        content: dict[str, Any] = told(self)
        if content.get("stages", ...) is None:
            del content["stages"]
        return content


class SliceSettings(Settings):
    """Groups of the queries: by a field, by length, or a list of ids. Exactly one of field, words, characters, ids."""

    field: str | None = Field(None, min_length=1, description="A field of the queries; each value is a group.")
    values: tuple[str, ...] = Field((), description="The values of `field` that matter. Empty: all, 50 at most.")
    words: tuple[int, ...] = Field(
        (), description="Up to so many words, to the next number, beyond the last: `[8]` is 1 to 8, and 9 and more."
    )
    characters: tuple[int, ...] = Field((), description="The same by characters.")
    ids: str | None = Field(None, min_length=1, description="A file of query ids, one a line: they are the group.")

    @field_validator("words", "characters")
    @classmethod
    def _rise(cls, edges: tuple[int, ...]) -> tuple[int, ...]:
        if any(edge < 1 for edge in edges) or list(edges) != sorted(set(edges)):
            raise ValueError("lengths are whole numbers from 1 on that rise, as in [8, 16]")
        return edges

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("field", "words", "characters", "ids") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"give one of field, words, characters and ids{f', not {len(given)}' if given else ''}, as in "
                "{field: language}"
            )
        if self.values and self.field is None:
            raise ValueError("values are those of a field: give field")
        return self


class EvaluateSettings(Settings):
    """What is measured."""

    metrics: tuple[str, ...] = Field(
        ("ndcg@10", "mrr@10"), min_length=1, description="Names as in `ndcg@10`; the first is the one that decides."
    )
    depths: tuple[int, ...] = Field(DEPTHS, description="Depths that the report's depth curve looks at.")
    confidence: float = Field(
        CONFIDENCE, gt=0.5, lt=1, description="Of intervals; what is left is the level of the tests."
    )
    seed: int = Field(0, ge=0, description="Of permutations and folds.")
    position_queries: int = Field(
        2, ge=0, description="Queries scored once more, shuffled, to see that a document's place does not matter."
    )
    slices: dict[str, SliceSettings] = Field(
        {},
        description="Name: groups of the queries, whose change is tested by itself, as in `{language: {field: "
        "language}, length: {words: [8]}, hard: {ids: hard.txt}}`.",
    )

    @field_validator("slices")
    @classmethod
    def _named(cls, slices: dict[str, SliceSettings]) -> dict[str, SliceSettings]:
        for name in slices:
            if not name.strip() or set(name) & set("=/."):
                raise ValueError(f"{name!r:.60} is no name of slices: write it without =, / and full stops")
        return slices

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


class AnswersSettings(Settings):
    """How answers judge, where `columns` of `data` names theirs."""

    match: Match = Field(
        "tokens",
        description="tokens: a document has an answer where it has all its tokens in a row, whatever their case and "
        "accents, as DPR's has_answer (docs/data.md). regex: each answer is a regular expression.",
    )
    tokenizer: str | None = Field(
        None,
        min_length=1,
        description="What counts the tokens of `answer_recall@tokens=2000`: a folder or a Hugging Face id. null: the "
        "reranker's own.",
    )


Number = Annotated[float, AllowInfNan(False)]
Drop = Annotated[Number, Field(ge=0)]


class GateSettings(Settings):
    """What a run must hold to pass, as `rerank-eval gate` asks it; without a rule nothing is asked."""

    max_drop: dict[str, Drop] = Field(
        {}, description="Metric: the most that it may fall below the baseline, as in `{ndcg@10: 0.01}`."
    )
    max_drift: dict[str, Drop] = Field({}, description="Metric: the most that it may fall below the pinned run.")
    max: dict[str, Number] = Field({}, description="Number of metrics.json: the most that it may be.")
    min: dict[str, Number] = Field({}, description="Number of metrics.json: the least that it may be.")
    pin: str | None = Field(
        None,
        min_length=1,
        description="A run's folder, id or name: the baseline, or with `max_drift` that rule's alone. null: the last "
        "run of tracking.experiment over the same data that passed.",
    )
    slices: dict[str, tuple[str, ...]] = Field(
        {}, description="Field of the queries: its value or values, each judged by itself, as in `{language: zh}`."
    )
    slice_max_drop: dict[str, Drop] = Field({}, description="As `max_drop`, for each slice. Empty: those of max_drop.")
    min_queries: int = Field(MIN_QUERIES, ge=1, description="Fewer cannot tell a drop, unless every list is the same.")
    allow: tuple[Literal["candidates", "judgements", "model_judgements"], ...] = Field(
        (),
        description="What may differ from the baseline's: candidates, judgements. model_judgements: quality may be "
        "gated though a model judged, the same one for both.",
    )

    @property
    def asked(self) -> bool:
        """Whether there is any rule."""
        return bool(self.max_drop or self.max_drift or self.max or self.min or self.slices)

    @field_validator("slices", mode="before")
    @classmethod
    def _one_value_or_several(cls, slices: Any) -> Any:
        if not isinstance(slices, Mapping):
            return slices
        listed = {name: [given] if isinstance(given, str) else given for name, given in slices.items()}
        for name, given in listed.items():
            values = given if isinstance(given, list | tuple) else [given]
            if not values or not all(isinstance(value, str) and value for value in values):
                raise ValueError(
                    f"{name}: {given!r:.60} is no text, nor a list of some; YAML reads no as false: quote it"
                )
        return listed

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if not self.asked and (self.pin or self.allow):
            raise ValueError("asks nothing: give max_drop, max_drift, max, min or slices, or remove the section")
        if self.max_drift and self.pin is None:
            raise ValueError("max_drift is the drift from a pinned run: name it with pin")
        if self.slices and not (self.slice_max_drop or self.max_drop):
            raise ValueError("slices need slice_max_drop or max_drop: say how far a metric may fall there")
        if self.slice_max_drop and not self.slices:
            raise ValueError("slice_max_drop has no slices to limit: give slices, as in {language: zh}")
        return self


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
