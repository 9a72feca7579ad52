"""What a job over several first stages has to beat: their fusion, tuned on other queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.job.prepare import Prepared
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from stages.analysis.first_stages import TunedFusion, tuned_fusion
from stages.core.judges import mark_of_judgements
from stages.core.metrics import FusedPart
from stages.core.records import Candidates, Judgements, QueryMetrics
from stages.files.columns import read_listed
from stages.quality.comparison import Tested, compare_systems, with_mark
from stages.quality.evaluate import metric_key

AGAINST = "against the fusion of the first stages, tuned on other queries, "


@dataclass(frozen=True, slots=True)
class Baseline:
    """The fusion of the lists that were reranked together, and how what came of that differs from it; and the means of
    each first stage `alone`, by name and metric key.
    """

    alone: Mapping[str, Mapping[str, float]]
    fusion: TunedFusion
    tested: Sequence[Tested]

    def part(self) -> FusedPart:
        """Its part of metrics.json."""
        return {
            "alone": self.alone,
            "tuned": _means(self.fusion.metrics),
            "reciprocal_rank": _means(self.fusion.reciprocal_rank),
            "delta": {metric_key(one.metric): one.difference.difference for one in self.tested},
        }

    def analysis(self) -> dict[str, Any]:
        """Its part of analysis.json."""
        return {
            "alone": dict(self.alone),
            "chosen_by": self.fusion.chosen_by,
            "chosen": list(self.fusion.chosen),
            "reciprocal_rank": dict(self.part()["reciprocal_rank"]),
            "significance": {
                one.metric: asdict(one.difference) | {"corrected_p": one.corrected_p, "words": AGAINST + one.words}
                for one in self.tested
            },
        }


def baseline_of(folder: RunFolder, prepared: Prepared, reranked: QueryMetrics, config: RunConfig) -> Baseline | None:
    """Of the first stages whose results lie in the folder's children; None below two judged queries."""
    settings, judgements, names = config.evaluate, prepared.judgements, tuple(prepared.runs)
    if not reranked.values:
        return None
    fusion = tuned_fusion(_lists(folder, names, judgements), names, judgements, settings.metrics, settings.seed)
    if fusion is None:
        return None
    tested = compare_systems(
        fusion.metrics,
        {"reranked": reranked},
        settings.metrics,
        seed=settings.seed,
        confidence=settings.confidence,
    )
    alone = {name: read_metrics(folder.child(name))["quality"]["first_stage"] or {} for name in names}
    mark = mark_of_judgements(judgements)
    return Baseline(alone, fusion, [with_mark(one, mark) for one in tested])


def _lists(folder: RunFolder, names: Sequence[str], judgements: Judgements) -> Iterator[dict[str, Candidates | None]]:
    """Ids and scores of the judged queries' lists."""
    found: dict[str, dict[str, Candidates | None]] = {}
    for name in names:
        for one in read_listed(folder.child(name).candidates):
            if one.query_id in judgements.grades:
                found.setdefault(one.query_id, {})[name] = one
    yield from found.values()


def _means(values: QueryMetrics) -> Mapping[str, float]:
    return {metric_key(name): values.mean(name) for name in values.values}
