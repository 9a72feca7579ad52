"""The tokens that a judge's grade may be, where it is read off one place behind the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

from stages.core.errors import ConfigError

# What stands in for query and document where the place of the answer is looked at.
SAMPLE = "x"


class AnswerPlace(NamedTuple):
    """`prefix` is what the judge's turn begins with; `tokens` those that each grade may be spelled with behind it."""

    prefix: str
    tokens: tuple[tuple[int, ...], ...]


def answer_place(tokenizer: Tokenizer, chat: str, prefix: str, highest: int, name: str) -> AnswerPlace:
    """Behind this chat, which ends where the judge's turn begins. Blanks at the end of `prefix` are left to the answer
    where the tokenizer joins them with it.

    Raises ConfigError where a grade is more than one token there.
    """
    grades = [str(grade) for grade in range(highest + 1)]
    spelled = spellings(tokenizer, grades)
    before = chat.replace("{query}", SAMPLE).replace("{document}", SAMPLE)
    for kept in dict.fromkeys((prefix, prefix.rstrip(" "))):
        if all(_is_one(tokenizer, before, prefix, kept, one, spelled[one]) for one in grades):
            return AnswerPlace(kept, tuple(spelled[one] for one in grades))
    raise ConfigError(
        f"judge.model {name}: its tokenizer has no single token for each of the grades 0 to {highest} behind the "
        f"{prefix or chat[-20:]!r} that the prompt ends with. Set judge.answer text, or choose another model"
    )


def spellings(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The ids of all tokens that are one of these texts, or one with blanks around it: `3`, ` 3`."""
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    decoded = tokenizer.decode_batch([[one] for one in range(size)], skip_special_tokens=False)
    found: dict[str, list[int]] = {text: [] for text in texts}
    for token, text in enumerate(decoded):
        if (bare := text.strip()) in found:
            found[bare].append(token)
    return {text: tuple(ids) for text, ids in found.items()}


def _is_one(tokenizer: Tokenizer, before: str, prefix: str, kept: str, grade: str, tokens: Sequence[int]) -> bool:
    """Whether the prefix and a grade are the tokens of what is kept of the prefix, and one more."""
    so_far = _ids(tokenizer, f"{before}{kept}")
    whole = _ids(tokenizer, f"{before}{prefix}{grade}")
    return whole[:-1] == so_far and whole[-1] in tokens


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)
