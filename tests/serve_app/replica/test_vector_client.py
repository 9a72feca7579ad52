"""A worker's calls take the vectors along that it knows, and what comes back is kept for the next ones."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serve_app.engine.models import describe
from serve_app.engine.transformers_engine import TransformersEngine
from serve_app.replica.client import ServedScorer
from serve_app.replica.deployment import RerankReplica
from serve_app.replica.vector_client import EmbeddingScorer
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.columns import Columns, pack
from stages.core.errors import EngineError, QueryTooLongError
from stages.core.records import Asked, Outcome, PairScore
from stages.core.vectors import Floats, TextKeys, VectorRows, Vectors, distinct_texts, vector_rows
from stages.store.scorer import StoreFaults
from stages.store.vector_keeper import ForgivingVectors
from tests.checkpoints.transformers_only import make_mpnet_embedding
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


# --- a real engine, and a real store ---


class EngineHandle:
    """A replica of this process, asked as over a Serve handle: what goes to and fro is pickled."""

    def __init__(self, folder: Path) -> None:
        model = ModelSettings(name=str(folder))
        settings = EngineSettings(backend="transformers", dtype="float32", vector_memory_mib=0)
        self.engine = TransformersEngine(describe(model, "transformers"), model, settings, "r1", 1_000_000)
        self.replica: Any = RerankReplica.__new__(RerankReplica)
        self.replica._name, self.replica._places, self.replica._engine = "r1", asyncio.Semaphore(8), self.engine
        self.score_with_vectors = SimpleNamespace(remote=self._score)

    async def _score(self, *given: Any, **more: Any) -> Any:
        given, more = pickle.loads(pickle.dumps((given, more)))
        return pickle.loads(pickle.dumps(await self.replica.score_with_vectors(*given, **more)))

    def ask(self, store: Path, batch: Sequence[Asked]) -> tuple[list[Any], int]:
        """The scores of a job of its own, and how many texts the engine read for it."""
        identity, faults = self.engine.identity, list[StoreFaults]()
        kept = ForgivingVectors(store, 1 << 20, identity.key, "mpnet", faults.append)
        asking = EmbeddingScorer(ServedScorer(self, 60.0, identity.digest), kept, TextKeys(identity))
        before = self.engine.stats.counts["finished"]
        outcomes = asyncio.run(asking.score_batch(batch))
        assert not faults
        return scores(outcomes), self.engine.stats.counts["finished"] - before


def test_a_second_experiment_over_the_same_documents_embeds_only_what_is_new(tmp_path: Path) -> None:
    handle, store = EngineHandle(make_mpnet_embedding(tmp_path / "mpnet")), tmp_path / "store"
    documents = tuple(f"document {number} of a corpus" for number in range(12))
    try:
        first = [Asked("a question", documents[:6]), Asked("another", documents[3:8])]
        second = [Asked("a third", documents), Asked("a question", documents[2:])]
        # An engine that remembers no vector reads a text of two queries twice where they do not meet in it.
        assert 2 + 8 <= handle.ask(store, first)[1] <= 2 + 11
        found, read = handle.ask(store, second)
        assert 2 + 4 <= read <= 2 + 4 + 4, "the eight of before are known"
        alone, read_alone = handle.ask(tmp_path / "none", second)
        assert 2 + 12 <= read_alone <= 2 + 22
        for one, other in zip(found, alone, strict=True):
            assert one == pytest.approx(other, abs=1e-6)
        assert len({round(score, 9) for score in found[0]}) == len(documents)
    finally:
        handle.engine.shutdown()
