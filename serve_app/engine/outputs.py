"""What vLLM returned for a prompt -> PairScore, or why there is no score."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from serve_app.engine.prompts import Prompt
from serve_app.recipes.recipe import Score
from stages.core.records import PairScore

# What is computed of a prompt: a raw logit, a pooled vector, a vector for each token.
Task: TypeAlias = Literal["classify", "embed", "token_embed"]
# vLLM's PoolingRequestOutput, a Value, or a str: why there is none.
Output: TypeAlias = Any


class Value(NamedTuple):
    """A prompt's one raw logit, as a number."""

    value: float
    num_cached_tokens: int


def classified(prompt: Prompt, output: Output, score: Score) -> PairScore:
    if isinstance(output, Value) and math.isfinite(output.value):
        return scored(prompt, output, output.value, score)
    reason = failure(output)
    if reason is None and output.outputs.data.numel() != 1:
        reason = f"the model gives {output.outputs.data.numel()} values for a pair; a reranker gives one"
    if reason is not None:
        return failed(prompt, reason)
    return scored(prompt, output, float(output.outputs.data.double().flatten()[0]), score)


def scored(prompt: Prompt, output: Output, logit: float, score: Score) -> PairScore:
    """A pair's raw value, which was made of an output."""
    return PairScore(
        score=score.of(logit),
        logit=logit,
        prompt_tokens=len(prompt.token_ids),
        cached_tokens=output.num_cached_tokens,
        truncated=prompt.truncated,
    )


def token_vectors(output: Output, dimension: int | None) -> tuple[Any, str | None]:
    """A vector for each token, of so many numbers where that is known, and what is wrong with them."""
    reason = failure(output)
    if isinstance(output, str) or reason is not None:
        return np.empty((0, 0), np.float32), reason
    vectors = output.outputs.data.float().numpy()
    if vectors.ndim != 2 or dimension not in (None, vectors.shape[1]):
        return vectors, f"the engine returned vectors of shape {list(vectors.shape)}, not {dimension} numbers a token"
    return vectors, None


def not_finite(output: Output) -> bool:
    """Whether the engine computed something that is not a number, which an output that is missing is not."""
    if isinstance(output, Value):
        return not math.isfinite(output.value)
    return not isinstance(output, str) and not bool(output.outputs.data.isfinite().all())


def failure(output: Output) -> str | None:
    """What is wrong with the engine's numbers. An aborted request arrives as an empty tensor."""
    if isinstance(output, str):
        return output
    if not isinstance(output, Value) and not output.outputs.data.numel():
        return "the engine returned nothing: the request was aborted"
    if not_finite(output):
        return "the engine returned a value that is not a finite number"
    return None


def failed(prompt: Prompt, reason: str) -> PairScore:
    return PairScore(None, prompt_tokens=len(prompt.token_ids), truncated=prompt.truncated, error=reason)
