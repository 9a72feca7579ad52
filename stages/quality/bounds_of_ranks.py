"""Bounds of the metrics in which what a document adds depends on the others: mrr, hit_rate, map, r-precision.

mrr and hit_rate are decided by one document: to raise the difference it takes one open document that is relevant, or
none. map and r-precision are looked at for each number of open documents that are relevant: the highest of the list
are then its best choice, and the lowest its worst, as an exchange of two neighbours shows.
"""

from __future__ import annotations

import numpy as np

from stages.quality.measures import Metric
from stages.quality.shown import Numbers, Range, Ranges, Shown


def first_relevant(query: Shown, metric: Metric) -> Ranges:
    """mrr and hit_rate: attained by some grades."""
    first, second = (_values(query, metric, side) for side in (0, 1))
    return Ranges(
        Range(first[0], float(first.max())),
        Range(second[0], float(second.max())),
        Range(-_most(second, first), _most(first, second)),
    )


def _values(query: Shown, metric: Metric, side: int) -> Numbers:
    """With no open document relevant, then with each of them alone."""
    relevant = query.judged_ranks[side][query.grades >= metric.level]
    reachable = query.highest >= metric.level
    ranks = np.concatenate(([relevant.min(initial=np.inf)], query.open_ranks[side] if reachable else []))
    values = np.isfinite(ranks).astype(np.float64) if metric.measure == "hit_rate" else 1 / ranks
    return np.asarray(np.maximum(values, values[0]))


def _most(lower: Numbers, higher: Numbers) -> float:
    return float((higher - lower).max())


def average_precision(query: Shown, metric: Metric) -> Ranges:
    """map: of each list attained by some grades; the difference holds, and may be wider than need be."""
    relevant = float((query.all_grades >= metric.level).sum())
    best, worst = zip(*(_precision_sums(query, metric, side) for side in (0, 1)), strict=True)
    number = np.maximum(relevant + np.arange(len(best[0])), 1.0)
    first, second = (Range(float((worst[side] / number).min()), float((best[side] / number).max())) for side in (0, 1))
    difference = Range(float(((worst[1] - best[0]) / number).min()), float(((best[1] - worst[0]) / number).max()))
    return Ranges(first, second, difference)


def _precision_sums(query: Shown, metric: Metric, side: int) -> tuple[Numbers, Numbers]:
    """The highest and the lowest sum of the precisions at relevant documents, by how many open ones are relevant."""
    relevant = np.sort(query.judged_ranks[side][query.grades >= metric.level])
    relevant = relevant[np.isfinite(relevant)]
    base = float((np.arange(1, len(relevant) + 1) / relevant).sum())
    reachable = query.highest >= metric.level
    ranks = np.sort(query.open_ranks[side]) if reachable else np.empty(0)
    before = np.searchsorted(relevant, ranks)
    behind = np.concatenate((np.cumsum((1 / relevant)[::-1])[::-1], [0.0]))[before]
    added = np.arange(len(ranks))
    # From the top: those that were added stand before, so that only judged ones behind gain.
    best = (before + added + 1) / ranks + np.where(np.isfinite(ranks), behind, 0.0)
    # From the bottom: those that were added stand behind, and gain too.
    shares = 1 / ranks
    later = np.concatenate((np.cumsum(shares[::-1])[::-1][1:], [0.0])) if len(ranks) else shares
    worst = ((before + 1) / ranks + np.where(np.isfinite(ranks), behind + later, 0.0))[::-1]
    return base + np.concatenate(([0.0], np.cumsum(best))), base + np.concatenate(([0.0], np.cumsum(worst)))


def r_precision(query: Shown, metric: Metric) -> Ranges:
    """Attained by some grades."""
    relevant = int((query.all_grades >= metric.level).sum())
    open_ranks = query.open_ranks if query.highest >= metric.level else query.open_ranks[:, :0]
    added = np.arange(open_ranks.shape[1] + 1)
    number = relevant + added
    judged = [_within(query.judged_ranks[side][query.grades >= metric.level], number) for side in (0, 1)]
    there = [_within(open_ranks[side], number) for side in (0, 1)]
    both = _within(open_ranks.max(axis=0), number)
    divisor, open_ = np.maximum(number, 1), open_ranks.shape[1]
    first, second = (
        Range(
            float(((judged[side] + np.maximum(0, added - (open_ - there[side]))) / divisor).min()),
            float(((judged[side] + np.minimum(added, there[side])) / divisor).max()),
        )
        for side in (0, 1)
    )
    alone = [there[side] - both for side in (0, 1)]
    change = judged[1] - judged[0]
    low = change - np.minimum(added, alone[0]) + np.maximum(0, added - (open_ - alone[1]))
    high = change + np.minimum(added, alone[1]) - np.maximum(0, added - (open_ - alone[0]))
    return Ranges(first, second, Range(float((low / divisor).min()), float((high / divisor).max())))


def _within(ranks: Numbers, number: Numbers) -> Numbers:
    """How many of these ranks are `number` or less."""
    return np.searchsorted(np.sort(ranks), number, side="right").astype(np.float64)
