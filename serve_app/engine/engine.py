"""Prompts -> scores: vLLM's AsyncLLM. `scheduler` is loaded by vLLM, and `bare_engine` measures vLLM alone.

One asyncio task serves one query: it hands all prompts to the engine and collects the results in order. When that
task is cancelled (a client went away, a replica stops) what is still in the engine is aborted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import vllm
from vllm import PoolingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs.engine import tokens_input
from vllm.platforms import current_platform
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError
from vllm.v1.metrics.loggers import StatLoggerBase

from serve_app.engine.engine_args import Host, engine_arguments, has_bfloat16
from serve_app.engine.engine_stats import EngineStats
from serve_app.engine.hosted import HostedEngine, identified
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, not_finite
from serve_app.engine.prompts import Prompt
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import EngineDiedError, EngineError, first_line
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
        device = "cpu" if current_platform.is_cpu() else "cuda"
        _, self.identity = identified(model, model_settings, engine, device, _dtype(config))
        tell(self.identity)
        self.llm = AsyncLLM.from_vllm_config(
            config,
            stat_loggers=[_logger_factory(self.stats)],
            enable_log_requests=arguments.enable_log_requests,
            disable_log_stats=arguments.disable_log_stats,
        )
        self._ids = itertools.count()

    def facts(self) -> dict[str, Any]:
        """What the engine settled on, for the record of a run."""
        config = self.llm.vllm_config
        return {
            "device": current_platform.get_device_name(),
            "dtype": _dtype(config),
            "block_size": config.cache_config.block_size,
            "max_num_seqs": config.scheduler_config.max_num_seqs,
            "max_num_batched_tokens": config.scheduler_config.max_num_batched_tokens,
        }

    @property
    def dead(self) -> bool:
        """Whether the engine is gone for good; for any thread: vLLM watches its process from one of its own."""
        return bool(self.llm.errored)

    def shutdown(self) -> None:
        self.prompts.shutdown()
        self.llm.shutdown()

    async def _computed(self, prompts: Sequence[Prompt], priority: int) -> tuple[list[Output], float]:
        calls = Calls(priority)
        outputs = await self._all_outputs(prompts, calls)
        return outputs, self.stats.longest_wait_ms(calls.names)

    async def _all_outputs(self, prompts: Sequence[Prompt], calls: Calls) -> list[Output]:
        """A text that is embedded more than once is computed once."""
        task = self.procedure.task
        if task == "classify":
            params = [_classification(prompt) for prompt in prompts]
            return await self._outputs([prompt.token_ids for prompt in prompts], params, calls)
        places: dict[tuple[int, ...], int] = {}
        index = [places.setdefault(tuple(prompt.token_ids), len(places)) for prompt in prompts]
        params = [PoolingParams(task=task) for _ in places]
        outputs = await self._outputs([list(ids) for ids in places], params, calls)
        return [outputs[place] for place in index]

    async def _outputs(
        self, token_ids: Sequence[list[int]], params: Sequence[PoolingParams], calls: Calls
    ) -> list[Output]:
        """As `_run`; prompts whose values are not finite run once more, and read nothing from the prefix cache.

        A prompt that gives NaN may leave it in blocks whose tokens come before those that gave it: attention computes
        tokens together, with weight 0 for those that come later, and NaN survives that. A prompt that begins with the
        same tokens and finds these blocks fails through no fault of its own.
        """
        outputs = await self._run(token_ids, params, calls)
        again = [place for place, output in enumerate(outputs) if not_finite(output)]
        for place in again:
            params[place].skip_reading_prefix_cache = True
        retried = await self._run([token_ids[place] for place in again], [params[place] for place in again], calls)
        for place, output in zip(again, retried, strict=True):
            outputs[place] = output
        return outputs

    async def _run(self, token_ids: Sequence[list[int]], params: Sequence[PoolingParams], calls: Calls) -> list[Output]:
        queues: list[Any] = []
        try:
            for ids, param in zip(token_ids, params, strict=True):
                queues.append(await self._submit(ids, param, calls))
            return [queue if isinstance(queue, str) else await queue.get() for queue in queues]
        except BaseException as error:
            await self.llm.abort(calls.internal_ids, internal=True)
            self.stats.longest_wait_ms(calls.names)  # forgets them
            if isinstance(error, EngineDeadError | EngineGenerateError):
                kind = EngineDiedError if calls.internal_ids else EngineError
                raise kind("the engine died while it scored") from error
            raise

    async def _submit(self, ids: list[int], params: PoolingParams, calls: Calls) -> Any:
        """The queue that the result will come through, or why the engine refuses this prompt."""
        try:
            name = self.stats.await_one(str(next(self._ids)))
            calls.names.append(name)
            queue = await self.llm.add_request(name, tokens_input(ids), params, priority=calls.priority)
        except ValueError as error:
            return f"the engine refused the prompt: {first_line(error)}"
        calls.internal_ids.append(queue.request_id)
        return queue


@dataclass(slots=True)
class Calls:
    """What one query has in the engine."""

    priority: int
    names: list[str] = field(default_factory=list)
    internal_ids: list[str] = field(default_factory=list)


def _logger_factory(stats: EngineStats) -> Any:
    """What vLLM calls to make one stat logger per engine core; all of them feed `stats`."""

    class Logger(StatLoggerBase):  # type: ignore[misc]
        def __init__(self) -> None: ...

        def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
            stats.record(scheduler_stats, iteration_stats)

        def log_engine_initialized(self) -> None: ...

    return lambda _vllm_config, _engine_index=0: Logger()


def _dtype(config: Any) -> str:
    return str(config.model_config.dtype).removeprefix("torch.")


def this_host(tensor_parallel: int) -> Host:
    """What this process's engine runs on, with the limits that vLLM gives its LLM class there."""
    tokens, seqs = AsyncEngineArgs.get_batch_defaults(tensor_parallel)
    return Host(
        device="cpu" if current_platform.is_cpu() else "gpu",
        max_num_seqs=seqs[UsageContext.LLM_CLASS],
        max_num_batched_tokens=tokens[UsageContext.LLM_CLASS],
        bfloat16=has_bfloat16(),
    )


def _classification(prompt: Prompt) -> PoolingParams:
    """Ask for the raw logit: probabilities near 0 and 1 tie, and one follows from the other."""
    types = None if prompt.second_part is None else {"compressed_token_type_ids": prompt.second_part}
    return PoolingParams(task="classify", use_activation=False, extra_kwargs=types)
