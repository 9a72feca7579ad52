"""Finished runs by hand: every file that a run leaves, with little in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.runs.folder import RunFolder
from stages.telemetry.telemetry import TimelinePoint

RUN_ID = "20260101-000000-small-0a1b"
DIGEST = "0123456789abcdef" * 4
METRICS: dict[str, Any] = {
    "run_id": RUN_ID,
    "config_digest": "c" * 16,
    "candidates_digest": DIGEST,
    "model": {
        "name": "tiny",
        "revision": None,
        "family": "embedding",
        "weights_digest": "d",
        "max_length": 256,
        "dtype": "float32",
    },
    "quality": {
        "first_stage": {"ndcg_at_10": 0.5, "mrr": 0.25},
        "reranked": {"ndcg_at_10": 0.75, "mrr": 0.375},
        "delta": {"ndcg_at_10": 0.2505, "mrr": 0.125},
    },
    "coverage": {
        "queries": 4,
        "answered": 3,
        "unanswered": 1,
        "pairs": 40,
        "failed_pairs": 0,
        "truncated_pairs": 2,
        "set_aside_rows": 1,
    },
    "throughput": {"wall_s": 2.5, "scored_pairs": 40, "pairs_per_s": 16.0, "prompt_tokens_per_s": 320.0},
    "queue": {"time_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0}, "waiting_max": 9},
    "cache": {"prefix_hit_rate": 0.5, "kv_usage_peak": None, "score_store_hits": None, "score_store_hit_rate": None},
    "tokens": {"prompt": 800, "generation": 0},
    "scores": {"tied_share": 0.125},
}
ENVIRONMENT: dict[str, Any] = {
    "dataset": "small",
    "git_commit": "abc123",
    "python": "3.11",
    "packages": {"ray": "2.60.0", "mlflow": "3.17.2"},
    "hardware": {"processor": "a processor", "cores": 2, "memory_gib": 8.0},
    "engines": [],
}
POINTS = [
    TimelinePoint(1.0, 1, 10, 10.0, 200.0, 3, 5, 0.25, 0.5, 42.0),
    TimelinePoint(2.5, 4, 40, 20.0, 400.0, 1, 0, 0.125, None, None),
]
ANALYSIS: dict[str, Any] = {
    "schema_version": 2,
    "metrics": ["ndcg@10", "mrr"],
    "significance": {
        "ndcg@10": {
            "difference": 0.25,
            "interval": [0.1, 0.4],
            "confidence": 0.95,
            "p_t": 0.001,
            "corrected_p": 0.01,
            "effect_size": 0.6,
            "minimum_detectable": 0.2,
            "wins": 3,
            "ties": 1,
            "losses": 0,
            "words": "ndcg@10 rises by 0.25.",
        },
        "mrr": {"difference": 0.125, "interval": None, "confidence": 0.95, "corrected_p": None},
    },
    "depth": {
        "points": [
            {"depth": 5, "pairs": 20, "means": {"ndcg@10": 0.6, "mrr": 0.3}},
            {"depth": 10, "pairs": 40, "means": {"ndcg@10": 0.75, "mrr": None}},
        ],
        "best": {"ndcg@10": 10, "mrr": None},
        "enough": {"ndcg@10": 5, "mrr": None},
        "words": {"ndcg@10": "Depth 10 is best here.", "mrr": "No depth helps."},
    },
    "oracle": {
        "means": {"ndcg@10": 0.9},
        "headroom": {"ndcg@10": 0.4},
        "gained": {"ndcg@10": 0.625, "mrr": None},
        "recall_ceiling": 0.95,
    },
    "fusion": {
        "reciprocal_rank": {"ndcg@10": 0.7},
        "interpolation": {"means": {"ndcg@10": 0.8}, "weights": [0.5, 0.6], "chosen_by": "ndcg@10", "sweep": []},
    },
    "calibration": None,
    "ties": {"tied_neighbours": 0.125, "all_equal_lists": 0.0, "saturated": None},
    "judged": {"first_stage": {"judged@10": 0.5}, "reranked": {"judged@10": 0.25}},
    "position": {"queries": 2, "pairs": 20, "failed": 0, "largest": 0.001, "largest_logit": None, "where": ["q", "d"]},
    "cost": {
        "pairs_per_query": 10.0,
        "engine_s_per_query": 0.625,
        "gain_per_engine_s": {"ndcg@10": 0.4},
        "money": None,
    },
    "failures": [{"reason": "no text", "rows": 1}],
}
PER_QUERY = {
    "query_id": ["q1", "q2", "007"],
    "answered": [True, True, False],
    "reranked/ndcg_at_10": [1.0, 0.5, 0.0],
    "first_stage/ndcg_at_10": [0.5, 0.5, 0.25],
    "delta/ndcg_at_10": [0.5, 0.0, -0.25],
}
BUSY = [
    {"elapsed_s": 1.0, "node": "host-a", "name": "cpu_utilization_percentage", "value": 50.0},
    {"elapsed_s": 1.0, "node": "host-b", "name": "gpu_0_utilization_percentage", "value": 90.0},
    {"elapsed_s": 2.5, "node": "host-a", "name": "cpu_utilization_percentage", "value": 75.0},
]


def make_folder(path: Path, uri: str | None, analysed: bool = True, **sections: Any) -> RunFolder:
    """A finished run, logged to `uri`; `sections` are added to its config."""
    folder = RunFolder(path)
    folder.rankings.mkdir(parents=True)
    folder.candidates.mkdir()
    content = {
        "data": {"format": "jsonl", "path": "rows.jsonl"},
        "tracking": {"uri": uri, "experiment": "test", "tags": {"owner": "search"}},
    }
    content = {name: content.get(name, {}) | sections.get(name, {}) for name in {**content, **sections}}
    folder.config.write_text(RunConfig.model_validate(content).to_yaml(), encoding="utf-8")
    folder.write_json(folder.metrics, METRICS | {"run_id": folder.run_id})
    folder.write_json(folder.environment, ENVIRONMENT)
    folder.write_timeline(POINTS)
    if analysed:
        folder.write_json(folder.analysis, ANALYSIS)
        folder.report.write_text("<p>a report</p>")
        folder.figures.mkdir()
        (folder.figures / "depth.png").write_bytes(b"\x89PNG")
    pq.write_table(pa.Table.from_pylist(BUSY), folder.system)
    pq.write_table(pa.table(PER_QUERY), folder.per_query)
    for file in (folder.failures, folder.rankings / "part-00000.parquet", folder.candidates / "p.parquet"):
        pq.write_table(pa.table({"query_id": ["q1"]}), file)
    folder.trec_run.write_text("q1 Q0 a 1 1 rerank-eval\n")
    return folder
