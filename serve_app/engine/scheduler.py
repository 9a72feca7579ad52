"""vLLM's scheduler for a CPU, which hands out no cache block with NaN in it. vLLM loads it in the engine's process."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import KVCacheConfig


class CleanBlockScheduler(Scheduler):  # type: ignore[misc]
    """From the first value that is not finite on, blocks are zeroed before they are used again.

    A pair that gives NaN leaves it in its blocks. vLLM's attention on a CPU reads whole blocks and multiplies what is
    stale in them by 0, which NaN survives: the next pair there would fail, and leave NaN in turn. vLLM can zero
    blocks as it hands them out, but does so for other models only. On a GPU its own scheduler is left as it is.
    """

    def __init__(self, *args: Any, kv_cache_config: KVCacheConfig, **kwargs: Any) -> None:
        super().__init__(*args, kv_cache_config=_BlocksNoted(**vars(kv_cache_config)), **kwargs)
        self.needs_kv_cache_zeroing = False  # the new blocks are noted in every step, and none is zeroed so far

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> Any:
        if not self.needs_kv_cache_zeroing:
            self.needs_kv_cache_zeroing = _has_faults(model_runner_output)
        return super().update_from_output(scheduler_output, model_runner_output)


def _has_faults(output: Any) -> bool:
    """Whether something that a step computed is not a number. Of what a model that writes is sure of, its least likely
    token's log-probability may be minus infinity.
    """
    if output.logprobs is not None and np.isnan(output.logprobs.logprobs).any():
        return True
    values = [one.flatten() for one in output.pooler_output or () if one is not None]
    return bool(values) and not bool(torch.cat(values).isfinite().all())


class _BlocksNoted(KVCacheConfig):  # type: ignore[misc]
    needs_kv_cache_zeroing = True
