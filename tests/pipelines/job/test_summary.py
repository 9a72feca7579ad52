"""metrics.json is a contract: its keys are those that are documented, and what does not apply is null."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pipelines.job.summary import Coverage, RunFacts, summarise
from serve_app.engine.canaries import CanaryDrift
from serve_app.engine.models import ModelInfo
from stages.core.records import Judgements, QueryMetrics, Ranking
from stages.telemetry.histogram import HistogramRecorder
from stages.telemetry.telemetry import TIME_BOUNDS_MS, Snapshot, Telemetry
from tests.recipes import recipe_of
from tests.stages.core.test_identity import IDENTITY

MODEL = ModelInfo("tiny", "/models/tiny", "v1", recipe_of("qwen3-reranker"), 512, "0123456789abcdef")
NOT_JUDGED = QueryMetrics((), {}, ())
RANKINGS = [
    Ranking("q1", ("b", "a"), (0.9, 0.1), (2.0, -2.0), prompt_tokens=300, truncated_pairs=1, store_hits=1),
    Ranking("q2", ("c",), (0.5,), (0.0,), ("e", "d"), {"d": "aborted"}, prompt_tokens=100, unscored=2),
    Ranking("q3", (), (), (), ("a", "b", "t"), failed={"a": "aborted", "b": "aborted"}, unscored=2),
]


def telemetry() -> Telemetry:
    queued = HistogramRecorder(TIME_BOUNDS_MS)
    for value_ms in (2.0, 4.0, 8.0, 600.0):
        queued.observe(value_ms)
    watched = Telemetry({}, started_s=0.0)
    counted = {"prompt_tokens": 420, "prefix_queries": 400, "prefix_hits": 100, "finished": 4}
    watched.take([Snapshot("r1", 1.0, waiting=7, kv_usage=0.5, queue_ms=queued.freeze(), **counted)], 2.0, 2, 3)
    watched.take(
        [Snapshot("r1", 3.0, waiting=1, kv_usage=0.1, queue_ms=queued.freeze(), processor_s=6.5, **counted)], 4.0, 3, 3
    )
    return watched


def coverage() -> Coverage:
    counted = Coverage()
    for ranking in RANKINGS:
        counted.add(ranking)
    return counted


def facts(**changed: Any) -> RunFacts:
    # q4 is judged but has no candidates; q3 has candidates but no judgement.
    plain = RunFacts(
        run_id="20260101-000000-small-0a1b",
        started=datetime(2026, 1, 1, 2, 0, 0, 5, timezone(timedelta(hours=2))),
        config_digest="c" * 16,
        candidates_digest="d" * 64,
        lists_digest="e" * 64,
        model=MODEL,
        identity=IDENTITY,
        dtype="bfloat16",
        first_stage=QueryMetrics(("q1", "q2", "q4"), {"ndcg@10": (0.6, 0.3, 0.0)}, (True, True, False)),
        reranked=QueryMetrics(("q1", "q2", "q4"), {"ndcg@10": (0.9, 0.6, 0.0)}, (True, True, False)),
        judgements=Judgements({"q1": {"a": 1}, "q2": {"c": 1}, "q4": {"x": 1}}),
        query_ids=frozenset({"q1", "q2", "q3"}),
        coverage=coverage(),
        set_aside_rows=5,
        wall_s=4.0,
        telemetry=telemetry(),
        store_used=True,
    )
    return replace(plain, **changed)


def keys_of_identity() -> dict[str, Any]:
    fields = ("model", "family", "template", "instruction", "max_length", "scoring_version")
    more = ("recipe", "long_documents", "device", "dtype", "vllm", "transformers", "tokenizers", "backend", "digest")
    return dict.fromkeys((*fields, *more)) | {"settings": {"quantization": None}}


# Those that other tools rely on, and below what was added to them since.
DOCUMENTED: dict[str, Any] = {
    "run_id": None,
    "config_digest": None,
    "candidates_digest": None,
    "model": dict.fromkeys(
        ("name", "revision", "family", "weights_digest", "max_length", "dtype", "recipe", "remarks", "backend")
    ),
    "quality": {
        "first_stage": {"ndcg_at_10": None},
        "reranked": {"ndcg_at_10": None},
        "delta": {"ndcg_at_10": None},
    },
    "throughput": dict.fromkeys(("wall_s", "scored_pairs", "pairs_per_s", "prompt_tokens_per_s", "engine_processor_s")),
    "queue": {"time_ms": dict.fromkeys(("p50", "p95", "p99")), "waiting_max": None},
    "cache": dict.fromkeys(
        (
            *("prefix_hit_rate", "kv_usage_peak", "score_store_hits", "score_store_hit_rate"),
            *("reused_vectors", "reused_vector_rate"),  # added since
        )
    ),
    "tokens": dict.fromkeys(("prompt", "generation")),
}
ADDED: dict[str, Any] = {
    "coverage": dict.fromkeys(
        (
            *("queries", "answered", "unanswered", "pairs", "failed_pairs", "truncated_pairs", "set_aside_rows"),
            *("pairs_in_passages", "passages", "unasked_pairs"),
        )
    ),
    "schema_version": None,
    "started": None,
    "part_of": None,
    "lists_digest": None,
    "judgements_digest": None,
    "judgements": {"kind": None, "by": None},
    "scores": dict.fromkeys(("tied_share", "canaries_passed", "canaries_asked", "canary_drift", "canary_tolerance")),
    "identity": keys_of_identity(),
}


def keys(content: dict[str, Any]) -> dict[str, Any]:
    """The nested keys; None for a value."""
    return {name: keys(value) if isinstance(value, dict) else None for name, value in content.items()}


def test_the_keys_are_the_documented_ones_and_no_others() -> None:
    assert keys(summarise(facts())) == DOCUMENTED | ADDED


def test_the_start_is_told_in_utc_to_the_microsecond() -> None:
    assert summarise(facts())["started"] == "2026-01-01T00:00:00.000005+00:00"


def test_the_model_is_described_by_all_that_tells_it_from_another() -> None:
    assert summarise(facts())["model"] == {
        "name": "tiny",
        "revision": "v1",
        "family": "qwen3-reranker",
        "weights_digest": "0123456789abcdef",
        "max_length": 512,
        "dtype": "bfloat16",
        "recipe": "qwen3-reranker",
        "remarks": [],
        "backend": "vllm",
    }


def test_the_identity_is_told_whole_with_what_stands_for_it_and_no_secret() -> None:
    told = summarise(facts())["identity"]
    assert told == asdict(IDENTITY) | {"digest": IDENTITY.digest}
    secret = replace(IDENTITY, settings={"model_loader_extra_config": '{"url": "https://me:hunter22@host/"}'})
    assert "hunter22" not in str(summarise(facts(identity=secret)))


def test_how_far_the_built_in_pairs_moved_is_told_with_what_rounding_accounts_for() -> None:
    told = summarise(facts(canaries_passed=True, canary_drift=CanaryDrift(0.03, 0.02)))["scores"]
    assert (told["canary_drift"], told["canary_tolerance"]) == (0.03, 0.02)


def test_means_are_over_all_judged_queries_so_one_without_candidates_counts_as_zero() -> None:
    quality = summarise(facts())["quality"]
    assert quality["first_stage"]["ndcg_at_10"] == pytest.approx((0.6 + 0.3 + 0.0) / 3)
    assert quality["reranked"]["ndcg_at_10"] == pytest.approx((0.9 + 0.6 + 0.0) / 3)
    assert quality["delta"]["ndcg_at_10"] == pytest.approx(0.2)


def test_a_judged_query_without_candidates_and_one_whose_pairs_all_failed_are_unanswered() -> None:
    assert summarise(facts())["coverage"] == {
        "queries": 4,
        "answered": 2,
        "unanswered": 2,
        "pairs": 6,
        "failed_pairs": 3,
        "unasked_pairs": 1,
        "truncated_pairs": 1,
        "pairs_in_passages": None,
        "passages": None,
        "set_aside_rows": 5,
    }


def test_documents_read_in_passages_are_counted_where_the_run_reads_them_so() -> None:
    identity = replace(IDENTITY, long_documents="passages, at most 32")
    counted = coverage()
    for passages in ((3, 1, 2), (), (1, 7)):
        counted.add(Ranking("q", ("a", "b", "c")[: len(passages)], (), (), passages=passages))
    told = summarise(facts(identity=identity, coverage=counted))["coverage"]
    assert (told["pairs_in_passages"], told["passages"]) == (3, 12)
    told = summarise(facts(identity=identity))["coverage"]
    assert (told["pairs_in_passages"], told["passages"]) == (0, 0)


def test_throughput_counts_what_the_engine_scored_not_what_failed_or_came_from_the_store() -> None:
    assert summarise(facts())["throughput"] == {
        "wall_s": 4.0,
        "scored_pairs": 6 - 3 - 1,
        "pairs_per_s": 0.5,
        "prompt_tokens_per_s": 100.0,
        "engine_processor_s": 6.5,
    }


def test_queue_cache_and_tokens_are_what_the_engines_counted() -> None:
    told = summarise(facts())
    assert told["queue"]["waiting_max"] == 7
    assert told["queue"]["time_ms"]["p50"] == pytest.approx(4, rel=0.19)
    assert told["queue"]["time_ms"]["p99"] == pytest.approx(600, rel=0.19)
    assert told["cache"] == {
        "prefix_hit_rate": 0.25,
        "kv_usage_peak": 0.5,
        "score_store_hits": 1,
        "score_store_hit_rate": pytest.approx(1 / 6),
        "reused_vectors": None,
        "reused_vector_rate": None,
    }
    assert told["tokens"] == {"prompt": 400, "generation": 0}


def test_pairs_whose_documents_vector_was_known_are_counted_for_embedding_models() -> None:
    done = coverage()
    done.add(Ranking("q5", ("a", "b"), (0.5, 0.4), (None, None), reused_pairs=1))
    told = summarise(facts(coverage=done, identity=replace(IDENTITY, family="embedding")))["cache"]
    assert (told["reused_vectors"], told["reused_vector_rate"]) == (1, 1 / done.scored_pairs)
    part = summarise(facts(coverage=done, identity=replace(IDENTITY, family="embedding"), part_of="all"))["cache"]
    assert (part["reused_vectors"], part["reused_vector_rate"]) == (None, None)


def test_without_an_engine_its_numbers_are_null_and_not_zero() -> None:
    told = summarise(facts(telemetry=Telemetry({}, 0.0), store_used=False, dtype=None))
    assert told["queue"] == {"time_ms": {"p50": None, "p95": None, "p99": None}, "waiting_max": None}
    assert set(told["cache"].values()) == {None}
    assert told["tokens"] == {"prompt": 400, "generation": None}
    assert told["model"]["dtype"] is None


def test_without_judgements_quality_is_null_and_coverage_is_still_counted() -> None:
    told = summarise(facts(first_stage=NOT_JUDGED, reranked=NOT_JUDGED, judgements=Judgements({})))
    assert told["quality"] == {"first_stage": None, "reranked": None, "delta": None}
    assert (told["coverage"]["queries"], told["coverage"]["unanswered"]) == (3, 1)
    assert told["judgements_digest"] is None


def test_where_nothing_was_scored_there_is_no_rate() -> None:
    all_failed = Coverage()
    all_failed.add(RANKINGS[2])
    throughput = summarise(facts(coverage=all_failed))["throughput"]
    rates = dict.fromkeys(("pairs_per_s", "prompt_tokens_per_s", "engine_processor_s"))
    assert throughput == {"wall_s": 4.0, "scored_pairs": 0} | rates


def test_an_engine_without_a_prefix_cache_has_no_hit_rate() -> None:
    watched = Telemetry({}, started_s=0.0)
    watched.take([Snapshot("r1", 1.0, prompt_tokens=420)], 2.0, 1, 1)
    cache = summarise(facts(telemetry=watched))["cache"]
    assert cache["prefix_hit_rate"] is None and cache["kv_usage_peak"] is None


def test_the_tied_share_is_over_all_neighbours_of_all_rankings() -> None:
    counted = coverage()
    counted.add(Ranking("q5", ("c", "b", "a"), (1.0, 1.0, 0.5), (None, None, None)))
    assert summarise(facts(coverage=counted))["scores"]["tied_share"] == pytest.approx(1 / 3)


def test_where_no_document_has_a_neighbour_there_is_no_tied_share() -> None:
    alone = Coverage()
    alone.add(RANKINGS[1])
    assert summarise(facts(coverage=alone))["scores"]["tied_share"] is None


def test_the_content_is_plain_json() -> None:
    told = summarise(facts())
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_the_failed_share_is_over_all_pairs_and_zero_without_any() -> None:
    assert coverage().failed_share == 0.5
    assert Coverage().failed_share == 0.0
