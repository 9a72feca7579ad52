"""Pairs for measurements: made-up queries and documents whose prompts have the wished lengths, the same for a seed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.speed.bench.words import draw_words
from serve_app.engine.models import ModelInfo
from serve_app.engine.procedure import load_encoder
from serve_app.engine.prompts import Prompt
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from stages.core.records import Candidates
from stages.speed.arithmetic import LayerShape, shape_of, work_alone, work_shared
from stages.speed.benchmark import Pairs

QUERY_WORDS = (4, 12)
SHORTEST_DOCUMENT = 8  # tokens
WARM_UP_QUERIES, WARM_UP_DOCUMENTS = 2, 4


@dataclass(frozen=True, slots=True)
class PairOrder:
    """How many pairs, and of which lengths: prompts are `tokens` long on the average, in a log-normal distribution
    whose standard deviation is `spread` times that. `repeats` is the share of queries that ask an earlier one's text
    again, about other documents.
    """

    queries: int = 40
    documents: int = 50
    tokens: int = 220
    spread: float = 0.3
    repeats: float = 0.0
    seed: int = 0

    def check(self) -> None:
        """Raises ConfigError for what cannot be drawn."""
        if self.queries < 1 or self.documents < 1 or self.tokens < 1:
            raise ConfigError("a benchmark needs at least one query, one document and one token")
        if self.spread < 0 or not 0 <= self.repeats < 1:
            raise ConfigError(f"spread {self.spread:g} must not be negative, repeats {self.repeats:g} is a share")


@dataclass(frozen=True, slots=True)
class PairSet:
    """`prompts` has one for each document of each query, in order; `heads` the text before each query's documents."""

    queries: tuple[Candidates, ...]
    prompts: tuple[Prompt, ...]

    @property
    def token_ids(self) -> list[list[int]]:
        return [prompt.token_ids for prompt in self.prompts]

    @property
    def query_ids(self) -> list[str]:
        """That of each pair, in order."""
        return [one.query_id for one in self.queries for _ in one.texts]

    def write_rows(self, path: Path, seed: int) -> dict[str, Any]:
        """The pairs as a user would give them, and the `data` section that reads them; one document is relevant."""
        source = random.Random(seed)
        with path.open("w", encoding="utf-8") as lines:
            for one in self.queries:
                relevant = source.choice(one.doc_ids)
                documents = [
                    {"id": doc_id, "text": text, "relevance": int(doc_id == relevant)}
                    for doc_id, text in zip(one.doc_ids, one.texts, strict=True)
                ]
                lines.write(json.dumps({"query_id": one.query_id, "query": one.query, "documents": documents}) + "\n")
        return {"format": "jsonl", "path": str(path), "depth": None}


class PairMaker:
    """Draws pairs for one model."""

    def __init__(self, model: ModelInfo, settings: ModelSettings) -> None:
        """Raises ConfigError for a model that scores no pairs."""
        if model.family not in ("qwen3-reranker", "cross-encoder"):
            raise ConfigError(
                f"model.name {model.name} is of the family {model.family}: a benchmark measures qwen3-reranker and "
                "cross-encoder models, which score a pair at a time"
            )
        self._encoder = load_encoder(model, settings)
        self._max_length = model.max_length
        self._costs: dict[str, int] = {}

    def draw(self, order: PairOrder) -> PairSet:
        """Raises ConfigError where the template alone is longer than the wished prompts."""
        order.check()
        source = random.Random(order.seed)
        asked: list[str] = []
        queries, prompts = [], []
        for number in range(order.queries):
            again = bool(asked) and source.random() < order.repeats
            query = source.choice(asked) if again else " ".join(draw_words(source, source.randint(*QUERY_WORDS)))
            asked.append(query)
            texts = self._documents(query, order, source)
            ids = tuple(f"d{number}-{place}" for place in range(order.documents))
            ranks = tuple(1.0 / (place + 1) for place in range(order.documents))
            queries.append(Candidates(f"q{number}", query, ids, texts, ranks))
            prompts += self._encoder.encode(query, None, texts)
        return PairSet(tuple(queries), tuple(prompts))

    def warm_up(self, order: PairOrder) -> PairSet:
        """A few pairs of the same kind that are not among those measured."""
        few = PairOrder(WARM_UP_QUERIES, WARM_UP_DOCUMENTS, order.tokens, order.spread, 0.0, order.seed + 1_000_003)
        return self.draw(few)

    def _documents(self, query: str, order: PairOrder, source: random.Random) -> tuple[str, ...]:
        frame = len(self._encoder.encode(query, None, [""])[0].token_ids)
        if order.tokens < frame + SHORTEST_DOCUMENT:
            raise ConfigError(
                f"tokens {order.tokens}: the template and the query take {frame} already; ask for at least "
                f"{frame + SHORTEST_DOCUMENT}"
            )
        lengths = (_length(order, source) for _ in range(order.documents))
        return tuple(self._text(min(length, self._max_length) - frame, source) for length in lengths)

    def _text(self, tokens: int, source: random.Random) -> str:
        """Words worth so many tokens, or a few less where the next word is longer; SHORTEST_DOCUMENT at least."""
        words: list[str] = []
        left = max(tokens, SHORTEST_DOCUMENT)
        while True:
            for word in draw_words(source, 1 + left // 3):
                if self._cost(word) > left and words:
                    return " ".join(words)
                words.append(word)
                left -= self._cost(word)

    def _cost(self, word: str) -> int:
        """Its tokens, which in a text are the same: pre-tokenizers split at blanks."""
        if word not in self._costs:
            self._costs[word] = len(self._encoder.plain.encode(f" {word}", add_special_tokens=False).ids)
        return self._costs[word]


def describe_pairs(order: PairOrder, drawn: PairSet, shape: LayerShape, block: int | None) -> Pairs:
    """What was drawn, and the operations that it takes. `block` is the engine's block size."""
    ids = drawn.token_ids
    lengths = [len(one) for one in ids]
    return Pairs(
        queries=order.queries,
        documents=order.documents,
        tokens=sum(lengths),
        shortest=min(lengths),
        longest=max(lengths),
        repeats=order.repeats,
        alone=work_alone(shape, lengths),
        shared=work_shared(shape, ids),
        in_blocks=work_shared(shape, ids, block or 1),
    )


def shape_of_model(folder: str) -> LayerShape:
    """The layers of a model on disk. Raises ConfigError."""
    try:
        config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}/config.json cannot be read: {error}") from error
    return shape_of(config)


def requests_of(drawn: PairSet, least: int) -> list[tuple[Candidates, int]]:
    """The queries in parts small enough that there are at least `least` of them, each with the place of its first
    pair: with fewer requests than clients some would have nothing to do.
    """
    most = max(1, math.ceil(len(drawn.prompts) / max(least, len(drawn.queries))))
    parts: list[tuple[Candidates, int]] = []
    first = 0
    for one in drawn.queries:
        for start in range(0, len(one.texts), most):
            some = slice(start, start + most)
            part = Candidates(one.query_id, one.query, one.doc_ids[some], one.texts[some], one.scores[some])
            parts.append((part, first + start))
        first += len(one.texts)
    return parts


def _length(order: PairOrder, source: random.Random) -> int:
    """Of a log-normal distribution with the mean `tokens` and the standard deviation `spread` times it."""
    variance = math.log(1 + order.spread**2)
    return round(source.lognormvariate(math.log(order.tokens) - variance / 2, math.sqrt(variance)))


def scored_texts(drawn: PairSet) -> Sequence[tuple[str, str]]:
    """(query, document) of each pair, in order."""
    return [(one.query, text) for one in drawn.queries for text in one.texts]
