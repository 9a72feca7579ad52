"""Models that vLLM lacks are scored as sentence-transformers and Transformers score them, beside the event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from serve_app.engine.exchange import Exchange
from serve_app.engine.hosted import BATCH
from serve_app.engine.identity import foresee_identity
from serve_app.engine.models import describe
from serve_app.engine.transformers_engine import TransformersEngine
from serve_app.engine.vector_memory import VectorMemory
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import ConfigError, EngineDiedError, EngineError, QueryTooLongError, TextTooLongError
from stages.core.identity import ScoringIdentity
from stages.core.records import PairScore
from tests.checkpoints import transformers_only
from tests.checkpoints.sentence_transformers import change_json

MAX_TEXT_CHARS = 20_000
QUERY = "how does prefix caching speed up reranking?"
DOCUMENTS = (
    "Prefix caching keeps the key-value blocks of a shared prompt prefix.",
    "重排序模型会把查询和每个文档放在一起打分，然后按分数排序。",
    "yes",
    "",
    "def rerank(query, documents):\n    return sorted(documents, key=lambda d: -score(query, d))",
    "The mitochondrion is the powerhouse of the cell. " * 12,
    "42",
    "one two three four five six seven eight nine ten " * 200,  # cut
)
FLOAT32 = EngineSettings(backend="transformers", dtype="float32")
CROSS_ENCODERS = ("deberta", "mpnet", "distilbert", "albert", "camembert")


class Replica:
    """An engine as a replica hosts it; its first batch after `hold` waits until `go` is set. `batches` counts prompts
    of each.
    """

    def __init__(self, folder: Path, settings: EngineSettings = FLOAT32, **asked: Any) -> None:
        model = ModelSettings(name=str(folder), **asked)
        found = describe(model, settings.backend)
        self.told: list[ScoringIdentity] = []
        self.engine = TransformersEngine(found, model, settings, "replica", MAX_TEXT_CHARS, self.told.append)
        self.go, self.began = threading.Event(), threading.Event()
        self.go.set()
        self.batches: list[int] = []
        self.fail: Callable[[], object] = lambda: None
        self._compute = self.engine.batcher.compute
        self.engine.batcher.compute = self._held

    def _held(self, prompts: Sequence[Any]) -> Any:
        self.batches.append(len(prompts))
        self.began.set()
        assert self.go.wait(timeout=60)
        self.fail()
        return self._compute(prompts)

    def run(self, test: Callable[[TransformersEngine], Any]) -> Any:
        return asyncio.run(asyncio.wait_for(test(self.engine), 240))

    async def busy(self) -> asyncio.Task[list[PairScore]]:
        """A call whose one pair is being computed, and held there."""
        self.go.clear()
        self.began.clear()
        task = asyncio.create_task(self.engine.score(QUERY, ["yes"]))
        assert await asyncio.to_thread(self.began.wait, 60)
        return task

    async def waiting(self, number: int) -> None:
        """So many prompts wait for the batch at work."""
        while self.engine.batcher.waiting < number:
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def deberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return transformers_only.make_deberta(tmp_path_factory.mktemp("deberta"))


@pytest.fixture
def replica(deberta: Path) -> Iterator[Replica]:
    made = Replica(deberta)
    yield made
    made.go.set()
    made.engine.shutdown()


def scored(folder: Path, documents: Sequence[str] = DOCUMENTS, **asked: Any) -> list[PairScore]:
    replica = Replica(folder, **asked)
    try:
        pairs: list[PairScore] = replica.run(lambda engine: engine.score(QUERY, documents))
    finally:
        replica.engine.shutdown()
    return pairs


def in_order(values: Sequence[float | None]) -> list[int]:
    assert None not in values
    return sorted(range(len(values)), key=lambda place: -(values[place] or 0.0))


@pytest.mark.parametrize("kind", CROSS_ENCODERS)
def test_a_cross_encoder_scores_as_in_sentence_transformers(kind: str, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    folder = getattr(transformers_only, f"make_{kind}")(tmp_path / kind)
    published = CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity())
    expected = published.predict([(QUERY, document) for document in DOCUMENTS]).tolist()
    pairs = scored(folder)
    logits = [pair.logit for pair in pairs]
    assert logits == pytest.approx(expected, abs=1e-4)
    assert in_order(logits) == in_order(expected)
    assert [pair.truncated for pair in pairs] == [False] * 7 + [True]
    assert pairs[-1].prompt_tokens == 512


def test_monot5_scores_as_its_library_does(tmp_path: Path) -> None:
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    folder = transformers_only.make_monot5(tmp_path / "monot5-tiny-msmarco")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), T5ForConditionalGeneration.from_pretrained(folder)
    words = tokenizer.convert_tokens_to_ids(["▁true", "▁false"])

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    expected = []
    for document in DOCUMENTS:
        read = tokenizer(f"Query: {QUERY} Document: {document} Relevant:").input_ids
        if len(read) > 512:  # T5's tokens end where words do, so that the parts make the whole
            before, behind = ids(f"Query: {QUERY} Document:"), [*ids("Relevant:"), tokenizer.eos_token_id]
            read = [*before, *ids(document)[: 512 - len(before) - len(behind)], *behind]
        start = torch.tensor([[model.config.decoder_start_token_id]])
        with torch.no_grad():
            first = model(input_ids=torch.tensor([read]), decoder_input_ids=start).logits[0, 0]
        expected.append(float(torch.log_softmax(first[words], dim=0)[0].exp()))
    pairs = scored(folder)
    scores = [pair.score for pair in pairs]
    assert scores == pytest.approx(expected, abs=1e-5)
    assert in_order(scores) == in_order(expected)
    assert (pairs[-1].truncated, pairs[-1].prompt_tokens) == (True, 512)


def test_a_t5_that_is_not_called_monot5_is_refused_with_the_recipe_that_it_may_be_of(tmp_path: Path) -> None:
    folder = transformers_only.make_monot5(tmp_path / "mine")
    with pytest.raises(ConfigError, match=r"nothing else tells .*\. Set model\.recipe: monot5, if it is one"):
        describe(ModelSettings(name=str(folder)), "transformers")
    assert describe(ModelSettings(name=str(folder), recipe="monot5"), "transformers").max_length == 512


def test_a_decoder_scores_here_as_transformers_does(tiny_qwen3: Path) -> None:
    from pipelines.direct.scorer import DirectScorer

    model = ModelSettings(name=str(tiny_qwen3), recipe="qwen3-reranker")
    expected = [pair.logit for pair in DirectScorer(describe(model), model).score(QUERY, DOCUMENTS)]
    pairs = scored(tiny_qwen3, recipe="qwen3-reranker")
    assert [pair.logit for pair in pairs] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["deberta", "mpnet", "distilbert", "albert", "mpnet_embedding", "monot5"])
def test_none_of_them_is_scored_where_nobody_asked_for_transformers(kind: str, tmp_path: Path) -> None:
    folder = getattr(transformers_only, f"make_{kind}")(tmp_path / f"{kind}-tiny")
    with pytest.raises(ConfigError, match=r"Set engine\.backend: transformers, which does\.$"):
        describe(ModelSettings(name=str(folder)))


def test_an_embedding_model_scores_as_in_sentence_transformers(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = transformers_only.make_mpnet_embedding(tmp_path / "mpnet")
    published = SentenceTransformer(str(folder), device="cpu")
    query, documents = published.encode([QUERY]), published.encode(list(DOCUMENTS))
    expected = (documents @ query[0]).tolist()
    pairs = scored(folder)
    assert [pair.score for pair in pairs] == pytest.approx(expected, abs=1e-5)
    assert in_order([pair.score for pair in pairs]) == in_order(expected)
    assert pairs[-1].prompt_tokens == 384


def test_a_text_that_is_embedded_twice_is_computed_once(tmp_path: Path) -> None:
    replica = Replica(transformers_only.make_mpnet_embedding(tmp_path / "mpnet"))
    pairs = replica.run(lambda engine: engine.score(QUERY, [QUERY, "yes", "yes"]))
    assert sum(replica.batches) == 2
    assert pairs[0].score == pytest.approx(1.0)
    assert pairs[1].score == pairs[2].score
    replica.engine.shutdown()


@pytest.fixture
def embedding(tmp_path: Path) -> Iterator[Replica]:
    made = Replica(transformers_only.make_mpnet_embedding(tmp_path / "mpnet"))
    yield made
    made.go.set()
    made.engine.shutdown()


def test_documents_that_queries_share_are_computed_once_whether_they_come_together_or_later(embedding: Replica) -> None:
    async def test(engine: TransformersEngine) -> None:
        alone = await engine.score("a", DOCUMENTS)
        engine.vectors.memory = VectorMemory(1 << 20)  # type: ignore[union-attr]  # which knows nothing yet
        embedding.batches.clear()
        calls = await asyncio.gather(*(engine.score(query, DOCUMENTS) for query in "abcd"))
        again = await engine.score("b", DOCUMENTS)
        assert [pair.score for pair in calls[0]] == pytest.approx([pair.score for pair in alone], abs=1e-6)
        assert [pair.score for pair in again] == [pair.score for pair in calls[1]] != [pair.score for pair in alone]
        assert sum(pair.reused for call in calls for pair in call) == 3 * len(DOCUMENTS)
        assert all(pair.reused for pair in again)

    embedding.run(test)
    assert sum(embedding.batches) == len("abcd") + len(DOCUMENTS)


def test_the_passages_of_a_document_go_back_and_along_with_a_later_call_to_another_replica(tmp_path: Path) -> None:
    folder = transformers_only.make_mpnet_embedding(tmp_path / "mpnet")
    read = {"long_documents": "passages", "max_length": 64}
    first, second = (
        Replica(folder, **read),
        Replica(folder, FLOAT32.model_copy(update={"vector_memory_mib": 0}), **read),
    )
    long, short = " ".join(map(str, range(300))), "yes"
    try:
        fresh = Exchange({}, wanted=True)
        pairs = first.run(lambda engine: engine.score("a", [long, short], None, fresh))
        rows = fresh.back([short, long])
        assert pairs[0].passages > 3
        assert rows.places.tolist() == [0, *[1] * pairs[0].passages]

        for number in range(2):  # the second time it remembers nothing, and is told all again
            again = Exchange(rows.by_key(), wanted=True)
            later = second.run(lambda engine, told=again: engine.score("a", [long, short], None, told))
            assert [replace(pair, cached_tokens=0) for pair in later] == [
                replace(pair, cached_tokens=0) for pair in pairs
            ]
            assert all(pair.reused for pair in later)
            assert not len(again.back([short, long]).places)
            assert sum(second.batches) == number + 1, "the query alone"
        assert second.run(lambda engine: engine.score("b", [long]))[0].score == pytest.approx(
            first.run(lambda engine: engine.score("b", [long]))[0].score, abs=1e-6
        )
    finally:
        first.engine.shutdown()
        second.engine.shutdown()


def test_where_the_call_that_computes_a_shared_document_is_cancelled_another_computes_it(embedding: Replica) -> None:
    async def test(engine: TransformersEngine) -> None:
        before = await embedding.busy()
        first = asyncio.create_task(engine.score("a", ["shared"]))
        await embedding.waiting(2)
        second = asyncio.create_task(engine.score("b", ["shared"]))
        await embedding.waiting(3)
        first.cancel()
        embedding.go.set()
        (pair,) = await second
        await before
        assert (pair.score, pair.reused) == (pytest.approx((await engine.score("b", ["shared"]))[0].score), False)

    embedding.run(test)


def test_pairs_of_calls_that_come_together_share_batches(replica: Replica) -> None:
    async def test(engine: TransformersEngine) -> None:
        first = await replica.busy()
        others = [asyncio.create_task(engine.score(QUERY, ["yes"] * 3)) for _ in range(4)]
        await replica.waiting(12)
        replica.go.set()
        results = await asyncio.gather(first, *others)
        assert replica.batches == [1, 12]
        assert len({pair.logit for pairs in results[1:] for pair in pairs}) == 1

    replica.run(test)


def test_the_event_loop_answers_while_the_engine_computes(replica: Replica) -> None:
    async def test(engine: TransformersEngine) -> None:
        first = await replica.busy()  # the thread holds the batch until the loop, answering, lets it go
        await engine.check_health()
        assert not first.done()
        replica.go.set()
        assert (await first)[0].error is None

    replica.run(test)


def test_an_online_call_overtakes_a_jobs_pairs_that_wait(replica: Replica) -> None:
    async def test(engine: TransformersEngine) -> None:
        first = await replica.busy()
        job = asyncio.create_task(engine.score_timed(QUERY, ["yes"] * 5, priority=BATCH))
        await replica.waiting(5)
        online = asyncio.create_task(engine.score_timed(QUERY, ["yes"] * 2))
        await replica.waiting(7)
        replica.go.set()
        timed = await online
        await asyncio.gather(first, job)
        assert replica.batches == [1, 2, 5]
        assert timed.queue_ms > 0
        assert timed.engine_ms >= timed.queue_ms
        assert timed.tokenize_ms > 0

    replica.run(test)


def test_a_cancelled_call_frees_what_it_has_waiting(replica: Replica) -> None:
    async def test(engine: TransformersEngine) -> None:
        first = await replica.busy()
        gone = asyncio.create_task(engine.score(QUERY, ["yes"] * 9))
        await replica.waiting(9)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert engine.batcher.waiting == 0
        replica.go.set()
        await first
        assert replica.batches == [1]

    replica.run(test)


def test_a_thread_that_dies_is_told_to_the_calls_and_to_whoever_asks(replica: Replica) -> None:
    def die() -> None:
        raise SystemExit("out of its mind")

    async def test(engine: TransformersEngine) -> None:
        first = await replica.busy()
        waiting = asyncio.create_task(engine.score(QUERY, ["yes"]))
        await replica.waiting(1)
        assert not engine.dead
        replica.fail = die
        replica.go.set()
        with pytest.raises(EngineDiedError, match="out of its mind"):
            await first
        with pytest.raises(EngineError, match="the engine died"):
            await waiting
        assert engine.dead
        with pytest.raises(EngineError, match="the engine died"):
            await engine.score(QUERY, ["yes"])

    replica.run(test)


def test_what_is_computed_is_counted(replica: Replica) -> None:
    pairs = replica.run(lambda engine: engine.score(QUERY, DOCUMENTS))
    counted = replica.engine.stats.snapshot()
    assert counted.prompt_tokens == sum(pair.prompt_tokens for pair in pairs)
    assert counted.finished == len(DOCUMENTS)
    assert counted.running == max(replica.batches)
    assert counted.generation_tokens == counted.prefix_queries == 0
    assert counted.queue_ms.counts[-1] == len(DOCUMENTS)


def test_texts_that_are_too_long_are_told_as_of_any_engine(replica: Replica) -> None:
    async def test(engine: TransformersEngine) -> None:
        pairs = await engine.score(QUERY, ["yes", "x" * (MAX_TEXT_CHARS + 1)])
        assert pairs[0].error is None
        assert "serve.max_text_chars" in (pairs[1].error or "")
        with pytest.raises(TextTooLongError):
            await engine.score_timed(QUERY, ["x" * (MAX_TEXT_CHARS + 1)])
        with pytest.raises(QueryTooLongError):
            await engine.score("why " * 600, ["yes"])

    replica.run(test)


def test_what_decides_its_scores_is_told_before_it_scores_and_foreseen(replica: Replica, deberta: Path) -> None:
    model = ModelSettings(name=str(deberta))
    assert replica.told == [replica.engine.identity]
    assert replica.engine.identity == foresee_identity(describe(model, FLOAT32.backend), model, FLOAT32, "cpu")
    told = asdict(replica.engine.identity)
    assert (told["backend"], told["dtype"], told["vllm"]) == ("transformers", "float32", None)
    assert replica.engine.facts() == {
        "device": "cpu",
        "dtype": "float32",
        "max_num_seqs": 32,
        "max_num_batched_tokens": 4096,
    }


def test_a_checkpoint_that_lacks_its_classifier_is_refused_instead_of_made_up(tmp_path: Path) -> None:
    folder = transformers_only.make_mpnet_embedding(tmp_path / "mpnet")
    change_json(folder / "config.json", architectures=["MPNetForSequenceClassification"], id2label={"0": "LABEL_0"})
    (folder / "modules.json").unlink()
    with pytest.raises(ConfigError, match=r"have no classifier\.dense\.bias, which MPNetForSequenceClassification"):
        Replica(folder)


def test_vllm_is_not_imported(deberta: Path) -> None:
    code = f"""
import asyncio, sys
from serve_app.engine.models import describe
from serve_app.engine.transformers_engine import TransformersEngine
from serve_app.settings import EngineSettings, ModelSettings
model = ModelSettings(name={str(deberta)!r})
settings = EngineSettings(backend="transformers")
engine = TransformersEngine(describe(model, settings.backend), model, settings, "replica", 1000)
print(asyncio.run(engine.score("query", ["document"]))[0].error, "vllm" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert told.stdout.split() == ["None", "False"], told.stderr
