"""The two ways to have a judge's answer: what is asked of vLLM for a prompt, and what is made of its output.

At temperature 0. The log-probabilities are those of the model itself, before anything is ruled out: of the grades'
tokens, or of the ones that were written, which tell where something is not a number.
"""

from __future__ import annotations

from typing import Any, Protocol

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from serve_app.engine.judge_encoder import JudgeEncoder
from serve_app.engine.judge_outputs import read_off, written
from serve_app.engine.prompt_threads import PromptThreads
from serve_app.engine.prompts import Prompt
from serve_app.judge_settings import JudgeModelSettings
from stages.core.grades import Reply
from stages.core.judge_prompt import JudgePrompt


class Way(Protocol):
    """`prompts` makes prompts; `asked` is what is asked of vLLM for each, with True nothing is read of the cache."""

    prompts: PromptThreads
    asked: dict[bool, SamplingParams]

    def reply(self, prompt: Prompt, output: Any) -> Reply: ...


class Prefill:
    """The probabilities of the grades in the first place behind the prompt, out of one forward pass."""

    def __init__(self, encoder: JudgeEncoder) -> None:
        self.prompts, self._grade_tokens = PromptThreads(encoder), encoder.grade_tokens
        tokens = [token for tokens in encoder.grade_tokens for token in tokens]
        self.asked = {
            skip: _asked(skip, max_tokens=1, logprob_token_ids=tokens, detokenize=False) for skip in (False, True)
        }

    def reply(self, prompt: Prompt, output: Any) -> Reply:
        return read_off(prompt, output, self._grade_tokens)


class Written:
    """What the model writes, held to this regular expression."""

    def __init__(self, encoder: JudgeEncoder, form: str, max_tokens: int) -> None:
        self.prompts = PromptThreads(encoder)
        self.asked = {
            skip: _asked(
                skip, max_tokens=max_tokens, logprobs=0, structured_outputs=StructuredOutputsParams(regex=form)
            )
            for skip in (False, True)
        }

    def reply(self, prompt: Prompt, output: Any) -> Reply:
        return written(prompt, output)


def way_of(encoder: JudgeEncoder, prompt: JudgePrompt, settings: JudgeModelSettings) -> Way:
    """`encoder` is for that way."""
    if settings.answer == "prefill":
        return Prefill(encoder)
    return Written(encoder, prompt.structured, settings.max_generated_tokens)


def _asked(skip_cache: bool, **more: Any) -> SamplingParams:
    return SamplingParams(
        temperature=0.0, output_kind=RequestOutputKind.FINAL_ONLY, skip_reading_prefix_cache=skip_cache, **more
    )
