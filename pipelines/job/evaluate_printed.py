"""What `rerank-eval evaluate` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from pipelines.job.evaluate_files import evaluate_run
from stages.core.judges import MODEL_PREFIX, NO_INTERVAL
from stages.core.reasons import told_kinds
from stages.core.records import QueryMetrics
from stages.quality.evaluate import metric_key


def print_evaluation(
    run_file: Path,
    qrels: Path,
    metrics: tuple[str, ...],
    run_columns: Sequence[str] | None = None,
    *,
    per_query: bool,
    as_json: bool,
    drop_self: bool = False,
) -> None:
    """Print means, with `per_query` each query before them; what was set aside, and what to mind, to stderr."""
    found = evaluate_run(run_file, qrels, metrics, run_columns, drop_self=drop_self)
    summary = found.summary()
    for kind in told_kinds(found.set_aside):
        typer.echo(f"set aside {kind}", err=True)
    for remark in found.remarks:
        typer.echo(f"mind: {remark}", err=True)
    rows = _per_query(found.values) if per_query else {}
    of_rows = {
        one: {**row, **({"judged_by": found.by_query[one]} if found.by_query else {})} for one, row in rows.items()
    }
    by_model = {query_id for query_id, by in found.by_query.items() if by == "model"}
    if found.mark:
        typer.echo(f"mind: {found.mark}: {NO_INTERVAL}", err=True)
    if as_json:
        typer.echo(json.dumps(summary | ({"per_query": of_rows} if per_query else {}), indent=2, ensure_ascii=False))
        return
    for query_id, by_metric in rows.items():
        for name, value in by_metric.items():
            typer.echo(f"{_marked(name, query_id in by_model)}\t{query_id}\t{value:.4f}")
    for line in _means(summary, found.mark is not None):
        typer.echo(line)


def _marked(name: str, by_model: bool) -> str:
    return MODEL_PREFIX + name if by_model else name


def _means(summary: dict[str, Any], by_model: bool) -> list[str]:
    """As trec_eval prints them; what a model's judgements give has another name."""
    unjudged = summary["unjudged"]
    share = "does not apply" if unjudged["share"] is None else f"{unjudged['share']:.4f}"
    return [
        *(f"{_marked(name, by_model)}\tall\t{value:.4f}" for name, value in summary["means"].items()),
        f"queries\tall\t{summary['queries']}",
        f"unanswered\tall\t{summary['unanswered']}",
        f"unjudged_at_{unjudged['top']}\tall\t{share}",
    ]


def _per_query(values: QueryMetrics) -> dict[str, dict[str, float]]:
    return {
        query_id: {metric_key(name): values.values[name][index] for name in values.values}
        for index, query_id in enumerate(values.query_ids)
    }
