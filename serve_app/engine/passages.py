"""Documents that do not fit, read in overlapping passages that do: the best passage's score is the document's (MaxP).

A layer around any procedure that scores pair by pair. Passages overlap by half, as those of Dai and Callan do (Deeper
Text Understanding for IR with Contextual Neural Language Modeling, SIGIR 2019: 150 words, a stride of 75). The first
one is the prompt that cutting would make, so what cutting would have given is known as well.

A text is read piece by piece, no further than the last passage reaches: of a document of 10 MB, what its `most`
passages take is tokenized, and no more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

from tokenizers import Tokenizer

from serve_app.engine.beginnings import CHARS_PER_TOKEN, GROWTH
from serve_app.engine.outputs import Output, Task
from serve_app.engine.prompts import Prompt, PromptEncoder
from stages.core.records import PairScore
from stages.core.rerank import rank_key

OVERLAP = 1 / 2
# A passage is planned so much smaller than what fits: a text alone may have a few tokens more than within another.
SPARE = 1 / 32
# How far, at most, an end or a beginning moves to the next blank before it: a part of the passage.
TO_BLANK = 1 / 8
# So much of a text is tokenized at once.
PASSAGES_AT_ONCE = 4


class Scored(Protocol):
    """A Procedure (`procedure.Procedure`)."""

    encoder: PromptEncoder
    task: Task

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]: ...


class PassageProcedure:
    """Another procedure, whose documents are read in up to `most` passages each."""

    encoder: PromptEncoder

    def __init__(self, procedure: Scored, most: int) -> None:
        self.procedure = procedure
        self.task: Task = procedure.task
        self.encoder = PassageEncoder(procedure.encoder, most)

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        """One for each document. The prompts that belong to none, such as the query's, come first."""
        read = self.procedure.pairs(prompts, outputs)
        documents: list[list[PairScore]] = []
        for prompt, pair in zip(prompts[len(prompts) - len(read) :], read, strict=True):
            if prompt.passage:
                documents[-1].append(pair)
            else:
                documents.append([pair])
        return [best_of(passages) for passages in documents]


def best_of(passages: Sequence[PairScore]) -> PairScore:
    """The document's score: that of its best passage by what ranks. Where a passage failed, the document did."""
    first = passages[0]
    if len(passages) == 1:
        return first
    failed = next((place for place, pair in enumerate(passages) if pair.score is None), None)
    if failed is None:
        chosen = replace(max(passages, key=rank_key), cut_score=first.score, cut_logit=first.logit)
    else:
        reason = f"passage {failed + 1} of {len(passages)}: {passages[failed].error}"
        chosen = replace(passages[failed], error=reason)
    return replace(
        chosen,
        prompt_tokens=sum(pair.prompt_tokens for pair in passages),
        cached_tokens=sum(pair.cached_tokens for pair in passages),
        truncated=any(pair.truncated for pair in passages),
        passages=len(passages),
    )


