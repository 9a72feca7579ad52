"""Two lists of each query, and what people and a model said of them -> the values that inference is made from.

y is a query's value by people's grades, f that by the model's, both over one pool: the documents that the model graded,
and those that the metric sees in either list. A query counts as judged by people where they judged all of its pool:
from a part of it follows another ideal order. Where fewer queries count by the model's pool than by the two lists
alone, the pool is what the metric sees of these: which documents are judged decides that, and not any grade.

A document that the model gave no grade counts as not relevant in f, in both lists alike; f need not be right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from stages.core.records import Judgements
from stages.judging.inference import Labelled
from stages.judging.pool import seen_by
from stages.judging.precision import Values
from stages.quality.evaluate import evaluate
from stages.quality.measures import parse_metric

Lists = Mapping[str, Sequence[str]]
"""Query id -> document ids, best first."""
Grades = Mapping[str, Mapping[str, int]]
Seen = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""Query id -> what the metric sees of both lists."""

NOT_DRAWN = "(not drawn)"


@dataclass(frozen=True, slots=True)
class Draw:
    """How people's queries were chosen: at random from those that change by the metric that was planned for. `drawn`
    were and are judged, `skipped` is how many could not be. `strata` maps queries to the stratum that they
    were drawn from; of a single one it may lack those that were not drawn, and may be empty.
    """

    strata: Mapping[str, str]
    drawn: Collection[str]
    skipped: int = 0


class Pair(NamedTuple):
    """A query's values in both lists."""

    before: float
    after: float


Value = Callable[[Pair], float]


@dataclass(frozen=True, slots=True)
class Opinions:
    """Of one metric, by query: `people` of those that people judged, `model` of all; `unchanged` are the queries of
    which the metric sees the same in both lists. The model gave no grade of `ungraded` of people's. `of_lists`: the
    pool is what the metric sees of the two lists, as people did not judge all of the wider one. `beyond`: documents
    outside the pool that people call relevant, of the queries that count as judged. `whole` is as `model`, with
    people's grades of the `filled` pairs that the model gave none, as it was not asked for them.
    """

    people: Mapping[str, Pair]
    model: Mapping[str, Pair]
    unchanged: frozenset[str]
    ungraded: int = 0
    of_lists: bool = False
    beyond: int = 0
    strata: Mapping[str, str] = field(default_factory=dict)
    whole: Mapping[str, Pair] = field(default_factory=dict)
    filled: int = 0

    @property
    def judged(self) -> list[str]:
        """People's queries, of those that can change."""
        return [query_id for query_id in self.people if query_id not in self.unchanged]

    def of_change(self) -> list[Labelled]:
        """The strata of the change, 0 of each query whose lists are the same."""
        known = np.zeros(len(self.unchanged))
        groups = self._groups(query_id for query_id in self.model if query_id not in self.unchanged)
        found = [self._labelled(ids, lambda pair: pair.after - pair.before) for ids in groups.values()]
        return [*found, Labelled(len(known), known, known, known[:0])] if len(known) else found

    def of_side(self, place: int) -> list[Labelled]:
        """The strata of one list's mean; the queries that do not change are strata of their own, as nobody need have
        judged them.
        """
        groups: dict[tuple[str, bool], list[str]] = {}
        for query_id in self.model:
            same = query_id in self.unchanged
            groups.setdefault(("" if same else self._stratum(query_id), same), []).append(query_id)
        return [self._labelled(ids, lambda pair: pair[place]) for ids in groups.values()]

    def _groups(self, query_ids: Iterable[str]) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for query_id in query_ids:
            groups.setdefault(self._stratum(query_id), []).append(query_id)
        return groups

    def _stratum(self, query_id: str) -> str:
        several = len(set(self.strata.values())) > 1
        return self.strata.get(query_id, NOT_DRAWN) if several else ""

    def _labelled(self, query_ids: Sequence[str], value: Value) -> Labelled:
        judged = [query_id for query_id in query_ids if query_id in self.people]
        rest = [query_id for query_id in query_ids if query_id not in self.people]
        # What it was not asked about it gave no grade, as if nothing were relevant: then the model counts nowhere.
        asked = 0.0 if self.ungraded else 1.0
        return Labelled(
            len(query_ids),
            _values(self.people, judged, value),
            asked * _values(self.model, judged, value),
            asked * _values(self.model, rest, value),
        )


