"""A judge's prompt as the model's own chat template writes it, with places for query and document.

The template is rendered once, with marks in their places: a text never goes through it, so that it can neither close a
turn nor be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from stages.core.errors import ConfigError, first_line
from stages.core.grades import Message
from stages.core.judge_prompt import JudgePrompt

MARKS = {"query": "9query47", "document": "9document47"}
# What the templates of thinking models know, under their names for it: a grade is asked for, no thoughts.
UNTHINKING = {"enable_thinking": False, "thinking": False}
# A template that opens the thoughts itself, whatever it is told.
OPENED, CLOSED = "<think>", "<think>\n\n</think>\n\n"
# Some write the day into each prompt: with another day each grade would be another judge's.
DAY = date(2024, 7, 26)


def chat_text(tokenizer: Any, prompt: JudgePrompt, name: str) -> str:
    """Everything up to where the judge's turn begins, with {query} and {document}. Where the template knows no turn of
    the system, or leaves it out, that stands before the user's, a blank line between them.

    Raises ConfigError for a model without a chat template, and for one that cannot write this prompt.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(
            f"judge.model {name}: it has no chat template, so that it is not known how it is asked. Choose an "
            "instruction-tuned model"
        )
    messages = prompt.filled(MARKS["query"], MARKS["document"])
    render = _renderer(tokenizer, name)
    joined = _joined(messages)
    if joined != messages and not _takes_system(render, messages):
        messages = joined
    text = _unmarked(render(messages), name)
    return text.rstrip().removesuffix(OPENED) + CLOSED if text.rstrip().endswith(OPENED) else text


def _renderer(tokenizer: Any, name: str) -> Callable[[Sequence[Message]], str]:
    def render(messages: Sequence[Message]) -> str:
        try:
            return str(
                tokenizer.apply_chat_template(
                    [message._asdict() for message in messages],
                    tokenize=False,
                    add_generation_prompt=True,
                    strftime_now=DAY.strftime,
                    **UNTHINKING,
                )
            )
        except Exception as error:  # whatever a template raises
            raise ConfigError(
                f"judge.model {name}: its chat template cannot write the prompt: {first_line(error)}"
            ) from error

    return render


def _takes_system(render: Callable[[Sequence[Message]], str], messages: Sequence[Message]) -> bool:
    try:
        text = render(messages)
    except ConfigError:
        return False
    return all(one.content.strip() in text for one in messages if one.role == "system")


def _joined(messages: Sequence[Message]) -> list[Message]:
    """The system's turn at the beginning of the user's that follows it."""
    told = [one.content for one in messages if one.role == "system"]
    others = [one for one in messages if one.role != "system"]
    if told and others and others[0].role == "user":
        others[0] = Message("user", "\n\n".join([*told, others[0].content]))
    return others


def _unmarked(text: str, name: str) -> str:
    for place, mark in MARKS.items():
        if (found := text.count(mark)) != 1:
            raise ConfigError(
                f"judge.model {name}: its chat template writes the {place} {found} times, and has to write it once"
            )
        text = text.replace(mark, f"{{{place}}}")
    return text
