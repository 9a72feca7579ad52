"""Bounds of the metrics that are a sum over ranks, divided by what a perfect list would have: the dcg family, recall,
precision, f1, hits, rbp.

Such a metric is (sum of gain(grade) * weight(rank)) / ideal(grades). The ideal of ndcg adds up by grades: the perfect
list's sum is that over each step from a grade to the next of (gain of the step) * D(how many documents have at least
that grade), where D(n) is the sum of the n first discounts. D grows ever more slowly, so the ideal is convex in the
gains, and the sum linear. From that follows which grades are extreme:

- For as many open documents with a grade as given, those with the largest weight are the best choice. So one number a
  step, how many reach it, describes all choices that matter.
- A quotient that is nowhere positive has its maximum where each open document has grade 0 or the highest (a linear
  function below 0 over a convex one above it is quasi-convex): these few are all tried.
- One that is positive somewhere is maximised by Dinkelbach's method (On nonlinear fractional programming, Management
  Science 13, 1967): for a guess of the maximum the numbers of each step are chosen by themselves; a step that more
  judged documents reach never takes fewer open ones, so that together they are grades. The guess rises until it stays.

Minima are maxima of what is negated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from stages.quality.measures import Metric
from stages.quality.shown import Numbers, Range, Ranges, Shown

_ROUNDING = 1e-14


class _Steps(NamedTuple):
    """From grade to grade that is judged, up to the highest: the gain of each step, and how many judged documents of
    the query reach it.
    """

    gains: Numbers
    reached: Numbers


_Ideal = Callable[[Numbers], Numbers] | None
"""D of a number of documents; None where nothing relevant changes what is divided by."""


def sums(query: Shown, metric: Metric) -> Ranges:
    """Each attained by some grades, but the difference of f1 over whole lists of different lengths."""
    gain = _GAINS.get(metric.measure, _binary)
    steps = _steps(query, metric, gain)
    gains = np.where(query.grades >= metric.level, gain(query.grades), 0.0)
    open_weights, weights = (_weights(query, metric, ranks) for ranks in (query.open_ranks, query.judged_ranks))
    base = weights @ gains
    ideals = [_ideal(metric, length) for length in query.lengths]
    first, second = (_range(float(base[side]), open_weights[side], steps, ideals[side]) for side in (0, 1))
    if metric.measure == "f1" and not metric.cutoff and query.lengths[0] != query.lengths[1]:
        return Ranges(first, second, Range(second.low - first.high, second.high - first.low))
    change = open_weights[1] - open_weights[0]
    return Ranges(first, second, _range(float(base[1] - base[0]), change, steps, ideals[0]))


def _range(base: float, weights: Numbers, steps: _Steps, ideal: _Ideal) -> Range:
    return Range(-_highest(-base, -weights, steps, ideal), _highest(base, weights, steps, ideal))


def _highest(base: float, weights: Numbers, steps: _Steps, ideal: _Ideal) -> float:
    """The maximum of (base + sum of gain * weight) / ideal over all grades of the documents with these weights."""
    best_first = np.concatenate(([0.0], np.cumsum(np.sort(weights)[::-1])))
    whole = base + steps.gains.sum() * best_first
    if ideal is None:
        return float(whole.max())
    ideals = ideal(steps.reached[:, None] + np.arange(len(best_first)))
    highest = float(_quotients(whole, steps.gains @ ideals).max())
    every = np.arange(len(steps.gains))
    while whole.max() > 0:
        taken = np.argmax(best_first - highest * ideals, axis=1)
        reached = _quotients(base + steps.gains @ best_first[taken], steps.gains @ ideals[every, taken])
        if reached <= highest + _ROUNDING:
            break
        highest = float(reached)
    return highest


def _quotients(above: Numbers, below: Numbers) -> Numbers:
    """0 where nothing is relevant at all."""
    return np.divide(above, below, out=np.zeros_like(np.asarray(above)), where=np.asarray(below) > 0)


def _steps(query: Shown, metric: Metric, gain: Callable[[Numbers], Numbers]) -> _Steps:
    if gain is _binary:
        tops = np.array([float(metric.level)] if query.highest >= metric.level else [])
    else:
        judged = query.all_grades[query.all_grades >= metric.level]
        tops = np.unique(np.append(judged, query.highest if query.highest >= metric.level else judged))
    reached = np.array([(query.all_grades >= top).sum() for top in tops], dtype=np.float64)
    return _Steps(np.diff(gain(tops), prepend=0.0), reached)


def _binary(grades: Numbers) -> Numbers:
    return np.ones_like(grades)


def _linear(grades: Numbers) -> Numbers:
    return grades


def _exponential(grades: Numbers) -> Numbers:
    return np.exp2(grades) - 1


_GAINS: dict[str, Callable[[Numbers], Numbers]] = {
    "ndcg": _linear,
    "dcg": _linear,
    "ndcg_burges": _exponential,
    "dcg_burges": _exponential,
}


def _weights(query: Shown, metric: Metric, ranks: Numbers) -> Numbers:
    """What a document at these ranks adds for each of its gain; nothing where a list does not show it."""
    if "dcg" in metric.measure:
        return np.asarray(1 / np.log2(ranks + 1))
    if metric.measure == "rbp":
        return np.asarray((1 - metric.persistence) * metric.persistence ** (ranks - 1))
    there = np.isfinite(ranks).astype(np.float64)
    if metric.measure == "precision":
        return np.asarray(there / np.array([[metric.cutoff or max(length, 1)] for length in query.lengths]))
    return 2 * there if metric.measure == "f1" else there


def _ideal(metric: Metric, length: int) -> _Ideal:
    if metric.measure.startswith("ndcg"):
        return lambda number: _ideal_sum(number, metric.cutoff)
    if metric.measure == "recall":
        return lambda number: number
    if metric.measure == "f1":
        # 2 / (k / found + relevant / found)
        return lambda number: number + (metric.cutoff or length)
    return None


def _ideal_sum(number: Numbers, cutoff: int) -> Numbers:
    """The sum of so many discounts, of `cutoff` at most."""
    counts = number.astype(np.intp)
    counts = np.minimum(counts, cutoff) if cutoff else counts
    discounts = 1 / np.log2(np.arange(1, counts.max(initial=0) + 1) + 1)
    return np.concatenate(([0.0], np.cumsum(discounts)))[counts]
