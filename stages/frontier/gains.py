"""The value of a metric for very many lists at once, from where the relevant documents stand in each.

All values that are told of single points are ranx's (`stages.quality.evaluate`); these choose among thousands, and
whoever tells a point asserts that both agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from stages.core.errors import ConfigError
from stages.core.records import Judgements
from stages.frontier.lists import Floats, Ints, Lists, Relevant, relevant_of
from stages.quality.measures import parse_metric

# What lies between 0 and 1, so that a loss does.
BOUNDED = ("ndcg", "ndcg_burges", "mrr", "map", "recall", "precision", "f1", "hit_rate", "r-precision", "rbp")
KNOWN = (*BOUNDED, "dcg", "dcg_burges", "hits")


class Gains:
    """One metric over these lists and judgements. Raises ConfigError for one that needs more than relevant documents
    (bpref, judged).
    """

    def __init__(self, name: str, lists: Lists, judgements: Judgements) -> None:
        self.name, self.metric = name, parse_metric(name)
        if self.metric.measure not in KNOWN:
            known = ", ".join(KNOWN)
            raise ConfigError(f"--metric {name}: a frontier is drawn of {known}, not of {self.metric.measure}")
        self.relevant: Relevant = relevant_of(lists, judgements, self.metric.level)
        self.query_ids = tuple(sorted(judgements.grades))
        wanted = [
            sorted((grade for grade in judgements.grades[one].values() if grade >= self.metric.level), reverse=True)
            for one in self.query_ids
        ]
        self._total = np.array([len(grades) for grades in wanted], dtype=float)
        lengths = {query.query_id: len(query.top) + len(query.tail) for query in lists.queries}
        self._length = np.array([lengths.get(one, 0) for one in self.query_ids], dtype=float)
        self._ideal = np.array([self._ideal_of(grades) for grades in wanted])
        self._starts = np.flatnonzero(np.diff(self.relevant.query, prepend=-1))

    @property
    def bounded(self) -> bool:
        return self.metric.measure in BOUNDED

    def values(self, places: Ints) -> Floats:
        """(relevant documents, lists) from 0 -> (judged queries, lists), the queries by id."""
        kind, cutoff = self.metric.measure, self.metric.cutoff or np.iinfo(np.int32).max
        seen = places < cutoff
        if kind.startswith(("ndcg", "dcg")):
            total = self._summed(np.where(seen, self._gain(self.relevant.grades)[:, None] / np.log2(places + 2.0), 0.0))
            return _ratio(total, self._ideal) if kind.startswith("n") else total
        if kind == "mrr":
            return self._reduced(np.where(seen, 1 / (places + 1.0), 0.0), np.maximum)
        if kind == "map":
            return _ratio(self._summed(np.where(seen, self._order(places) / (places + 1.0), 0.0)), self._total)
        if kind == "rbp":
            persistence = self.metric.persistence
            return (1 - persistence) * self._summed(persistence ** places.astype(float))
        if kind == "r-precision":
            within = places < self._total[self.relevant.query, None]
            return _ratio(self._summed(np.where(within, 1.0, 0.0)), self._total)
        return self._counted(kind, self._summed(np.where(seen, 1.0, 0.0)))

    def _counted(self, kind: str, hits: Floats) -> Floats:
        """What follows from how many relevant documents are seen."""
        depth = self._length if not self.metric.cutoff else np.full(len(self._length), float(self.metric.cutoff))
        if kind == "hits":
            return hits
        if kind == "hit_rate":
            return (hits > 0).astype(float)
        precision, recall = _ratio(hits, depth), _ratio(hits, self._total)
        if kind == "f1":
            both = precision + recall
            return np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
        return precision if kind == "precision" else recall

    def _order(self, places: Ints) -> Floats:
        """The how manieth relevant document of its query each is, in each list, from 1 on."""
        found = np.empty(places.shape)
        for start, end in pairwise([*self._starts, len(places)]):
            order = np.argsort(places[start:end], axis=0)
            np.put_along_axis(found[start:end], order, np.arange(1.0, end - start + 1)[:, None], axis=0)
        return found

    def _summed(self, values: Floats) -> Floats:
        return self._reduced(np.asarray(values, dtype=float), np.add)

    def _reduced(self, values: Floats, how: np.ufunc) -> Floats:
        found = np.zeros((len(self.query_ids), values.shape[1]))
        if len(values):
            found[self.relevant.query[self._starts]] = how.reduceat(values, self._starts, axis=0)
        return found

    def _gain(self, grades: Floats) -> Floats:
        return np.exp2(grades) - 1 if self.metric.measure.endswith("_burges") else grades

    def _ideal_of(self, grades: Sequence[int]) -> float:
        best = self._gain(np.array(grades[: self.metric.cutoff or None], dtype=float))
        return float((best / np.log2(np.arange(len(best)) + 2.0)).sum())


def _ratio(values: Floats, whole: Floats) -> Floats:
    """Each query's values over its whole; 0 where that is 0."""
    divided: Floats = np.divide(values, whole[:, None], out=np.zeros_like(values), where=whole[:, None] > 0)
    return divided
