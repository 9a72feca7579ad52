"""A call's prompts in the engine: as one request, which our scheduler fans out, or as a request each where it cannot.

`AsOne` is how it is done. `EachAlone` is for another version of vLLM than the scheduler was written for, for a
scheduler of the user's own, and for prompts that vLLM is to refuse in its own words.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vllm import PoolingParams
from vllm.exceptions import VLLMClientError
from vllm.inputs.engine import tokens_input
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from serve_app.engine.engine_stats import EngineStats
from serve_app.engine.outputs import Output, Task, Value
from serve_app.engine.packing import (
    KEY,
    Asked,
    largest_and_smallest_id,
    pack,
    shared_length,
    unpack_numbers,
    unpack_told,
    unpack_values,
)
from stages.core.errors import EngineDiedError, EngineError, first_line

# A message holds the work of so many of the engine's steps: what is counted of its prompts is when the last is done.
STEPS = 4
# And at most so many tokens: it goes through the event loop and the scheduler in one piece. Less where each token's
# vector comes back.
TOGETHER = {"classify": 131_072, "embed": 131_072, "token_embed": 16_384}
# What vLLM raises for a prompt that it does not take.
REFUSED = (ValueError, VLLMClientError)
# What a request begins with whose prompts begin with nothing in common: vLLM takes none that is empty.
CARRIER = [0]


class Data(NamedTuple):
    data: Any


class Computed(NamedTuple):
    """What is read of vLLM's PoolingRequestOutput: `outputs.data` is a tensor on the CPU."""

    outputs: Data
    num_cached_tokens: int


@dataclass(slots=True)
class Call:
    """What one query has in the engine. `given`: whether it took any of it."""

    priority: int
    names: list[str] = field(default_factory=list)
    given: bool = False
    longest_wait_s: float = 0.0


class Requests:
    """What is given to vLLM, under names of its own."""

    def __init__(self, llm: AsyncLLM, stats: EngineStats) -> None:
        self.llm, self.stats = llm, stats
        self._ids = itertools.count()

    async def submit(self, ids: list[int], params: Any, call: Call) -> tuple[str, Any]:
        """A request's name, and the queue that its result will come through. Raises one of REFUSED where it is that."""
        name = str(next(self._ids))
        call.names.append(name)  # before it is given: a task may be cancelled in the middle of that
        queue = await self.llm.add_request(name, tokens_input(ids), params, priority=call.priority)
        call.given = True
        return name, queue

    @contextlib.asynccontextmanager
    async def kept_for(self, call: Call) -> AsyncIterator[None]:
        """Whatever ends what is inside, a cancelled task too, what is left of the call is taken out of the engine.

        Raises EngineError where the engine died; EngineDiedError where it may have died of this call.
        """
        try:
            yield
        except BaseException as error:
            await self.llm.abort(call.names)
            self.stats.forget(call.names)
            if isinstance(error, EngineDeadError | EngineGenerateError):
                kind = EngineDiedError if call.given else EngineError
                raise kind("the engine died while it scored") from error
            raise


class EachAlone(Requests):
    """A request a prompt."""

    async def ask(self, prompts: Sequence[Asked], task: Task, call: Call, *, skip_cache: bool = False) -> list[Output]:
        """One output for each prompt; a str says why there is none. `skip_cache`: nothing is read from the cache."""
        queues = [await self._refused_or_given(prompt, task, call, skip_cache) for prompt in prompts]
        return [queue if isinstance(queue, str) else await queue.get() for queue in queues]

    async def _refused_or_given(self, prompt: Asked, task: Task, call: Call, skip_cache: bool) -> Any:
        """The queue that the result will come through, or why the engine refuses this prompt."""
        types = None if prompt.second_part is None else {"compressed_token_type_ids": prompt.second_part}
        try:
            name, queue = await self.submit(prompt.token_ids, parameters(task, types, skip_cache=skip_cache), call)
        except REFUSED as error:
            return refused(error)
        self.stats.await_one(name)
        return queue


