"""Are candidates and judgements about the same queries and documents? Where they are not, every value is 0 and says
nothing, though each file by itself is in order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

AROUND = " \t\r\n\"'<>()[]{}"
_WHOLE_NUMBER = re.compile(r"0*(\d+)(?:\.0+)?")
_NUMBER_BEHIND_A_NAME = re.compile(r".*\D0*(\d+)")


@dataclass(frozen=True, slots=True)
class Apart:
    """An id of each side that should have met; `alike`: they are one id, written in two forms."""

    candidate: str
    judged: str
    alike: bool


@dataclass(frozen=True, slots=True)
class Meeting:
    """How far the candidates of a first stage and the judgements are about the same.

    `candidates` and `judged` count the queries that have the one or the other, `shared` those that have both.
    `without_candidates` is the first judged query that has none, `without_judgements` the first with candidates that is
    not judged; None where there is none. `queries` and `documents` are None where they meet: where no query is shared,
    or no judged document is among the candidates of its query, they hold an id of each side. `same_query` is an
    unmatched query that the other side has in another form. `unranked` says why the first stage has no order.
    """

    candidates: int
    judged: int
    shared: int
    without_candidates: str | None = None
    without_judgements: str | None = None
    queries: Apart | None = None
    documents: Apart | None = None
    same_query: Apart | None = None
    unranked: str | None = None

    def refusal(self, candidates: str, judgements: str) -> str | None:
        """Why nothing can be said of candidates by these judgements, each called by where it stands; None where
        something can.
        """
        if not self.candidates:
            return f"{candidates} has no query: give the one that {judgements} judges"
        if self.queries:
            one, other = f"{self.queries.candidate!r:.60}", f"{self.queries.judged!r:.60}"
            told = f"{candidates} and {judgements} have no query in common: the one has {one}, the other {other}"
            if self.queries.alike:
                return f"{told}, which is the same id in another form. Write ids alike in both"
            return f"{told}. Give candidates and judgements of the same queries"
        if self.documents and self.documents.alike:
            return self.strangers(candidates, judgements) + ", the same id in another form. Write ids alike in both"
        return None

    def strangers(self, candidates: str, judgements: str) -> str:
        """That no judged document is among the candidates of its query, with an id of each side; where that is so."""
        assert self.documents is not None
        one, other = f"{self.documents.candidate!r:.60}", f"{self.documents.judged!r:.60}"
        return (
            f"no document that {judgements} judges is among the candidates of its query in {candidates}: {one} is a "
            f"candidate, {other} is judged"
        )

    def remarks(self, *, limited: bool = False) -> Iterator[str]:
        """What the reader of a value must know, a sentence each without its full stop; nothing where all is well.

        `limited`: the values are over some of these queries alone.
        """
        before = " (before data.limit)" if limited else ""
        if self.unranked:
            yield f"the first stage has no order ({self.unranked}): it was shuffled, and its values say nothing"
        if missing := self.judged - self.shared:
            counts = before or (" and counts as 0" if missing == 1 else " and count as 0")
            yield (
                f"{missing:,} of {self.judged:,} judged queries {'has' if missing == 1 else 'have'} no "
                f"candidates{counts}, such as {self.without_candidates!r:.60}{self._in_another_form()}"
            )
        if missing := self.candidates - self.shared:
            yield (
                f"{missing:,} of {self.candidates:,} queries with candidates {'is' if missing == 1 else 'are'} not "
                f"judged{before}, such as {self.without_judgements!r:.60}"
            )
        if self.documents:
            yield (
                f"no judged document is among the candidates of its query ({self.documents.candidate!r:.60} is a "
                f"candidate, {self.documents.judged!r:.60} is judged): every value is 0"
            )

    def _in_another_form(self) -> str:
        if self.same_query is None:
            return ""
        return f" ({self.same_query.judged!r:.60} is {self.same_query.candidate!r:.60} among the candidates)"


class Encounter:
    """Candidates come in query by query and meet `grades` (query id -> document id -> grade); then `meeting` tells how
    far. In memory are the query ids.
    """

    def __init__(self, grades: Mapping[str, Mapping[str, int]]) -> None:
        self._grades = grades
        self._met: dict[str, None] = {}
        self._documents_meet = False
        self._apart: Apart | None = None

    def add(self, query_id: str, doc_ids: Callable[[], Iterable[str]]) -> None:
        """A query's candidates. `doc_ids` is asked only until the first judged document is found."""
        self._met[query_id] = None
        judged = self._grades.get(query_id)
        if self._documents_meet or not judged:
            return
        found = list(doc_ids())
        self._documents_meet = not judged.keys().isdisjoint(found)
        if found and not (self._apart and self._apart.alike):
            same = alike(found, judged)
            self._apart = Apart(*same, alike=True) if same else self._apart or Apart(found[0], min(judged), alike=False)

    def meeting(self) -> Meeting:
        """Of all that was added."""
        alone = [query_id for query_id in self._met if query_id not in self._grades]
        missing = [query_id for query_id in self._grades if query_id not in self._met]
        shared = len(self._met) - len(alone)
        same = alike(alone, missing)
        pair = Apart(*same, alike=True) if same else None
        return Meeting(
            candidates=len(self._met),
            judged=len(self._grades),
            shared=shared,
            without_candidates=min(missing, default=None),
            without_judgements=min(alone, default=None),
            queries=None
            if shared or not alone or not missing
            else pair or Apart(min(alone), min(missing), alike=False),
            documents=None if self._documents_meet or not shared else self._apart,
            same_query=pair if shared else None,
        )


def alike(ones: Iterable[str], others: Iterable[str]) -> tuple[str, str] | None:
    """The first id of `ones`, and one of `others`, that people would take for the same; None where there are none.

    They differ in case, blanks or quotes around them, leading zeros, `.0` or full-width forms alone; or one is a bare
    number, and the other that number behind a name, as in `1` and `doc1`.
    """
    here, there = {_plain(one): one for one in ones}, {_plain(other): other for other in others}
    for plain, one in here.items():
        if plain in there:
            return one, there[plain]
    numbers = {_behind_a_name(plain): other for plain, other in there.items()}
    for plain, one in here.items():
        if plain.isdigit() and plain in numbers:
            return one, numbers[plain]
        if (number := _behind_a_name(plain)) is not None and number in there:
            return one, there[number]
    return None


def _plain(one: str) -> str:
    plain = unicodedata.normalize("NFKC", one).strip(AROUND).casefold()
    number = _WHOLE_NUMBER.fullmatch(plain)
    return number[1] if number else plain


def _behind_a_name(plain: str) -> str | None:
    found = _NUMBER_BEHIND_A_NAME.fullmatch(plain)
    return found[1] if found else None
