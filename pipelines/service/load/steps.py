"""One level of load, for a while: closed loop (clients that wait) or open loop (arrivals at a rate) -> LoadStep."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pipelines.service.load.client import MOST_OUTSTANDING, Reply, Send
from pipelines.service.load.payload_shape import Payload
from stages.telemetry.load import Latency, LoadStep

UNFINISHED = "unfinished"
AFTER_FAILURE_S = 0.05
"""A client that was refused does not come back at once: it would only measure how fast the service refuses."""
LOWEST_US, HIGHEST_US, DIGITS = 1, 600_000_000, 3
"""Of the histogram: 1 us to 10 minutes, each latency to 0.1 %."""
GLANCE_S = 0.2

Take = Callable[[], Payload]


class Recorder:
    """What is counted while a step runs. Latencies go into an HDR histogram (Gil Tene, hdrhistogram.org)."""

    def __init__(self) -> None:
        from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

        self.answered = self.documents = 0
        self.prompt_tokens: int | None = None
        self.errors: Counter[str] = Counter()
        self.first_s = self.last_s = 0.0
        self._histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        self._sum_s = self._longest_s = 0.0

    def record(self, payload: Payload, reply: Reply, due_s: float, ended_s: float) -> None:
        if reply.error is not None:
            self.errors[reply.error] += 1
            return
        latency_s = ended_s - due_s
        self._histogram.record_value(min(max(round(latency_s * 1e6), LOWEST_US), HIGHEST_US))
        self._sum_s += latency_s
        self._longest_s = max(self._longest_s, latency_s)
        self.first_s, self.last_s = self.first_s or ended_s, ended_s
        self.answered += 1
        self.documents += payload.documents
        if (tokens := reply.prompt_tokens) is not None:
            self.prompt_tokens = (self.prompt_tokens or 0) + tokens

    @property
    def latency(self) -> Latency | None:
        """None where nothing was answered. Mean and maximum are exact, percentiles to 0.1 %."""
        if not self.answered:
            return None
        shares, longest_ms = (50, 90, 95, 99), self._longest_s * 1e3
        told = self._histogram.get_percentile_to_value_dict(list(shares))
        p50, p90, p95, p99 = (min(told[share] / 1e3, longest_ms) for share in shares)
        return Latency(self._sum_s / self.answered * 1e3, p50, p90, p95, p99, longest_ms)

    def counted(self) -> dict[str, Any]:
        """The fields of LoadStep that are counted here."""
        return {
            "answered": self.answered,
            "documents": self.documents,
            "prompt_tokens": self.prompt_tokens,
            "errors": dict(self.errors),
            "latency": self.latency,
        }


class Window(NamedTuple):
    """How long a step sends (`seconds`, or until `stop` is set), and how long it then waits for answers (`drain_s`)."""

    seconds: float
    drain_s: float
    stop: asyncio.Event


class Meter:
    """The share of one core that this thread takes: the client's own cost, which must not be what is measured."""

    def __init__(self) -> None:
        self.began_s, self._cpu_s = time.perf_counter(), time.thread_time()

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.began_s

    @property
    def share(self) -> float:
        return (time.thread_time() - self._cpu_s) / self.elapsed_s


async def closed_step(send: Send, take: Take, clients: int, window: Window, recorder: Recorder) -> LoadStep:
    """`clients` that each send the next request when the last one is answered.

    When the window is over each ends with the request that it is at; what is not answered within `drain_s` more is
    cancelled, and counted as UNFINISHED.
    """
    meter = Meter()

    async def client() -> None:
        while meter.elapsed_s < window.seconds and not window.stop.is_set():
            if not await _one(send, take(), time.perf_counter(), recorder):
                await asyncio.sleep(AFTER_FAILURE_S)

    await _ended([asyncio.create_task(client()) for _ in range(clients)], window.seconds + window.drain_s)
    return LoadStep(
        mode="closed",
        level=clients,
        seconds=max(min(meter.elapsed_s, window.seconds), recorder.last_s - meter.began_s),
        client_share=meter.share,
        **recorder.counted(),
    )