class AsOne(EachAlone):
    """One request for all prompts of a call, or a few where they have very many tokens."""

    def __init__(self, llm: AsyncLLM, stats: EngineStats) -> None:
        super().__init__(llm, stats)
        model = llm.vllm_config.model_config
        self._longest, self._vocabulary = model.max_model_len, model.get_vocab_size()
        self._step_tokens = llm.vllm_config.scheduler_config.max_num_batched_tokens

    async def ask(self, prompts: Sequence[Asked], task: Task, call: Call, *, skip_cache: bool = False) -> list[Output]:
        outputs: list[Output] = [None] * len(prompts)
        asked, alone = [], list[int]()
        for places in _together(prompts, min(TOGETHER[task], STEPS * self._step_tokens)):
            some = [prompts[place] for place in places]
            shared = shared_length(some)
            if (packed := self._packed(some, shared)) is None:
                alone += places
                continue
            params = parameters(task, {KEY: packed}, skip_cache=skip_cache)
            try:
                name, queue = await self.submit(some[0].token_ids[:shared] or CARRIER, params, call)
            except REFUSED:  # by something else than its prompts: told of each
                alone += places
                continue
            if self.llm.log_stats:
                self.stats.expect(name, queue)
            asked.append((places, name, queue))
        seen = await super().ask([prompts[place] for place in alone], task, call, skip_cache=skip_cache)
        for place, output in zip(alone, seen, strict=True):
            outputs[place] = output
        for places, name, queue in asked:
            found = self._unpacked(name, (await queue.get()).outputs.data, len(places), task, call)
            for place, output in zip(places, found, strict=True):
                outputs[place] = output
        return outputs

    def _packed(self, prompts: Sequence[Asked], shared: int) -> bytes | None:
        """None where vLLM is to see each prompt: it checks no more than what they share, and may refuse one of them."""
        if not all(0 < len(one.token_ids) <= self._longest for one in prompts):
            return None
        try:
            packed = pack(prompts, shared)
        except OverflowError:
            return None
        head = prompts[0].token_ids[:shared] or CARRIER
        largest, smallest = largest_and_smallest_id(packed)
        fits = max(largest, *head) < self._vocabulary and min(smallest, *head) >= 0
        return packed if fits else None

    def _unpacked(self, name: str, packed: Any, size: int, task: Task, call: Call) -> list[Output]:
        """A call that was aborted comes back empty."""
        if not packed.numel():
            return [Computed(Data(packed), 0)] * size
        told = unpack_told(packed)
        self.stats.settle(name, told)
        call.longest_wait_s = max(call.longest_wait_s, *(one.waited_s for one in told))
        if task == "classify" and (numbers := unpack_numbers(packed, told)) is not None:
            return [Value(number, one.cached_tokens) for number, one in zip(numbers, told, strict=True)]
        values = unpack_values(packed, told)
        return [Computed(Data(value), one.cached_tokens) for value, one in zip(values, told, strict=True)]


def refused(error: Exception) -> str:
    """What is told of one of REFUSED."""
    return f"the engine refused the prompt: {first_line(error)}"


def parameters(task: Task, told: dict[str, Any] | None, *, skip_cache: bool = False) -> PoolingParams:
    """Of a classifier ask for the raw logit: probabilities near 0 and 1 tie, and one follows from the other."""
    raw = {"use_activation": False} if task == "classify" else {}
    skip = {"skip_reading_prefix_cache": True} if skip_cache else {}
    return PoolingParams(task=task, extra_kwargs=told, **raw, **skip)


def _together(prompts: Sequence[Asked], tokens: int) -> Iterator[list[int]]:
    """The places of those that go in one message: so many tokens, or a single prompt."""
    places, size = list[int](), 0
    for place, prompt in enumerate(prompts):
        if places and size + len(prompt.token_ids) > tokens:
            yield places
            places, size = [], 0
        places.append(place)
        size += len(prompt.token_ids)
    if places:
        yield places
