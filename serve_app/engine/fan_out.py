"""vLLM's schedulers, with one request for all prompts of a call. vLLM loads them in the engine's process.

A request a prompt costs, for each of them, a message each way, and the front's bookkeeping and tasks around it: on a
fast engine that is as much again as what is computed. Here a call comes as one request, and the scheduler makes of it
the requests that vLLM would have got: what is scheduled, cached, preempted and freed is a prompt as before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine import EngineCoreEvent, EngineCoreEventType, EngineCoreOutput, FinishReason
from vllm.v1.metrics.stats import PrefillStats
from vllm.v1.request import Request, RequestStatus

from serve_app.engine.packing import KEY, Told, pack_outputs, unpack
from serve_app.engine.scheduler import CleanBlockScheduler

# What is noted of a request, in this order; it is first worked on after it was queued, and put back after that.
QUEUED, SCHEDULED = EngineCoreEventType.QUEUED, EngineCoreEventType.SCHEDULED
PREEMPTED = EngineCoreEventType.PREEMPTED
# Requests of one priority are served in the order in which they arrived (s): a call's own in theirs.
APART_S = 1e-6
NONE_TOLD = Told(0, 0, 0, 0.0, 0.0, 0)


class FanOut:
    """In front of a scheduler's class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._calls: dict[str, _Call] = {}
        self._prompts: dict[str, tuple[_Call, int]] = {}  # those in the scheduler, and which of its call each is

    def add_request(self, request: Request) -> None:
        add = super().add_request  # type: ignore[misc]  # the scheduler's
        if not (request.pooling_params and (request.pooling_params.extra_kwargs or {}).get(KEY)):
            add(request)
            return
        prompts = list(_requests(request))
        call = self._calls[request.request_id] = _Call(request, len(prompts))
        for place, prompt in enumerate(prompts):
            self._prompts[prompt.request_id] = (call, place)
            add(prompt)

    def finish_requests(self, request_ids: str | Iterable[str] | None, finished_status: RequestStatus) -> list[Request]:
        """A call's end is that of its prompts. What is told to its client, where all is ended, is told of the call."""
        finish = super().finish_requests  # type: ignore[misc]  # the scheduler's
        if request_ids is None:
            calls = [call.request for call in self._calls.values()]
            others = [one for one in finish(None, finished_status) if one.request_id not in self._prompts]
            self._calls.clear()
            self._prompts.clear()
            return [*others, *calls]
        names = {request_ids} if isinstance(request_ids, str) else set(request_ids)
        for name in names & self._calls.keys():
            call = self._calls.pop(name)
            parts = [one for one in map(call.name, range(len(call.told))) if self._prompts.pop(one, None)]
            names.update(parts)
        ended: list[Request] = finish(names, finished_status)
        return ended

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        told = super().update_from_output(scheduler_output, model_runner_output)  # type: ignore[misc]
        if self._prompts:
            now = time.monotonic()
            for outputs in told.values():
                outputs.outputs = [one for output in outputs.outputs for one in self._gathered(output, now)]
        return told

    def _gathered(self, output: EngineCoreOutput, now: float) -> Iterator[EngineCoreOutput]:
        """An output that is no prompt's of a call; a call's with the last of its prompts."""
        call, place = self._prompts.pop(output.request_id, (None, 0))
        if call is None:
            yield output
            return
        call.take(place, output, now)
        if not call.left:
            del self._calls[call.request.request_id]
            yield call.output()


class FanOutScheduler(FanOut, Scheduler):  # type: ignore[misc]
    """Of a GPU."""


class FanOutAsyncScheduler(FanOut, AsyncScheduler):  # type: ignore[misc]
    """Of a GPU where asynchronous scheduling is asked for, which vLLM does not choose for what it does not generate."""


class FanOutCleanBlockScheduler(FanOut, CleanBlockScheduler):
    """Of a CPU."""


def _requests(call: Request) -> Iterator[Request]:
    """Those that vLLM would have made of a call's prompts. What they share is hashed once, with the call."""
    params = call.pooling_params
    shared, rests = unpack(params.extra_kwargs[KEY])
    params.extra_kwargs = None
    by_second: dict[int | None, Any] = {None: params}
    head, hasher = call.prompt_token_ids[:shared], call._block_hasher
    hashes = call.block_hashes if shared else []
    for place, rest in enumerate(rests):
        if rest.second_part not in by_second:
            typed = by_second[rest.second_part] = params.clone()
            typed.extra_kwargs = {"compressed_token_type_ids": rest.second_part}
        prompt = Request(
            request_id=_name(call, place),
            prompt_token_ids=head + rest.token_ids,
            sampling_params=None,
            pooling_params=by_second[rest.second_part],
            client_index=call.client_index,
            arrival_time=call.arrival_time + place * APART_S,
            lora_request=call.lora_request,
            cache_salt=call.cache_salt,
            priority=call.priority,
            trace_headers=call.trace_headers,
        )
        if hasher is not None:
            prompt.block_hashes = hashes.copy()
            prompt._block_hasher = hasher
            prompt.update_block_hashes()
        yield prompt


def _name(call: Request, place: int) -> str:
    return f"{call.request_id}.{place}"


class _Call:
    """What is told of a call's prompts until the last is done."""

    __slots__ = ("left", "request", "stats", "times", "told", "values")

    def __init__(self, request: Request, size: int) -> None:
        self.request, self.left = request, size
        self.told = [NONE_TOLD] * size
        self.values: list[Any] = [None] * size
        self.stats: list[PrefillStats] = []
        self.times: list[tuple[float, float]] = []  # when each was queued and first worked on

    def name(self, place: int) -> str:
        return _name(self.request, place)

    def take(self, place: int, output: EngineCoreOutput, now: float) -> None:
        """An output without a value is that of a request that ended in an error."""
        self.left -= 1
        stats, value, events = output.prefill_stats or PrefillStats(), output.pooling_output, output.events
        self.stats.append(stats)
        queued = scheduled = now
        if events:  # none where vLLM was told to keep no statistics
            queued, scheduled = events[0].timestamp, events[min(1, len(events) - 1)].timestamp
            self.times.append((queued, scheduled))
        self.values[place] = value
        self.told[place] = Told(
            0 if value is None else value.numel(),
            stats.num_prompt_tokens,
            stats.num_cached_tokens,
            scheduled - queued,
            now - queued,
            sum(event.type == PREEMPTED for event in events[2:]) if events else 0,
        )

    def output(self) -> EngineCoreOutput:
        """Its times are those of the first prompt, the rest is added up."""
        events = None
        if self.times:
            queued, scheduled = (min(times) for times in zip(*self.times, strict=True))
            preempted = [(PREEMPTED, scheduled)] * sum(one.preemptions for one in self.told)
            events = [EngineCoreEvent(*one) for one in ((QUEUED, queued), (SCHEDULED, scheduled), *preempted)]
        return EngineCoreOutput(
            request_id=self.request.request_id,
            new_token_ids=[],
            pooling_output=pack_outputs(self.told, [one for one in self.values if one is not None]),
            finish_reason=FinishReason.STOP,
            events=events,
            trace_headers=self.request.trace_headers,
            prefill_stats=PrefillStats(*(sum(column) for column in zip(*map(_numbers, self.stats), strict=True))),
        )


def _numbers(stats: PrefillStats) -> tuple[int, ...]:
    return tuple(vars(stats).values())
