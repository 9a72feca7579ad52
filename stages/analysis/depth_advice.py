"""The depth curve in words: how deep to rerank, what that gains, and whether the gain is more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stages.analysis.depth import DepthCurve, DepthPoint
from stages.measures import parse_metric
from stages.records import QueryMetrics
from stages.significance import holm, p_value

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
        point.depth: p_value(first.values[metric], point.metrics.values[metric], seed=seed) for point in curve.points
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
