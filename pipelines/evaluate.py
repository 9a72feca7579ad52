"""`rerank-eval evaluate`: a TREC run file and qrels -> metrics. No engine, no cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from stages.evaluate import check_metric, evaluate, metric_key
from stages.records import QueryMetrics, SetAside
from stages.sources.trec import read_qrels, read_run


def evaluate_files(
    run_file: Path, qrels: Path, metrics: tuple[str, ...], set_aside: list[SetAside]
) -> tuple[QueryMetrics, dict[str, Any]]:
    """Per-query values, and a summary of means over all judged queries. Bad lines go to `set_aside`."""
    wanted = tuple(check_metric(name.strip()) for name in metrics)
    judgements = read_qrels(qrels, set_aside.append)
    rankings = {query_id: one.doc_ids for query_id, one in read_run(run_file, None, set_aside.append).items()}
    values = evaluate(rankings, judgements, wanted)
    answered = sum(values.answered)
    summary = {
        "means": {metric_key(name): values.mean(name) for name in wanted},
        "queries": len(judgements),
        "answered": answered,
        "unanswered": len(judgements) - answered,
        "set_aside_rows": len(set_aside),
    }
    return values, summary


def print_evaluation(run_file: Path, qrels: Path, metrics: tuple[str, ...], *, per_query: bool, as_json: bool) -> None:
    """Print means, with `per_query` each query's values before them; what was set aside goes to stderr."""
    set_aside: list[SetAside] = []
    values, summary = evaluate_files(run_file, qrels, metrics, set_aside)
    for row in set_aside[:10]:
        typer.echo(f"set aside {row.where}: {row.reason}", err=True)
    if len(set_aside) > 10:
        typer.echo(f"... and {len(set_aside) - 10:,} more", err=True)
    rows = _per_query(values) if per_query else {}
    if as_json:
        typer.echo(json.dumps(summary | ({"per_query": rows} if per_query else {}), indent=2, ensure_ascii=False))
        return
    for query_id, by_metric in rows.items():
        for name, value in by_metric.items():
            typer.echo(f"{name}\t{query_id}\t{value:.4f}")
    for name, value in summary["means"].items():
        typer.echo(f"{name}\tall\t{value:.4f}")
    typer.echo(f"queries\tall\t{summary['queries']}\nunanswered\tall\t{summary['unanswered']}")


def _per_query(values: QueryMetrics) -> dict[str, dict[str, float]]:
    return {
        query_id: {metric_key(name): values.values[name][index] for name in values.values}
        for index, query_id in enumerate(values.query_ids)
    }
