"""What of two systems' lists nobody judged, and what that could do to their values: judged@k, bounds, condensed lists.

Values count a document without a judgement as not relevant. `bounds` says what they could be otherwise. On a condensed
list such documents are left out, and what stands below moves up (Sakai, Alternatives to bpref, SIGIR 2007): what the
judged documents alone say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from stages.core.records import Judgements, QueryMetrics
from stages.core.words import share
from stages.quality.bounds import bounds, has_bounds
from stages.quality.comparison import Tested
from stages.quality.evaluate import evaluate
from stages.quality.measures import Metric, parse_metric
from stages.quality.shown import Shown, shown
from stages.quality.significance import TIE

_SOME = 2 * TIE  # a difference that is one


class TwoLists(NamedTuple):
    """A query's documents in two systems, best first."""

    query_id: str
    first: Sequence[str]
    second: Sequence[str]


@dataclass(frozen=True, slots=True)
class Side:
    """Means of one system, or of the difference of two, over all judged queries; in the metric's unit.

    `judged` is the share of the top k that has a judgement, over the queries that have a list; None of a difference.
    The value lies between `low` and `high` whatever grades the open documents had: None for a metric without bounds.
    `condensed` is the value of lists without these; None
    where the qrels name relevant documents alone, as such lists hold nothing else.
    """

    judged: float | None
    low: float | None
    high: float | None
    condensed: float | None


@dataclass(frozen=True, slots=True)
class Unjudged:
    """What is not judged, by one metric: `documents` are open, in the top `cutoff` of either list (0: anywhere), and
    could have any grade up to `highest`. `relevant_only`: the qrels name no document that is not relevant, so that most
    of these may be known not to be.
    """

    documents: int
    cutoff: int
    highest: int
    relevant_only: bool
    first: Side
    second: Side
    difference: Side

    @property
    def share(self) -> float:
        """Of both systems' top documents, how many are not judged."""
        known = [side.judged for side in (self.first, self.second) if side.judged is not None]
        return 1 - fmean(known) if known else 0.0

    @property
    def where(self) -> str:
        return f"the top {self.cutoff}" if self.cutoff else "the lists"

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Unjudged:
        """From its form in JSON."""
        return cls(
            documents=content["documents"],
            cutoff=content["cutoff"],
            highest=content["highest"],
            relevant_only=content["relevant_only"],
            first=Side(**content["first"]),
            second=Side(**content["second"]),
            difference=Side(**content["difference"]),
        )


def unjudged(
    lists: Iterable[TwoLists], judgements: Judgements, first: QueryMetrics, second: QueryMetrics, *, highest: int
) -> dict[str, Unjudged]:
    """For each metric of `first`, whose values, as those of `second`, are over all queries of `judgements`; one without
    a list has nothing open. `highest` is what `highest_grade` says of all judgements. Raises what `evaluate` raises.
    """
    judged = [one for one in lists if one.query_id in judgements.grades]
    found = {name: _Sums(first, second, name) for name in first.values}
    for one in judged:
        grades, cut = judgements.grades[one.query_id], dict[int, Shown]()
        for sums in found.values():
            cutoff = sums.metric.cutoff
            if sums.metric.tokens:
                continue  # what fits in a prompt is judged, or takes no room
            if cutoff not in cut:
                cut[cutoff] = shown(one.first, one.second, grades, highest, cutoff)
            sums.add(one.query_id, cut[cutoff])
    relevant_only = not any(grade <= 0 for grades in judgements.grades.values() for grade in grades.values())
    open_ = [name for name, sums in found.items() if sums.documents and sums.metric.measure != "judged"]
    condensed = (
        [_condensed(judged, judgements, place, open_) for place in (1, 2)] if open_ and not relevant_only else []
    )
    return {
        name: sums.told(highest, relevant_only, [one.mean(name) for one in condensed] if name in open_ else [])
        for name, sums in found.items()
    }


def highest_grade(judgements: Judgements) -> int:
    """The highest in the qrels; 1 where nothing is relevant."""
    return max(1, max((int(grade) for grades in judgements.grades.values() for grade in grades.values()), default=1))


def _condensed(lists: Iterable[TwoLists], judgements: Judgements, place: int, metrics: Sequence[str]) -> QueryMetrics:
    kept = {
        one.query_id: [doc_id for doc_id in one[place] if doc_id in judgements.grades[one.query_id]] for one in lists
    }
    return evaluate(kept, judgements, metrics)


class _Sums:
    """One metric, added up query by query."""

    def __init__(self, first: QueryMetrics, second: QueryMetrics, name: str) -> None:
        self.metric: Metric = parse_metric(name)
        self.documents = 0
        self._places = {query_id: place for place, query_id in enumerate(first.query_ids)}
        other = {query_id: place for place, query_id in enumerate(second.query_ids)}
        before = np.array(first.values[name])
        after = np.array([second.values[name][other[query_id]] for query_id in first.query_ids])
        self._values = np.stack((before, after, after - before))
        self._low, self._high = self._values.copy(), self._values.copy()
        self._judged: tuple[list[float], list[float]] = ([], [])

    def add(self, query_id: str, query: Shown) -> None:
        for side in (0, 1):
            if (judged := query.judged_share(side)) is not None:
                self._judged[side].append(judged)
        self.documents += query.open
        if not query.open or not has_bounds(self.metric):
            return
        place, found = self._places[query_id], bounds(query, self.metric)
        # Sums in another order differ in their last digits.
        self._low[:, place] = np.minimum([one.low for one in found], self._values[:, place])
        self._high[:, place] = np.maximum([one.high for one in found], self._values[:, place])

    def told(self, highest: int, relevant_only: bool, condensed: Sequence[float]) -> Unjudged:
        means, low, high = (one.mean(axis=1).tolist() for one in (self._values, self._low, self._high))
        values = [*condensed, condensed[1] - condensed[0]] if condensed else means
        judged = [fmean(one) if one else None for one in self._judged]
        bounded = has_bounds(self.metric)
        unknown = relevant_only and self.documents > 0
        sides = [
            Side(
                share_,
                low[side] if bounded else None,
                high[side] if bounded else None,
                None if unknown else values[side],
            )
            for side, share_ in enumerate([*judged, None])
        ]
        return Unjudged(self.documents, self.metric.cutoff, highest, relevant_only, *sides)


def reservation(found: Unjudged, limit: float, *, above: bool, side: Side | None = None) -> str:
    """The end of a verdict that says the difference, or a `side`, is at least `limit`, or at most, and that other
    grades of the open documents would contradict; empty where none do.

    Qrels that name relevant documents alone leave nearly everything open. Of them a short remark is enough: that the
    rest counts as not relevant is how they are meant.
    """
    side = side or found.difference
    if side.low is None or side.high is None or (side.low >= limit - TIE if above else side.high <= limit + TIE):
        return ""
    open_ = f"{share(found.share)} of {found.where}"
    if found.relevant_only:
        return f", with the {open_} that are not judged taken as not relevant"
    sign = "" if side.judged is not None else "+"
    between = f"{side.low:{sign}.4f} and {side.high:{sign}.4f}"
    return f", by what is judged; the {open_} that is not could at worst reverse it (between {between})"


def with_reservation(tested: Tested, found: Unjudged | None) -> Tested:
    """The sentence of a significant difference says where unjudged documents could undo it."""
    if found is None or not tested.significant():
        return tested
    above = tested.difference.difference > 0
    return replace(tested, words=tested.words + reservation(found, _SOME if above else -_SOME, above=above))