def opinions(
    before: Lists, after: Lists, judgements: Judgements, metrics: Sequence[str], draw: Draw | None = None
) -> dict[str, Opinions]:
    """By metric, over every query that anybody judged. Raises what `evaluate` raises."""
    found: dict[str, Opinions] = {}
    for cutoff, names in _by_cutoff(metrics).items():
        seen = {
            query_id: (seen_by(names[0], before.get(query_id, ())), seen_by(names[0], after.get(query_id, ())))
            for query_id in judgements.grades
        }
        of_cutoff = _opinions(seen, judgements, names, draw, cut=cutoff > 0)
        found |= of_cutoff
    return {name: found[name] for name in metrics}


def _opinions(
    seen: Seen, judgements: Judgements, metrics: Sequence[str], draw: Draw | None, *, cut: bool
) -> dict[str, Opinions]:
    unchanged = frozenset(query_id for query_id, (first, second) in seen.items() if list(first) == list(second))
    by_people, of_lists = _by_people(judgements, seen, draw, cut=cut)
    by_model = judgements.by_model
    if of_lists:
        by_model = {query_id: _within(grades, _both(seen[query_id])) for query_id, grades in by_model.items()}
    whole, filled = filled_with(by_model, judgements.by_people, {one: _both(lists) for one, lists in seen.items()})
    people, model, both = (_pairs(grades, seen, metrics) for grades in (by_people, by_model, whole))
    beyond = sum(
        grade > 0 and doc_id not in pool
        for query_id, pool in by_people.items()
        for doc_id, grade in judgements.by_people[query_id].items()
    )
    nothing = Pair(0.0, 0.0)
    return {
        name: Opinions(
            people={query_id: people[name].get(query_id, nothing) for query_id in by_people},
            model={query_id: model[name].get(query_id, nothing) for query_id in seen},
            unchanged=unchanged,
            ungraded=sum(not judgements.by_model.get(one) for one in by_people.keys() - unchanged),
            of_lists=of_lists,
            beyond=beyond,
            strata=draw.strata if draw else {},
            whole={query_id: both[name].get(query_id, nothing) for query_id in seen},
            filled=filled,
        )
        for name in metrics
    }


def filled_with(
    model: Grades, people: Grades, pools: Mapping[str, Collection[str]]
) -> tuple[dict[str, dict[str, int]], int]:
    """A model's grades, and people's of what it gave none in each query's pool; and of how many pairs that is."""
    added = {
        query_id: _within(people.get(query_id, {}), set(pool) - model.get(query_id, {}).keys())
        for query_id, pool in pools.items()
    }
    grades = {query_id: {**model.get(query_id, {}), **added.get(query_id, {})} for query_id in [*pools]}
    return grades, sum(map(len, added.values()))


def _by_cutoff(metrics: Sequence[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in metrics:
        found.setdefault(parse_metric(name).cutoff, []).append(name)
    return found


def _by_people(judgements: Judgements, seen: Seen, draw: Draw | None, *, cut: bool) -> tuple[Grades, bool]:
    """People's grades of the pool of each query that they judged, and whether that is the one of the two lists."""
    candidates = [one for one in judgements.by_people if one in seen and (draw is None or one in draw.drawn)]
    wide, narrow = dict[str, Mapping[str, int]](), dict[str, Mapping[str, int]]()
    for query_id in candidates:
        given, shown = judgements.by_people[query_id], _both(seen[query_id]) if cut else frozenset[str]()
        for found, pool in ((wide, shown | judgements.by_model.get(query_id, {}).keys()), (narrow, shown)):
            if pool and pool <= given.keys():
                found[query_id] = _within(given, pool)
    return (narrow, True) if len(narrow) > len(wide) else (wide, False)


def _both(seen: tuple[Sequence[str], Sequence[str]]) -> frozenset[str]:
    return frozenset(seen[0]).union(seen[1])


def _within(grades: Mapping[str, int], pool: Collection[str]) -> dict[str, int]:
    return {doc_id: grade for doc_id, grade in grades.items() if doc_id in pool}


def _pairs(grades: Grades, seen: Seen, metrics: Sequence[str]) -> dict[str, dict[str, Pair]]:
    """By metric and query; a query without a grade is not among them."""
    judgements = Judgements({query_id: given for query_id, given in grades.items() if given and query_id in seen})
    if not len(judgements):
        return {name: {} for name in metrics}
    first, second = (
        evaluate({query_id: seen[query_id][place] for query_id in judgements.grades}, judgements, metrics)
        for place in (0, 1)
    )
    return {
        name: {
            query_id: Pair(before, after)
            for query_id, before, after in zip(first.query_ids, first.values[name], second.values[name], strict=True)
        }
        for name in metrics
    }


def _values(pairs: Mapping[str, Pair], query_ids: Sequence[str], value: Value) -> Values:
    return np.array([value(pairs[query_id]) for query_id in query_ids], dtype=np.float64)
