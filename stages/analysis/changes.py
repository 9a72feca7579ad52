"""How many lists reranking changed in their first places: which documents stand there, and in what order. It needs no
judgement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stages.analysis.outcome import QueryOutcome
from stages.core.words import counted
from stages.quality.measures import parse_metric

PROMPT_SIZES = (1, 3, 5, 10, 20)
"""How many documents a prompt commonly takes."""

TOP = 10
"""The first places that are looked at where the deciding metric has no cutoff."""

OF_SETS = frozenset({"recall", "precision", "f1", "hit_rate", "hits", "judged"})
"""Measures that ask which documents are among the first k, and not in what order."""


def top_of(metric: str) -> int:
    """How many first places `metric` looks at."""
    return parse_metric(metric).cutoff or TOP


def cutoffs_of(metric: str) -> tuple[int, ...]:
    """Those that are told where `metric` decides, rising."""
    return tuple(sorted({*PROMPT_SIZES, top_of(metric)}))


@dataclass(slots=True)
class Top:
    """Of the lists, in how many the first `k` places hold other documents than the first stage's (`sets`), and in how
    many they read otherwise at all (`orders`). In `could` a candidate that was reranked stands behind place k: in the
    others no reranker changes which documents these are.
    """

    k: int
    sets: int = 0
    orders: int = 0
    could: int = 0


class Changes:
    """Counted query by query. `lists` are those with a candidate; in `anywhere` the order changed at any place."""

    def __init__(self, metric: str) -> None:
        self.top = top_of(metric)
        self.lists = self.anywhere = self.deepest = 0
        self.tops = tuple(Top(k) for k in cutoffs_of(metric))

    def add(self, outcome: QueryOutcome) -> None:
        length = len(outcome.doc_ids)
        if not length:
            return
        self.lists += 1
        self.deepest = max(self.deepest, length)
        now = np.array(outcome.completed(outcome.order.tolist()), dtype=np.intp)
        moved = np.flatnonzero(now != np.arange(length))
        first_moved = int(moved[0]) if len(moved) else math.inf
        self.anywhere += len(moved) > 0
        for top in self.tops:
            top.could += top.k < length and len(outcome.order) > 0
            top.orders += first_moved < top.k
            top.sets += bool((now[: top.k] >= top.k).any())

    @property
    def decided(self) -> Top:
        """Of the places that the deciding metric looks at."""
        return next(one for one in self.tops if one.k == self.top)

    def fixed(self, metrics: Sequence[str]) -> list[str]:
        """Those of `metrics` that no order of these candidates changes: they look at sets that are as they were given.

        A cutoff that is not among `tops` is looked at by the longest list alone.
        """
        return [name for name in metrics if self._is_fixed(name)] if self.lists else []

    def _is_fixed(self, name: str) -> bool:
        metric = parse_metric(name)
        return metric.measure in OF_SETS and (not metric.cutoff or metric.cutoff >= self.deepest)

    def told(self, metrics: Sequence[str]) -> dict[str, Any]:
        """Its part of analysis.json."""
        return {
            "lists": self.lists,
            "anywhere": self.anywhere,
            "top": self.top,
            "at": [asdict(top) for top in self.tops],
            "fixed": self.fixed(metrics),
            "words": self.words(metrics),
        }

    def words(self, metrics: Sequence[str]) -> str:
        """One sentence or two, each with its full stop, on the places that the deciding metric looks at."""
        if not self.lists:
            return "No query has candidates, so no list could change."
        if not self.anywhere:
            return f"No list changed: {counted(self.lists, 'list is', 'lists are')} in the first stage's order."
        return " ".join([self._sets(), *self._fixed(metrics)])

    def _sets(self) -> str:
        top, of = self.decided, f"of {counted(self.lists, 'list')}"
        if not top.could:
            return (
                f"Reranking could not change which documents are among the first {top.k}: of no query are more than "
                f"{counted(self.deepest, 'candidate')} reranked. Their order changed in {top.orders:,} {of}."
            )
        if not top.orders:
            places = f"first {top.k} places are" if top.k > 1 else "first place is"
            return (
                f"The {places} the first stage's in all {self.lists:,} lists: what reranking changed, in "
                f"{self.anywhere:,} of them, lies behind."
            )
        able = "" if top.could == self.lists else f" ({top.could:,} have a candidate behind that place)"
        if top.k == 1:
            return f"Another document than before is first in {top.sets:,} {of}{able}."
        return (
            f"Among the first {top.k} are other documents than before in {top.sets:,} {of}{able}, and another order "
            f"in {top.orders:,}."
        )

    def _fixed(self, metrics: Sequence[str]) -> list[str]:
        if not (fixed := self.fixed(metrics)):
            return []
        names, them, are = ", ".join(fixed), *(("them", "are") if len(fixed) > 1 else ("it", "is"))
        return [f"{names} {are} what the first stage made {them}: no order of these candidates changes {them}."]
