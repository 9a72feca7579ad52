"""What two lists show of a query down to some rank, and which of it nobody judged: what bounds are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


class Range(NamedTuple):
    """The lowest and the highest value, in the metric's unit."""

    low: float
    high: float


class Ranges(NamedTuple):
    """Of a metric in the first list, in the second, and of the second's value less the first's."""

    first: Range
    second: Range
    difference: Range


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A query's documents in the first k of two lists. Row 0 is of the first list, row 1 of the second; ranks are from
    1, and infinite where the list does not show the document.

    `open_ranks` are those of the m documents without a judgement, `judged_ranks` of the j that have one, with their
    `grades`; `all_grades` are of every document that is judged for the query. `lengths` are those of the lists as cut.
    `highest` is the highest grade that an open document may have.
    """

    open_ranks: Numbers
    judged_ranks: Numbers
    grades: Numbers
    all_grades: Numbers
    lengths: tuple[int, int]
    highest: int

    @property
    def open(self) -> int:
        """How many documents have no judgement."""
        return int(self.open_ranks.shape[1])

    def judged_share(self, side: int) -> float | None:
        """Of what the list shows; None where that is nothing."""
        length = self.lengths[side]
        return float(np.isfinite(self.judged_ranks[side]).sum()) / length if length else None


def shown(
    first: Sequence[str], second: Sequence[str], grades: Mapping[str, int], highest: int, cutoff: int = 0
) -> Shown:
    """Of two lists, best first, each without repetition; `cutoff` 0: the whole of them."""
    tops = [one[: cutoff or None] for one in (first, second)]
    places = [{doc_id: rank for rank, doc_id in enumerate(top, start=1)} for top in tops]
    documents = dict.fromkeys((*tops[0], *tops[1]))
    judged = [doc_id for doc_id in documents if doc_id in grades]
    return Shown(
        open_ranks=_ranks([doc_id for doc_id in documents if doc_id not in grades], places),
        judged_ranks=_ranks(judged, places),
        grades=np.array([grades[doc_id] for doc_id in judged], dtype=np.float64),
        all_grades=np.array(list(grades.values()), dtype=np.float64),
        lengths=(len(tops[0]), len(tops[1])),
        highest=highest,
    )


def _ranks(documents: Sequence[str], places: Sequence[Mapping[str, int]]) -> Numbers:
    rows = [[place.get(doc_id, np.inf) for doc_id in documents] for place in places]
    return np.array(rows, dtype=np.float64).reshape(len(places), len(documents))
