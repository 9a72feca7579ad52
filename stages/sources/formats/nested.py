"""Runs and judgements as an object of ids, query id -> document id -> number, or as a table: what ranx, mteb,
FlagEmbedding, BEIR's `json.dump(results)` and PyTerrier leave. Whatever is none of them is a TREC file.

An object is in memory as a whole, about 200 bytes a document; a table is read a batch at a time.

Sources: ranx 0.3.21 (JSON, and its .lz4: LZ4 in LZ4 around CBOR), mteb 2.26.24 (TASK_predictions.json: subset -> split
-> the object, beside `mteb_model_meta`), FlagEmbedding 1.4.2 (under `search_results`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from stages.core.errors import DataError, first_line
from stages.core.prepare import Report, as_id
from stages.core.records import Judgements, Location, SetAside
from stages.sources.formats.lists import ListIndex, Stretch, open_lists
from stages.sources.grades import parse_grade
from stages.sources.judged import judged_row, judgements_by, tells_who_judged
from stages.sources.lines import Record, reading, unpacked
from stages.sources.row_files import ParquetTable, RowTable
from stages.sources.run_columns import RunColumns
from stages.sources.run_index import QueryIds, RunIndex, RunList, open_run
from stages.sources.trec import read_qrels

LZ4, PARQUET = b"\x04\x22\x4d\x18", b"PAR1"
QUERY_COLUMNS = ("q_id", "query_id", "qid", "query-id")
DOCUMENT_COLUMNS = ("doc_id", "docid", "docno", "corpus_id", "corpus-id")
GRADE_COLUMNS = ("relevance", "label", "score")  # BEIR's and MTEB's grades are called score
ABOUT = "mteb_model_meta"

Numbers = Mapping[str, Mapping[str, object]]


def open_any_run(
    path: Path,
    admitted: QueryIds,
    set_aside: Report,
    columns: RunColumns | None = None,
    subset: str | None = None,
    split: str | None = None,
) -> AbstractContextManager[RunIndex | ListIndex]:
    """A run in any of these forms, as `open_run` opens one; `subset` and `split` choose among those of mteb's file.

    Raises DataError where the file cannot be read, and where it holds something else.
    """
    if not path.is_file():  # a pipe, which can be read but once
        return open_run(path, admitted, set_aside, columns)
    if _begins(path, PARQUET):
        return open_lists(str(path), _row_stretches(path, set_aside), admitted, set_aside)
    if (found := _object(path)) is None:
        return open_run(path, admitted, set_aside, columns)
    numbers = _numbers(path, found, subset, split)
    stretches = (Stretch(query_id, list(scores), list(scores.values())) for query_id, scores in numbers.items())
    return open_lists(str(path), stretches, admitted, set_aside)


def read_any_run(path: Path, set_aside: Report, columns: RunColumns | None = None) -> dict[str, RunList]:
    """Query id -> its sorted list, in memory. Raises as `open_any_run` does."""
    with open_any_run(path, QueryIds(), set_aside, columns) as run:
        return {query_id: run.read(query_id) for query_id in run}


def read_any_qrels(path: Path, set_aside: Report) -> Judgements:
    """Judgements in any of these forms. Raises as `read_qrels` does."""
    if not path.is_file():
        return read_qrels(path, set_aside)
    if _begins(path, PARQUET):
        table = ParquetTable(path.name, (path,))
        if (judged := judged_table(str(path), table, set_aside)) is not None:
            return judged
        rows = ((record.where, *_columns(path, record, GRADE_COLUMNS)) for record in table.records(set_aside))
        return judgements_from(str(path), rows, set_aside)
    if (found := _object(path)) is None:
        return read_qrels(path, set_aside)
    where = Location(str(path))
    return judgements_from(
        str(path),
        (
            (where, query_id, doc_id, grade)
            for query_id, grades in _numbers(path, found).items()
            for doc_id, grade in grades.items()
        ),
        set_aside,
    )


def judged_table(name: str, table: RowTable, set_aside: Report) -> Judgements | None:
    """Of a table whose columns say who judged; None of another one. Raises as `judgements_by` does."""
    try:
        if not tells_who_judged(table.columns):
            return None
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    rows = (judged_row(record.where, record.fields) for record in table.records(set_aside))
    return judgements_by(rows, set_aside, lambda: DataError(f"{name} has no usable judgement"))


def judgements_from(
    name: str, rows: Iterator[tuple[Location, object, object, object]], set_aside: Report
) -> Judgements:
    """From (where, query id, document id, grade). The first judgement of a pair counts; another one is set aside.

    Raises DataError where none is usable, and for a fractional grade.
    """
    grades: dict[str, dict[str, int]] = {}
    for where, query, document, given in rows:
        query_id, doc_id, grade = as_id(query), as_id(document), parse_grade(given, where)
        if query_id is None or doc_id is None:
            set_aside(SetAside(where, "query or document id missing", query_id, doc_id))
        elif grade is None:
            set_aside(SetAside(where, f"judgement is not an integer: {given!r:.40}", query_id, doc_id))
        elif doc_id in grades.get(query_id, {}):
            set_aside(SetAside(where, "judged twice: the first judgement counts", query_id, doc_id))
        else:
            grades.setdefault(query_id, {})[doc_id] = grade
    if not grades:
        raise DataError(f"{name} has no usable judgement")
    return Judgements(grades)


def _begins(path: Path, magic: bytes) -> bool:
    with reading(path), path.open("rb") as file:
        return file.read(len(magic)) == magic


def _object(path: Path) -> dict[str, Any] | None:
    """The file's one JSON object, or ranx's packed one; None where it begins with something else."""
    if _begins(path, LZ4):
        return _packed(path)
    with reading(path), unpacked(path) as file:
        head = file.read(64)
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return None
        try:
            found = json.loads(head + file.read())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not one JSON object: {first_line(error)}; {_GIVE}") from error
    return _an_object(path, found)


def _packed(path: Path) -> dict[str, Any]:
    import cbor2
    import lz4.frame  # type: ignore[import-untyped]

    try:
        with lz4.frame.open(path) as file:
            return _an_object(path, cbor2.loads(lz4.frame.decompress(file.read())))
    except (RuntimeError, ValueError, EOFError, OSError, cbor2.CBORError) as error:
        raise DataError(f"cannot read {path} as a .lz4 of ranx: {first_line(error)}; save it as JSON") from error


_GIVE = "a run has {query id: {document id: score}}, or lines of `query_id Q0 doc_id rank score tag`"


def _an_object(path: Path, found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no object but {type(found).__name__}; {_GIVE}")
    return found


def _numbers(path: Path, found: dict[str, Any], subset: str | None = None, split: str | None = None) -> Numbers:
    """The object of query ids within. Raises DataError where there is none, or one of several must be chosen."""
    if isinstance(within := found.get("search_results"), dict):
        found = within
    elif ABOUT in found:
        subsets = {name: value for name, value in found.items() if name != ABOUT}
        found = _one_of(path, _one_of(path, subsets, subset, "data.subset"), split, "data.split")
    for query_id, documents in found.items():
        if not isinstance(documents, dict) or any(isinstance(value, dict | list) for value in documents.values()):
            raise DataError(f"{path}: under {query_id!r:.60} stands no object of document ids and numbers; {_GIVE}")
    return found


def _one_of(path: Path, among: dict[str, Any], wanted: str | None, setting: str) -> dict[str, Any]:
    if wanted not in among and len(among) == 1:
        wanted = next(iter(among))
    if wanted is None or not isinstance(among.get(wanted), dict):
        raise DataError(f"{setting}: {path} has no {wanted!r}. Choose from: {', '.join(among)}")
    return _an_object(path, among[wanted])


def _row_stretches(path: Path, set_aside: Report) -> Iterator[Stretch]:
    for record in ParquetTable(path.name, (path,)).records(set_aside):
        query_id, doc_id, score = _columns(path, record, ("score",))
        yield Stretch(query_id, (doc_id,), (score,), record.where.line)


def _columns(path: Path, record: Record, numbers: tuple[str, ...]) -> tuple[object, object, object]:
    """Query id, document id and number of a row. Raises DataError where the table lacks one of them."""
    found = []
    for names in (QUERY_COLUMNS, DOCUMENT_COLUMNS, numbers):
        name = next((name for name in names if name in record.fields), None)
        if name is None:
            raise DataError(f"{path} has no column {' or '.join(names)}; it has {', '.join(record.fields)}")
        found.append(record.fields[name])
    return found[0], found[1], found[2]
