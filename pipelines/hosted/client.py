"""HostedScorer: a Scorer over somebody else's API, patient with refusals and outages, and wary of what it pays for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.connection import CUT, Again, Answer, Connection
from pipelines.hosted.endpoint import Endpoint
from pipelines.hosted.meter import BudgetSpentError, Meter, foreseen_units
from pipelines.hosted.pace import Pace
from pipelines.hosted.patience import told_wait_s, wait_s
from pipelines.hosted.places import Places
from pipelines.hosted.refusals import ends_all, is_about_size, passes, refusal
from pipelines.hosted.shapes import AnswerError, billed_in, body_of, scores_in
from pipelines.hosted.waits import Waits
from stages.core.errors import EngineError, RerankEvalError, ScoringError
from stages.core.records import PairScore

# An answer that is no JSON was cut, once or twice; a page for people stays one.
MOST_CUT_ANSWERS = 3
# So many requests in a row without a score are no accident, and may be billed.
MOST_USELESS = 20

Keep = Callable[[str, Sequence[str], str | None, list[PairScore]], Awaitable[None]]
Send = Callable[[], Awaitable[Answer | Again]]


class TooLargeError(ScoringError):
    """The API does not take a request of this size."""


class Tried(NamedTuple):
    """What came of sending a request once, and how long it took."""

    outcome: Answer | Again
    seconds: float


class HostedScorer:
    """Asks for the scores of a query in requests that the API takes, several at once. Use it in one event loop, opened
    with `async with`. Raises ConfigError where the address cannot be used.

    `keep` is awaited with each request's scores as soon as they are there: they are paid for. `stopped` is set where
    nothing more is to be asked (no budget, no such model, nobody answers); what was not asked then has failed pairs.
    """

    def __init__(self, endpoint: Endpoint, settings: HostedSettings, meter: Meter, keep: Keep | None = None) -> None:
        self.endpoint, self.settings, self.meter = endpoint, settings, meter
        self.stopped: RerankEvalError | None = None
        self.places, self.waits = Places(settings), Waits(endpoint.host)
        self._keep = keep
        self._pace = Pace(settings.requests_per_minute)
        self._connection = Connection(endpoint, settings.timeout_s, self.places.most)
        self._useless = self._given_up_on = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._connection.close()

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

    async def _patiently(self, send: Send, foreseen: float | None) -> Answer:
        """Send until there is an answer of use, for `retry_for_s`: what tries and waits of this request take, not what
        it waits for its turn. `foreseen`: what it is billed; None: it is free.
        """
        spent_s, tries, cut = 0.0, 0, 0
        while True:
            outcome, seconds = await self._try(send, foreseen)
            if isinstance(outcome, Answer):
                return outcome
            tries, cut = tries + 1, cut + (outcome.reason == CUT)
            spent_s += seconds
            left_s = self.settings.retry_for_s - spent_s
            lasts = outcome.lasting and not self.meter.answered
            if lasts or cut >= MOST_CUT_ANSWERS or left_s <= (outcome.wait_s or 0.0):
                raise self._given_up(outcome, spent_s, tries)
            self.meter.again[outcome.reason] += 1
            self.waits.refuse(self._reason(outcome), outcome.wait_s)
            if outcome.wait_s is not None:
                self._pace.pause(outcome.wait_s)
            to_wait_s = min(wait_s(outcome.wait_s, tries), left_s)  # the last try is in time
            spent_s += to_wait_s
            await asyncio.sleep(to_wait_s)

    async def _try(self, send: Send, foreseen: float | None) -> Tried:
        async with self.places:
            await self._pace.turn()
            if foreseen is not None:
                self._begin(foreseen)
            began_s = time.monotonic()
            try:
                with self.waits.under_way():
                    outcome = await send()
            finally:
                if foreseen is not None:
                    self.meter.end(foreseen)
            seconds = time.monotonic() - began_s
            if isinstance(outcome, Answer):
                outcome = self._judged(outcome, seconds, foreseen)
            return Tried(outcome, seconds)

    def _begin(self, foreseen: float) -> None:
        """Raises EngineError where nothing more is to be sent."""
        if self.stopped is None:
            try:
                self.meter.begin(foreseen)
                return
            except BudgetSpentError as error:
                self.stopped = error
        raise EngineError(f"not asked: {self.stopped}")

    def _judged(self, answer: Answer, seconds: float, foreseen: float | None) -> Answer | Again:
        """The answer, once counted, or why to ask again."""
        if passes(answer.status):
            return Again(f"HTTP {answer.status}", told_wait_s(answer.headers, answer.content), answer.says())
        if not answer.is_success or foreseen is None:
            return answer
        if not answer.is_json:
            return Again(CUT, detail=f"no JSON: {answer.begins}")
        self._given_up_on = 0
        self.waits.answer()
        self.places.observe(seconds)
        self.meter.answer(seconds, billed_in(self.endpoint.shape, answer.content, answer.headers), foreseen)
        return answer

    def _refused(self, answer: Answer) -> ScoringError:
        """What a request fails of that the server will not answer."""
        told = self.endpoint.clean(refusal(self.endpoint, answer))
        if is_about_size(answer):
            return TooLargeError(told)
        if ends_all(answer, answered_before=self.meter.answered > 0):
            setting = "model.key_env" if answer.status in (401, 402, 403) else "model.name and model.served_as"
            self.stopped = self.stopped or EngineError(f"{told}. See {setting}")
            return EngineError(told)
        return self._of_no_use(EngineError(told))

    def _of_no_use(self, error: ScoringError) -> ScoringError:
        """Neither was the answer before it, and so on: no other will be."""
        self._useless += 1
        if self._useless >= MOST_USELESS and self.stopped is None:
            self.stopped = EngineError(f"{error}. {self._useless} requests in a row got no score, so no more is asked")
        return error

    def _given_up(self, outcome: Again, spent_s: float, tries: int) -> ScoringError:
        """Where nothing was ever answered, or nothing since another request was given up, nothing else would be."""
        asked = f", to wait for {outcome.wait_s:.0f} s" if outcome.wait_s is not None else ""
        fault = EngineError(
            f"{self.endpoint.host}: no answer in {tries} {'try' if tries == 1 else 'tries'} over {spent_s:.0f} s "
            f"({self._reason(outcome)}{asked})"
            + ("" if outcome.lasting else ". hosted.retry_for_s and hosted.timeout_s say how long is waited")
        )
        self._given_up_on += 1
        if self.stopped is None and (not self.meter.answered or self._given_up_on > 1):
            self.stopped = fault
        return fault

    def _reason(self, outcome: Again) -> str:
        return self.endpoint.clean(f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason)

    def _in_its_words(self, error: AnswerError, answer: Answer) -> str:
        said = f". It says: {words}" if (words := answer.says()) != answer.phrase else ""
        return f"{self.endpoint.host}: {self.endpoint.clean(f'{error}{said}')}"
