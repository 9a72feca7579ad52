"""What a metric of one query could be, whatever grades the documents had that nobody judged: in each of two lists, and
in the difference between them, where a document has the same grade in both.

Open are the documents without a judgement in the first k of either list, k being the metric's cutoff; without one, in
the whole lists. Each may have any grade from 0 to the highest of the qrels. What neither list shows there stays not
relevant, as it always counts: a bound is what judging these documents could make of a value.

    map, the difference   holds, and may be wider than need be: each list has its best or worst choice of as many
                          relevant documents as the other
    f1, the difference    the same where it has no cutoff and the lists differ in length
    bpref, judged         none: the one passes over what is not judged, the other measures it
    answer_recall         none: whether a candidate has an answer is looked up, of every one
    all else              is attained by some grades

Of the measures that no document can lower (dcg, precision, hits, rbp, mrr, hit_rate) the bounds are those of the plain
rule: all open documents irrelevant, and all at the highest grade. The others divide by what is relevant at all, to
which such a document adds. One more relevant document lowers ndcg, recall, map, f1 and r-precision of the list that
shows it too far down, so that for these the plain rule gives no bounds.
"""

from __future__ import annotations

from stages.quality.bounds_of_ranks import average_precision, first_relevant, r_precision
from stages.quality.bounds_of_sums import sums
from stages.quality.measures import Metric
from stages.quality.shown import Ranges, Shown

__all__ = ["bounds", "has_bounds"]

_BY_RANK = {
    "mrr": first_relevant,
    "hit_rate": first_relevant,
    "map": average_precision,
    "r-precision": r_precision,
}


def has_bounds(metric: Metric) -> bool:
    """Whether the metric takes what is not judged for not relevant."""
    return metric.measure not in ("bpref", "judged", "answer_recall")


def bounds(query: Shown, metric: Metric) -> Ranges:
    """`query` as `shown` makes it with the metric's cutoff. Raises ValueError for a metric that has none."""
    if not has_bounds(metric):
        raise ValueError(f"{metric.measure} has no bounds")
    return _BY_RANK.get(metric.measure, sums)(query, metric)
