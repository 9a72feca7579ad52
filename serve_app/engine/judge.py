"""Prompts -> what a judge says of each: vLLM's AsyncLLM, where a model writes instead of being pooled.

A grade is read off the first place behind the prompt, one forward pass a pair, or out of a text that is held to a form.
The query's part of its pairs' prompts is computed once, where prefixes are cached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.usage.usage_lib import UsageContext

from serve_app.engine.asking import REFUSED, Call, Requests, refused
from serve_app.engine.engine import VERSIONS, dtype_of, settled, started, this_device, this_host
from serve_app.engine.engine_args import judge_arguments
from serve_app.engine.engine_stats import EngineStats
from serve_app.engine.judge_encoder import load_judge_encoder
from serve_app.engine.judge_identity import JudgeIdentity, as_it_is_now, judge_identity
from serve_app.engine.judge_model import JudgeModel
from serve_app.engine.judge_outputs import not_a_number
from serve_app.engine.judge_ways import way_of
from serve_app.engine.prompts import Prompt
from serve_app.engine.text_limit import TextLimit
from serve_app.judge_settings import JudgeModelSettings
from serve_app.settings import EngineSettings
from stages.core.errors import EngineError, QueryTooLongError, TextTooLongError
from stages.core.grades import Reply
from stages.core.judge_prompt import JudgePrompt

__all__ = ["VERSIONS", "JudgeEngine"]


class JudgeEngine:
    """One vLLM engine with one judge's prompt. A replica hosts it, on one event loop.

    `tell` hears what decides its grades as soon as vLLM has settled that, which is long before it can judge. Raises
    ConfigError where the model cannot be asked with this prompt.
    """

    def __init__(
        self,
        model: JudgeModel,
        settings: JudgeModelSettings,
        prompt: JudgePrompt,
        engine: EngineSettings,
        replica: str,
        max_text_chars: int,
        tell: Callable[[JudgeIdentity], object] = lambda _: None,
    ) -> None:
        self.limit = TextLimit(max_text_chars)
        self.way = way_of(load_judge_encoder(model, prompt, settings.answer), prompt, settings)
        self.stats = EngineStats(replica)
        # Rounded to bfloat16 logits of 16 and more are an eighth apart, and grades tie.
        full_head = settings.answer == "prefill" and not model.quantized
        host = this_host(engine.tensor_parallel)
        told = judge_arguments(model.info, engine, host, settings.room_to_answer, full_head=full_head)
        arguments = AsyncEngineArgs(**told)
        config = arguments.create_engine_config(UsageContext.ENGINE_CONTEXT)
        self.identity = judge_identity(as_it_is_now(model), settings, prompt, engine, this_device(), dtype_of(config))
        tell(self.identity)
        self.llm = started(arguments, config, self.stats)
        self._requests = Requests(self.llm, self.stats)

    def facts(self) -> dict[str, Any]:
        """What the engine settled on, for the record of a run."""
        return settled(self.llm)

    @property
    def dead(self) -> bool:
        """Whether the engine is gone for good; for any thread."""
        return bool(self.llm.errored)

    def shutdown(self) -> None:
        self.way.prompts.shutdown()
        self.llm.shutdown()

    async def grade(self, query: str, documents: Sequence[str]) -> list[Reply]:
        """What the judge says of each document, in order; of a pair that cannot be judged, why. Cancelling gives up
        what is left in the engine.

        Raises EngineError where the engine is dead, EngineDiedError where it dies of one of these, as far as is known.
        """
        if self.dead:
            raise EngineError("the engine died")
        try:
            self.limit.require_query(query, None)
            faults = [self.limit.fault(document) for document in documents]
            fitting = [document for document, fault in zip(documents, faults, strict=True) if fault is None]
            prompts = await self.way.prompts.encode(query, None, fitting, None, online=False) if fitting else []
        except (QueryTooLongError, TextTooLongError) as error:
            return [Reply(error=str(error)) for _ in documents]
        replies = iter(await self._replies(prompts))
        return [next(replies) if fault is None else Reply(error=fault) for fault in faults]

    async def _replies(self, prompts: Sequence[Prompt]) -> list[Reply]:
        call = Call(priority=0)
        async with self._requests.kept_for(call):
            outputs = await self._ask(prompts, call)
            # Once more where the values are no numbers, with nothing of the cache: a prompt that begins with the same
            # tokens may have left that in its blocks.
            again = [place for place, output in enumerate(outputs) if not_a_number(output)]
            retried = await self._ask([prompts[place] for place in again], call, skip_cache=True)
            for place, output in zip(again, retried, strict=True):
                outputs[place] = output
        return [self.way.reply(prompt, output) for prompt, output in zip(prompts, outputs, strict=True)]

    async def _ask(self, prompts: Sequence[Prompt], call: Call, *, skip_cache: bool = False) -> list[Any]:
        """vLLM's output for each prompt; a str says why there is none."""
        queues = [await self._given_or_refused(prompt, call, skip_cache) for prompt in prompts]
        return [queue if isinstance(queue, str) else await queue.get() for queue in queues]

    async def _given_or_refused(self, prompt: Prompt, call: Call, skip_cache: bool) -> Any:
        try:
            _, queue = await self._requests.submit(prompt.token_ids, self.way.asked[skip_cache], call)
        except REFUSED as error:
            return refused(error)
        return queue
