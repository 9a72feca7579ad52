"""The real vLLM engine on this machine's CPU gives the scores that Transformers gives, and counts what it does.

An engine takes half a minute to start and every core while it runs: one lives at a time, that of the class under test.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil  # type: ignore[import-untyped]
import pytest
import torch
from prometheus_client import REGISTRY
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from serve_app.engine.asking import TOGETHER, AsOne, EachAlone
from serve_app.engine.canaries import canary_drift, check_canaries
from serve_app.engine.engine import VllmEngine
from serve_app.engine.engine_args import CPU_FAN_OUT, cpu_environment
from serve_app.engine.hosted import ONLINE
from serve_app.engine.identity import foresee_identity
from serve_app.engine.models import describe
from serve_app.engine.outputs import classified
from serve_app.engine.passages import PassageProcedure, passage_spans
from serve_app.engine.prompt_threads import PromptThreads
from serve_app.engine.prompts import Prompt
from serve_app.recipes.recipe import Score
from serve_app.settings import EMBEDDED_MODEL, EngineSettings, ModelSettings
from stages.core.errors import EngineError, QueryTooLongError, TextTooLongError
from stages.core.records import PairScore
from stages.telemetry.telemetry import Snapshot, since
from tests.checkpoints.sentence_transformers import add_modules, normalize, pooling
from tests.tiny_models import POISON

T = TypeVar("T")

MAX_TEXT_CHARS = 20_000_000
QUERY = "how does prefix caching speed up reranking?"
DOCUMENTS = (
    "Prefix caching keeps the key-value blocks of a shared prompt prefix.",
    "重排序模型会把查询和每个文档放在一起打分，然后按分数排序。",
    "yes",
    "no no no",
    "",
    "def rerank(query, documents):\n    return sorted(documents, key=lambda d: -score(query, d))",
    "The mitochondrion is the powerhouse of the cell. " * 12,
    "إعادة الترتيب 👩‍👩‍👧‍👦 e\u0301",
    "JSON.parse(JSON.stringify(obj)) 是常见的深拷贝写法，但会丢掉 undefined 和函数。",
    "A pipe with capacity zero has no place to put anything.",
    "42",
    "one two three four five six seven eight nine ten " * 30,
)


class RunningEngine:
    """A VllmEngine on an event loop in a thread of its own, as a replica hosts it."""

    def __init__(self, model: Any, dtype: str, **engine_settings: Any) -> None:
        self.told: list[Any] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        usual = {"dtype": dtype, "compile": False, "kv_cache_gib": 0.5}
        settings = EngineSettings.model_validate(usual | engine_settings)
        others = set(psutil.Process().children(recursive=True))
        try:
            self.engine = self.call(self._start(model, settings))
        except BaseException:
            self._end_loop()
            raise
        children = [child for child in psutil.Process().children(recursive=True) if child not in others]
        self.processes = [child for child in children if "resource_tracker" not in str(child.cmdline())]
        assert self.processes, "the engine computes in a process of its own"

    async def _start(self, model: Any, settings: EngineSettings) -> VllmEngine:
        return VllmEngine(describe(model), model, settings, "replica", MAX_TEXT_CHARS, self.told.append)

    def submit(self, work: Coroutine[Any, Any, T]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self.submit(work).result(timeout=240)
        return result

    def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        return self.call(self.engine.score(query, documents, instruction))

    def snapshot(self) -> Snapshot:
        """What the engine counted, once it counted all that it was given: a result may be ahead of its count."""
        time.sleep(0.2)
        return self.call(self._snapshot())

    async def _snapshot(self) -> Snapshot:
        for _ in range(100):  # turns of the loop, in which vLLM's task goes on from the result to the count
            await asyncio.sleep(0)
        return self.engine.stats.snapshot()

    def in_engine(self) -> int:
        """How many prompts run or wait, as the engine told last."""
        running, waiting, _ = self.engine.stats._now
        return running + waiting

    def score_each_alone(self, query: str, documents: Sequence[str]) -> list[PairScore]:
        """With a request to vLLM for each prompt."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.engine, "_asking", EachAlone(self.engine.llm, self.engine.stats))
            return self.score(query, documents)

    def given(self, token_ids: Sequence[list[int]]) -> list[Any]:
        """What comes back for these prompts."""
        prompts = [Prompt(ids) for ids in token_ids]
        return self.call(self.engine._computed(prompts, ONLINE))[0]

    def close(self) -> None:
        """Shut down, and see that no process of the engine's outlives it."""
        self.loop.call_soon_threadsafe(self.engine.shutdown)
        self._end_loop()
        assert not psutil.wait_procs(self.processes, timeout=60)[1]

    def _end_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def running(
    model: Any, dtype: str, *, kind: type[RunningEngine] = RunningEngine, **engine_settings: Any
) -> Iterator[RunningEngine]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cpu_environment(os.sched_getaffinity(0), 0, 1, 1).items():
            patch.setenv(name, value)
        engine = kind(model, dtype, **engine_settings)
        yield engine
        engine.close()


