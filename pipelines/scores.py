"""`rerank-eval scores`: what a score store holds, as a table, as Parquet, or less of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from stages.errors import ConfigError, DataError
from stages.score_file import FILE, FILE_ERRORS
from stages.score_store import ScoreStore

app = typer.Typer(help="What a score store holds: stats, export, prune.", no_args_is_help=True)

StoreArgument = Annotated[Path, typer.Argument(help="Folder of the store: rerank.store of the run config.")]
ROWS_AT_ONCE = 50_000
SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


@app.command()
def stats(
    store: StoreArgument,
    json_output: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")] = False,
) -> None:
    """How many scores there are, of which models, and what they take on disk."""
    told = store_stats(store)
    if json_output:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    typer.echo(f"scores\t{told['scores']:,}\nbytes\t{told['bytes']:,}")
    if told["scores"]:
        typer.echo(f"bytes per score\t{told['bytes_per_score']:.1f}")
    for one in told["scorings"]:
        typer.echo(f"{one['model']}\t{one['scores']:,}\t{one['oldest']} to {one['newest']}\t{one['identity']}")


@app.command()
def export(
    store: StoreArgument,
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
) -> None:
    """Write every score to a Parquet file: key, score, logit, prompt_tokens, truncated, model, identity, written."""
    scores, damaged = export_scores(store, out)
    if damaged:
        typer.echo(f"left out {damaged:,} damaged batches", err=True)
    typer.echo(f"{scores:,} scores in {out}")


@app.command()
def prune(
    store: StoreArgument,
    model: Annotated[str | None, typer.Option("--model", help="Scores of this model, as `stats` names it.")] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Scores written before that: 30d, 12h, 8w.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All scores.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete scores and give their space back; jobs may use the store meanwhile."""
    if everything == (model is not None or older_than is not None):
        raise ConfigError("scores prune: say which scores: --model NAME, --older-than 30d or both; or --all.")
    before_s = time.time() - duration_s(older_than) if older_than else None
    with _opened(store) as opened:
        count, total = opened.count(model, before_s), len(opened)
        if not yes:
            typer.confirm(f"Delete {count:,} of {total:,} scores in {store}?", abort=True)
        deleted = opened.prune(model, before_s)
    typer.echo(f"deleted {deleted:,} of {total:,} scores")


def store_stats(folder: Path) -> dict[str, Any]:
    """Scores and bytes in all, and scores and time of writing per scoring identity."""
    with _opened(folder, read_only=True) as store:
        scorings = store.scorings()
        scores = sum(one.scores for one in scorings)
        files = [store.path, store.path.with_name(f"{store.path.name}-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
    return {
        "scores": scores,
        "bytes": size,
        "bytes_per_score": size / scores if scores else None,
        "scorings": [
            {
                "model": one.model,
                "scores": one.scores,
                "oldest": _time(one.oldest_s).isoformat(),
                "newest": _time(one.newest_s).isoformat(),
                "identity": one.identity,
            }
            for one in scorings
        ],
    }


def export_scores(folder: Path, out: Path) -> tuple[int, int]:
    """Write the scores to a Parquet file, whole or not at all; gives how many, and how many batches are damaged.

    A pair that two workers had scored at the same time is there twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        {
            "key": pa.string(),
            "score": pa.float64(),
            "logit": pa.float64(),
            "prompt_tokens": pa.int32(),
            "truncated": pa.bool_(),
            "model": text,
            "identity": text,
            "written": pa.timestamp("s", "UTC"),
        }
    )
    scores = damaged = 0
    partial = out.with_name(f"{out.name}.partial")
    try:
        with _opened(folder, read_only=True) as store, pq.ParquetWriter(partial, schema) as writer:
            for rows, broken in _rows(store):
                writer.write_table(pa.Table.from_pylist(rows, schema))
                scores, damaged = scores + len(rows), damaged + broken
        partial.replace(out)
    except OSError as error:
        raise DataError(f"--out {out}: cannot be written ({error}). Choose another place.") from error
    finally:
        partial.unlink(missing_ok=True)
    return scores, damaged


def duration_s(text: str) -> float:
    """Seconds in `30d`, `12h` or `8w`. Raises ConfigError."""
    if not (found := re.fullmatch(r"(\d+)([hdw])", text)):
        raise ConfigError(f"--older-than {text}: not a duration. Give a whole number and h, d or w, such as 30d.")
    return int(found[1]) * SECONDS[found[2]]


def _rows(store: ScoreStore) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Rows of about ROWS_AT_ONCE scores, and how many batches among them were damaged."""
    rows: list[dict[str, Any]] = []
    damaged = 0
    for batch in store.batches():
        damaged += batch.scores is None
        rows += [
            {
                "key": key.hex(),
                "score": pair.score,
                "logit": pair.logit,
                "prompt_tokens": pair.prompt_tokens,
                "truncated": pair.truncated,
                "model": batch.model,
                "identity": batch.identity,
                "written": _time(batch.written_s),
            }
            for key, pair in (batch.scores or {}).items()
        ]
        if len(rows) >= ROWS_AT_ONCE:
            yield rows, damaged
            rows, damaged = [], 0
    yield rows, damaged


@contextmanager
def _opened(folder: Path, *, read_only: bool = False) -> Iterator[ScoreStore]:
    """An existing store. Raises DataError where there is none or its file fails."""
    if not (folder / FILE).exists():
        raise DataError(f"{folder}: no score store, {FILE} is missing. Give the folder that rerank.store names.")
    store = ScoreStore(folder, read_only=read_only)
    try:
        yield store
    except FILE_ERRORS as error:
        raise DataError(f"{store.path}: {error}. A damaged store is best moved away; a new one is made.") from error
    finally:
        store.close()


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
