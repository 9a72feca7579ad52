"""Prompts -> scores: vLLM's AsyncLLM. vLLM loads `fan_out` and `scheduler`, and `bare_engine` measures it alone.

One asyncio task serves one query: it hands all prompts to the engine and collects the results in order. When that
task is cancelled (a client went away, a replica stops) what is still in the engine is aborted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import vllm
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.loggers import StatLoggerBase

from serve_app.engine.asking import AsOne, Call, EachAlone
from serve_app.engine.engine_args import Host, engine_arguments, has_bfloat16
from serve_app.engine.engine_stats import EngineStats
from serve_app.engine.fan_out_check import misfits, why_not
from serve_app.engine.hosted import HostedEngine, identified
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, not_finite
from serve_app.engine.packing import Asked
from serve_app.engine.prompts import Prompt
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.identity import ScoringIdentity

VERSIONS: dict[str, str] = {"vllm": vllm.__version__}


class VllmEngine(HostedEngine):
    """A Scorer: one vLLM engine with the prompts of one model.

    `tell` hears what decides its scores as soon as vLLM has settled that, which is long before it can score.
    """

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
        arguments = AsyncEngineArgs(**engine_arguments(model, engine, this_host(engine.tensor_parallel)))
        config = arguments.create_engine_config(UsageContext.ENGINE_CONTEXT)
        _, self.identity = identified(model, model_settings, engine, this_device(), dtype_of(config))
        tell(self.identity)
        self.llm = started(arguments, config, self.stats)
        self._unfit = why_not(config)
        self._asking = (EachAlone if self._unfit else AsOne)(self.llm, self.stats)

    def facts(self) -> dict[str, Any]:
        """What the engine settled on, for the record of a run."""
        return settled(self.llm) | (
            {"note": f"vLLM gets each prompt as a request of its own, which is slower: {self._unfit}"}
            if self._unfit
            else {}
        )

    @property
    def dead(self) -> bool:
        """Whether the engine is gone for good; for any thread: vLLM watches its process from one of its own."""
        return bool(self.llm.errored)

    def shutdown(self) -> None:
        self.prompts.shutdown()
        self.llm.shutdown()

    async def _computed(self, prompts: Sequence[Prompt], priority: int) -> tuple[list[Output], float]:
        call = Call(priority)
        async with self._asking.kept_for(call):
            outputs = await self._all_outputs(prompts, call)
        return outputs, max(call.longest_wait_s * 1000, self.stats.longest_wait_ms(call.names))

    async def _all_outputs(self, prompts: Sequence[Prompt], call: Call) -> list[Output]:
        """A text that is embedded more than once is computed once."""
        if self.procedure.task == "classify":
            return await self._outputs([Asked(one.token_ids, one.second_part) for one in prompts], call)
        places: dict[tuple[int, ...], int] = {}
        index = [places.setdefault(tuple(prompt.token_ids), len(places)) for prompt in prompts]
        outputs = await self._outputs([Asked(list(ids)) for ids in places], call)
        return [outputs[place] for place in index]

    async def _outputs(self, prompts: Sequence[Asked], call: Call) -> list[Output]:
        """Prompts whose values are not finite run once more, and read nothing from the prefix cache.

        A prompt that gives NaN may leave it in blocks whose tokens come before those that gave it: attention computes
        tokens together, with weight 0 for those that come later, and NaN survives that. A prompt that begins with the
        same tokens and finds these blocks fails through no fault of its own.
        """
        task = self.procedure.task
        outputs = await self._asking.ask(prompts, task, call)
        again = [place for place, output in enumerate(outputs) if not_finite(output)]
        retried = await self._asking.ask([prompts[place] for place in again], task, call, skip_cache=True)
        for place, output in zip(again, retried, strict=True):
            outputs[place] = output
        return outputs


def started(arguments: AsyncEngineArgs, config: Any, stats: EngineStats) -> AsyncLLM:
    """vLLM's engine of this config of its own, which comes of the arguments; `stats` counts what it does."""
    return AsyncLLM.from_vllm_config(
        config,
        stat_loggers=[_logger_factory(stats)],
        enable_log_requests=arguments.enable_log_requests,
        disable_log_stats=arguments.disable_log_stats,
    )


def settled(llm: AsyncLLM) -> dict[str, Any]:
    """What an engine settled on, for the record of a run."""
    config = llm.vllm_config
    return {
        "device": current_platform.get_device_name(),
        "dtype": dtype_of(config),
        "block_size": config.cache_config.block_size,
        "max_num_seqs": config.scheduler_config.max_num_seqs,
        "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
    }


def _logger_factory(stats: EngineStats) -> Any:
    """What vLLM calls to make one stat logger per engine core; all of them feed `stats`."""

    class Logger(StatLoggerBase):  # type: ignore[misc]
        def __init__(self) -> None: ...

        def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
            stats.record(scheduler_stats, iteration_stats)

        def log_engine_initialized(self) -> None: ...

    return lambda _vllm_config, _engine_index=0: Logger()


def dtype_of(config: Any) -> str:
    return str(config.model_config.dtype).removeprefix("torch.")


def this_device() -> str:
    """As an identity has it."""
    return "cpu" if current_platform.is_cpu() else "cuda"


def this_host(tensor_parallel: int) -> Host:
    """What this process's engine runs on, with the limits that vLLM gives its LLM class there."""
    tokens, seqs = AsyncEngineArgs.get_batch_defaults(tensor_parallel)
    return Host(
        device="cpu" if current_platform.is_cpu() else "gpu",
        max_num_seqs=seqs[UsageContext.LLM_CLASS],
        max_num_batched_tokens=tokens[UsageContext.LLM_CLASS],
        bfloat16=has_bfloat16(),
        fans_out=misfits() is None,
    )
