"""A judge beside people: how often both say the same, beyond chance, by grade and by slice, and what that means.

Pairs of one query are not independent, so intervals are over queries: of kappa and of the mean difference by a
bootstrap (`kappa`), of shares by `share_interval`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.core.grades import HIGHEST
from stages.grading.agreement_words import agreement_words, agrees_badly
from stages.grading.kappa import Tables, Values, bootstrapped, kappas, resampled
from stages.grading.record import Agreement, Called, SliceAgreement, Told
from stages.grading.scale import RELEVANT, Scale, scale_of
from stages.quality.proportion import Counts, share_interval
from stages.quality.significance import CONFIDENCE
from stages.quality.slices import Groups

Grades = Mapping[str, Mapping[str, int]]
LONGEST = 10
"""People's grades above it are counted with it: a qrels file may have any number as a grade."""
NO_SCALE = "people's scale has more grades than the judge's, and which of them are alike is not known"
ONE_GRADE = "people gave all of these pairs one grade, so that no agreement beyond chance can be seen"
NO_PAIR = "there is no such pair"


@dataclass(frozen=True, slots=True)
class _Counted:
    """`tables[q, j, p]`: the pairs of query q that the judge gave j and people p, or more in the last place of a longer
    scale; `scale` is people's.
    """

    queries: tuple[str, ...]
    tables: Tables
    scale: Scale

    def of(self, places: Sequence[int]) -> _Counted:
        return _Counted(tuple(self.queries[place] for place in places), self.tables[places], self.scale)