class PassageEncoder:
    """A PromptEncoder. Each passage's prompt is what `encoder` makes of the passage as a document.

    `truncated` says of a document, on its first prompt, that its end is not read. What a call limits by
    `max_document_tokens` is cut.
    """

    def __init__(self, encoder: PromptEncoder, most: int) -> None:
        self.encoder, self.most = encoder, most
        self.plain = encoder.plain

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        cut = self.encoder.encode(query, instruction, documents, max_document_tokens)
        beside = len(cut) - len(documents)  # prompts of no document
        long = [(prompt, text) for prompt, text in zip(cut[beside:], documents, strict=True) if prompt.truncated]
        if max_document_tokens is not None or not long:
            return cut
        read = self._read(query, instruction, long)
        found = (next(read) if prompt.truncated else [prompt] for prompt in cut[beside:])
        return [*cut[:beside], *chain.from_iterable(found)]

    def _read(self, query: str, instruction: str | None, long: Sequence[tuple[Prompt, str]]) -> Iterator[list[Prompt]]:
        """The prompts of each document that was cut, of which the first one is at hand."""
        frame = len(self.encoder.encode(query, instruction, [""])[-1].token_ids)
        spans = [passage_spans(self.plain, text, len(first.token_ids) - frame, self.most) for first, text in long]
        texts = [text[start:end] for (_, text), of_one in zip(long, spans, strict=True) for start, end in of_one[1:]]
        fitted = iter(self._fitted(query, instruction, texts))
        for (first, text), of_one in zip(long, spans, strict=True):
            further = [prompt for _ in of_one[1:] for prompt in next(fitted)]
            unread = of_one[-1][1] < len(text) or len(further) >= self.most or any(one.truncated for one in further)
            kept = enumerate(further[: self.most - 1], start=1)
            yield [
                first._replace(truncated=unread),
                *(prompt._replace(truncated=False, passage=place) for place, prompt in kept),
            ]

    def _fitted(self, query: str, instruction: str | None, texts: Sequence[str]) -> list[list[Prompt]]:
        """The prompt of each text, or those of its halves where it does not fit after all."""
        if not texts:
            return []
        prompts = self.encoder.encode(query, instruction, texts)[-len(texts) :]
        halved = [text for text, prompt in zip(texts, prompts, strict=True) if prompt.truncated and len(text) > 1]
        middles = [_behind_blank(text, len(text) // 2, 0) or 1 for text in halved]
        halves = [part for text, at in zip(halved, middles, strict=True) for part in (text[:at], text[at:])]
        parts = iter(self._fitted(query, instruction, halves))
        return [
            [*next(parts), *next(parts)] if prompt.truncated and len(text) > 1 else [prompt]
            for text, prompt in zip(texts, prompts, strict=True)
        ]


def passage_spans(plain: Tokenizer, text: str, room: int, most: int) -> list[tuple[int, int]]:
    """Where up to `most` passages of `room` tokens, that stand for more than fits, begin and end in the text. Each
    begins within the one before it.
    """
    size = max(1, room - int(room * SPARE))
    tokens = TokenPlaces(plain, text, size)
    spans: list[tuple[int, int]] = []
    start = 0
    while len(spans) < most:
        places = tokens.behind(start)
        if spans and len(places) <= size:
            return [*spans, (start, len(text))]
        reach = places[min(size, len(places)) - 1][1] if places else len(text)
        end = max(_behind_blank(text, reach, start), start + 1)
        spans.append((start, end))
        following = places[min(size - int(size * OVERLAP), len(places) - 1)][0] if places else end
        start = min(max(_behind_blank(text, following, start), start + 1), end)
    return spans


class TokenPlaces:
    """Where the tokens of a text begin and end, in characters. Pieces of it are tokenized, as it is asked for."""

    def __init__(self, plain: Tokenizer, text: str, size: int) -> None:
        self.plain, self.text, self.size = plain, text, size
        self._places: list[tuple[int, int]] = []
        self._whole = False

    def behind(self, start: int) -> list[tuple[int, int]]:
        """One more than `size` tokens from the character `start` on, or all that are left; `start` never decreases."""
        first = bisect_left(self._places, (start, -1))
        if not self._whole and len(self._places) - first <= self.size:
            self._read(start)
            first = 0
        return self._places[first : first + self.size + 1]

    def _read(self, start: int) -> None:
        chars = CHARS_PER_TOKEN * (self.size + 1) * PASSAGES_AT_ONCE
        while True:
            piece = self.text[start : start + chars]
            self._whole = start + chars >= len(self.text)
            # In a batch of one, since that lets other threads of Python go on.
            (encoding,) = self.plain.encode_batch([piece], add_special_tokens=False)
            if self._whole or len(encoding) > self.size:
                self._places = [(start + begin, start + end) for begin, end in encoding.offsets]
                return
            chars *= GROWTH


def _behind_blank(text: str, place: int, start: int) -> int:
    """The last place behind a blank, up to `place`: a word is not taken apart where one ends close before."""
    least = place - int((place - start) * TO_BLANK)
    found = max(text.rfind(blank, least, place) for blank in (" ", "\n"))
    return place if found < 0 else found + 1
