"""Floating-point operations of scoring prompts with a transformer: alone, and with their common beginnings shared.

A matrix product of m x k with k x n counts 2 m k n operations (one multiplication, one addition each), as the papers
that publish machine rates count them. Norms, activations, rotary positions and softmax are left out: under 1 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What decides how many operations a token costs.

    `feed_forward` counts the matrices of a feed-forward block: 3 where it is gated (Qwen, Llama), 2 in BERT. In a
    `causal` model a token attends to what comes before it and to itself, else to the whole prompt.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int = 3
    causal: bool = True

    @property
    def weights(self) -> int:
        """Parameters of all layers' matrices; embeddings are looked up, not multiplied."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + self.feed_forward * self.hidden * self.intermediate)

    @property
    def attention_flop(self) -> int:
        """Of one token attending to one token, in all layers: query times key, and weight times value."""
        return 4 * self.layers * self.heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Work:
    """What must be computed: tokens, and the operations that they take."""

    tokens: int
    flop: float


# config.json of Qwen/Qwen3-Reranker-0.6B, -4B and -8B. With 500 tokens: 0.469, 3.71 and 7.02 TFLOP a pair.
QWEN3_RERANKERS = {
    "qwen3-reranker-0.6b": LayerShape(28, 1024, 3072, 16, 8, 128),
    "qwen3-reranker-4b": LayerShape(36, 2560, 9728, 32, 8, 128),
    "qwen3-reranker-8b": LayerShape(36, 4096, 12288, 32, 8, 128),
}


# Dense 16-bit matrix products (bfloat16 where there is any, float32 sums) in TFLOP/s: NVIDIA's data sheets, whose
# figures "with sparsity" are twice these. The names are Ray's (`serve.accelerator_type`), without regard to case.
GPU_TFLOPS = {
    "V100": 125.0,
    "T4": 65.0,
    "A10G": 70.0,
    "A100": 312.0,
    "L4": 121.0,
    "L40S": 362.0,
    "H100": 989.0,
    "H200": 989.0,
    "B200": 2250.0,
}
# The share of it that a job is taken to reach: this project's own target for models of 0.6B parameters and more, and no
# measurement. Small models and short prompts reach less.
ASSUMED_UTILIZATION = 0.55

# Encoders whose feed-forward blocks are gated, and what configs call the experts of which a token passes some.
GATED = ("modernbert", "nomic_bert", "new", "gte")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


def known_gpu(name: str) -> str:
    """Its name in the table. Raises ConfigError for one that is not there."""
    found = next((known for known in GPU_TFLOPS if known.lower() == name.lower()), None)
    if found is None:
        raise ConfigError(f"GPU {name} is not known here. Known: {', '.join(GPU_TFLOPS)}")
    return found


def seconds_on(flop: float, tflops: float, gpus: float = 1, utilization: float = ASSUMED_UTILIZATION) -> float:
    """So many operations on so many GPUs of that rate, which share them evenly."""
    return flop / (tflops * 1e12 * utilization * gpus)


def prompt_flop(shape: LayerShape, tokens: int, computed_before: int = 0) -> float:
    """Operations of a prompt of so many tokens of which the first `computed_before` are known already."""
    new = tokens - computed_before
    below_diagonal = (tokens * (tokens + 1) - computed_before * (computed_before + 1)) / 2
    seen = below_diagonal if shape.causal else new * tokens
    return 2.0 * shape.weights * new + shape.attention_flop * seen


def work_alone(shape: LayerShape, lengths: Sequence[int]) -> Work:
    """Every prompt by itself; `lengths` are in tokens."""
    return Work(sum(lengths), sum(prompt_flop(shape, length) for length in lengths))


def work_shared(shape: LayerShape, prompts: Sequence[Sequence[int]], block: int = 1) -> Work:
    """Every distinct beginning of the prompts (token ids) computed once.

    In sorted order a prompt shares most with its neighbour, so what each adds to it is all that is new. An engine
    shares whole blocks of `block` tokens only; with 1 this is what no engine can undercut. Without causality nothing is
    shared: what a token becomes depends on what follows it.
    """
    if not shape.causal:
        return work_alone(shape, [len(prompt) for prompt in prompts])
    tokens, flop = 0, 0.0
    before: tuple[int, ...] = ()
    for prompt in sorted(map(tuple, prompts)):
        # The token that is pooled is computed in any case.
        known = min(_shared(before, prompt) // block * block, len(prompt) - 1)
        tokens += len(prompt) - known
        flop += prompt_flop(shape, len(prompt), known)
        before = prompt
    return Work(tokens, flop)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    different = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(different, min(len(one), len(other)))


def shape_of(config: Mapping[str, Any]) -> LayerShape:
    """From a Hugging Face config.json. Raises ConfigError where it does not tell its layers."""
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        decoder = "num_key_value_heads" in config
        if experts := next((name for name in EXPERTS if config.get(name)), None):
            raise ConfigError(f"a token passes few of the model's {experts}: its operations cannot be counted")
        return LayerShape(
            layers=int(config["num_hidden_layers"]),
            hidden=hidden,
            intermediate=int(config["intermediate_size"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // heads),
            feed_forward=3 if decoder or config.get("model_type") in GATED else 2,
            causal=decoder,
        )
    except KeyError as error:
        raise ConfigError(f"the model's config.json has no {error}: its operations cannot be counted") from error
