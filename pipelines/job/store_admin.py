"""What a store of scores, and of judges' replies, holds: counted, written to Parquet, or less of it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from stages.core.errors import ConfigError, DataError
from stages.store.file import FILE, FILE_ERRORS, SCORES, Layout
from stages.store.replies import REPLIES, ReplyStore
from stages.store.store import KeyedStore, ScoreStore, StoredScoring
from stages.store.vectors import StoredVectors, VectorStore, is_there

T = TypeVar("T")
Kind = type[ScoreStore] | type[ReplyStore]
_LAYOUTS: Mapping[Kind, Layout] = {ScoreStore: SCORES, ReplyStore: REPLIES}
ROWS_AT_ONCE = 50_000
SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


def store_stats(folder: Path) -> dict[str, Any]:
    """Scores and bytes in all, and scores and time of writing per scoring identity; of how many documents there are
    vectors, in how many bytes; and the same of judges' replies.
    """
    vectors = _of_vectors(folder, VectorStore.stats, read_only=True) or StoredVectors(0, 0)
    kinds = _kinds(folder)
    scores, size, scorings = _counted(folder, ScoreStore) if ScoreStore in kinds else (0, 0, [])
    replies, replies_size, judges = _counted(folder, ReplyStore) if ReplyStore in kinds else (0, 0, [])
    return {
        "vectors": asdict(vectors),
        "scores": scores,
        "bytes": size,
        "bytes_per_score": size / scores if scores else None,
        "scorings": [_told(one, "model", "scores") for one in scorings],
        "replies": {
            "replies": replies,
            "bytes": replies_size,
            "judges": [_told(one, "judge", "replies") for one in judges],
        },
    }


def _counted(folder: Path, kind: Kind) -> tuple[int, int, list[StoredScoring]]:
    """How many, in how many bytes, and of whom."""
    with _opened(folder, kind, read_only=True) as store:
        scorings = store.scorings()
        files = [store.path, store.path.with_name(f"{store.path.name}-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
    return sum(one.scores for one in scorings), size, scorings


def _told(one: StoredScoring, whose: str, what: str) -> dict[str, Any]:
    return {
        whose: one.model,
        what: one.scores,
        "oldest": _time(one.oldest_s).isoformat(),
        "newest": _time(one.newest_s).isoformat(),
        "identity": one.identity,
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
            "passages": pa.int32(),
            "cut_score": pa.float64(),
            "cut_logit": pa.float64(),
            "model": text,
            "identity": text,
            "written": pa.timestamp("s", "UTC"),
        }
    )
    scores = damaged = 0
    partial = out.with_name(f"{out.name}.partial")
    try:
        with _opened(folder, ScoreStore, read_only=True) as store, pq.ParquetWriter(partial, schema) as writer:
            for rows, broken in _rows(store):
                writer.write_table(pa.Table.from_pylist(rows, schema))
                scores, damaged = scores + len(rows), damaged + broken
        partial.replace(out)
    except OSError as error:
        raise DataError(f"--out {out}: cannot be written ({error}). Choose another place.") from error
    finally:
        partial.unlink(missing_ok=True)
    return scores, damaged


class Pruned(NamedTuple):
    """So many of all scores were deleted, the vectors of so many documents, and so many of all judges' replies."""

    scores: int
    of: int
    vectors: int
    replies: int
    of_replies: int


def prune_scores(folder: Path, model: str | None, older_than: str | None, sure: Callable[[int, int], object]) -> Pruned:
    """Delete scores, vectors and judges' replies, all where neither is given; `model` may be a judge. `sure` hears how
    many scores and replies, and of how many, before, and may raise.
    """
    before_s = time.time() - duration_s(older_than) if older_than else None
    with contextlib.ExitStack() as opened:
        stores = {kind: opened.enter_context(_opened(folder, kind)) for kind in _kinds(folder)}
        totals = {kind: len(store) for kind, store in stores.items()}
        sure(sum(store.count(model, before_s) for store in stores.values()), sum(totals.values()))
        deleted = {kind: store.prune(model, before_s) for kind, store in stores.items()}
    vectors = _of_vectors(folder, lambda one: one.prune(model, before_s)) or 0
    counts = [one.get(kind, 0) for kind in (ScoreStore, ReplyStore) for one in (deleted, totals)]
    return Pruned(counts[0], counts[1], vectors, counts[2], counts[3])


def duration_s(text: str) -> float:
    """Seconds in `30d`, `12h` or `8w`. Raises ConfigError."""
    if not (found := re.fullmatch(r"(\d+)([hdw])", text)):
        raise ConfigError(f"--older-than {text}: not a duration. Give a whole number and h, d or w, such as 30d.")
    return int(found[1]) * SECONDS[found[2]]


def _rows(store: KeyedStore[Any]) -> Iterator[tuple[list[dict[str, Any]], int]]:
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
                "passages": pair.passages,
                "cut_score": pair.cut_score,
                "cut_logit": pair.cut_logit,
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


def _kinds(folder: Path) -> list[Kind]:
    """Which there are. Raises DataError where there is none."""
    found: list[Kind] = [kind for kind, layout in _LAYOUTS.items() if (folder / layout.file).exists()]
    if not found:
        raise DataError(
            f"{folder}: no score store, {FILE} is missing. Give the folder that rerank.store or judge.store names."
        )
    return found


@contextlib.contextmanager
def _opened(folder: Path, kind: Kind, *, read_only: bool = False) -> Iterator[KeyedStore[Any]]:
    """An existing store. Raises DataError where there is none or its file fails."""
    if not (folder / _LAYOUTS[kind].file).exists():
        raise DataError(f"{folder}: no score store, {FILE} is missing. Give the folder that rerank.store names.")
    store = kind(folder, read_only=read_only)
    try:
        yield store
    except FILE_ERRORS as error:
        raise DataError(f"{store.path}: {error}. A damaged store is best moved away; a new one is made.") from error
    finally:
        store.close()


def _of_vectors(folder: Path, ask: Callable[[VectorStore], T], *, read_only: bool = False) -> T | None:
    """None where there are no vectors. Raises DataError where their file fails."""
    if not is_there(folder):
        return None
    store = VectorStore(folder, 0, read_only=read_only)
    try:
        return ask(store)
    except FILE_ERRORS as error:
        raise DataError(f"{store.path}: {error}. A damaged file is best moved away; a new one is made.") from error
    finally:
        store.close()


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
