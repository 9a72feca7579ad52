"""Judgements from answers: a candidate that contains an answer of its query is relevant (1), every other is not (0).

Judged is what has a text among the top `data.depth` of a first stage, of several first stages their union. What none of
them found is not counted as relevant, so that a measure divided by all relevant documents (ndcg, map, recall) is of
these candidates alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import Answers, Candidates, Judgements, SetAside
from stages.core.words import counted
from stages.quality.has_answer import Match, finder_of, letters_of

SHORT_LETTERS = 3
"""An answer of fewer letters and digits is found by chance more often than others are."""


@dataclass(frozen=True, slots=True)
class Told:
    """How many there are of a kind, and the first of them: a query, and one of its answers."""

    count: int = 0
    query_id: str | None = None
    answer: str | None = None

    def more(self, query_id: str, answer: str, count: int = 1) -> Told:
        if not self.count:
            return Told(count, query_id, answer)
        return Told(self.count + count, self.query_id, self.answer)

    def example(self, *, texts: bool) -> str:
        return f"{self.query_id!r:.60} ({self.answer!r:.60})" if texts else f"{self.query_id!r:.60}"


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """Of `queries` with `answers` together: the queries whose answers are `in_none` of their candidates, or in all of
    them (`in_all`, of queries with two or more), and the answers that are `short`.
    """

    match: Match
    queries: int
    answers: int
    in_none: Told
    in_all: Told
    short: Told

    def remarks(self, *, texts: bool = True) -> Iterator[str]:
        """What the reader of a value must know, a sentence each without its full stop; without `texts` none quotes an
        answer.
        """
        how = "tokens" if self.match == "tokens" else "regular expressions"
        yield (
            f"judged by answers (data.columns.answers, matched by {how}), not by qrels: a candidate that contains an "
            "answer of its query is relevant, and no other is"
        )
        of_all = f"of {counted(self.queries, 'query', 'queries')}"
        if self.in_none.count:
            yield f"{self.in_none.count:,} {of_all} have their answer in none of their candidates, such as " + (
                self.in_none.example(texts=texts)
            )
        if self.in_all.count:
            yield (
                f"{self.in_all.count:,} {of_all} have an answer in every candidate, so that no order is better than "
                f"another, such as {self.in_all.example(texts=texts)}"
            )
        if self.short.count:
            yield (
                f"{self.short.count:,} of {counted(self.answers, 'answer')} have fewer than {SHORT_LETTERS} letters or "
                f"digits, which texts contain by chance, such as that of {self.short.example(texts=texts)}"
            )


class AnswerJudge:
    """Judges each query's candidates as they come by; in memory are the answers, and the ids that were judged."""

    def __init__(self, answers: Mapping[str, Answers], match: Match, set_aside: Report) -> None:
        """An answer that cannot be looked for is set aside. Raises DataError where no other is left."""
        self._match: Match = match
        usable = ((query_id, _usable(query_id, one, match, set_aside)) for query_id, one in answers.items())
        self._answers = {query_id: kept for query_id, kept in usable if kept}
        if answers and not self._answers:
            query_id, one = next(iter(answers.items()))
            raise DataError(
                f"{one.where}: no answer can be looked for with answers.match {match}, such as {one.texts[0]!r:.60} of "
                f"query {query_id!r:.60}"
            )
        self._grades: dict[str, dict[str, int]] = {query_id: {} for query_id in self._answers}
        self._ids: dict[str, str] = {}  # one string object per document, however many queries retrieve it
        self._in_none, self._in_all = Told(), Told()

    def see(self, candidates: Candidates) -> None:
        """Judge the candidates of one query; of several first stages, their union."""
        answers = self._answers.get(candidates.query_id)
        if answers is None:
            return
        finder = finder_of(answers, self._match)
        grades = {
            self._ids.setdefault(doc_id, doc_id): int(finder.is_in(text))
            for doc_id, text in zip(candidates.doc_ids, candidates.texts, strict=True)
        }
        self._grades[candidates.query_id] = grades
        if grades and not any(grades.values()):
            self._in_none = self._in_none.more(candidates.query_id, answers[0])
        if len(grades) > 1 and all(grades.values()):
            self._in_all = self._in_all.more(candidates.query_id, answers[0])

    def judgements(self) -> Judgements:
        """Of all that was seen; a query with answers whose candidates did not come has an empty list of grades."""
        return Judgements(self._grades, "answers", self._match)

    def counts(self) -> AnswerCounts:
        short = Told()
        if self._match == "tokens":
            for query_id, answers in self._answers.items():
                few = [answer for answer in answers if letters_of(answer) < SHORT_LETTERS]
                short = short.more(query_id, few[0], len(few)) if few else short
        total = sum(map(len, self._answers.values()))
        return AnswerCounts(self._match, len(self._answers), total, self._in_none, self._in_all, short)


def _usable(query_id: str, answers: Answers, match: Match, set_aside: Report) -> tuple[str, ...]:
    kept = []
    for answer in answers.texts:
        try:
            finder_of([answer], match)
        except ValueError as error:
            set_aside(SetAside(answers.where, f"answer {answer!r:.60} {error}", query_id))
        else:
            kept.append(answer)
    return tuple(kept)
