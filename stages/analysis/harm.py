"""Harm by rank: how often reranking pushes out what stood right, and how often it brings up what stood deep.

A metric's mean hides both: a reranker that rescues as many answers as it loses looks like one that does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stages.analysis.changes import cutoffs_of, top_of
from stages.analysis.outcome import QueryOutcome
from stages.core.records import Judgements
from stages.core.words import counted
from stages.core.words import share as in_percent
from stages.quality.interval import Interval
from stages.quality.measures import parse_metric
from stages.quality.proportion import share_interval

BANDS = (1, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Where bands of first-stage ranks end; the places that the deciding metric looks at end one too."""

_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole` relevant documents, which are of `queries` queries; `share` and its interval are None where
    there are none. The interval is `stages.quality.proportion.share_interval`: what is of one query goes together.
    """

    part: int
    whole: int
    queries: int
    share: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class HarmAt:
    """What became of the first `k` places. `first_lost`: of the first stage's first documents that are relevant, those
    that no longer stand there; `pushed_out`: of all relevant ones that stood there, those that no longer do;
    `rescued`: of the relevant ones that were reranked and stood behind, those that now stand there.
    """

    k: int
    first_lost: Share
    pushed_out: Share
    rescued: Share


@dataclass(frozen=True, slots=True)
class Band:
    """The relevant documents that the first stage had at rank `low` to `high` (from 1): so many went `up` and `down`.
    `crossed` left the places that the deciding metric looks at, where the band is of them; else they came there.
    """

    low: int
    high: int
    up: int
    down: int
    inside: bool
    crossed: Share


@dataclass(frozen=True, slots=True)
class Harm:
    """Over the judged queries; a document is relevant from grade `level` on, as the deciding metric has it. `at` is by
    rising k, `bands` by rising rank; bands without a relevant document are left out.
    """

    top: int
    level: int
    confidence: float
    at: tuple[HarmAt, ...]
    bands: tuple[Band, ...]

    @property
    def decided(self) -> HarmAt:
        """Of the places that the deciding metric looks at."""
        return next(one for one in self.at if one.k == self.top)

    def words(self, *, crossable: bool = True) -> str:
        """One line: what left, and what came; the latter two where some candidate could cross the last place."""
        first, top = self.at[0].first_lost, self.decided
        parts = [
            f"{_told(first)} of {counted(first.whole, 'right first document')} lost the first place, to which "
            f"{counted(self.at[0].rescued.part, 'relevant one')} came from behind"
            if first.whole
            else "no first document was right"
        ]
        if top.pushed_out.whole and crossable and self.top > 1:  # of one place the first part has said it
            parts.append(f"{_told(top.pushed_out)} of {top.pushed_out.whole:,} relevant ones left the first {self.top}")
        if top.rescued.whole:
            parts.append(f"{_told(top.rescued)} of {top.rescued.whole:,} that stood behind came there")
        return "; ".join(parts)


def _told(one: Share) -> str:
    low, high = one.interval or (None, None)
    return f"{in_percent(one.share)} ({in_percent(low)} to {in_percent(high)})"


def harm(outcomes: Sequence[QueryOutcome], judgements: Judgements, metric: str, confidence: float) -> Harm:
    """Of the candidates of judged queries; what lies below `data.depth` does not move and is not counted."""
    top, level = top_of(metric), parse_metric(metric).level
    moved = _Moved(outcomes, judgements, level, confidence)
    first = moved.old == 1
    at = tuple(
        HarmAt(
            k=k,
            first_lost=moved.share(first, moved.new > k),
            pushed_out=moved.share(moved.old <= k, moved.new > k),
            rescued=moved.share(moved.old > k, moved.new <= k),
        )
        for k in cutoffs_of(metric)
    )
    ends = sorted({*BANDS, top})
    deepest = int(moved.old.max(initial=0))
    edges = [0, *(end for end in ends if end < deepest), deepest]
    bands = (moved.band(low + 1, high, top) for low, high in pairwise(edges))
    return Harm(top, level, confidence, at, tuple(band for band in bands if band.crossed.whole))


class _Moved:
    """Relevant candidates as columns: the number of their query, and their ranks (from 1) before and after."""

    def __init__(self, outcomes: Sequence[QueryOutcome], judgements: Judgements, level: int, confidence: float) -> None:
        query, old, new = [], [], []
        for number, outcome in enumerate(outcomes):
            grades = judgements.grades[outcome.query_id]
            right = [place for place, doc_id in enumerate(outcome.doc_ids) if grades.get(doc_id, 0) >= level]
            if right:
                ranks = np.argsort(outcome.completed(outcome.order.tolist())) + 1
                query += [number] * len(right)
                old += [place + 1 for place in right]
                new += ranks[right].tolist()
        self.query, self.old, self.new = (np.array(column, dtype=np.intp) for column in (query, old, new))
        self._confidence = confidence

    def share(self, of: _Flags, hit: _Flags) -> Share:
        """How many `of` these are `hit`."""
        if not of.any():
            return Share(0, 0, 0, None, None)
        _, query = np.unique(self.query[of], return_inverse=True)
        wholes, parts = np.bincount(query), np.bincount(query, weights=hit[of])
        whole, part = int(wholes.sum()), int(parts.sum())
        interval = share_interval(parts.astype(np.float64), wholes.astype(np.float64), self._confidence)
        return Share(part, whole, len(wholes), part / whole, interval)

    def band(self, low: int, high: int, top: int) -> Band:
        here, inside = (self.old >= low) & (self.old <= high), high <= top
        return Band(
            low=low,
            high=high,
            up=int((here & (self.new < self.old)).sum()),
            down=int((here & (self.new > self.old)).sum()),
            inside=inside,
            crossed=self.share(here, self.new > top if inside else self.new <= top),
        )