def score_in_passages(engine: RunningEngine, document: str, room: int) -> tuple[PairScore, list[PairScore]]:
    """The document's score, and those of its beginning and of each passage alone; `room` are the tokens that fit."""
    cut, running = engine.engine.procedure, engine.engine
    in_passages = PassageProcedure(cut, 100)
    spans = passage_spans(cut.encoder.plain, document, room, 100)
    texts = [document, *(document[start:end] for start, end in spans[1:])]
    alone = [pair for text in texts for pair in engine.score(QUERY, [text])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "procedure", in_passages)
        patch.setattr(running, "prompts", PromptThreads(in_passages.encoder))
        before, short, read, after = engine.score(QUERY, [DOCUMENTS[0], "yes", document, DOCUMENTS[1]])
        running.prompts.shutdown()
    assert (before.passages, short.passages, after.passages) == (1, 1, 1)
    others = engine.score(QUERY, [DOCUMENTS[0], "yes", DOCUMENTS[1]])
    assert [one.score for one in (before, short, after)] == pytest.approx([one.score for one in others], abs=1e-2)
    return read, alone


def largest_difference(ours: Sequence[float | None], theirs: Sequence[float], what: str) -> float:
    """Printed, so that `pytest -rP` shows how close the two are."""
    worst = max(abs(a - b) for a, b in zip(ours, theirs, strict=True) if a is not None)
    assert None not in ours
    assert not math.isnan(worst)
    print(f"{what}: largest difference {worst:.2e} over {len(theirs)}, reference from {min(theirs)} to {max(theirs)}")
    return worst


def vllm_metrics() -> dict[str, float]:
    """Each of vLLM's samples in this process, added over its labels."""
    found: dict[str, float] = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name.startswith("vllm:"):
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


# ---- Qwen3-Reranker