def agreement(
    people: Grades,
    model: Grades,
    *,
    highest: int | None = None,
    relevant: int | None = None,
    slices: Groups | None = None,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Agreement | None:
    """Over the pairs that both graded; None where there are none. Of people's grades 0 and below are not relevant.

    `highest` is the highest that people could give, else the highest that they gave to anything; `relevant` the least
    that means relevant to them (`scale_of`). Raises ValueError for a grade of the judge's that is none.
    """
    counted = _counted(people, model, highest, relevant)
    if counted is None:
        return None
    found = _Numbers(counted, seed, confidence)
    kappa, binary, difference = found.kappa(), found.binary(), found.difference()
    confirmed, badly = found.confirmed(), agrees_badly(kappa, binary, counted.scale)
    identical, also = found.identical(), found.found()
    return Agreement(
        pairs=int(counted.tables.sum()),
        queries=len(counted.queries),
        highest=counted.scale.highest,
        relevant=counted.scale.relevant,
        scale=counted.scale.words,
        confidence=confidence,
        kappa=kappa,
        kappa_binary=binary,
        kappa_weighted=found.weighted(),
        identical=identical,
        difference=difference,
        confirmed=confirmed,
        found=also,
        confusion=counted.tables.sum(0).astype(int).tolist(),
        by_grade=found.by_grade(),
        by_slice=_by_slice(counted, slices or {}, seed, confidence),
        badly=badly,
        words=agreement_words(
            found.size, found.only(), kappa, binary, identical, difference, confirmed, also, counted.scale, confidence
        ),
    )


def _counted(people: Grades, model: Grades, highest: int | None, relevant: int | None) -> _Counted | None:
    top = max((grade for grades in people.values() for grade in grades.values()), default=0)
    scale = scale_of(max(top, highest or 0), relevant)
    shared = {query: people[query].keys() & grades.keys() for query, grades in model.items() if query in people}
    queries = tuple(sorted(query for query, documents in shared.items() if documents))
    if not queries:
        return None
    last = min(scale.highest, max(LONGEST, scale.relevant or 0))
    tables = np.zeros((len(queries), HIGHEST + 1, last + 1))
    for place, query in enumerate(queries):
        for document in shared[query]:
            said = model[query][document]
            if not 0 <= said <= HIGHEST:
                raise ValueError(f"{said} of {query} {document} is no grade of a judge's")
            tables[place, said, min(max(people[query][document], 0), last)] += 1
    return _Counted(queries, tables, scale)


class _Numbers:
    """The statistics of one set of queries, over one draw of resamples."""

    def __init__(self, counted: _Counted, seed: int, confidence: float) -> None:
        self.tables, self.scale, self.confidence = counted.tables, counted.scale, confidence
        self.drawn = resampled(counted.tables, seed)
        self.size = (int(self.tables.sum()), len(self.tables))

    def only(self) -> int | None:
        """The judge's grade, where it gave no other."""
        given = np.flatnonzero(self.tables.sum((0, 2)))
        return int(given[0]) if len(given) == 1 else None

    def kappa(self) -> Told:
        return self._kappa(quadratic=False)

    def weighted(self) -> Told:
        return self._kappa(quadratic=True)

    def binary(self) -> Told:
        if self.scale.relevant is None:
            return Told(None, None, NO_SCALE)
        if self._constant(self._binary(self.tables)):
            return Told(None, None, ONE_GRADE)
        return self._bootstrapped(lambda tables: kappas(self._binary(tables)))

    def identical(self) -> Told:
        if self.scale.of_judge is None:
            return Told(None, None, NO_SCALE)
        same = np.einsum("qii->q", self._mapped(self.tables))
        return self._share(same, self.tables.sum((1, 2)))

    def difference(self) -> Told:
        if self.scale.of_judge is None:
            return Told(None, None, NO_SCALE)
        size = self.scale.highest + 1
        more = np.subtract.outer(np.arange(size), np.arange(size)).astype(np.float64)

        def mean(tables: Tables) -> Values:
            mapped = self._mapped(tables)
            means: Values = np.einsum("...ij,ij->...", mapped, more) / np.maximum(mapped.sum((-2, -1)), 1)
            return means

        return self._bootstrapped(mean)

    def confirmed(self) -> Told:
        """Of the pairs that the judge calls relevant."""
        return self._relevant(self.tables[:, RELEVANT:])

    def found(self) -> Told:
        """Of the pairs that people call relevant, those that the judge does."""
        if self.scale.relevant is None:
            return Told(None, None, NO_SCALE)
        theirs = self.tables[:, :, self.scale.relevant :]
        return self._share(theirs[:, RELEVANT:].sum((1, 2)), theirs.sum((1, 2)))

    def by_grade(self) -> list[Called]:
        called = self.tables.sum(0).astype(int)
        return [
            Called(grade, int(called[grade].sum()), called[grade].tolist(), self._relevant(self.tables[:, [grade]]))
            for grade in range(HIGHEST + 1)
        ]

    def _relevant(self, tables: Tables) -> Told:
        if self.scale.relevant is None:
            return Told(None, None, NO_SCALE)
        return self._share(tables[:, :, self.scale.relevant :].sum((1, 2)), tables.sum((1, 2)))

    def _kappa(self, *, quadratic: bool) -> Told:
        if self.scale.of_judge is None:
            return Told(None, None, NO_SCALE)
        if self._constant(self.tables):
            return Told(None, None, ONE_GRADE)
        return self._bootstrapped(lambda tables: kappas(self._mapped(tables), quadratic=quadratic))

    def _constant(self, tables: Tables) -> bool:
        """Whether people's grades, in the last axis, are all the same."""
        return int(np.count_nonzero(tables.sum((0, 1)))) < 2

    def _mapped(self, tables: Tables) -> Tables:
        """The judge's grades on people's scale."""
        to = np.zeros((HIGHEST + 1, self.scale.highest + 1))
        to[range(HIGHEST + 1), self.scale.of_judge] = 1
        mapped: Tables = np.einsum("...jp,jm->...mp", tables, to)
        return mapped

    def _binary(self, tables: Tables) -> Tables:
        def halves(of: Tables, axis: int, cut: int | None) -> Tables:
            below, above = np.split(of, [cut or 0], axis=axis)
            return np.stack([below.sum(axis), above.sum(axis)], axis=axis)

        return halves(halves(tables, -2, RELEVANT), -1, self.scale.relevant)

    def _bootstrapped(self, of: Callable[[Tables], Values]) -> Told:
        return bootstrapped(self.tables, self.drawn, of, self.confidence)

    def _share(self, parts: Counts, wholes: Counts) -> Told:
        found = share_interval(parts, wholes, self.confidence)
        if found is None:
            return Told(None, None, NO_PAIR)
        return Told(float(parts.sum() / wholes.sum()), (found.low, found.high))


def _by_slice(counted: _Counted, slices: Groups, seed: int, confidence: float) -> list[SliceAgreement]:
    told = []
    for name, group_of in slices.items():
        for group in dict.fromkeys(group_of.values()):
            places = [place for place, query in enumerate(counted.queries) if group_of.get(query) == group]
            if not places:
                continue
            some = counted.of(places)
            found = _Numbers(some, seed, confidence)
            told.append(
                SliceAgreement(
                    f"{name}={group}",
                    len(places),
                    int(some.tables.sum()),
                    found.kappa(),
                    found.binary(),
                    found.identical(),
                    found.difference(),
                )
            )
    return told
