"""The commands on a score store: `rerank-eval scores stats`, `export`, `prune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import JsonOption
from stages.core.errors import ConfigError

app = typer.Typer(help="What a score store holds: stats, export, prune.", no_args_is_help=True)

StoreArgument = Annotated[Path, typer.Argument(help="Folder of the store: rerank.store, or judge.store.")]


@app.command()
def stats(
    store: StoreArgument,
    json_output: JsonOption = False,
) -> None:
    """How many scores there are, of which models, of how many documents vectors, and what they take on disk."""
    from pipelines.job.store_admin import store_stats

    told = store_stats(store)
    if json_output:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    typer.echo(f"scores\t{told['scores']:,}\nbytes\t{told['bytes']:,}")
    if told["scores"]:
        typer.echo(f"bytes per score\t{told['bytes_per_score']:.1f}")
    if told["vectors"]["documents"]:
        typer.echo(f"vectors of documents\t{told['vectors']['documents']:,}\t{told['vectors']['bytes']:,} bytes")
    for one in told["scorings"]:
        typer.echo(f"{one['model']}\t{one['scores']:,}\t{one['oldest']} to {one['newest']}\t{one['identity']}")
    if (replies := told["replies"])["replies"]:
        typer.echo(f"replies of judges\t{replies['replies']:,}\t{replies['bytes']:,} bytes")
    for one in replies["judges"]:
        typer.echo(f"{one['judge']}\t{one['replies']:,}\t{one['oldest']} to {one['newest']}\t{one['identity']}")


@app.command()
def export(
    store: StoreArgument,
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
) -> None:
    """Write every score to a Parquet file: key, score, logit, prompt_tokens, truncated, passages, cut_score,
    cut_logit, model, identity, written.
    """
    from pipelines.job.store_admin import export_scores

    scores, damaged = export_scores(store, out)
    if damaged:
        typer.echo(f"left out {damaged:,} damaged batches", err=True)
    typer.echo(f"{scores:,} scores in {out}")


@app.command()
def prune(
    store: StoreArgument,
    model: Annotated[
        str | None, typer.Option("--model", help="Scores or replies of this model, as `stats` names it.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Scores written before that: 30d, 12h, 8w.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All scores.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete scores, vectors of documents and replies of judges, and give their space back; jobs may use the store
    meanwhile.
    """
    from pipelines.job.store_admin import prune_scores

    if everything == (model is not None or older_than is not None):
        raise ConfigError("scores prune: say which scores: --model NAME, --older-than 30d or both; or --all.")

    def sure(count: int, total: int) -> None:
        if not yes:
            typer.confirm(f"Delete {count:,} of {total:,} scores and replies in {store}?", abort=True)

    pruned = prune_scores(store, model, older_than, sure)
    vectors = f", and the vectors of {pruned.vectors:,} documents" if pruned.vectors else ""
    replies = f", and {pruned.replies:,} of {pruned.of_replies:,} replies of judges" if pruned.of_replies else ""
    typer.echo(f"deleted {pruned.scores:,} of {pruned.of:,} scores{vectors}{replies}")