def qwen3_yes(folder: Path, dtype: torch.dtype, documents: Sequence[str] = DOCUMENTS) -> list[float]:
    """Softmax of yes over no at the last token (model card of Qwen3-Reranker, `compute_logits`)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    answers = [tokenizer.convert_tokens_to_ids("no"), tokenizer.convert_tokens_to_ids("yes")]
    head = tokenizer.encode(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    tail = tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    instruction = "Given a web search query, retrieve relevant passages that answer the query"
    scores = []
    for document in documents:
        body = tokenizer.encode(f"<Instruct>: {instruction}\n<Query>: {QUERY}\n<Document>: {document}")
        with torch.no_grad():
            logits = model(torch.tensor([head + body + tail])).logits[0, -1, answers]
        scores.append(logits.float().softmax(-1)[1].item())
    return scores


class TestQwen3InFloat32:
    @pytest.fixture(scope="class")
    def engine(self, tiny_qwen3: Path) -> Iterator[RunningEngine]:
        yield from running(ModelSettings(name=str(tiny_qwen3)), "float32")

    def test_scores_are_those_of_transformers(self, engine: RunningEngine, tiny_qwen3: Path) -> None:
        theirs = qwen3_yes(tiny_qwen3, torch.float32)
        assert max(theirs) - min(theirs) > 0.02, "the reference hardly tells documents apart, so this tests nothing"
        ours = [pair.score for pair in engine.score(QUERY, DOCUMENTS)]
        assert largest_difference(ours, theirs, "yes, float32") < 1e-4

    def test_the_order_of_documents_never_changes_a_score(self, engine: RunningEngine) -> None:
        first = {d: p.score for d, p in zip(DOCUMENTS, engine.score(QUERY, DOCUMENTS), strict=True)}
        for documents in (DOCUMENTS[::-1], DOCUMENTS[5:] + DOCUMENTS[:5], DOCUMENTS[3:4]):
            again = [pair.score for pair in engine.score(QUERY, documents)]
            assert largest_difference(again, [first[d] or 0 for d in documents], "order, float32") < 1e-6

    def test_the_probability_is_the_sigmoid_of_the_logit(self, engine: RunningEngine) -> None:
        for pair in engine.score(QUERY, DOCUMENTS):
            assert pair.logit is not None
            assert pair.score == pytest.approx(1 / (1 + math.exp(-pair.logit)), abs=1e-12)

    def test_it_counts_prompts_prefix_hits_and_queue_times_and_generates_nothing(self, engine: RunningEngine) -> None:
        before = engine.snapshot()
        pairs = engine.score("a query that no test before asked", DOCUMENTS)
        did = since(engine.snapshot(), before)
        assert did.finished == len(DOCUMENTS)
        assert did.queue_ms.count == len(DOCUMENTS)
        assert did.prompt_tokens == sum(pair.prompt_tokens for pair in pairs)
        assert did.generation_tokens == 0
        assert 0 < did.prefix_hits < did.prefix_queries

    def test_peaks_show_what_waits_behind_a_full_step_and_are_taken_once(self, engine: RunningEngine) -> None:
        documents = [f"{number} " + "a document of many steps " * 100 for number in range(40)]
        engine.snapshot()
        engine.score(QUERY, documents)
        peaks = engine.snapshot()
        assert 0 < peaks.running <= 40
        assert 0 < peaks.waiting < 40
        assert 0 < peaks.kv_usage <= 1
        after = engine.snapshot()
        assert (after.running, after.waiting, after.kv_usage) == (0, 0, 0.0)

    def test_a_query_asked_again_is_served_from_the_prefix_cache(self, engine: RunningEngine) -> None:
        engine.score("asked twice", DOCUMENTS[:2])
        for pair in engine.score("asked twice", DOCUMENTS[:2]):
            assert pair.prompt_tokens - 33 <= pair.cached_tokens < pair.prompt_tokens

    def test_an_instruction_changes_the_score(self, engine: RunningEngine) -> None:
        (plain,) = engine.score(QUERY, DOCUMENTS[:1])
        (instructed,) = engine.score(QUERY, DOCUMENTS[:1], "Find the opposite of what is asked.")
        assert plain.logit != instructed.logit
        assert instructed.prompt_tokens != plain.prompt_tokens

    def test_concurrent_queries_get_their_own_scores(self, engine: RunningEngine) -> None:
        queries = [f"query number {number}" for number in range(8)]
        alone = [engine.score(query, DOCUMENTS[:4]) for query in queries]
        tasks = [engine.submit(engine.engine.score(query, DOCUMENTS[:4])) for query in queries]
        together = [task.result(timeout=240) for task in tasks]
        for one, other in zip(alone, together, strict=True):
            theirs = [pair.score or 0 for pair in one]
            assert largest_difference([pair.score for pair in other], theirs, "concurrent, float32") < 1e-6

    def test_a_query_too_long_is_refused_and_the_engine_lives_on(self, engine: RunningEngine) -> None:
        with pytest.raises(QueryTooLongError):
            engine.score("long " * 5_000, DOCUMENTS)
        assert engine.score(QUERY, DOCUMENTS[:1])[0].score is not None

    def test_a_document_too_long_is_cut_and_scored(self, engine: RunningEngine) -> None:
        (pair,) = engine.score(QUERY, ["word " * 10_000])
        assert pair.truncated
        assert pair.prompt_tokens == 4096
        assert pair.error is None

    def test_a_document_too_long_read_in_passages_scores_as_the_best_of_them(self, engine: RunningEngine) -> None:
        document = " ".join(f"Number {number}: {text}" for number in range(36) for text in DOCUMENTS[:8])
        (frame,) = engine.engine.procedure.encoder.encode(QUERY, None, [""])
        read, alone = score_in_passages(engine, document, 4096 - len(frame.token_ids))
        assert [pair.truncated for pair in alone] == [True] + [False] * (len(alone) - 1)
        logits = [pair.logit or 0.0 for pair in alone]
        assert max(logits) - min(logits) > 1e-3, "passages are hardly told apart, so this tests nothing"
        assert (read.passages, read.truncated) == (len(alone), False)
        assert read.logit == pytest.approx(max(logits), abs=1e-4)
        assert read.cut_logit == pytest.approx(logits[0], abs=1e-4)
        assert read.prompt_tokens == sum(pair.prompt_tokens for pair in alone)

    def test_a_document_of_20_mb_scores_as_its_beginning_and_the_loop_answers_meanwhile(
        self, engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        beginning = "A pipe with capacity zero has no place to put anything. " * 500
        (expected,) = engine.score(QUERY, [beginning])
        # Its prompt is not made before the loop has answered: one that is held up never does.
        encoder, answered = engine.engine.procedure.encoder, threading.Event()
        encode = encoder.encode

        def made_late(*told: Any) -> Any:
            assert answered.wait(120), "the loop was held up"
            return encode(*told)

        monkeypatch.setattr(encoder, "encode", made_late)
        call = engine.submit(engine.engine.score(QUERY, [beginning * 700]))
        engine.call(engine.engine.check_health())
        answered.set()
        (pair,) = call.result(240)
        assert (pair.truncated, pair.prompt_tokens) == (True, 4096)
        assert pair.logit == pytest.approx(expected.logit, abs=1e-5)

    def test_a_text_of_too_many_characters_is_a_failed_pair_of_a_job_and_refused_online(
        self, engine: RunningEngine
    ) -> None:
        long = "x" * (MAX_TEXT_CHARS + 1)
        before, pair, after = engine.score(QUERY, [DOCUMENTS[0], long, DOCUMENTS[1]])
        assert [before, after] == engine.score(QUERY, DOCUMENTS[:2])
        fault = (
            "the text has 20,000,001 characters, serve.max_text_chars allows 20,000,000: send a part of it, or raise"
        )
        assert pair.score is None
        assert str(pair.error).startswith(fault)
        with pytest.raises(TextTooLongError, match="document 1: the text has 20,000,001 characters"):
            engine.call(engine.engine.score_timed(QUERY, [DOCUMENTS[0], long]))
        with pytest.raises(TextTooLongError, match="the query has 20,000,001 characters"):
            engine.score(long, DOCUMENTS)

    def test_a_cancelled_call_aborts_what_is_still_in_the_engine(self, engine: RunningEngine) -> None:
        documents = [f"{number} " + "some long document " * 200 for number in range(300)]
        before = engine.snapshot()
        call = engine.submit(engine.engine.score("to be cancelled", documents))
        deadline = time.monotonic() + 240
        while engine.in_engine() < 200 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert engine.in_engine() >= 200, "too little was in the engine for a cancellation to matter"
        call.cancel()
        assert engine.score(QUERY, DOCUMENTS[:1])[0].score is not None
        time.sleep(1)
        did = since(engine.snapshot(), before)
        tokens = sum(
            len(one.token_ids) for one in engine.engine.procedure.encoder.encode("to be cancelled", None, documents)
        )
        assert did.prefix_queries < tokens * 250 / 300, "the engine began with nearly all"
        assert did.finished == 1
        assert engine.engine.stats._now == (0, 0, 0.0)
        assert not engine.engine.stats._calls
        assert engine.engine.llm.get_num_unfinished_requests() == 0

    def test_a_call_is_one_request_and_scores_as_a_request_a_prompt_does(self, engine: RunningEngine) -> None:
        one = [pair.score for pair in engine.score("asked as one", DOCUMENTS)]
        alone = [pair.score or 0 for pair in engine.score_each_alone("asked as one", DOCUMENTS)]
        assert engine.engine.llm.vllm_config.scheduler_config.scheduler_cls == CPU_FAN_OUT
        assert type(engine.engine._asking) is AsOne
        assert largest_difference(one, alone, "one request or many, float32") < 1e-6

    def test_a_call_of_several_messages_scores_the_same(
        self, engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = [pair.score or 0 for pair in engine.score(QUERY, DOCUMENTS)]
        monkeypatch.setitem(TOGETHER, "classify", 300)
        several = engine.score(QUERY, DOCUMENTS)
        assert largest_difference([pair.score for pair in several], one, "several messages, float32") < 1e-6

    def test_what_the_engine_refuses_fails_alone_and_in_vllms_words(self, engine: RunningEngine) -> None:
        good = engine.engine.procedure.encoder.encode(QUERY, None, DOCUMENTS[:2])
        ids = [one.token_ids for one in good]
        outputs = engine.given([ids[0], [5] * 5_000, ids[0] + [10**6], [], [2**40], ids[1]])
        expected = [pair.logit for pair in engine.score(QUERY, DOCUMENTS[:2])]
        assert [classified(good[0], one, Score()).logit for one in (outputs[0], outputs[-1])] == pytest.approx(expected)
        long, unknown, empty, large = outputs[1:-1]
        assert "the engine refused the prompt: The decoder prompt (length 5000) is longer than" in long
        assert "the engine refused the prompt: " in unknown and "1000000" in unknown
        assert "cannot be empty" in empty
        assert "the engine refused the prompt: " in large

    def test_an_online_call_overtakes_a_jobs_prompts_that_wait(self, engine: RunningEngine) -> None:
        documents = [f"{number} " + "some long document " * 200 for number in range(300)]
        job = engine.submit(engine.engine.score("behind all others", documents))
        while engine.in_engine() < 200 and not job.done():
            time.sleep(0.01)
        online = engine.call(engine.engine.score_timed(QUERY, DOCUMENTS[:3]))
        assert not job.done(), "too little was in the engine for a priority to matter"
        job.cancel()
        assert [pair.error for pair in online.pairs] == [None] * 3
        assert 0 < online.queue_ms <= online.engine_ms

    def test_vllms_own_metrics_count_prompts(self, engine: RunningEngine) -> None:
        before = vllm_metrics()
        pairs = engine.score("one that the metrics count", DOCUMENTS)
        engine.snapshot()
        did = {name: value - before[name] for name, value in vllm_metrics().items()}
        tokens = sum(pair.prompt_tokens for pair in pairs)
        assert did["vllm:request_success_total"] == len(DOCUMENTS)
        assert did["vllm:request_queue_time_seconds_count"] == len(DOCUMENTS)
        assert did["vllm:request_prompt_tokens_count"] == len(DOCUMENTS)
        assert did["vllm:request_prompt_tokens_sum"] == did["vllm:prompt_tokens_total"] == tokens

    def test_it_is_healthy(self, engine: RunningEngine) -> None:
        engine.call(engine.engine.check_health())


class TestQwen3InBfloat16:
    @pytest.fixture(scope="class")
    def engine(self, tiny_qwen3: Path) -> Iterator[RunningEngine]:
        yield from running(ModelSettings(name=str(tiny_qwen3)), "bfloat16")

    @pytest.fixture(scope="class")
    def published(self, tiny_qwen3: Path) -> dict[torch.dtype, list[float]]:
        return {dtype: qwen3_yes(tiny_qwen3, dtype) for dtype in (torch.bfloat16, torch.float32)}

    @pytest.fixture(scope="class")
    def tolerance(self, published: dict[torch.dtype, list[float]]) -> float:
        """Three times what bfloat16 costs Transformers with this very model, which is the rule of `verify`.

        A fixed number would hold on some processors only: each has its own bfloat16 kernels (AMX, AVX-512), which
        round in another order. Measured against float32: Transformers 0.006 to 0.007, the engine 0.008 to 0.0115. The
        smallest mistake in a prompt, one space, moves a score by 0.14.
        """
        rounded, exact = published[torch.bfloat16], published[torch.float32]
        costs = largest_difference(rounded, exact, "yes, Transformers, bfloat16 against float32")
        assert costs < 0.01, "bfloat16 costs more than rounding here"
        return 3 * costs

    @pytest.mark.parametrize("reference", [torch.bfloat16, torch.float32])
    def test_scores_are_those_of_transformers(
        self,
        engine: RunningEngine,
        reference: torch.dtype,
        published: dict[torch.dtype, list[float]],
        tolerance: float,
    ) -> None:
        theirs = published[reference]
        ours = [pair.score for pair in engine.score(QUERY, DOCUMENTS)]
        assert largest_difference(ours, theirs, f"yes, bfloat16 against {reference}") < tolerance


# ---- cross-encoders


def pair_logits(folder: Path, dtype: torch.dtype, *, token_types: bool = True) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()
    logits = []
    for document in DOCUMENTS:
        inputs = tokenizer([QUERY], [document], truncation="only_second", max_length=512, return_tensors="pt")
        if not token_types:
            inputs.pop("token_type_ids")
        with torch.no_grad():
            logits.append(model(**inputs).logits.item())
    return logits


class TestBertCrossEncoderInFloat32:
    @pytest.fixture(scope="class")
    def engine(self, tiny_cross_encoder: Path) -> Iterator[RunningEngine]:
        yield from running(ModelSettings(name=str(tiny_cross_encoder)), "float32")

    def test_logits_are_those_of_transformers(self, engine: RunningEngine, tiny_cross_encoder: Path) -> None:
        theirs = pair_logits(tiny_cross_encoder, torch.float32)
        untyped = pair_logits(tiny_cross_encoder, torch.float32, token_types=False)
        assert max(abs(a - b) for a, b in zip(theirs, untyped, strict=True)) > 0.05, "token types hardly matter here"
        ours = [pair.logit for pair in engine.score(QUERY, DOCUMENTS)]
        assert largest_difference(ours, theirs, "BERT logit, float32") < 1e-3

    def test_one_request_scores_as_a_request_a_prompt_does(self, engine: RunningEngine) -> None:
        """Each document with its own token types: the second query is longer than the first."""
        for query in (QUERY, f"{QUERY} {QUERY}"):
            alone = [pair.logit or 0 for pair in engine.score_each_alone(query, DOCUMENTS)]
            one = [pair.logit for pair in engine.score(query, DOCUMENTS)]
            assert largest_difference(one, alone, "BERT, one request or many") < 1e-6

    def test_the_probability_is_the_sigmoid_of_the_logit(self, engine: RunningEngine) -> None:
        for pair in engine.score(QUERY, DOCUMENTS):
            assert pair.logit is not None
            assert pair.score == pytest.approx(1 / (1 + math.exp(-pair.logit)), abs=1e-12)


class TestXlmRobertaCrossEncoderInFloat32:
    @pytest.fixture(scope="class")
    def engine(self, tiny_xlm_roberta: Path) -> Iterator[RunningEngine]:
        yield from running(ModelSettings(name=str(tiny_xlm_roberta)), "float32")

    def test_logits_are_those_of_transformers(self, engine: RunningEngine, tiny_xlm_roberta: Path) -> None:
        theirs = pair_logits(tiny_xlm_roberta, torch.float32)
        assert max(theirs) - min(theirs) > 0.05, "the reference hardly tells documents apart, so this tests nothing"
        ours = [pair.logit for pair in engine.score(QUERY, DOCUMENTS)]
        assert largest_difference(ours, theirs, "XLM-R logit, float32") < 1e-3
        alone = [pair.logit or 0 for pair in engine.score_each_alone(QUERY, DOCUMENTS)]
        assert largest_difference(ours, alone, "XLM-R, one request or many") < 1e-6


# ---- embedding models


def mean_pooled_cosines(folder: Path, documents: Sequence[str]) -> list[float]:
    """Cosines of float32 vectors, each the mean over a text's tokens (model card of all-MiniLM-L6-v2)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def vector(text: str) -> torch.Tensor:
        inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            pooled: torch.Tensor = model(**inputs).last_hidden_state[0].mean(0)
        return pooled

    query = vector(QUERY)
    return [torch.cosine_similarity(query, vector(document), dim=0).item() for document in documents]


