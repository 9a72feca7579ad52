"""What judges a job's candidates: qrels, which are there before them, or answers, which are looked for in them."""

from __future__ import annotations

from stages.core.prepare import Report
from stages.core.records import Candidates, Judgements
from stages.quality.answers import AnswerCounts, AnswerJudge
from stages.quality.has_answer import Match
from stages.sources import Source


class Judging:
    """`see` each query's candidates, of several first stages their union; then `judgements` are complete."""

    def __init__(self, source: Source, match: Match, set_aside: Report) -> None:
        """Raises DataError where the source's judgements cannot be read, or none of its answers can be looked for."""
        answers = source.answers(set_aside)
        self._judge = None if answers is None else AnswerJudge(answers, match, set_aside)
        self._qrels = source.judgements(set_aside)

    def see(self, candidates: Candidates) -> None:
        if self._judge is not None:
            self._judge.see(candidates)

    @property
    def judgements(self) -> Judgements:
        return self._qrels if self._judge is None else self._judge.judgements()

    @property
    def answers(self) -> AnswerCounts | None:
        """What is to be known of the answers, once all candidates were seen; None where qrels judge."""
        return None if self._judge is None else self._judge.counts()
