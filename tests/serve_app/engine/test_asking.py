"""Prompts on their way to vLLM, without an engine: what it refuses is told of each prompt."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from serve_app.engine.asking import AsOne, Call
from serve_app.engine.engine_stats import EngineStats
from serve_app.engine.packing import Asked


class Refusing:
    """An AsyncLLM that takes no request, whatever its prompt."""

    log_stats = True
    vllm_config = SimpleNamespace(
        model_config=SimpleNamespace(max_model_len=100, get_vocab_size=lambda: 1000),
        scheduler_config=SimpleNamespace(max_num_batched_tokens=100),
    )

    async def add_request(self, *_: Any, **__: Any) -> None:
        raise ValueError("Unsupported task: 'classify'\nmore")


def test_what_vllm_refuses_for_another_reason_than_a_prompt_is_told_in_a_line_of_each() -> None:
    llm: Any = Refusing()
    asking = AsOne(llm, EngineStats("a"))
    outputs = asyncio.run(asking.ask([Asked([1, 2, 3]), Asked([1, 2, 4])], "classify", Call(0)))
    assert outputs == ["the engine refused the prompt: Unsupported task: 'classify'"] * 2
