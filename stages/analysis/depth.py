"""What reranking fewer candidates would have given, from the scores at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages.analysis.outcome import Outcome
from stages.errors import ConfigError
from stages.evaluate import evaluate_stream
from stages.records import Judgements, QueryMetrics

DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)

# Means of the same values differ by less.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class DepthPoint:
    """Mean of each metric and its gain over the first stage, had the top `depth` been reranked; it costs `pairs`.

    `metrics` are the values of each query.
    """

    depth: int
    pairs: int
    means: Mapping[str, float]
    gains: Mapping[str, float]
    metrics: QueryMetrics


@dataclass(frozen=True, slots=True)
class DepthCurve:
    """Points by rising depth; the last one is the run itself. Empty where no query has candidates."""

    points: tuple[DepthPoint, ...]

    def best(self, metric: str, at_least: int = 0) -> DepthPoint | None:
        """The least depth, of those from `at_least` on, with the highest mean; None where none of them gains."""
        gaining = [point for point in self.points if point.depth >= at_least and point.gains[metric] > _ROUNDING]
        return max(gaining, key=lambda point: point.gains[metric], default=None)

    def enough(self, metric: str, share: float = 0.9, at_least: int = 0) -> DepthPoint | None:
        """The least of these depths, from `at_least` on, with `share` of the best one's gain; None where none gains.

        Of the best one's, since a deeper pool may do harm: the share of a small final gain would praise any depth.
        """
        best = self.best(metric, at_least)
        if best is None:
            return None
        wanted = share * best.gains[metric] - _ROUNDING
        return next(point for point in self.points if point.depth >= at_least and point.gains[metric] >= wanted)


def depth_curve(
    outcomes: Sequence[Outcome], judgements: Judgements, first: QueryMetrics, depths: Sequence[int] = DEPTHS
) -> DepthCurve:
    """Each metric of `first`, the first stage's own values, at each of `depths` and at the run's own depth.

    Depths beyond the run's are left out: their pairs were not scored. Raises ConfigError for a depth below 1, and what
    `evaluate_stream` raises.
    """
    if any(depth < 1 for depth in depths):
        raise ConfigError(f"A depth counts documents from 1 on, but the depths are {list(depths)}.")
    deepest = max((len(outcome.doc_ids) for outcome in outcomes), default=0)
    reached = sorted({depth for depth in depths if depth < deepest} | ({deepest} if deepest else set()))
    return DepthCurve(tuple(_point(outcomes, judgements, first, depth) for depth in reached))


def at_depth(outcome: Outcome, depth: int) -> tuple[str, ...]:
    """The ids, best first, had only the top `depth` been reranked: those by their scores, the rest as it was.

    As `rerank.rank` orders candidates cut to `depth`. A document that failed is left out where it is in the top
    `depth`; below, it would not have been scored and keeps its place. Empty where none of the top was scored.
    """
    if not len(top := outcome.order[outcome.order < depth]):
        return ()
    return outcome.listed(top.tolist() + list(range(depth, len(outcome.doc_ids))))


def _point(outcomes: Sequence[Outcome], judgements: Judgements, first: QueryMetrics, depth: int) -> DepthPoint:
    lists = ((outcome.query_id, at_depth(outcome, depth)) for outcome in outcomes)
    here = evaluate_stream(lists, judgements, list(first.values))
    means = {metric: here.mean(metric) for metric in first.values}
    return DepthPoint(
        depth=depth,
        pairs=sum(min(depth, len(outcome.doc_ids)) for outcome in outcomes),
        means=means,
        gains={metric: mean - first.mean(metric) for metric, mean in means.items()},
        metrics=here,
    )
