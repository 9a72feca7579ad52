"""ChatJudge: a judge over somebody else's API, one request a pair."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.base.paid_sections import HostedSettings
from pipelines.base.redaction import SHORTEST_SECRET, redacted_text
from pipelines.hosted.asker import Asker, TooLargeError
from pipelines.hosted.chat import (
    ChatEndpoint,
    ChatMeter,
    ChatRequest,
    NoProbabilitiesError,
    billed_tokens,
    chat_body,
    foreseen_tokens,
    reply_in,
)
from pipelines.hosted.connection import Answer
from pipelines.hosted.shapes import AnswerError
from stages.core.errors import EngineError, ScoringError
from stages.core.grades import Message, Reply

# A document that is too long is halved, down to so many characters.
SHORTEST = 50

Fill = Callable[[str, str], Sequence[Message]]


class ChatJudge(Asker):
    """Asks for a reply to each pair. `fill` makes the messages of a query and a document, which is cut to `max_chars`.
    A request that failed is a Reply with its `error`.
    """

    wanted = "reply"

    def __init__(
        self,
        endpoint: ChatEndpoint,
        settings: HostedSettings,
        meter: ChatMeter,
        request: ChatRequest,
        fill: Fill,
        max_chars: int,
    ) -> None:
        super().__init__(endpoint, settings, meter)
        self._request, self._fill, self._max_chars = request, fill, max_chars
        self._gave_probabilities = False

    async def grade(self, query: str, documents: Sequence[str]) -> list[Reply]:
        """A reply for each document, in order."""
        return list(await asyncio.gather(*(self._one(query, document) for document in documents)))

    async def _one(self, query: str, document: str) -> Reply:
        try:
            return await self._fitting(query, document)
        except ScoringError as error:
            return Reply(error=str(error))

    async def _fitting(self, query: str, document: str) -> Reply:
        """The document is cut until the server takes it. Raises ScoringError."""
        cut = document[: self._max_chars]
        while True:
            try:
                reply = await self._ask(self._fill(query, cut))
            except TooLargeError as error:
                if len(cut) <= SHORTEST:
                    raise self._of_no_use(error) from error
                cut = cut[: len(cut) // 2]
                continue
            return replace(reply, truncated=len(cut) < len(document))

    async def _ask(self, messages: Sequence[Message]) -> Reply:
        body = chat_body(self._request, self.endpoint.served_as, messages)
        foreseen = foreseen_tokens(self._request, messages)
        answer = await self._patiently(lambda: self._connection.post(body), foreseen)
        if not answer.is_success:
            raise self._refused(answer)
        try:
            reply = reply_in(answer.content, self._request.grades)
        except NoProbabilitiesError as error:
            raise self._without_probabilities(error, answer) from error
        except AnswerError as error:
            raise self._of_no_use(AnswerError(self._in_its_words(error, answer))) from error
        self._useless = 0
        self._gave_probabilities |= bool(reply.probabilities)
        key = self.endpoint.key
        if key and len(key) >= SHORTEST_SECRET and key in reply.text:
            return replace(reply, text=redacted_text(reply.text, {key}))
        return reply

    def _without_probabilities(self, error: NoProbabilitiesError, answer: Answer) -> ScoringError:
        """A server that never gave any gives none: nothing more is asked. One that did failed this once."""
        told = self._in_its_words(error, answer)
        if self._gave_probabilities:
            return self._of_no_use(AnswerError(told))
        fault = EngineError(f"{told}. Set judge.answer to text")
        self.stopped = self.stopped or fault
        return fault

    def _billed(self, answer: Answer) -> float | None:
        return billed_tokens(answer.content)
