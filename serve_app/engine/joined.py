"""What a tokenizer puts around a text, or around and between two: the same tokens whatever the texts are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from stages.core.errors import ConfigError

# Texts of no token, of one and of several, whose tokens tell what was put beside them.
SAMPLES = ("a", "", "a b, c")


class Run(NamedTuple):
    """Tokens that a tokenizer adds, with their types."""

    ids: list[int]
    types: list[int]


class Joined:
    """One or two texts, with what `tokenizer` puts before each and behind the last one: its post-processor need not be
    asked for each pair. Raises ConfigError where it does not put the same around any texts.
    """

    def __init__(self, tokenizer: Tokenizer, plain: Tokenizer, parts: int) -> None:
        texts = [plain.encode(text, add_special_tokens=False) for text in SAMPLES]
        size = len(texts[0])
        example = _joined(tokenizer, [texts[0]] * parts)
        starts = [place for place, added in enumerate(example.special_tokens_mask) if not added][:: max(size, 1)]
        bounds = [0, *(bound for start in starts for bound in (start, start + size)), len(example)]
        self.added = [
            Run(example.ids[start:end], example.type_ids[start:end])
            for start, end in zip(bounds[::2], bounds[1::2], strict=True)
        ]
        self.types = [example.type_ids[start : start + 1] for start in starts]
        self.tokens = sum(len(run.ids) for run in self.added)
        made = [[text, other][:parts] for text in texts for other in texts]
        if len(starts) != parts or not all(self._told(tokenizer, one) for one in made):
            raise ConfigError(
                "model.name: what its tokenizer puts around a text depends on that text, which is not scored here. "
                "Choose a model whose tokenizer.json has a template as its post_processor"
            )

    def _told(self, tokenizer: Tokenizer, parts: list[Encoding]) -> bool:
        ids, found = [one.ids for one in parts], _joined(tokenizer, parts)
        return bool(found.ids == self.ids(*ids) and found.type_ids == self.type_ids(*ids))

    def ids(self, *parts: list[int]) -> list[int]:
        ids = self.added[0].ids
        for part, run in zip(parts, self.added[1:], strict=True):
            ids = ids + part + run.ids
        return ids

    def type_ids(self, *parts: Sequence[int]) -> list[int]:
        types = self.added[0].types
        for part, type_id, run in zip(parts, self.types, self.added[1:], strict=True):
            types = types + type_id * len(part) + run.types
        return types


def _joined(tokenizer: Tokenizer, parts: list[Encoding]) -> Encoding:
    first, second = (*parts, None)[:2]
    assert first is not None
    return tokenizer.post_process(first, second, add_special_tokens=True)
