"""Whether vLLM is as our schedulers lean on it: parts of it that it promises to nobody.

Where it is not, prompts go to the engine as a request each: slower, and by what vLLM promises alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any, NamedTuple, TypeAlias

import vllm

from serve_app.engine.engine_args import FAN_OUT

# Which version they were written for, and tested with.
VLLM = "0.32.0"
# A part of vLLM, and names.
Named: TypeAlias = tuple[Callable[..., Any], tuple[str, ...]]


class LeanedOn(NamedTuple):
    """`called`: by all of its arguments; `made`: by some; `read`: what its own code speaks of."""

    called: tuple[Named, ...]
    made: tuple[Named, ...]
    read: tuple[Named, ...]


def _leaned_on() -> LeanedOn:
    """Imported here: another version may have it elsewhere."""
    from vllm.v1 import engine, request
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.engine.output_processor import RequestOutputCollector
    from vllm.v1.metrics import stats

    made_of_request = (
        *("request_id", "prompt_token_ids", "sampling_params", "pooling_params", "client_index", "arrival_time"),
        *("lora_request", "cache_salt", "priority", "trace_headers"),
    )
    made_of_output = ("request_id", "new_token_ids", "pooling_output", "finish_reason", "events", "prefill_stats")
    counted = ("request_id", "e2e_latency", "num_prompt_tokens", "num_preemptions", "queued_time", "prefill_time")
    return LeanedOn(
        called=(
            (Scheduler.add_request, ("self", "request")),
            (Scheduler.finish_requests, ("self", "request_ids", "finished_status")),
            (Scheduler.update_from_output, ("self", "scheduler_output", "model_runner_output")),
            (request.Request.update_block_hashes, ("self",)),
        ),
        made=(
            (request.Request, made_of_request),
            (engine.EngineCoreOutput, (*made_of_output, "trace_headers")),
            (engine.EngineCoreEvent, ("type", "timestamp")),
            (vllm.PoolingParams, ("task", "use_activation", "skip_reading_prefix_cache", "extra_kwargs")),
            (stats.PrefillStats, ("num_prompt_tokens", "num_cached_tokens")),
            (stats.FinishedRequestStats, (*counted, "inference_time", "num_cached_tokens")),
        ),
        read=(
            (request.Request.update_block_hashes, ("_block_hasher", "block_hashes")),
            (RequestOutputCollector.put, ("output",)),
        ),
    )


def why_not(config: Any) -> str | None:
    """Why the prompts of a call cannot go to vLLM, with this config of its own, as one request; None where they can."""
    if found := misfits():
        return f"its inner parts are not as our schedulers know them ({found})"
    if config.scheduler_config.scheduler_cls not in FAN_OUT:
        return "engine.extra names a scheduler_cls"
    if config.parallel_config.data_parallel_size > 1:
        return "engine.extra has it compute in several engines (data_parallel_size)"
    return None


def misfits(version: str = vllm.__version__) -> str | None:
    """What is not as it was in the version that the schedulers were written for; None where all is."""
    return next(_misfits(version), None)


def _misfits(version: str) -> Iterator[str]:
    if version.split("+", maxsplit=1)[0] != VLLM:
        yield f"it is {version}, they were written for {VLLM}"
    leaned_on = _leaned_on()
    for called, names in leaned_on.called:
        if tuple(signature(called).parameters) != names:
            yield f"{called.__qualname__} takes other arguments"
    for made, names in leaned_on.made:
        if missing := set(names) - set(signature(made).parameters):
            yield f"{made.__qualname__} has no {min(missing)}"
    for read, names in leaned_on.read:
        if missing := set(names) - set(read.__code__.co_names):
            yield f"{read.__qualname__} knows no {min(missing)}"
