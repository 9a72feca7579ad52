"""Finished runs, made by hand: what commands between runs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_run_folder
from stages.quality.comparison import compare_systems
from stages.telemetry.telemetry import TimelinePoint

STARTED = "2026-01-05T00:00:00+00:00"
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
) -> RunContent:
    """A run folder whose ndcg@10 of each query is given. `changed` replaces parts of METRICS, section by section."""
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    ids = list(query_ids or (f"q{number:03}" for number in range(len(ndcg))))
    before = list(first or [0.5] * len(ndcg))
    table = {
        "query_id": ids,
        "answered": [True] * len(ids),
        "reranked/ndcg_at_10": list(ndcg),
        "first_stage/ndcg_at_10": before,
        "delta/ndcg_at_10": [after - earlier for earlier, after in zip(before, ndcg, strict=True)],
    }
    pq.write_table(pa.table(table), folder.per_query)
    means = {"first_stage": sum(before) / len(ids), "reranked": sum(ndcg) / len(ids)}
    quality = {side: {"ndcg_at_10": mean} for side, mean in means.items()}
    quality["delta"] = {"ndcg_at_10": means["reranked"] - means["first_stage"]}
    metrics = {"run_id": path.name, "started": STARTED, "quality": quality, **METRICS}
    for name, value in changed.items():
        metrics[name] = metrics.get(name, {}) | value if isinstance(value, dict) else value
    folder.metrics.write_text(json.dumps(metrics))
    sections = {"data": {"format": "jsonl", "path": "rows.jsonl"}} | (config or {})
    folder.config.write_text(RunConfig.model_validate(sections).to_yaml())
    folder.environment.write_text(json.dumps(ENVIRONMENT))
    return read_run_folder(path)


POINTS = [
    TimelinePoint(1.0, 1, 10, 10.0, 200.0, 3, 5, 0.25, 0.5, 42.0),
    TimelinePoint(2.5, 4, 40, 20.0, 400.0, 1, 0, 0.125, None, None),
]


def write_analysis(run: RunContent) -> RunContent:
    """analysis.json and timeline.parquet: the significance of the run's own values, the rest made up."""
    (tested,) = compare_systems(run.first_stage, {"reranked": run.reranked}, ["ndcg@10"])
    told = asdict(tested.difference) | {"corrected_p": tested.corrected_p, "words": tested.words}
    run.folder.write_json(run.folder.analysis, ANALYSIS | {"significance": {"ndcg@10": told}})
    run.folder.write_timeline(POINTS)
    return read_run_folder(run.folder.path)


def _point(depth: int, mean: float) -> dict[str, Any]:
    named = {"means": mean, "gains": mean - 0.5, "corrected_p": 0.01}
    return {"depth": depth, "pairs": 4 * depth} | {name: {"ndcg@10": value} for name, value in named.items()}


ANALYSIS: dict[str, Any] = {
    "schema_version": 2,
    "metrics": ["ndcg@10"],
    "depth": {
        "points": [_point(5, 0.6), _point(10, 0.7)],
        "best": {"ndcg@10": 10},
        "enough": {"ndcg@10": 5},
        "words": {"ndcg@10": "Depth 10 is best here."},
    },
    "oracle": {
        "means": {"ndcg@10": 0.9},
        "headroom": {"ndcg@10": 0.4},
        "gained": {"ndcg@10": 0.5},
        "recall_ceiling": 0.95,
    },
    "fusion": {
        "reciprocal_rank": {"ndcg@10": 0.65},
        "interpolation": {
            "means": {"ndcg@10": 0.72},
            "weights": [0.5, 0.75],
            "chosen_by": "ndcg@10",
            "sweep": [{"weight": weight, "means": {"ndcg@10": 0.5 + weight / 4}} for weight in (0.25, 0.5, 0.75, 1.0)],
        },
    },
    "strata": [
        {"column": "words", "group": group, "queries": 8, "first_stage": 0.5, "reranked": 0.5 + gain}
        | {"difference": gain, "sd": 0.1, "wins": 6, "ties": 1, "losses": 1}
        for group, gain in (("short", 0.3), ("long", 0.1))
    ],
    "movers": {
        "won": [
            {
                "query_id": "q000",
                "query": "100 % of <b>R&D</b>_budget",
                "first_stage": 0.5,
                "reranked": 1.0,
                "documents": [
                    {"doc_id": "d7", "grade": 1, "old_rank": 9, "new_rank": 1, "score": 0.9, "excerpt": "a text"}
                ],
            }
        ],
        "lost": [],
    },
    "calibration": {
        "bins": [
            {"low": 0.0, "high": 0.5, "pairs": 20, "mean_probability": 0.2, "relevant_share": 0.1},
            {"low": 0.5, "high": 1.0, "pairs": 20, "mean_probability": 0.8, "relevant_share": 0.7},
        ],
        "ece": 0.1,
        "pairs": 40,
        "relevant": 16,
    },
    "ties": {"tied_neighbours": 0.01, "all_equal_lists": 0.0, "saturated": None},
    "judged": {"first_stage": {"judged@10": 0.5}, "reranked": {"judged@10": 0.5}},
    "position": {
        "queries": 2,
        "pairs": 20,
        "failed": 0,
        "largest": 0.001,
        "largest_logit": None,
        "where": ["q000", "d7"],
    },
    "cost": {
        "pairs_per_query": 10.0,
        "tokens_per_query": 200.0,
        "engine_s_per_query": 0.625,
        "gain_per_engine_s": {"ndcg@10": 0.4},
        "money": None,
        "money_per_1000_queries": None,
        "per_hour": None,
    },
    "failures": [{"reason": "no text", "rows": 1}],
}
