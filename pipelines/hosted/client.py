"""HostedScorer: a Scorer over somebody else's API, patient with refusals and outages, and wary of what it pays for."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.endpoint import Endpoint, json_of, told_by
from pipelines.hosted.meter import BudgetSpentError, Meter, foreseen_units
from pipelines.hosted.pace import Pace
from pipelines.hosted.patience import own_wait_s, told_wait_s
from pipelines.hosted.shapes import AnswerError, billed_in, body_of, scores_in
from stages.core.errors import EngineError, RerankEvalError, ScoringError, first_line
from stages.core.records import PairScore

# A moment later the same request may well be answered. 424 is TEI's word for a backend that failed.
PASSING = (408, 424, 425, 429)
# No other request would be answered either.
HOPELESS = (401, 402, 403, 404, 405)
# By what a 400 or 422 says it is about the size of the request, which smaller ones may not have.
ABOUT_SIZE = re.compile(r"token|length|long|large|too many|exceed|limit|maximum|max_|at most|size|batch", re.IGNORECASE)
# An answer that is no JSON was cut, once or twice; a page for people stays one.
MOST_CUT_ANSWERS = 3
# Between two looks whether anything was answered meanwhile.
KEEP_ALIVE_S = 20.0

Keep = Callable[[str, Sequence[str], str | None, list[PairScore]], Awaitable[None]]


class TooLargeError(ScoringError):
    """The API does not take a request of this size."""


class Again(NamedTuple):
    """Why a request is to be sent once more, and after how long (s), where the server says."""

    reason: str
    wait_s: float | None = None


class HostedScorer:
    """Asks for the scores of a query in requests that the API takes, several at once. Use it in one event loop, opened
    with `async with`.

    `keep` is awaited with each request's scores as soon as they are there: they are paid for. `stopped` is set where
    nothing more is to be asked (no budget, no such model, nobody answers); what was not asked then has failed pairs.
    """

    def __init__(self, endpoint: Endpoint, settings: HostedSettings, meter: Meter, keep: Keep | None = None) -> None:
        self.endpoint, self.settings, self.meter = endpoint, settings, meter
        self.stopped: RerankEvalError | None = None
        self._keep = keep
        self._places = asyncio.Semaphore(settings.concurrency)
        self._pace = Pace(settings.requests_per_minute)
        self._answered_s = 0.0
        limits = httpx.Limits(max_connections=settings.concurrency, keepalive_expiry=KEEP_ALIVE_S)
        self._client = httpx.AsyncClient(headers=endpoint.headers, timeout=settings.timeout_s, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """Raises ScoringError where the API cannot be asked about this query at all."""
        if instruction is not None and not self.endpoint.shape.takes_instruction:
            raise ScoringError(f"{self.endpoint.api}'s API takes no instruction, and this query has one")
        most = min(self.settings.batch_documents, self.endpoint.shape.most_documents or self.settings.batch_documents)
        parts = [documents[start : start + most] for start in range(0, len(documents), most)]
        several = await asyncio.gather(*(self._part(query, part, instruction) for part in parts))
        return [pair for part in several for pair in part]

    async def tell(self) -> dict[str, Any]:
        """What the server says of itself; nothing where it says nothing. Raises EngineError where it does not answer,
        or refuses the key.
        """
        answers: dict[str, Any] = {}
        for path in self.endpoint.shape.told_at:
            answer = await self._patiently(lambda path=path: self._client.get(self.endpoint.at(path)), None)  # type: ignore[misc]
            if isinstance(answer, httpx.Response) and answer.status_code in (401, 403):
                raise self._refused(answer)
            if isinstance(answer, httpx.Response) and answer.is_success:
                try:
                    answers[path] = json_of(answer)
                except ValueError:
                    continue
        return told_by(self.endpoint, answers)

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
        answer = await self._patiently(lambda: self._client.post(self.endpoint.url, json=body), foreseen)
        if not answer.is_success:
            raise self._refused(answer)
        try:
            return scores_in(shape, json_of(answer), len(documents))
        except AnswerError as error:
            raise AnswerError(f"{self.endpoint.host}: {self.endpoint.without_key(str(error))}") from error

    async def _patiently(self, send: Callable[[], Awaitable[httpx.Response]], foreseen: float | None) -> httpx.Response:
        """Send until there is an answer of use, for `retry_for_s`. `foreseen`: what it is billed; None: it is free."""
        began_s, tries, cut = time.monotonic(), 0, 0
        while True:
            outcome = await self._try(send, foreseen)
            if isinstance(outcome, httpx.Response):
                return outcome
            tries, cut = tries + 1, cut + (outcome.reason == "cut answer")
            wait_s = own_wait_s(tries) if outcome.wait_s is None else outcome.wait_s
            late = time.monotonic() + wait_s - began_s > self.settings.retry_for_s
            if late or cut >= MOST_CUT_ANSWERS:
                raise self._given_up(outcome, began_s, tries)
            self.meter.again[outcome.reason] += 1
            if outcome.wait_s is not None:
                self._pace.pause(wait_s)
            await asyncio.sleep(wait_s)

    async def _try(
        self, send: Callable[[], Awaitable[httpx.Response]], foreseen: float | None
    ) -> httpx.Response | Again:
        async with self._places:
            await self._pace.turn()
            self._begin(foreseen)
            began_s = time.perf_counter()
            try:
                answer = await send()
            except httpx.TimeoutException:
                return Again("time-out")
            except httpx.TransportError as error:
                return Again(f"connection: {type(error).__name__}")
            finally:
                self.meter.end(foreseen or 0.0)
            return self._judged(answer, time.perf_counter() - began_s, foreseen)

    def _begin(self, foreseen: float | None) -> None:
        """Raises EngineError where nothing more is to be sent."""
        if self.stopped is None:
            try:
                self.meter.begin(foreseen or 0.0)
                return
            except BudgetSpentError as error:
                self.stopped = error
        raise EngineError(f"not asked: {self.stopped}")

    def _judged(self, answer: httpx.Response, seconds: float, foreseen: float | None) -> httpx.Response | Again:
        """The answer, once counted, or why to ask again."""
        try:
            content = json_of(answer)
        except ValueError:
            content = None
            if answer.is_success and foreseen is not None:
                return Again("cut answer")
        if answer.status_code in PASSING or answer.status_code >= 500:
            return Again(f"HTTP {answer.status_code}", told_wait_s(answer.headers, content))
        if answer.is_success and foreseen is not None:
            self._answered_s = time.monotonic()
            self.meter.answer(seconds, billed_in(self.endpoint.shape, content, answer.headers), foreseen)
        return answer

    def _refused(self, answer: httpx.Response) -> ScoringError:
        """What a request fails of that the server will not answer."""
        said = _reason(answer)
        told = self.endpoint.without_key(f"{self.endpoint.host} answers {answer.status_code}: {said}")
        about_size = answer.status_code in (400, 422) and ABOUT_SIZE.search(said)
        if answer.status_code == 413 or about_size:
            return TooLargeError(told)
        if answer.status_code in HOPELESS or answer.is_redirect:
            setting = "model.key_env" if answer.status_code in (401, 403) else "model.name and model.served_as"
            self.stopped = EngineError(f"{told}. See {setting}")
        return EngineError(told)

    def _given_up(self, outcome: Again, began_s: float, tries: int) -> ScoringError:
        """Where nobody else was answered meanwhile, the next one would not be either."""
        fault = EngineError(
            f"{self.endpoint.host}: no answer in {tries} {'try' if tries == 1 else 'tries'} over "
            f"{time.monotonic() - began_s:.0f} s ({self.endpoint.without_key(outcome.reason)}"
            + (f", to wait for {outcome.wait_s:.0f} s" if outcome.wait_s is not None else "")
            + "). hosted.retry_for_s and hosted.timeout_s say how long is waited"
        )
        if self._answered_s < began_s and self.stopped is None:
            self.stopped = fault
        return fault


def _reason(answer: httpx.Response) -> str:
    """What an error's body says, wherever its API puts that; without one the status in words."""
    try:
        content = json_of(answer)
    except ValueError:
        return answer.reason_phrase
    for _ in range(4):
        if isinstance(content, dict):
            content = next((content[name] for name in ("message", "error", "detail", "msg") if content.get(name)), "")
        elif isinstance(content, list) and content:
            content = content[0]
    return first_line(Exception(str(content))) if content else answer.reason_phrase
