"""A whole load test: warm up, then levels that double until the service saturates -> LoadResult. It always ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from pipelines.service.load.client import Reply, Send, sender
from pipelines.service.load.notes import notes
from pipelines.service.load.payloads import Payloads
from pipelines.service.load.plan import LoadPlan, LoadProgress
from pipelines.service.load.steps import Recorder, Window, closed_step, open_step
from pipelines.service.target import Target
from stages.core.errors import EngineError, InterruptedRunError
from stages.telemetry.load import MOST_ERRORS, LoadResult, LoadStep, knee, saturation

OnProgress = Callable[[LoadProgress], None]
TELL_EVERY_S = 0.25
SIGNALS = (signal.SIGINT, signal.SIGTERM)
WAS_INTERRUPTED = "it was interrupted"


def run_load(
    target: Target, payloads: Payloads, plan: LoadPlan, on_progress: OnProgress = lambda _: None
) -> LoadResult:
    """Put load on a service and measure what it bears. Ctrl-C ends it with what is measured by then.

    Raises EngineError where the service does not answer the first requests, InterruptedRunError where nothing was
    measured yet. Whether the service may be loaded at all is the caller's to ask (`require_own`).
    """
    return asyncio.run(_Run(target, payloads, plan, on_progress).finish())


def served_model(target: Target) -> str | None:
    """The id of the model that a request must name; None where the service has no list of models."""
    try:
        model = target.model().get("id")
    except (EngineError, ValueError, AttributeError):
        return None  # whether it answers at all, the first request tells
    return model if isinstance(model, str) else None


class _Run:
    """One load test at work."""

    def __init__(self, target: Target, payloads: Payloads, plan: LoadPlan, on_progress: OnProgress) -> None:
        self._target, self._payloads, self._plan, self._on_progress = target, payloads, plan, on_progress
        self._model = served_model(target)
        self._began_s, self._started = time.perf_counter(), datetime.now().astimezone()
        self._steps: list[LoadStep] = []
        self._notes: list[str] = []
        self._stop = asyncio.Event()

    @property
    def _elapsed_s(self) -> float:
        return time.perf_counter() - self._began_s

    async def finish(self) -> LoadResult:
        async with sender(self._target, self._plan.timeout_s) as send:
            with _on_signal(self._stop):
                await self._warm_up(send)
                ended = await self._climb(send)
        if not self._steps:
            raise InterruptedRunError("interrupted before anything was measured")
        steps = tuple(self._steps)
        return LoadResult(
            url=self._target.url,
            model=self._model,
            payload=self._payloads.words,
            mode=self._plan.mode,
            steps=steps,
            knee=knee(steps),
            saturated=ended == saturation(steps),  # a step that was cut short proves nothing
            ended=ended,
            started=self._started.isoformat(timespec="seconds"),
            notes=(*self._notes, *notes(steps)),
        )

    async def _warm_up(self, send: Send) -> None:
        """Not measured. The first answers tell whether it reranks at all, and how long documents must be."""
        self._on_progress(LoadProgress("first requests", self._elapsed_s))
        tokens = []
        for payload in self._payloads.probes(self._model):
            reply = await self._unless_stopped(send(payload))
            check_answer(self._target.url, reply, self._plan.timeout_s)
            if reply.prompt_tokens is not None:
                tokens.append(reply.prompt_tokens / payload.documents)
        note = self._payloads.calibrate(tokens)
        self._notes += [note] if note else []
        left_s = self._plan.warm_up_s - self._elapsed_s
        if left_s > 0:
            await self._step(send, self._plan.start, left_s, "warm-up, ")

    async def _unless_stopped(self, work: Coroutine[Any, Any, Reply]) -> Reply:
        """The reply. Raises InterruptedRunError when the user stops it first."""
        task, stopped = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for one in (task, stopped):
            one.cancel()
        if not task.done() or task.cancelled():
            raise InterruptedRunError("interrupted before anything was measured")
        return task.result()

    async def _climb(self, send: Send) -> str:
        """Level after level. Returns why it ended."""
        for level in self._plan.levels():
            if self._stop.is_set():
                return WAS_INTERRUPTED
            if self._steps and not self._has_time:
                return f"another step would take longer than the {self._plan.max_s:g} s that it may take"
            step = await self._measured(send, level)
            if step.answered or step.failed:  # else it was stopped before it began
                self._steps.append(step)
                self._on_progress(LoadProgress(step.level_words, self._elapsed_s, step=step))
            if self._stop.is_set():
                return WAS_INTERRUPTED
            if why := saturation(self._steps):
                return why
        return f"the highest level was reached, {self._steps[-1].level_words}"

    @property
    def _has_time(self) -> bool:
        return self._elapsed_s + self._plan.step_s <= self._plan.max_s

    async def _measured(self, send: Send, level: float) -> LoadStep:
        """A step. One that shows that the service is too slow is made once more, and the better of the two counts: one
        slow moment of the machine is no saturation.
        """
        step = await self._step(send, level, self._plan.step_s)
        slow = saturation([*self._steps, step]) is not None and step.error_share <= MOST_ERRORS
        if not slow or self._stop.is_set() or not self._has_time:
            return step
        again = await self._step(send, level, self._plan.step_s, "once more, ")
        return again if again.error_share <= MOST_ERRORS and again.pairs_per_s > step.pairs_per_s else step

    async def _step(self, send: Send, level: float, seconds: float, how: str = "") -> LoadStep:
        recorder, window = Recorder(), Window(seconds, self._plan.drain_s, self._stop)
        take = partial(self._payloads.take, self._model)
        unit = f"client{'' if level == 1 else 's'}" if self._plan.mode == "closed" else "requests/s offered"
        telling = asyncio.create_task(self._tell(f"{how}{level:g} {unit}", recorder))
        try:
            if self._plan.mode == "closed":
                return await closed_step(send, take, int(level), window, recorder)
            # Another seed for each level: else each would be the one before, pressed together.
            return await open_step(send, take, level, window, recorder, self._plan.seed + len(self._steps))
        finally:
            telling.cancel()

    async def _tell(self, doing: str, recorder: Recorder) -> None:
        while True:
            failed = recorder.errors.total()
            doing = "stopping: waiting for answers" if self._stop.is_set() else doing
            self._on_progress(LoadProgress(doing, self._elapsed_s, recorder.answered, failed))
            await asyncio.sleep(TELL_EVERY_S)


def check_answer(url: str, reply: Reply, timeout_s: float) -> None:
    """Raises EngineError where the first requests are not answered with scores: there is nothing to measure then."""
    if reply.error == "timeout":
        raise EngineError(f"{url} does not answer a first request within {timeout_s:g} s: try fewer documents, --shape")
    if reply.error is not None and not reply.content:
        raise EngineError(f"{url} does not answer ({reply.error}). Start it: rerank-eval serve --config FILE")
    if reply.error is not None:
        said = " ".join(reply.content.decode("utf-8", "replace").split())[:200]
        raise EngineError(f"{url}/v1/rerank answers {reply.error} to the first request: {said}")
    try:
        results = json.loads(reply.content)["results"]
    except (ValueError, KeyError, TypeError):
        results = None
    if not isinstance(results, list) or not results:
        raise EngineError(f"{url}/v1/rerank answers without results: it is no service that reranks")


@contextlib.contextmanager
def _on_signal(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C, or SIGTERM, once: `stop` is set, and what is at work ends. Twice: as without this."""
    if threading.current_thread() is not threading.main_thread():  # elsewhere Python allows no handlers
        yield
        return
    loop = asyncio.get_running_loop()
    earlier = {number: signal.getsignal(number) for number in SIGNALS}

    def give_back() -> None:
        for number, handler in earlier.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler or signal.SIG_DFL)

    def on_signal() -> None:
        stop.set()
        give_back()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        give_back()
