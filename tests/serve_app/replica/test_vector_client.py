"""A worker's calls take the vectors along that it knows, and what comes back is kept for the next ones."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from serve_app.replica.client import ServedScorer
from serve_app.replica.vector_client import EmbeddingScorer
from stages.core.columns import Columns, pack
from stages.core.errors import EngineError, QueryTooLongError
from stages.core.records import Asked, Outcome, PairScore
from stages.core.vectors import Floats, TextKeys, VectorRows, Vectors, distinct_texts, vector_rows
from tests.stages.core.test_identity import IDENTITY


class Keeper:
    def __init__(self, *, keeps: bool = True) -> None:
        self.keeps = keeps
        self.kept: dict[bytes, dict[bytes, Floats]] = {}

    def lookup(self, texts: Collection[bytes]) -> dict[bytes, dict[bytes, Floats]]:
        return {text: self.kept[text] for text in texts if text in self.kept}

    def keep(self, vectors: Mapping[bytes, Vectors]) -> None:
        assert self.keeps
        self.kept |= {text: dict(one) for text, one in vectors.items()}


class Handle:
    """A replica that embeds a text as its length. `embedded` are the texts that it read; it remembers none."""

    def __init__(self, *faults: Exception) -> None:
        self.score_with_vectors = SimpleNamespace(remote=self._score)
        self.embedded: list[str] = []
        self.faults = list(faults)

    async def _score(
        self, batch: Sequence[Asked], identity: str | None, known: VectorRows, *, wanted: bool
    ) -> tuple[Columns, VectorRows]:
        if self.faults:
            raise self.faults.pop()
        assert identity == "id"
        given, texts = known.by_key(), distinct_texts(batch)
        fresh = {place: text for place, text in enumerate(texts) if prompt_key(text) not in given}
        self.embedded += fresh.values()
        outcomes: list[Outcome] = [
            QueryTooLongError("too long")
            if one.query == "long"
            else [PairScore(float(len(text))) for text in one.documents]
            for one in batch
        ]
        back = {place: {prompt_key(text): np.full(3, len(text), np.float32)} for place, text in fresh.items()}
        return pack(outcomes), vector_rows(back if wanted else {})


def prompt_key(text: str) -> bytes:
    return text.encode().ljust(16, b".")


def scorer(handle: Any, keeper: Keeper) -> EmbeddingScorer:
    return EmbeddingScorer(ServedScorer(handle, 60.0, "id"), keeper, TextKeys(IDENTITY))


def scores(outcomes: Sequence[Outcome]) -> list[Any]:
    return [type(one) if isinstance(one, Exception) else [pair.score for pair in one] for one in outcomes]


def test_a_text_is_embedded_once_over_queries_batches_and_jobs() -> None:
    handle, keeper = Handle(), Keeper()

    async def test() -> None:
        first = scorer(handle, keeper)
        batch = [Asked("q", ("one", "three")), Asked("long", ("one",)), Asked("r", ("three", "eleven"))]
        assert scores(await first.score_batch(batch)) == [[3, 5], QueryTooLongError, [5, 6]]
        later = scorer(handle, keeper)
        assert scores(await later.score_batch([Asked("s", ("eleven", "one", "twelve!"))])) == [[6, 3, 7]]

    asyncio.run(test())
    assert handle.embedded == ["one", "three", "eleven", "twelve!"]


def test_who_keeps_none_is_sent_none() -> None:
    handle, keeper = Handle(), Keeper(keeps=False)
    asyncio.run(scorer(handle, keeper).score("q", ["one"]))
    assert not keeper.kept


def test_a_call_that_failed_is_made_again_with_what_is_known() -> None:
    handle, keeper = Handle(EngineError("the replica was full")), Keeper()
    assert [pair.score for pair in asyncio.run(scorer(handle, keeper).score("q", ["one"]))] == [3]
    assert handle.embedded == ["one"]