class TestBrokenEmbeddings:
    """Of a decoder, whose texts share the engine's cache: what gives NaN leaves it there."""

    @pytest.fixture(scope="class")
    def engine(self, poisoned_qwen3: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
        folder = tmp_path_factory.mktemp("embeds") / "model"
        shutil.copytree(poisoned_qwen3, folder)
        add_modules(folder, [pooling("lasttoken", 256), normalize()])
        # Every text comes upon what was left in the cache: none is known.
        yield from running(ModelSettings(name=str(folder), max_length=400), "float32", vector_memory_mib=0)

    def test_texts_that_come_upon_the_cache_blocks_of_broken_ones_are_scored(self, engine: RunningEngine) -> None:
        """Without clean blocks some of them fail."""
        texts = ["calm sea " * (3 * place + 1) for place in range(40)]
        for number in range(50):
            broken, *healthy = engine.score(f"weather {number}", [f"{POISON} {number}", *texts])
            assert "not a finite number" in str(broken.error)
            assert [pair.error for pair in healthy] == [None] * len(texts)

    def test_vectors_of_one_request_are_those_of_a_request_a_prompt(self, engine: RunningEngine) -> None:
        """A text of no tokens fails alone both ways."""
        alone, one = (ask(QUERY, DOCUMENTS) for ask in (engine.score_each_alone, engine.score))
        refused = "the engine refused the prompt: The decoder prompt cannot be empty"
        empty = DOCUMENTS.index("")
        assert [pair.error for pair in one] == [pair.error for pair in alone]
        assert [pair.error for pair in one] == [refused if place == empty else None for place in range(len(DOCUMENTS))]
        scored = [pair.score for pair in one if pair.score is not None]
        others = [pair.score for pair in alone if pair.score is not None]
        assert largest_difference(scored, others, "cosine, one request or many") < 1e-6


class TestEmbeddingInBfloat16:
    @pytest.fixture(scope="class")
    def engine(self) -> Iterator[RunningEngine]:
        yield from running(ModelSettings(), "bfloat16")

    def test_scores_are_the_cosines_of_transformers(self, engine: RunningEngine) -> None:
        theirs = mean_pooled_cosines(Path(describe(ModelSettings()).path), DOCUMENTS)
        assert max(theirs) - min(theirs) > 0.2
        ours = [pair.score for pair in engine.score(QUERY, DOCUMENTS)]
        assert largest_difference(ours, theirs, "cosine, bfloat16") < 0.01

    def test_the_built_in_pairs_have_their_known_scores(self, engine: RunningEngine) -> None:
        scores = engine.call(check_canaries(engine.engine))
        drift = canary_drift(EMBEDDED_MODEL, engine.engine.identity, scores)
        assert drift is not None
        print(f"built-in pairs: off by at most {drift.largest:.2e}")
        assert not drift.moved

    def test_the_identity_is_told_before_the_engine_scores_and_is_what_was_foreseen(
        self, engine: RunningEngine
    ) -> None:
        model, settings = ModelSettings(), EngineSettings(dtype="bfloat16")
        assert engine.told == [engine.engine.identity]
        assert engine.engine.identity == foresee_identity(describe(model), model, settings, "cpu")

    def test_a_text_that_occurs_more_than_once_is_embedded_once(self, engine: RunningEngine) -> None:
        before = engine.snapshot()
        asked = "seen as a query and as a document"
        pairs = engine.score(asked, ["seen twice", "seen once", "seen twice", asked])
        did = since(engine.snapshot(), before)
        query, twice, once = pairs[3].prompt_tokens, pairs[0].prompt_tokens, pairs[1].prompt_tokens
        assert did.finished == 3
        assert did.prompt_tokens == query + twice + once
        assert replace(pairs[0], cached_tokens=twice) == pairs[2]
        assert [pair.cached_tokens for pair in pairs] == [0, 0, twice, query]
        assert pairs[3].score == pytest.approx(1)

    def test_a_text_that_several_queries_share_is_embedded_once(self, engine: RunningEngine) -> None:
        """Whether they come at the same time or later, the engine reads it once, and the scores are as they were."""
        shared = [f"shared by all queries, number {number}" for number in range(20)]
        before = engine.snapshot()
        calls = [engine.submit(engine.engine.score(f"query {number}", shared)) for number in range(8)]
        together = [call.result(timeout=240) for call in calls]
        again = engine.score("query 3", [*shared, "a new one"])
        did = since(engine.snapshot(), before)
        assert did.finished == 8 + len(shared) + 1
        assert sum(not pair.reused for pairs in together for pair in pairs) == len(shared)
        assert [pair.reused for pair in again] == [True] * len(shared) + [False]
        assert [pair.score for pair in again[:-1]] == [pair.score for pair in together[3]]
        assert len({tuple(pair.score for pair in pairs) for pairs in together}) == len(together)

    def test_the_best_passage_of_a_long_document_is_the_one_that_answers(self, engine: RunningEngine) -> None:
        beginning = "A pipe with capacity zero has no place to put anything. " * 60
        answer = "Prefix caching speeds up reranking: the shared prompt prefix is computed once. " * 20
        read, alone = score_in_passages(engine, beginning + answer, 254)
        cosines = [pair.score or 0.0 for pair in alone]
        assert read.score == pytest.approx(max(cosines), abs=0.01)
        assert read.cut_score == pytest.approx(cosines[0], abs=0.01)
        assert (read.score or 0.0) > 0.5 > (read.cut_score or 0.0) + 0.2
        assert (read.passages, read.logit, read.cut_logit) == (len(alone), None, None)

    def test_there_is_no_logit(self, engine: RunningEngine) -> None:
        assert all(pair.logit is None for pair in engine.score(QUERY, DOCUMENTS))

    def test_a_killed_engine_is_an_error_and_never_a_score(self, engine: RunningEngine) -> None:
        """The last of its class: nothing can be scored after it."""
        call = engine.submit(engine.engine.score(QUERY, [f"{number} " + "long text " * 300 for number in range(500)]))
        while not engine.in_engine():
            time.sleep(0.01)
        for process in engine.processes:
            process.kill()
        with pytest.raises(EngineError, match="the engine died while it scored"):
            call.result(timeout=240)
        with pytest.raises(EngineError, match="the engine died"):
            engine.score(QUERY, DOCUMENTS)
        with pytest.raises(EngineError, match="the engine died"):
            engine.call(engine.engine.check_health())
