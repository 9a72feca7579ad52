"""`rerank-eval export`: a finished run -> the contexts of the next stage, in one of FORMS, query by query."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pipelines.runs.contexts import Choice, Contexts, read_contexts
from pipelines.runs.export_forms import (
    FORMS,
    REFERENCES,
    ROW_NAMES,
    reference_of,
    to_jsonl,
    to_ragas,
    to_rank_llm,
    to_trec,
    write_parquet,
)
from pipelines.runs.read import RunContent
from pipelines.runs.token_count import token_budget
from stages.core.errors import ConfigError, DataError
from stages.core.words import counted, did_you_mean
from stages.files.columns import attribute_names


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What to export: a form, how many documents of each query, and of these as many from the first on as fit `tokens`
    by the tokenizer of the run's model or the one that is named; and of ragas, which column holds the ground truth.
    """

    to: str
    top: int = 5
    tokens: int | None = None
    tokenizer: str | None = None
    first_stage: bool = False
    reference: str | None = None


@dataclass(slots=True)
class Exported:
    """What was written. Of `unanswered` queries no document has a score; of `empty` ones none was written, for want of
    texts or room; `unscored` documents stand behind those that have a score. Queries `without_query`,
    whose own text is not known, were left out.
    """

    queries: int = 0
    documents: int = 0
    unanswered: int = 0
    empty: int = 0
    unscored: int = 0
    without_query: int = 0
    without_reference: int = 0
    left_out: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return f"{counted(self.queries, 'query', 'queries')}, {counted(self.documents, 'document')}"

    def notes(self) -> Iterator[str]:
        """What whoever uses it must know."""
        if self.without_query:
            yield f"{counted(self.without_query, 'query', 'queries')} without a text: left out"
        if self.unanswered:
            yield f"{counted(self.unanswered, 'query', 'queries')} without a scored document: in the old order"
        if self.empty:
            yield f"{counted(self.empty, 'query', 'queries')} without a document: no text, or none that fits"
        if self.unscored:
            yield f"{counted(self.unscored, 'document')} without a score: behind the others, in the old order"
        if self.without_reference:
            yield f"{counted(self.without_reference, 'query', 'queries')} without ground truth: reference is null"
        if self.left_out:
            yield f"the queries' own {', '.join(self.left_out)}: left out, as a row has these names for something else"


def export_run(run: RunContent, order: ExportOrder, out: Path | None) -> Exported:
    """Write it to the file, whole or not at all, or to stdout.

    Raises ConfigError for an order that makes no sense, DataError where the run lacks what the form needs or the file
    cannot be written.
    """
    _check(run, order, out)
    budget = None if order.tokens is None else token_budget(run, order.tokens, order.tokenizer)
    choice = Choice(order.top, order.first_stage, budget)
    names = attribute_names(run.folder.candidates) if order.to != "trec" else set()
    references = _references(order, names) if order.to == "ragas" else ()
    told = Exported(left_out=tuple(sorted(names & ROW_NAMES)) if order.to in ("jsonl", "parquet") else ())
    with_texts = order.to != "trec"
    rows = _seen(read_contexts(run.folder, choice, with_texts=with_texts), told, references, with_texts=with_texts)
    with _written(out) as file:
        if order.to == "parquet":
            write_parquet(rows, names, file)
        else:
            line = _line_of(order.to, references)
            file.writelines(line(one).encode() for one in rows)
    return told


def _check(run: RunContent, order: ExportOrder, out: Path | None) -> None:
    if order.to not in FORMS:
        raise ConfigError(f"--to {order.to}: choose from {', '.join(FORMS)}")
    if order.tokenizer is not None and order.tokens is None:
        raise ConfigError("--tokenizer: it counts what --tokens allows; give both")
    if order.reference is not None and order.to != "ragas":
        raise ConfigError(f"--reference: of ragas alone; {order.to} has no place for it")
    if order.to == "parquet" and out is None:
        raise ConfigError("--to parquet: its file is no text; name it with --out")
    if order.to == "rank_llm" and out is not None and out.suffix != ".jsonl":
        raise ConfigError(f"--out {out}: rank_llm reads lines from files that end in .jsonl alone; name it so")
    if not run.folder.candidates.is_dir():
        raise DataError(
            f"{run.folder.path}: its candidates are missing, as in MLflow; export from the run folder itself"
        )
    if order.first_stage and (children := run.folder.children()):
        folders = ", ".join(str(child.path) for child in children)
        raise ConfigError(f"--first-stage: {run.folder.path} has several; export one of {folders}")


def _references(order: ExportOrder, names: set[str]) -> tuple[str, ...]:
    """The columns of the data's queries that may hold the ground truth."""
    if order.reference is None:
        return tuple(name for name in REFERENCES if name in names)
    if order.reference not in names:
        raise ConfigError(
            f"--reference {order.reference}: the run's queries have no such column"
            + (did_you_mean(order.reference, sorted(names)) or ", nor any other")
        )
    return (order.reference,)


def _line_of(form: str, references: tuple[str, ...]) -> Callable[[Contexts], str]:
    lines: dict[str, Callable[[Contexts], str]] = {
        "trec": to_trec,
        "rank_llm": to_rank_llm,
        "ragas": partial(to_ragas, references=references),
        "jsonl": to_jsonl,
    }
    return lines[form]


def _seen(
    rows: Iterator[Contexts], told: Exported, references: tuple[str, ...], *, with_texts: bool
) -> Iterator[Contexts]:
    """The rows as they are, counted; with texts, without those whose query has none."""
    for one in rows:
        if with_texts and not one.query.query:
            told.without_query += 1
            continue
        told.queries += 1
        told.documents += len(one.doc_ids)
        told.unscored += len(one.ranking.tail)
        told.empty += not one.doc_ids
        told.unanswered += not one.answered
        told.without_reference += bool(references) and reference_of(one, references) is None
        yield one


@contextlib.contextmanager
def _written(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        with _stdout() as lines:
            yield lines
        return
    # A device or a pipe is written to, and never renamed away.
    partial_file = out if out.exists() and not out.is_file() else out.with_name(f"{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial_file.open("wb") as file:
            yield file
        if partial_file != out:
            partial_file.replace(out)
    except OSError as error:
        raise DataError(f"--out {out}: cannot be written ({error.strerror or error}). Choose another place.") from error
    finally:
        if partial_file != out:
            with contextlib.suppress(OSError):
                partial_file.unlink(missing_ok=True)


@contextlib.contextmanager
def _stdout() -> Iterator[BinaryIO]:
    """Where whoever reads it has gone, BrokenPipeError ends the command quietly."""
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of it is not tried at the end
        raise DataError(f"the terminal or file of stdout cannot be written ({error.strerror}); name another") from error
