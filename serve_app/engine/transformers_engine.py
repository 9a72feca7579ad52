"""Prompts -> scores with Transformers, for models that vLLM lacks: the same prompts, and the same reading of what is
computed, at Transformers' own speed.

One thread computes the prompts of all calls in batches of like lengths (see `batcher`), so that the event loop answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import torch

from serve_app.engine.batcher import Batcher, Limits, Step
from serve_app.engine.hosted import HostedEngine, identified
from serve_app.engine.identity import settled_dtype
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output
from serve_app.engine.prompts import Prompt
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.engine.transformers_compute import load_compute
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.identity import ScoringIdentity
from stages.telemetry.cores import core_share

VERSIONS = {name: version(name) for name in ("transformers", "torch")}
# Prompts and tokens of a batch, by device.
LIMITS = {"cpu": Limits(32, 4_096), "cuda": Limits(128, 32_768)}


class _Prefix(NamedTuple):
    queries: int = 0
    hits: int = 0


class _Now(NamedTuple):
    """What EngineStats reads of vLLM's scheduler; nothing is cached here."""

    num_running_reqs: int
    num_waiting_reqs: int
    kv_cache_usage: float = 0.0
    prefix_cache_stats: _Prefix = _Prefix()


class _Finished(NamedTuple):
    queued_time: float
    request_id: str = ""


class _Iteration(NamedTuple):
    """And of a step."""

    num_prompt_tokens: int
    finished_requests: tuple[_Finished, ...]
    num_generation_tokens: int = 0
    num_preempted_reqs: int = 0


class TransformersEngine(HostedEngine):
    """A Scorer: the weights of one model, with its prompts. `tell` hears what decides its scores before they load."""

    def __init__(
        self,
        model: ModelInfo,
        model_settings: ModelSettings,
        engine: EngineSettings,
        replica: str,
        max_text_chars: int,
        tell: Callable[[ScoringIdentity], object] = lambda _: None,
    ) -> None:
        super().__init__(model, model_settings, engine, replica, max_text_chars)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.dtype = settled_dtype(model, engine, self.device)
        found, self.identity = identified(model, model_settings, engine, self.device, self.dtype)
        tell(self.identity)
        usual = LIMITS[self.device]
        self.limits = Limits(
            engine.max_num_seqs or usual.prompts, engine.max_num_batched_tokens or max(usual.tokens, model.max_length)
        )
        compute = load_compute(found, load_tokenizer(model), self.dtype, self.device)
        self.batcher = Batcher(compute, self.limits, _use_all_cores, self._record)

    def facts(self) -> dict[str, Any]:
        """What the engine settled on, for the record of a run."""
        return {
            "device": torch.cuda.get_device_name() if self.device == "cuda" else "cpu",
            "dtype": self.dtype,
            "max_num_seqs": self.limits.prompts,
            "max_num_batched_tokens": self.limits.tokens,
        }

    @property
    def dead(self) -> bool:
        return self.batcher.dead

    def shutdown(self) -> None:
        self.prompts.shutdown()
        self.batcher.stop()

    async def _computed(self, prompts: Sequence[Prompt], priority: int) -> tuple[list[Output], float]:
        """A text that is embedded more than once is computed once."""
        if self.procedure.task == "classify":
            call = await self.batcher.run(prompts, priority)
            return call.values, call.longest_wait_s * 1000
        distinct: dict[tuple[tuple[int, ...], int | None], Prompt] = {}
        keys = [(tuple(prompt.token_ids), prompt.second_part) for prompt in prompts]
        for key, prompt in zip(keys, prompts, strict=True):
            distinct.setdefault(key, prompt)
        call = await self.batcher.run(list(distinct.values()), priority)
        values = dict(zip(distinct, call.values, strict=True))
        return [values[key] for key in keys], call.longest_wait_s * 1000

    def _record(self, step: Step) -> None:
        """In the words of vLLM's reports."""
        now = _Now(step.running, step.waiting)
        ended = None if step.running else _Iteration(step.tokens, tuple(map(_Finished, step.waits_s)))
        self.stats.record(now, ended)


def _use_all_cores() -> None:
    """Of the replica's share: OpenMP counts those for each thread anew."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or core_share()))
