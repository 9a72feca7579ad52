"""JSON Lines and Parquet files as one table of records, read a batch at a time."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.errors import DataError, first_line
from stages.core.prepare import Report
from stages.core.records import Location, SetAside
from stages.sources.arrow_values import Decode, lists_of, never_rows, row_decoder
from stages.sources.lines import JSON_ENDINGS, Record, ending, read_objects
from stages.sources.refusal import Tally
from stages.sources.settings import ALIASES, COLUMNS, DataSettings

ROWS_PER_BATCH = 256
ROWS_TO_SEE_COLUMNS = 100
PARQUET_ENDINGS = (".parquet", ".pq")
# A damaged file may fail as any of these: what it claims about itself is read before it is checked.
DAMAGED = (OSError, ValueError, pa.ArrowException)
# What pyarrow 25 says of a null in a list of fixed size, as polars writes it and as DuckDB does, which calls it a list.
NULL_IN_FIXED_SIZE = ("Expected all lists to be of size", "Length spanned by list offsets")
# What a value fails as that Python cannot hold; KeyError: a time zone that is not known here.
UNREADABLE = (ValueError, OverflowError, LookupError, pa.ArrowException)


class RowTable(Protocol):
    """Rows under named columns."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    def records(self, set_aside: Report) -> Iterator[Record]:
        """Each row, with its place counted from 1; one that cannot be decoded is set aside."""
        ...


class JsonlTable:
    """JSON Lines files, one after the other. Its columns are the keys of the first rows of each file."""

    def __init__(self, name: str, files: tuple[Path, ...]) -> None:
        self.name = name
        self._files = files
        tally = Tally(_ignore)
        seen = [record for file in files for record in islice(read_objects(file, tally), ROWS_TO_SEE_COLUMNS)]
        if not seen:
            raise tally.refusal(files[0] if len(files) == 1 else name, "give a JSON object per line", of_json=True)
        self.columns = tuple(dict.fromkeys(key for record in seen for key in record.fields))

    def records(self, set_aside: Report) -> Iterator[Record]:
        for file in self._files:
            yield from read_objects(file, set_aside)


class ParquetTable:
    """Parquet files, one after the other. Columns that no layout reads (`never_rows`) are read if `named`."""

    def __init__(self, name: str, files: tuple[Path, ...], named: Collection[str] = ()) -> None:
        self.name = name
        self._files, self._named = files, named
        schemas = [_schema(file) for file in files]
        self.columns = tuple(dict.fromkeys(column for schema in schemas for column in schema.names))

    def records(self, set_aside: Report) -> Iterator[Record]:
        for file in self._files:
            line = 1
            for batch in _batches(file, self._named):
                yield from batch_records(batch, str(file), line, set_aside)
                line += batch.num_rows


def open_files(settings: DataSettings) -> RowTable:
    """The table under `data.path`: a file, a folder or a glob pattern. Raises DataError where nothing is there."""
    path = str(settings.path)
    endings = {"parquet": PARQUET_ENDINGS, "jsonl": JSON_ENDINGS}.get(settings.format, PARQUET_ENDINGS + JSON_ENDINGS)
    files = _found(path, endings)
    kinds = {settings.format if settings.format != "mteb" else _kind(file) for file in files}
    if len(kinds) != 1:
        what = "Parquet and JSON Lines files, mixed:" if kinds else "no file"
        raise DataError(f"data.path: {path} matches {what} ending in {', '.join(endings)}; give a file, folder or glob")
    name = Path(path).name.split(".")[0].strip("*?") or Path(path).resolve().parent.name
    return table_of(name, files, names_of(settings))


def table_of(name: str, files: tuple[Path, ...], named: Collection[str] = ()) -> RowTable:
    """Files of one kind."""
    return ParquetTable(name, files, named) if _kind(files[0]) == "parquet" else JsonlTable(name, files)


def names_of(settings: DataSettings) -> frozenset[str]:
    """Every name under which a layout looks for one of our columns."""
    return frozenset((*COLUMNS, *settings.columns.values(), *(name for names in ALIASES.values() for name in names)))


def batch_records(batch: pa.RecordBatch | pa.Table, file: str, line: int, set_aside: Report) -> Iterator[Record]:
    """The rows of an Arrow batch, the first of which is row `line` of `file`; what Python cannot hold is set aside."""
    decode = row_decoder(batch.schema)
    try:
        rows = _decoded(batch, decode)
    except UNREADABLE:  # one bad value spoils the batch: find its row
        for offset in range(batch.num_rows):
            yield from _single_record(batch.slice(offset, 1), decode, Location(file, line + offset), set_aside)
        return
    for offset, row in enumerate(rows):
        yield Record(Location(file, line + offset), row)


def _single_record(
    row: pa.RecordBatch | pa.Table, decode: Decode | None, where: Location, set_aside: Report
) -> Iterator[Record]:
    try:
        yield Record(where, _decoded(row, decode)[0])
    except UNREADABLE as error:
        set_aside(SetAside(where, f"cannot be decoded: {error}"))


def _decoded(batch: pa.RecordBatch | pa.Table, decode: Decode | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows if decode is None else list(map(decode, rows))


def _found(path: str, endings: tuple[str, ...]) -> tuple[Path, ...]:
    given = Path(path)
    if given.is_file():
        return (given,)
    candidates = given.iterdir() if given.is_dir() else map(Path, glob.glob(path, recursive=True))
    return tuple(sorted(file for file in candidates if file.is_file() and ending(file) in endings))


def _kind(file: Path) -> str:
    return "parquet" if ending(file) in PARQUET_ENDINGS else "jsonl"


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except DAMAGED as error:
        raise _unreadable(file, error) from error


def _batches(file: Path, named: Collection[str]) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            beside = never_rows(schema, named)
            columns = [name for name in schema.names if name not in beside] if beside else None
            yield from parquet.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns)
    except DAMAGED as error:
        if any(sign in str(error) for sign in NULL_IN_FIXED_SIZE):
            raise DataError(
                f"pyarrow cannot read {file}: a list of fixed size (polars: Array, DuckDB: VARCHAR[2]) is null in some "
                f"row, as may be in {', '.join(lists_of(schema))}; cast the column to a list and write the file again"
            ) from error
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> DataError:
    if isinstance(error, NotImplementedError):
        return DataError(f"pyarrow cannot read {file}: {first_line(error)}; write it without this type")
    return DataError(f"cannot read {file} as Parquet: {error}; see that it is a complete Parquet file")


def _ignore(_: SetAside) -> None:
    """For a first look: the rows are read again, and reported then."""
