"""Hop 7, second half: a folder's rankings, candidates and judgements -> its analysis.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.job.second_opinion import tell_second_opinion
from pipelines.runs.folder import RunFolder
from stages.analysis.assemble import analyse
from stages.analysis.compared import AnalysisSettings
from stages.analysis.cost import RunWork, cost
from stages.analysis.position import PositionCheck
from stages.core.reasons import kinds
from stages.core.records import Candidates, Judgements, QueryMetrics, Ranking, SetAside
from stages.files.rankings import RankingTable
from stages.files.tables import read_candidates
from stages.quality.slices import Groups

REASONS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Findings:
    """What the analysis takes from the job besides the folder; `work` and `position` are None for a part of a job.

    `remarks` are what the reader of its values must know of the data. `labels` are the queries' columns that may be
    told; None: all, and texts as well. `listwise`: scores belong to whole lists.
    `order_only` counts the queries whose first stage gave an order and no scores. `fused` is what the fusion of several
    first stages came to. `slices` are the user's groups of the queries. `has_first_stage`: the order that the
    candidates came in is a first stage's. `reranker` is what is known of what ranked, beside a judge.
    """

    judgements: Judgements
    first_stage: QueryMetrics
    reranked: QueryMetrics
    failures: Iterable[SetAside]
    work: RunWork | None
    position: PositionCheck | None
    remarks: Sequence[str] = ()
    labels: frozenset[str] | None = None
    listwise: bool = False
    order_only: int = 0
    slices: Groups = field(default_factory=dict)
    fused: Mapping[str, Any] | None = None
    has_first_stage: bool = True
    reranker: Mapping[str, Any] = field(default_factory=dict)


def write_analysis(folder: RunFolder, config: RunConfig, found: Findings) -> dict[str, Any]:
    """Write analysis.json, and return its content. The texts of one query are in memory at a time, of all rankings ids
    and scores.
    """
    pairs = BesideCandidates(folder, found.labels)
    settings = AnalysisSettings(
        config.evaluate.metrics,
        config.evaluate.depths,
        config.evaluate.confidence,
        config.evaluate.seed,
        found.listwise,
        found.slices,
        found.has_first_stage,
    )
    told = analyse(pairs, found.judgements, found.first_stage, found.reranked, settings)
    tell_tokenizer(told, config)
    tell_second_opinion(told, folder, config, found.judgements, found.reranker)
    told["position"] = found.position and asdict(found.position)
    told["cost"] = found.work and _cost(found.work, found.first_stage, found.reranked, config)
    return write_told(folder, told, found)


def tell_tokenizer(told: dict[str, Any], config: RunConfig) -> None:
    """By whose tokens a budget was filled, where one was."""
    if "prompt" in told:
        told["prompt"]["tokenizer"] = config.answers.tokenizer or config.model.name


def write_told(folder: RunFolder, told: dict[str, Any], found: Findings) -> dict[str, Any]:
    """Write analysis.json, and return it: what was computed, and beside it what the job knows of its data and
    failures.
    """
    if found.fused is not None:
        told["first_stages"] = found.fused
    told["remarks"] = [*_useless(told["useless"]), *found.remarks]
    told["order_only_queries"] = found.order_only
    told["failures"] = _reasons(found.failures)
    if found.labels is not None and "movers" in told:
        _take_texts_from(told["movers"])
    folder.write_json(folder.analysis, told)
    return told


def _useless(told: Mapping[str, Any]) -> list[str]:
    """Before all else: it says what every value is worth."""
    return [told["words"]] if told["name"] else []


class BesideCandidates:
    """Called, it reads each query's candidates beside their ranking. `labels` as of Findings."""

    def __init__(self, folder: RunFolder, labels: frozenset[str] | None) -> None:
        self._folder, self._labels = folder, labels
        self._rankings = RankingTable(folder.rankings)

    def __call__(self) -> Iterator[tuple[Candidates, Ranking]]:
        for candidates in read_candidates(self._folder.texts):
            yield self._with_labels_alone(candidates), self._rankings.of(candidates.query_id)

    def _with_labels_alone(self, candidates: Candidates) -> Candidates:
        if self._labels is None:
            return candidates
        kept = {name: value for name, value in candidates.attributes.items() if name in self._labels}
        return replace(candidates, attributes=kept)


def _take_texts_from(movers: dict[str, Any]) -> None:
    """Ids stand for them; the report says so."""
    for mover in (*movers["won"], *movers["lost"]):
        mover["query"] = None
        for document in mover["documents"]:
            document["excerpt"] = None


def _cost(work: RunWork, first: QueryMetrics, reranked: QueryMetrics, config: RunConfig) -> Mapping[str, Any]:
    gains = {metric: reranked.mean(metric) - first.mean(metric) for metric in first.values}
    return asdict(cost(work, gains, config.cost.per_hour)) | {"per_hour": config.cost.per_hour}


def _reasons(failures: Iterable[SetAside]) -> list[dict[str, Any]]:
    """By kinds of reasons, causes first."""
    found = kinds(failures)
    told: list[dict[str, Any]] = [{"reason": one.reason, "rows": one.rows} for one in found[:REASONS_SHOWN]]
    if left := sum(one.rows for one in found[REASONS_SHOWN:]):
        told.append({"reason": "other reasons: see failures.parquet", "rows": left})
    return told
