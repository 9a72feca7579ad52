"""A plan while it is carried out: what is judged, how many are still to be, and in the end the verdict.

Until the number is reached, and the rule that was planned is content with it, nothing here tells the estimate; only how
wide its interval would be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pipelines.judging.existing import changes_of
from pipelines.judging.folder import DrawnQuery, PlanFolder
from pipelines.judging.journal import Journal, write_whole
from pipelines.judging.verdict import Verdict, verdict_of
from stages.core.errors import DataError
from stages.judging.number import next_number
from stages.judging.precision import Stratum, estimate


@dataclass(frozen=True, slots=True)
class Grade:
    """What somebody said of one document of the drawn query at `place`; None takes an earlier grade back."""

    place: int
    document: int
    grade: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """`number` queries are to be judged; of these so many are `done`, skipped ones counted. `pairs` are all documents
    of theirs, `judged` those with a grade, `reused` of them known before. `reach` is how far the interval's ends would
    be from the estimate now, None where that is not known yet. `complete`: the number stands and is reached.
    """

    number: int
    done: int
    skipped: int
    pairs: int
    judged: int
    reused: int
    asked: float
    reach: float | None
    complete: bool
    finished: bool


class Campaign:
    """Not safe for several threads at once. Whoever makes one is `alone_with` the folder."""

    def __init__(self, folder: PlanFolder) -> None:
        self.folder = folder
        self.plan = folder.read_plan()
        self.queries: Sequence[DrawnQuery] = folder.read_drawn()
        self.number = self.plan.first
        self.skipped: set[int] = set()
        self.verdict: Mapping[str, Any] | None = None
        self._grades = [
            {place: grade for place, grade in enumerate(one.known) if grade is not None} for one in self.queries
        ]
        self._changes: dict[int, float] = {}
        self._places = {one.query_id: place for place, one in enumerate(self.queries)}
        self._journal = Journal(folder.journal)
        for entry in self._journal.entries():
            try:
                self._apply(entry)
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(
                    f"{folder.journal}: {entry!r:.80} is no entry of this plan; restore the file"
                ) from error
        self._settle()
        self._write_qrels()

    def grades(self, place: int) -> Mapping[int, int]:
        """Document -> grade, of the query at `place`."""
        return self._grades[place]

    def is_done(self, place: int) -> bool:
        return place in self.skipped or len(self._grades[place]) == len(self.queries[place].doc_ids)

    def document_of(self, query_id: str, doc_id: str) -> tuple[int, int] | None:
        """Place of the query and of the document in it; None where it is not among those to judge now."""
        place = self._places.get(query_id, self.number)
        if place >= self.number or doc_id not in self.queries[place].doc_ids:
            return None
        return place, self.queries[place].doc_ids.index(doc_id)

    def record(self, grades: Iterable[Grade]) -> None:
        """Save them all, or none. Raises DataError for a grade or a place that there is not, and once the verdict is
        made.
        """
        if not (said := list(grades)):
            return
        self._require_open()
        entries = [self._entry(one) for one in said]
        self._journal.append(*entries)
        for entry in entries:
            self._apply(entry)
        self._settle()
        self._write_qrels()

    def skip(self, place: int, *, skipped: bool) -> None:
        """Nobody can judge the query, or somebody can after all; its grades are kept aside. Raises as `record`."""
        self._require_open()
        query = self.queries[self._at(place)]
        entry = {"at": _now(), "query_id": query.query_id, "skipped": skipped}
        self._journal.append(entry)
        self._apply(entry)
        self._settle()
        self._write_qrels()

    def progress(self) -> Progress:
        places = range(self.number)
        now = estimate(self._strata(), self.plan.aim.about, self.plan.confidence)
        return Progress(
            number=self.number,
            done=sum(map(self.is_done, places)),
            skipped=len(self.skipped),
            pairs=sum(len(self.queries[place].doc_ids) for place in places),
            judged=sum(len(self._grades[place]) for place in places),
            reused=sum(grade is not None for place in places for grade in self.queries[place].known),
            asked=self.plan.width,
            reach=None if now is None else now.reach,
            complete=all(map(self.is_done, places)),
            finished=self.verdict is not None,
        )

    def finish(self) -> Mapping[str, Any]:
        """The verdict, which ends the judging: grades given after it had been seen would be chosen by it.

        Raises DataError while queries are to be judged.
        """
        if self.verdict is not None:
            return self.verdict
        if not self.progress().complete:
            raise DataError(f"{self.folder.path}: not all of the {self.number:,} queries are judged yet")
        values = self._values()
        found: Verdict = verdict_of(self.plan, self.number, len(self.skipped), values, self._strata())
        entry = {"at": _now(), "verdict": asdict(found)}
        self._journal.append(entry)
        self._apply(entry)
        write_whole(self.folder.verdict, json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n")
        return asdict(found)

    def open_tasks(self) -> Iterator[tuple[int, int]]:
        """Place and document of what is still to be judged, in the order of the page."""
        for place in range(self.number):
            if place not in self.skipped:
                documents = range(len(self.queries[place].doc_ids))
                yield from ((place, one) for one in documents if one not in self._grades[place])

    def _require_open(self) -> None:
        if self.verdict is not None:
            raise DataError(
                f"{self.folder.path}: the verdict is made, and no grade changes after it was seen. Make a new plan to "
                "judge more"
            )

    def _at(self, place: int) -> int:
        if not 0 <= place < self.number:
            raise DataError(f"there is no query {place + 1} among the {self.number:,} to judge")
        return place

    def _entry(self, one: Grade) -> dict[str, Any]:
        query = self.queries[self._at(one.place)]
        if not 0 <= one.document < len(query.doc_ids):
            raise DataError(f"query {query.query_id!r} has no document {one.document + 1} to judge")
        if one.grade is not None and not 0 <= one.grade <= self.plan.highest:
            raise DataError(f"the grade {one.grade} is none: they go from 0 to {self.plan.highest}")
        return {
            "at": _now(),
            "query_id": query.query_id,
            "doc_id": query.doc_ids[one.document],
            "grade": one.grade,
        }

    def _apply(self, entry: Mapping[str, Any]) -> None:
        if "number" in entry:
            self.number = int(entry["number"])
        elif "verdict" in entry:
            self.verdict = entry["verdict"]
        elif (place := self._places.get(entry["query_id"])) is not None:
            self._changes.pop(place, None)
            if "skipped" in entry:
                (self.skipped.add if entry["skipped"] else self.skipped.discard)(place)
                return
            document = self.queries[place].doc_ids.index(entry["doc_id"])
            if entry["grade"] is None:
                self._grades[place].pop(document, None)
            else:
                self._grades[place][document] = int(entry["grade"])

    def _settle(self) -> None:
        """Where all queries are judged, renew the number by the rule; those that were known before may be all of more.
        A number once reached is never taken back.
        """
        while self.verdict is None and all(map(self.is_done, range(self.number))):
            number = next_number(self.plan.aim, self._strata(), self.number, len(self.queries))
            if number == self.number:
                return
            entry = {"at": _now(), "number": number}
            self._journal.append(entry)
            self._apply(entry)

    def _values(self) -> dict[int, float]:
        """Place -> change, of the queries that are judged whole."""
        judged = [place for place in range(self.number) if place not in self.skipped and self.is_done(place)]
        if new := {self.queries[place].query_id: place for place in judged if place not in self._changes}:
            queries = {query_id: self.queries[place] for query_id, place in new.items()}
            found = changes_of(
                {query_id: one.before for query_id, one in queries.items()},
                {query_id: one.after for query_id, one in queries.items()},
                {query_id: self._by_id(new[query_id]) for query_id in queries},
                self.plan.metric,
            )
            self._changes.update({new[query_id]: change for query_id, change in found.items()})
        return {place: self._changes[place] for place in judged}

    def _strata(self) -> list[Stratum]:
        values: dict[str, list[float]] = {name: [] for name in self.plan.sizes}
        for place, change in self._values().items():
            values[self.queries[place].stratum].append(change)
        strata = [Stratum(size, np.array(values[name])) for name, size in self.plan.sizes.items()]
        if self.plan.unchanged:
            strata.append(Stratum(self.plan.unchanged, np.zeros(self.plan.unchanged)))
        return strata

    def _by_id(self, place: int) -> dict[str, int]:
        doc_ids = self.queries[place].doc_ids
        return {doc_ids[document]: grade for document, grade in sorted(self._grades[place].items())}

    def _write_qrels(self) -> None:
        """Without the queries that were skipped: what of them was judged tells half."""
        lines = ["query-id\tcorpus-id\tscore\n"]
        for place in range(self.number):
            if place not in self.skipped:
                query_id = self.queries[place].query_id
                lines += [f"{query_id}\t{doc_id}\t{grade}\n" for doc_id, grade in self._by_id(place).items()]
        write_whole(self.folder.qrels, "".join(lines))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
