"""HostedScorer: a Scorer over somebody else's API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.asker import Asker, TooLargeError
from pipelines.hosted.connection import Answer
from pipelines.hosted.endpoint import Endpoint
from pipelines.hosted.meter import Meter, foreseen_units
from pipelines.hosted.shapes import AnswerError, billed_in, body_of, scores_in
from stages.core.errors import ScoringError
from stages.core.records import PairScore

Keep = Callable[[str, Sequence[str], str | None, list[PairScore]], Awaitable[None]]


class HostedScorer(Asker):
    """Asks for the scores of a query in requests that the API takes.

    `keep` is awaited with each request's scores as soon as they are there: they are paid for. What was not asked when
    it `stopped` has failed pairs.
    """

    def __init__(self, endpoint: Endpoint, settings: HostedSettings, meter: Meter, keep: Keep | None = None) -> None:
        super().__init__(endpoint, settings, meter)
        self._keep = keep

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """Raises ScoringError where the API cannot be asked about this query at all."""
        if instruction is not None and not self.endpoint.shape.takes_instruction:
            raise ScoringError(f"{self.endpoint.api}'s API takes no instruction, and this query has one")
        most = min(self.settings.batch_documents, self.endpoint.most_documents or self.settings.batch_documents)
        parts = [documents[start : start + most] for start in range(0, len(documents), most)]
        several = await asyncio.gather(*(self._part(query, part, instruction) for part in parts))
        return [pair for part in several for pair in part]

    async def tell(self) -> dict[str, Any]:
        """What the server says of itself, by path; nothing where it says nothing. Raises EngineError where it does not
        answer, or refuses the key.
        """
        said: dict[str, Any] = {}
        for path, url in self.endpoint.told_at.items():
            answer = await self._patiently(lambda url=url: self._connection.get(url), None)  # type: ignore[misc]
            if answer.status in (401, 403):
                fault = self._refused(answer)
                raise self.stopped or fault
            if answer.is_success and answer.is_json:
                said[path] = answer.content
        return said

    async def _part(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        """One request, or more of them where it is too large. A fault is each pair's own, never a score."""
        try:
            scores = await self._ask(query, documents, instruction)
        except TooLargeError as error:
            if len(documents) == 1:
                return [PairScore(None, error=str(error))]
            middle = (len(documents) + 1) // 2
            halves = documents[:middle], documents[middle:]
            return [pair for half in halves for pair in await self._part(query, half, instruction)]
        except ScoringError as error:
            return [PairScore(None, error=str(error))] * len(documents)
        if self._keep is not None:
            await self._keep(query, documents, instruction, scores)
        return scores

    async def _ask(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        shape, foreseen = self.endpoint.shape, foreseen_units(self.endpoint.shape, query, documents)
        body = body_of(shape, self.endpoint.served_as, query, documents, instruction)
        answer = await self._patiently(lambda: self._connection.post(body), foreseen)
        if not answer.is_success:
            raise self._refused(answer)
        try:
            scores = scores_in(shape, answer.content, len(documents))
        except AnswerError as error:
            raise self._of_no_use(AnswerError(self._in_its_words(error, answer))) from error
        self._useless = 0
        return scores

    def _billed(self, answer: Answer) -> float | None:
        return billed_in(self.endpoint.shape, answer.content, answer.headers)