async def open_step(send: Send, take: Take, rate: float, window: Window, recorder: Recorder, seed: int) -> LoadStep:
    """Arrivals at `rate` per second, whether or not earlier ones are answered.

    A latency counts from the moment at which its request was due, so that a service that stalls pays for every request
    that it keeps from being sent: else they would be missing from the latencies (Gil Tene's "coordinated omission").
    At most MOST_OUTSTANDING requests are at work at once; the others wait here, and their wait counts.
    """
    arriving = _Arrivals(send, take, arrivals(rate, window.seconds, seed), window, recorder)
    seconds = await arriving.finish()
    return LoadStep(
        mode="open",
        level=rate,
        seconds=max(seconds, recorder.last_s - recorder.first_s),
        client_share=arriving.meter.share,
        held_back=arriving.held_back,
        late_ms=arriving.late_ms,
        **recorder.counted(),
    )


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """When requests are due (s from the start), ascending: a Poisson process of `rate` per second, given its count.

    Its count is the expected one, not a random one, so that a short step offers what it says: given the count, the
    moments of a Poisson process are uniform (Ross, Introduction to Probability Models, theorem 5.2).
    """
    source = random.Random(seed)
    return sorted(source.uniform(0, seconds) for _ in range(max(1, round(rate * seconds))))


class _Arrivals:
    """An open loop at work."""

    def __init__(self, send: Send, take: Take, moments: list[float], window: Window, recorder: Recorder) -> None:
        self._send, self._take, self._moments = send, take, moments
        self._window, self._recorder = window, recorder
        self._free = asyncio.Semaphore(MOST_OUTSTANDING)
        self._running: set[asyncio.Task[None]] = set()
        self._begun = 0
        self._late_s = 0.0
        self.held_back = 0
        self.meter = Meter()

    @property
    def late_ms(self) -> float | None:
        at_once = self._begun - self.held_back
        return self._late_s / at_once * 1e3 if at_once else None

    async def finish(self) -> float:
        """Returns for how long it sent (s)."""
        dispatcher = asyncio.create_task(self._dispatch())
        await _ended([dispatcher], self._window.seconds + self._window.drain_s)
        sent_for_s = self.meter.elapsed_s if self._window.stop.is_set() else self._window.seconds
        await _ended(self._running, self._window.seconds + self._window.drain_s - self.meter.elapsed_s)
        due = self._begun if self._window.stop.is_set() else len(self._moments)
        if missing := due - self._recorder.answered - self._recorder.errors.total():  # held back until the end
            self._recorder.errors[UNFINISHED] += missing
        return sent_for_s

    async def _dispatch(self) -> None:
        for moment in self._moments:
            await self._sleep_until(moment)
            if self._window.stop.is_set():
                return
            full = self._free.locked()
            await self._free.acquire()
            self._begun += 1
            self.held_back += full
            self._late_s += 0.0 if full else self.meter.elapsed_s - moment
            task = asyncio.create_task(self._arrive(self.meter.began_s + moment))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await self._sleep_until(self._window.seconds)

    async def _arrive(self, due_s: float) -> None:
        try:
            await _one(self._send, self._take(), due_s, self._recorder)
        finally:
            self._free.release()

    async def _sleep_until(self, moment: float) -> None:
        """Or until it is to stop, which is looked at now and then. The event loop's clock is up to 1 ms late."""
        while (left := moment - self.meter.elapsed_s) > 0 and not self._window.stop.is_set():
            await asyncio.sleep(min(left, GLANCE_S))


async def _one(send: Send, payload: Payload, due_s: float, recorder: Recorder) -> bool:
    """Send it and count what became of it. Returns whether it was answered."""
    try:
        reply = await send(payload)
    except asyncio.CancelledError:
        recorder.errors[UNFINISHED] += 1
        raise
    recorder.record(payload, reply, due_s, time.perf_counter())
    return reply.error is None


async def _ended(tasks: Iterable[asyncio.Task[None]], timeout_s: float) -> None:
    """All of them: by themselves, or cancelled. Raises what one of them raised."""
    every = set(tasks)
    try:
        if every:
            await asyncio.wait(every, timeout=max(timeout_s, 0.0))
    finally:
        for task in every:
            task.cancel()
        ended = await asyncio.gather(*every, return_exceptions=True)
    for one in ended:
        if isinstance(one, Exception):
            raise one
