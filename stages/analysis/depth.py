"""What reranking fewer candidates would have given, from the scores at hand; and how deep to rerank, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages.analysis.outcome import QueryOutcome
from stages.core.errors import ConfigError
from stages.core.records import Judgements, QueryMetrics
from stages.quality.evaluate import evaluate_stream
from stages.quality.measures import parse_metric
from stages.quality.significance import holm, paired_p

DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)

# Means of the same values differ by less.
_ROUNDING = 1e-12
# Of a listwise model, instead of a curve.
NOT_OF_LISTS = (
    "Depth curves do not apply: the model reads a list as a whole, so that a shorter list would have other scores. "
    "Rerank at each depth instead: rerank-eval sweep --grid 'data.depth=[10, 20]'."
)


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
    outcomes: Sequence[QueryOutcome], judgements: Judgements, first: QueryMetrics, depths: Sequence[int] = DEPTHS
) -> DepthCurve:
    """Each metric of `first`, the first stage's own values, at each of `depths` and at the run's own depth.

    Depths beyond the run's are left out: their pairs were not scored. Raises ConfigError for a depth below 1, and what
    `evaluate_stream` raises.
    """
    if any(depth < 1 for depth in depths):
        raise ConfigError(f"A depth counts documents from 1 on, but the depths are {list(depths)}.")
    deepest = max((len(outcome.doc_ids) for outcome in outcomes if len(outcome.asked)), default=0)
    reached = sorted({depth for depth in depths if depth < deepest} | ({deepest} if deepest else set()))
    return DepthCurve(tuple(_point(outcomes, judgements, first, depth) for depth in reached))


def at_depth(outcome: QueryOutcome, depth: int) -> tuple[str, ...]:
    """The ids, best first, had only the top `depth` been reranked: those by their scores, the rest as it was.

    As `rerank.rank` orders candidates cut to `depth`: what could not be scored of them stands behind those that were.
    """
    return outcome.listed(outcome.order[outcome.order < depth].tolist())


def _point(outcomes: Sequence[QueryOutcome], judgements: Judgements, first: QueryMetrics, depth: int) -> DepthPoint:
    lists = ((outcome.query_id, at_depth(outcome, depth)) for outcome in outcomes)
    here = evaluate_stream(lists, judgements, list(first.values))
    means = {metric: here.mean(metric) for metric in first.values}
    return DepthPoint(
        depth=depth,
        pairs=sum(int((outcome.asked < depth).sum()) for outcome in outcomes),
        means=means,
        gains={metric: mean - first.mean(metric) for metric, mean in means.items()},
        metrics=here,
    )


ENOUGH = 0.9


@dataclass(frozen=True, slots=True)
class DepthAdvice:
    """`best` and `enough` are depths, None where none gains; `corrected_p` is by depth, of the change against the first
    stage, corrected by Holm over the depths looked at.

    `best` fills the places that the metric looks at, or is all that was reranked: a list of ten of which three were
    reranked is no answer to "how deep", even where it scores more; `words` then says so. `enough` has ENOUGH of its
    gain.
    """

    best: int | None
    enough: int | None
    corrected_p: Mapping[int, float]
    words: str


def advise(curve: DepthCurve, first: QueryMetrics, metric: str, *, seed: int = 0, alpha: float = 0.05) -> DepthAdvice:
    """What `curve` says of `metric`, whose values in the first stage are those of `first`."""
    raw = {
        point.depth: paired_p(first.values[metric], point.metrics.values[metric], seed=seed) for point in curve.points
    }
    corrected = holm(raw)
    least = min(places(metric), max(raw, default=0))
    best = curve.best(metric, least)
    if best is None:
        return DepthAdvice(None, None, corrected, _no_gain(curve, metric, least))
    enough = curve.enough(metric, ENOUGH, least) or best
    parts = [_best_in_words(best, first, metric, corrected[best.depth], len(raw), alpha)]
    if (shallow := curve.best(metric)) and shallow.depth < best.depth and shallow.means[metric] > best.means[metric]:
        parts.append(
            f"Reranking the top {shallow.depth} alone scores more, {shallow.means[metric]:.4f}, and leaves the rest of "
            f"the first stage's order as it is: best is said of depths that fill the {least} places of {metric}."
        )
    if enough.depth < best.depth:
        parts.append(
            f"The top {enough.depth} already {'has' if enough.depth == 1 else 'have'} {ENOUGH:.0%} of that gain, for "
            f"{enough.pairs:,} pairs instead of {best.pairs:,}."
        )
    return DepthAdvice(best.depth, enough.depth, corrected, " ".join(parts))


def places(metric: str) -> int:
    """How many places of a list the metric looks at: 10 for `ndcg@10`; 1 for one without a cutoff."""
    return parse_metric(metric).cutoff or 1


def _best_in_words(best: DepthPoint, first: QueryMetrics, metric: str, p: float, depths: int, alpha: float) -> str:
    told = "significant" if p < alpha else "not significant: it cannot be told from chance"
    looked_at = "1 depth" if depths == 1 else f"{depths} depths"
    of_p = "p < 0.001" if p < 0.001 else f"p = {p:.3g}"
    return (
        f"Depth {best.depth} is best here: {metric} {best.means[metric]:.4f} against {first.mean(metric):.4f} of the "
        f"first stage. The change of {best.gains[metric]:+.4f} is {told} ({of_p}, corrected for {looked_at})."
    )


def _no_gain(curve: DepthCurve, metric: str, least: int) -> str:
    if not curve.points:
        return "No query has candidates."
    if shallow := curve.best(metric):
        return (
            f"No depth of {least} or more gains in {metric}; reranking the top {shallow.depth} alone gives "
            f"{shallow.means[metric]:.4f} ({shallow.gains[metric]:+.4f})."
        )
    return f"No depth gains in {metric}: the first stage's own order is the best of these."
