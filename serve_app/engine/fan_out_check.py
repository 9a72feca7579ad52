"""Whether vLLM is as our schedulers lean on it: parts of it that it promises to nobody.

Where it is not, prompts go to the engine as a request each: slower, and by what vLLM promises alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from typing import Any

import vllm
from vllm import PoolingParams
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine import EngineCoreEvent, EngineCoreOutput
from vllm.v1.engine.output_processor import RequestOutputCollector
from vllm.v1.metrics.stats import FinishedRequestStats, PrefillStats
from vllm.v1.request import Request

# Which version they were written for, and tested with.
VLLM = "0.32.0"
# What is called, and by which names its arguments go.
CALLED: dict[Any, tuple[str, ...]] = {
    Scheduler.add_request: ("self", "request"),
    Scheduler.finish_requests: ("self", "request_ids", "finished_status"),
    Scheduler.update_from_output: ("self", "scheduler_output", "model_runner_output"),
    Request.update_block_hashes: ("self",),
}
# What is made, and what of it is named.
MADE: dict[Any, tuple[str, ...]] = {
    Request: (
        *("request_id", "prompt_token_ids", "sampling_params", "pooling_params", "client_index", "arrival_time"),
        *("lora_request", "cache_salt", "priority", "trace_headers"),
    ),
    EngineCoreOutput: (
        *("request_id", "new_token_ids", "pooling_output", "finish_reason", "events", "prefill_stats"),
        "trace_headers",
    ),
    EngineCoreEvent: ("type", "timestamp"),
    PoolingParams: ("task", "use_activation", "skip_reading_prefix_cache", "extra_kwargs"),
    PrefillStats: ("num_prompt_tokens", "num_cached_tokens"),
    FinishedRequestStats: (
        *("request_id", "e2e_latency", "num_prompt_tokens", "num_preemptions", "queued_time", "prefill_time"),
        *("inference_time", "num_cached_tokens"),
    ),
}
# What is read of what is made: the names that its own code speaks of.
READ: dict[Any, tuple[str, ...]] = {
    Request.update_block_hashes: ("_block_hasher", "block_hashes"),
    RequestOutputCollector.put: ("output",),
}


def misfits(version: str = vllm.__version__) -> str | None:
    """What is not as it was in the version that the schedulers were written for; None where all is."""
    return next(_misfits(version), None)


def _misfits(version: str) -> Iterator[str]:
    if version.split("+", maxsplit=1)[0] != VLLM:
        yield f"it is {version}, they were written for {VLLM}"
    for called, names in CALLED.items():
        if tuple(signature(called).parameters) != names:
            yield f"{called.__qualname__} takes other arguments"
    for made, names in MADE.items():
        if missing := set(names) - set(signature(made).parameters):
            yield f"{made.__qualname__} has no {min(missing)}"
    for read, names in READ.items():
        if missing := set(names) - set(read.__code__.co_names):
            yield f"{read.__qualname__} knows no {min(missing)}"
