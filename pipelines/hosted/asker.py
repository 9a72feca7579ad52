"""What asks a hosted model, patient with refusals and outages, and wary of what it pays for; whatever it is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.connection import CUT, Again, Answer, Connection
from pipelines.hosted.endpoint import Endpoint
from pipelines.hosted.meter import BudgetSpentError, Meter
from pipelines.hosted.pace import Pace
from pipelines.hosted.patience import told_wait_s, wait_s
from pipelines.hosted.places import Places
from pipelines.hosted.refusals import ends_all, is_about_size, passes, refusal
from pipelines.hosted.shapes import AnswerError
from pipelines.hosted.waits import Waits
from stages.core.errors import EngineError, RerankEvalError, ScoringError

# An answer that is no JSON was cut, once or twice; a page for people stays one.
MOST_CUT_ANSWERS = 3
# So many requests in a row that got nothing of use are no accident, and may be billed.
MOST_USELESS = 20

Send = Callable[[], Awaitable[Answer | Again]]


class TooLargeError(ScoringError):
    """The API does not take a request of this size."""


class Tried(NamedTuple):
    """What came of sending a request once, and how long it took."""

    outcome: Answer | Again
    seconds: float


class Asker:
    """Sends requests to an endpoint, several at once, each until it has an answer of use. Use it in one event loop,
    opened with `async with`. Raises ConfigError where the address cannot be used.

    `stopped` is set where nothing more is to be asked (no budget, no such model, nobody answers). `wanted` is what an
    answer is to hold.
    """

    wanted = "score"

    def __init__(self, endpoint: Endpoint, settings: HostedSettings, meter: Meter) -> None:
        self.endpoint, self.settings, self.meter = endpoint, settings, meter
        self.stopped: RerankEvalError | None = None
        self.places, self.waits = Places(settings), Waits(endpoint.host)
        self._pace = Pace(settings.requests_per_minute)
        self._connection = Connection(endpoint, settings.timeout_s, self.places.most)
        self._useless = self._given_up_on = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._connection.close()

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
        self.meter.answer(seconds, self._billed(answer), foreseen)
        return answer

    def _refused(self, answer: Answer) -> ScoringError:
        """What a request fails of that the server will not answer."""
        told = self.endpoint.clean(refusal(self.endpoint, answer))
        if is_about_size(answer):
            return TooLargeError(told)
        if ends_all(answer, answered_before=self.meter.answered > 0):
            named = self.endpoint.named
            setting = named.key_env if answer.status in (401, 402, 403) else f"{named.url} and {named.served_as}"
            self.stopped = self.stopped or EngineError(f"{told}. See {setting}")
            return EngineError(told)
        return self._of_no_use(EngineError(told))

    def _of_no_use(self, error: ScoringError) -> ScoringError:
        """Neither was the answer before it, and so on: no other will be."""
        self._useless += 1
        if self._useless >= MOST_USELESS and self.stopped is None:
            self.stopped = EngineError(
                f"{error}. {self._useless} requests in a row got no {self.wanted}, so no more is asked"
            )
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

    def _billed(self, answer: Answer) -> float | None:
        """How many units the answer says were billed; None where it does not say."""
        raise NotImplementedError

    def _reason(self, outcome: Again) -> str:
        return self.endpoint.clean(f"{outcome.reason}: {outcome.detail}" if outcome.detail else outcome.reason)

    def _in_its_words(self, error: AnswerError, answer: Answer) -> str:
        said = f". It says: {words}" if (words := answer.says()) != answer.phrase else ""
        return f"{self.endpoint.host}: {self.endpoint.clean(f'{error}{said}')}"
