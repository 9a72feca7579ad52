"""`rerank-eval evaluate`: a TREC run file and qrels -> metrics. No engine, no cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from stages.core.records import QueryMetrics, SetAside
from stages.quality.evaluate import evaluate
from stages.quality.measures import metric_key, parse_metric
from stages.sources.trec import read_qrels, read_run

TOP = 10
"""How much of a ranking is looked at for judgements where no metric has a cutoff."""


def evaluate_files(
    run_file: Path, qrels: Path, metrics: tuple[str, ...], set_aside: list[SetAside]
) -> tuple[QueryMetrics, dict[str, Any]]:
    """Per-query values, and a summary of means over all judged queries. Bad lines go to `set_aside`.

    `unjudged.share` of the summary is that part of the first `unjudged.top` documents that has no judgement, averaged
    over the answered queries; None where there are none. `top` is the largest cutoff of `metrics`, or TOP.
    """
    wanted = tuple(name.strip() for name in metrics)
    top = max((parse_metric(name).cutoff for name in wanted), default=0) or TOP
    judgements = read_qrels(qrels, set_aside.append)
    rankings = {query_id: one.doc_ids for query_id, one in read_run(run_file, None, set_aside.append).items()}
    found = evaluate(rankings, judgements, (*wanted, f"judged@{top}"))
    values = QueryMetrics(found.query_ids, {name: found.values[name] for name in wanted}, found.answered)
    answered = sum(values.answered)
    summary = {
        "means": {metric_key(name): values.mean(name) for name in wanted},
        "queries": len(judgements),
        "answered": answered,
        "unanswered": len(judgements) - answered,
        # An unanswered query adds 0 to the sum.
        "unjudged": {"top": top, "share": 1 - sum(found.values[f"judged@{top}"]) / answered if answered else None},
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
    for line in _means(summary):
        typer.echo(line)


def _means(summary: dict[str, Any]) -> list[str]:
    unjudged = summary["unjudged"]
    share = "does not apply" if unjudged["share"] is None else f"{unjudged['share']:.4f}"
    return [
        *(f"{name}\tall\t{value:.4f}" for name, value in summary["means"].items()),
        f"queries\tall\t{summary['queries']}",
        f"unanswered\tall\t{summary['unanswered']}",
        f"unjudged_at_{unjudged['top']}\tall\t{share}",
    ]


def _per_query(values: QueryMetrics) -> dict[str, dict[str, float]]:
    return {
        query_id: {metric_key(name): values.values[name][index] for name in values.values}
        for index, query_id in enumerate(values.query_ids)
    }
