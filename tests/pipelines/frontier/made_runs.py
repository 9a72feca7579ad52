"""Finished runs over the same drawn candidates, whole enough for a frontier: texts, rankings, judgements, rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.runs.folder import RunFolder
from stages.files.judgements import write_judgements
from stages.files.rankings import rankings_table
from stages.files.tables import write_candidates
from stages.quality.evaluate import evaluate
from tests.frontier_inputs import Scored
from tests.pipelines.finished_runs import ENVIRONMENT, METRICS, STARTED

MEASURED = ["ndcg@10", "mrr@10"]


def made_run(
    path: Path,
    made: Scored,
    reranker: int,
    *,
    family: str = "cross-encoder",
    device: str = "cpu",
    config: dict[str, Any] | None = None,
    **changed: Any,
) -> Path:
    """A run of one reranker over all candidates, which took 12 processor seconds. `changed` replaces parts of
    metrics.json, section by section.
    """
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    manifest = write_candidates(made.candidates, folder.candidates)
    rankings = made.rankings(reranker)
    folder.rankings.mkdir()
    pq.write_table(rankings_table(rankings), folder.rankings / "part-00000.parquet")
    first = evaluate({one.query_id: one.first_stage() for one in made.candidates}, made.judgements, MEASURED)
    after = evaluate({one.query_id: one.ordered() for one in rankings}, made.judgements, MEASURED)
    folder.write_per_query(first, after)
    write_judgements(made.judgements, folder.judgements)
    pairs = sum(len(one.doc_ids) + len(one.failed) for one in rankings)
    metrics: dict[str, Any] = {"run_id": path.name, "started": STARTED, **METRICS} | {
        "candidates_digest": manifest.digest,
        "lists_digest": manifest.lists_digest,
        "judgements_digest": made.judgements.digest,
        "identity": {"family": family, "device": device, "digest": f"{reranker}" * 16},
        "quality": {"first_stage": {}, "reranked": {}, "delta": {}},
    }
    metrics["coverage"] = metrics["coverage"] | {"pairs": pairs, "queries": len(rankings)}
    metrics["throughput"] = metrics["throughput"] | {"scored_pairs": pairs, "engine_processor_s": 12.0}
    metrics["model"] = metrics["model"] | {"name": f"models/{path.name}", "family": family}
    for name, value in changed.items():
        metrics[name] = metrics.get(name, {}) | value if isinstance(value, dict) else value
    folder.metrics.write_text(json.dumps(metrics))
    sections = {
        "data": {"format": "jsonl", "path": "rows.jsonl"},
        "model": {"name": f"models/{path.name}"},
        "evaluate": {"metrics": MEASURED},
    }
    folder.config.write_text(RunConfig.model_validate(sections | (config or {})).to_yaml())
    folder.environment.write_text(json.dumps(ENVIRONMENT))
    cost = {"engine_s_per_query": 20.0 / len(rankings), "pairs_per_query": pairs / len(rankings)}
    folder.write_json(folder.analysis, {"schema_version": 2, "cost": cost})
    return path
