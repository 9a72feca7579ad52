"""Which settings a search may change, from where, and how far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.speed.tune.sample import PromptSample
from serve_app.engine.models import ModelInfo
from stages.speed.tuning import Axis, Point, doubling

TOKENS, SEQS, COMPILE = "engine.max_num_batched_tokens", "engine.max_num_seqs", "engine.compile"
BLOCK, PREFIX = "engine.block_size", "engine.prefix_caching"
LEAST_TOKENS, LEAST_SEQS = 256, 8
CPU_BLOCKS = (32, 64, 128)
ON_OFF = (False, True)
# Setting -> vLLM's argument for it.
ARGUMENTS = {
    TOKENS: "max_num_batched_tokens",
    SEQS: "max_num_seqs",
    COMPILE: "enforce_eager",
    BLOCK: "block_size",
    PREFIX: "enable_prefix_caching",
}


def axes_of(
    config: RunConfig, model: ModelInfo, device: str, planned: Mapping[str, Any], sample: PromptSample
) -> list[Axis]:
    """In the order in which they are tried: what usually matters most comes first, as the time may be short.

    `device` is cpu or gpu, `planned` are vLLM's arguments for the config as it is. What `engine.extra` sets is the
    user's own, and stays.
    """
    tokens, seqs = planned["max_num_batched_tokens"], planned["max_num_seqs"]
    # A step never holds more than the pairs that there are: beyond that, nothing would change.
    most_tokens, most_seqs = max(tokens, 2 * sample.tokens), max(seqs, 2 * len(sample.prompts))
    least_tokens = LEAST_TOKENS if model.family == "qwen3-reranker" else max(LEAST_TOKENS, model.max_length)
    axes = [
        doubling(TOKENS, tokens, least_tokens, most_tokens),
        doubling(SEQS, seqs, LEAST_SEQS, most_seqs),
        Axis(COMPILE, ON_OFF),
    ]
    if model.family == "qwen3-reranker":  # the others keep nothing from one prompt to the next
        if device == "cpu":
            axes.append(Axis(BLOCK, tuple(sorted({*CPU_BLOCKS, planned["block_size"]}))))
        axes.append(Axis(PREFIX, ON_OFF))
    return [axis for axis in axes if ARGUMENTS[axis.key] not in config.engine.extra]


def start_of(config: RunConfig, planned: Mapping[str, Any], axes: list[Axis]) -> Point:
    """The config's own settings on these axes, with what null comes to here."""
    engine = config.engine
    known: dict[str, int] = {COMPILE: engine.compile, PREFIX: engine.prefix_caching}
    return {axis.key: known[axis.key] if axis.key in known else int(planned[ARGUMENTS[axis.key]]) for axis in axes}


def allowed(point: Point) -> bool:
    """vLLM refuses steps of more prompts than tokens."""
    return SEQS not in point or TOKENS not in point or point[SEQS] <= point[TOKENS]
