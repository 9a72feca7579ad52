"""What an engine counts, step by step: fed by vLLM's stat loggers, read by the replica."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from serve_app.engine.packing import Told, unpack_told
from stages.telemetry.histogram import HistogramRecorder
from stages.telemetry.telemetry import TIME_BOUNDS_MS, Snapshot


class EngineStats:
    """Counts what vLLM reports after each step, on the event loop; `snapshot` is read by the replica's own thread."""

    def __init__(self, replica: str) -> None:
        self.replica = replica
        self.counts = dict.fromkeys(
            ("prompt_tokens", "generation_tokens", "prefix_queries", "prefix_hits", "finished", "preemptions"), 0
        )
        self.queue_ms = HistogramRecorder(TIME_BOUNDS_MS)
        self.running = self.waiting = 0
        self.kv_usage = 0.0
        self._now = (0, 0, 0.0)  # the three as the scheduler told them last
        self._waits_ms: dict[str, float] = {}
        self._calls: dict[str, Any] = {}  # those of several prompts: the queue of each, or what was told of it
        self._lock = threading.Lock()

    def await_one(self, name: str) -> None:
        """Note how long this request waits, until `longest_wait_ms` asks."""
        self._waits_ms[name] = 0.0

    def longest_wait_ms(self, names: Sequence[str]) -> float:
        """The longest time that one of these requests waited in the engine; forgets them."""
        return max((self._waits_ms.pop(name, 0.0) for name in names), default=0.0)

    def expect(self, name: str, queue: Any) -> None:
        """This request stands for all prompts of a call; what is told of them will come through the queue."""
        self._calls[name] = queue

    def settle(self, name: str, told: Sequence[Told]) -> None:
        """What came through the queue. A result may be ahead of its count, or behind."""
        if name in self._calls:
            self._calls[name] = told

    def forget(self, names: Sequence[str]) -> None:
        """These requests were given up."""
        for name in names:
            self._waits_ms.pop(name, None)
            self._calls.pop(name, None)

    def record(self, scheduler: Any, iteration: Any) -> None:
        """From vLLM, before its own loggers: they count prompts too, whatever the requests were."""
        if iteration is not None and self._calls:
            iteration.finished_requests[:] = [
                prompt for request in iteration.finished_requests for prompt in self._prompts(request)
            ]
        with self._lock:
            if scheduler is not None:
                self._record_now(scheduler)
            if iteration is not None:
                self._record_step(iteration)

    def _record_now(self, scheduler: Any) -> None:
        self._now = (scheduler.num_running_reqs, scheduler.num_waiting_reqs, scheduler.kv_cache_usage)
        self.running = max(self.running, self._now[0])
        self.waiting = max(self.waiting, self._now[1])
        self.kv_usage = max(self.kv_usage, self._now[2])
        self.counts["prefix_queries"] += scheduler.prefix_cache_stats.queries
        self.counts["prefix_hits"] += scheduler.prefix_cache_stats.hits

    def _record_step(self, iteration: Any) -> None:
        self.counts["prompt_tokens"] += iteration.num_prompt_tokens
        self.counts["generation_tokens"] += iteration.num_generation_tokens
        self.counts["finished"] += len(iteration.finished_requests)
        self.counts["preemptions"] += iteration.num_preempted_reqs
        for request in iteration.finished_requests:
            waited_ms = request.queued_time * 1000
            self.queue_ms.observe(waited_ms)
            if request.request_id in self._waits_ms:
                self._waits_ms[request.request_id] = waited_ms

    def _prompts(self, request: Any) -> Iterator[Any]:
        """A request that finished, or for one that stands for a call's prompts, what is as if each had been one."""
        told = _told(self._calls.pop(request.request_id, None))
        if not told:
            yield request
            return
        last_s = max(one.took_s for one in told)
        for one in told:
            worked_s = one.took_s - one.waited_s
            yield replace(
                request,
                e2e_latency=request.e2e_latency - (last_s - one.took_s),
                num_prompt_tokens=one.prompt_tokens,
                num_preemptions=one.preemptions,
                queued_time=one.waited_s,
                prefill_time=worked_s,
                inference_time=worked_s,
                num_cached_tokens=one.cached_tokens,
            )

    def snapshot(self) -> Snapshot:
        """Counts since the start; peaks since the last snapshot.

        They start again from what the scheduler told last: during a step that takes longer than the time between two
        snapshots it tells nothing, and a working engine is not idle.
        """
        with self._lock:
            taken = Snapshot(
                replica=self.replica,
                time_s=time.time(),
                queue_ms=self.queue_ms.freeze(),
                running=self.running,
                waiting=self.waiting,
                kv_usage=self.kv_usage,
                **self.counts,  # type: ignore[arg-type]  # counts alone
            )
            self.running, self.waiting, self.kv_usage = self._now
        return taken


def _told(found: Any) -> list[Told]:
    """Of a call's prompts, which may still be in its queue; of none where a request is no call's, or nothing came."""
    if found is None or isinstance(found, list):
        return found or []
    output = found.output
    return [] if output is None or isinstance(output, Exception) else unpack_told(output.outputs.data)
