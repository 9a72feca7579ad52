"""Finished runs, made by hand: what commands between runs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import RunConfig
from pipelines.references import LoadedRun, read_run_folder
from pipelines.run_folder import RunFolder

METRICS: dict[str, Any] = {
    "part_of": None,
    "config_digest": "c" * 16,
    "candidates_digest": "a" * 64,
    "lists_digest": "b" * 64,
    "judgements_digest": "d" * 64,
    "model": {
        "name": "tiny",
        "revision": None,
        "family": "cross-encoder",
        "weights_digest": "w",
        "max_length": 256,
        "dtype": "bfloat16",
    },
    "coverage": {
        "queries": 4,
        "answered": 4,
        "unanswered": 0,
        "pairs": 40,
        "failed_pairs": 0,
        "truncated_pairs": 2,
        "set_aside_rows": 0,
    },
    "scores": {"tied_share": 0.01, "canaries_passed": True},
    "throughput": {"wall_s": 2.5, "scored_pairs": 40, "pairs_per_s": 16.0, "prompt_tokens_per_s": 320.0},
    "queue": {"time_ms": {"p50": 1.0, "p95": 150.0, "p99": 180.0}, "waiting_max": 9},
    "cache": {"prefix_hit_rate": 0.5, "kv_usage_peak": 0.2, "score_store_hits": None, "score_store_hit_rate": None},
    "tokens": {"prompt": 800, "generation": 0},
}
ENVIRONMENT: dict[str, Any] = {
    "dataset": "small",
    "git_commit": "abc123",
    "python": "3.11",
    "packages": {"ray": "2.60.0"},
    "hardware": {"processor": "a processor", "cores": 2, "memory_gib": 8.0},
    "engines": [],
}


def finished_run(
    path: Path,
    ndcg: Sequence[float],
    *,
    first: Sequence[float] | None = None,
    query_ids: Sequence[str] | None = None,
    config: dict[str, Any] | None = None,
    **changed: Any,
) -> LoadedRun:
    """A run folder whose ndcg@10 of each query is given. `changed` replaces parts of METRICS, section by section."""
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    ids = list(query_ids or (f"q{number:03}" for number in range(len(ndcg))))
    before = list(first or [0.5] * len(ndcg))
    table = {
        "query_id": ids,
        "answered": [True] * len(ids),
        "reranked/ndcg@10": list(ndcg),
        "first_stage/ndcg@10": before,
        "delta/ndcg@10": [after - earlier for earlier, after in zip(before, ndcg, strict=True)],
    }
    pq.write_table(pa.table(table), folder.per_query)
    means = {"first_stage": sum(before) / len(ids), "reranked": sum(ndcg) / len(ids)}
    quality = {side: {"ndcg_at_10": mean} for side, mean in means.items()}
    quality["delta"] = {"ndcg_at_10": means["reranked"] - means["first_stage"]}
    metrics = {"run_id": path.name, "quality": quality, **METRICS}
    for name, value in changed.items():
        metrics[name] = metrics[name] | value if isinstance(value, dict) else value
    folder.metrics.write_text(json.dumps(metrics))
    sections = {"data": {"format": "jsonl", "path": "rows.jsonl"}} | (config or {})
    folder.config.write_text(RunConfig.model_validate(sections).to_yaml())
    folder.environment.write_text(json.dumps(ENVIRONMENT))
    return read_run_folder(path)
