"""What vLLM returned for a judge's prompt -> Reply, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from serve_app.engine.prompts import Prompt
from stages.core.grades import Reply

NOT_FINITE = "the engine computed a value that is not a finite number"
NOTHING = "the engine returned nothing: the request was aborted"
NO_TEXT = "the model wrote nothing"


def not_a_number(output: Any) -> bool:
    """Whether what the model computed for the place of an answer, or anywhere in its text, is not a number: what is
    picked of that looks like any other answer.
    """
    if isinstance(output, str) or not output.outputs[0].logprobs:
        return False
    return any(math.isnan(one.logprob) for place in output.outputs[0].logprobs for one in place.values())


def read_off(prompt: Prompt, output: Any, grade_tokens: Sequence[Sequence[int]]) -> Reply:
    """The probabilities of the grades 0, 1, ... in the first place behind the prompt, beside all other tokens."""
    if (fault := _fault(output)) is not None:
        return failed(prompt, fault)
    completion = output.outputs[0]
    place: Mapping[int, Any] = completion.logprobs[0]
    told = [[place[token].logprob for token in tokens if token in place] for tokens in grade_tokens]
    if any(len(found) != len(tokens) for found, tokens in zip(told, grade_tokens, strict=True)):
        return failed(prompt, "the engine did not return the probability of each grade")
    return Reply(
        probabilities=tuple(math.fsum(map(math.exp, found)) for found in told),
        prompt_tokens=len(prompt.token_ids),
        generated_tokens=len(completion.token_ids),
        truncated=prompt.truncated,
    )


def written(prompt: Prompt, output: Any) -> Reply:
    """What the model wrote. One that was cut at the limit of tokens is not finished."""
    if (fault := _fault(output)) is not None:
        return failed(prompt, fault)
    completion = output.outputs[0]
    if not completion.text:
        return failed(prompt, NO_TEXT)
    return Reply(
        text=completion.text,
        finished=completion.finish_reason == "stop",
        prompt_tokens=len(prompt.token_ids),
        generated_tokens=len(completion.token_ids),
        truncated=prompt.truncated,
    )


def failed(prompt: Prompt, reason: str) -> Reply:
    return Reply(prompt_tokens=len(prompt.token_ids), truncated=prompt.truncated, error=reason)


def _fault(output: Any) -> str | None:
    if isinstance(output, str):
        return output
    completion = output.outputs[0]
    if completion.finish_reason == "error":
        return "the engine failed on this prompt; its log tells why"
    if completion.finish_reason not in ("stop", "length") or not completion.logprobs:
        return NOTHING
    return NOT_FINITE if not_a_number(output) else None
