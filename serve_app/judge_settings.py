"""What can be set about a model that judges. Field descriptions are the config reference."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from serve_app.base_settings import Settings

# How a judge's grade is had: off the place of the answer after one forward pass, or out of what it writes.
Answer = Literal["prefill", "text"]


class JudgeModelSettings(Settings):
    """Which language model judges, and how it answers. All of it decides a grade."""

    name: str = Field(
        min_length=1,
        description="The language model that judges, hosted here: a local folder, or a Hugging Face id. It needs a "
        "chat template, as instruction-tuned models have.",
    )
    revision: str | None = Field(
        None, description="Branch, tag or commit of a Hugging Face id. Its commit is what is loaded, and told."
    )
    answer: Answer = Field(
        "prefill",
        description="prefill: one forward pass a pair; the probabilities of the grades 0, 1, ... in the place of the "
        "answer. text: what the model writes, held to the form that the prompt asks for.",
    )
    max_length: int | None = Field(
        None,
        gt=8,
        description="Tokens of a whole prompt; the document is cut to fit, nothing else is. null: the model's own "
        "limit, less what it may write, 8,192 at most.",
    )
    max_generated_tokens: int = Field(
        512, gt=0, description="Tokens that the model may write for a pair. With `answer: text` alone."
    )
    trust_remote_code: bool = Field(
        False, description="Run Python code of the model's own, in engine, config and tokenizer. Read it before."
    )
    code_revision: str | None = Field(
        None,
        pattern="^[0-9a-f]{40}$",
        description="Commit (40 hex digits) of code that the model takes from another repository.",
    )

    @property
    def room_to_answer(self) -> int:
        """Tokens that follow a prompt."""
        return self.max_generated_tokens if self.answer == "text" else 1
