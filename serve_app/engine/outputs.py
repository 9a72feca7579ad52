"""What vLLM returned for a prompt -> PairScore, or why there is no score."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from serve_app.engine.prompts import Prompt
from serve_app.recipes.recipe import Score
from stages.core.records import PairScore

# What is computed of a prompt: a raw logit, a pooled vector, a vector for each token.
Task: TypeAlias = Literal["classify", "embed", "token_embed"]
# vLLM's PoolingRequestOutput, or why there is none.
Output: TypeAlias = Any | str


def classified(prompt: Prompt, output: Output, score: Score) -> PairScore:
    values, reason = _values(output)
    if reason is None and len(values) != 1:
        reason = f"the model gives {len(values)} values for a pair; a reranker gives one"
    if reason is not None or isinstance(output, str):
        return _failed(prompt, reason)
    logit = float(values[0])
    return PairScore(
        score=score.of(logit),
        logit=logit,
        prompt_tokens=len(prompt.token_ids),
        cached_tokens=output.num_cached_tokens,
        truncated=prompt.truncated,
    )


def cosine(query: Output, document: Output, prompt: Prompt) -> PairScore:
    first, first_reason = _values(query)
    second, second_reason = _values(document)
    if (reason := first_reason or second_reason) is not None:
        return _failed(prompt, reason)
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    if not norm:
        return _failed(prompt, "the engine returned an embedding of length zero")
    # Single precision, as the engine's numbers are: a stored score is then the same as a fresh one, to the last bit.
    return PairScore(
        float(np.float32(first @ second / norm)), prompt_tokens=len(prompt.token_ids), truncated=prompt.truncated
    )


def not_finite(output: Output) -> bool:
    """Whether the engine computed something that is not a number, which an output that is missing is not."""
    return not isinstance(output, str) and not bool(output.outputs.data.isfinite().all())


def _values(output: Output) -> tuple[np.ndarray[Any, np.dtype[np.float64]], str | None]:
    """The engine's numbers as a vector, and what is wrong with them. An aborted request arrives as an empty tensor."""
    if isinstance(output, str):
        return np.empty(0), output
    values = output.outputs.data.double().flatten().numpy()
    if not values.size:
        return values, "the engine returned nothing: the request was aborted"
    if not_finite(output):
        return values, "the engine returned a value that is not a finite number"
    return values, None


def _failed(prompt: Prompt, reason: str | None) -> PairScore:
    return PairScore(None, prompt_tokens=len(prompt.token_ids), truncated=prompt.truncated, error=reason)
