"""Commands about files alone: what a run file is worth, and what files are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import JsonOption


def evaluate(
    run_file: Annotated[Path, typer.Option("--run", help="TREC run file.")],
    qrels: Annotated[Path, typer.Option("--qrels", help="TREC or BEIR qrels file.")],
    metrics: Annotated[str, typer.Option("--metrics", help="Comma-separated, such as ndcg@10,mrr.")] = "ndcg@10,mrr@10",
    run_columns: Annotated[
        str | None,
        typer.Option(
            "--run-columns", help="Of a run without TREC's six columns: query_id,doc_id,rank or query_id,doc_id,score."
        ),
    ] = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Each query's values too.")] = False,
    drop_self: Annotated[
        bool, typer.Option("--drop-self", help="Without documents that have their query's id: data.drop_self.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Score a TREC run file against judgements, as trec_eval does; no engine is involved."""
    from pipelines.job.evaluate_printed import print_evaluation

    columns = None if run_columns is None else [name.strip(" []") for name in run_columns.split(",")]
    wanted = tuple(metrics.split(","))
    print_evaluation(run_file, qrels, wanted, columns, per_query=per_query, as_json=json_output, drop_self=drop_self)


def data(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders; those that belong together, in one call.")],
    json_output: JsonOption = False,
) -> None:
    """What a file is, what it holds, and the section of a run config that reads it. Starts nothing."""
    from pipelines.job.describe_data import print_description

    print_description(paths, as_json=json_output)


def add_to(app: typer.Typer) -> None:
    app.command()(evaluate)
    app.command()(data)
