"""Arrays of JSON objects, CSV and TSV with a header, as tables of rows, read a row at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import Location, SetAside
from stages.sources.formats.json_values import read_json
from stages.sources.lines import JSON_ENDINGS, Record, ending, reading, unpacked
from stages.sources.row_files import PARQUET_ENDINGS, ParquetTable, RowTable, _found
from stages.sources.settings import DataSettings

CSV_ENDINGS = (".csv", ".tsv", ".txt")
ROWS_TO_SEE_COLUMNS = 100
LARGEST_CELL = 2**24
"""Characters. A longer one is a quote that nothing closes, and would take the rest of the file."""
DELIMITERS = "\t,;"
SWALLOWED = "a quote at the start of a cell holds several rows together"
NUMBERS = ("score", "relevance")


class JsonTable:
    """JSON files in whatever pieces, one after the other. Its columns are the keys of the first rows of each."""

    def __init__(self, name: str, files: tuple[Path, ...]) -> None:
        self.name = name
        self._files = files
        seen = [record for file in files for record in islice(read_json(file, _ignore), ROWS_TO_SEE_COLUMNS)]
        if not seen:
            raise DataError(f"{name} has no JSON object; give an array of objects, or an object per line")
        self.columns = tuple(dict.fromkeys(key for record in seen for key in record.fields))

    def records(self, set_aside: Report) -> Iterator[Record]:
        for file in self._files:
            yield from read_json(file, set_aside)


class CsvTable:
    """CSV or TSV files with the same header, quoted as the csv module does. A cell without content is no value.

    `numbers` are the columns whose cells become numbers where they are some.
    """

    def __init__(self, name: str, files: tuple[Path, ...], numbers: tuple[str, ...] = NUMBERS) -> None:
        self.name = name
        self._files, self._numbers = files, frozenset(numbers)
        headers = [csv_header(file) for file in files]
        self.columns = tuple(dict.fromkeys(column for header in headers for column in header))

    def records(self, set_aside: Report) -> Iterator[Record]:
        for file in self._files:
            yield from self._file_records(file, set_aside)

    def _file_records(self, file: Path, set_aside: Report) -> Iterator[Record]:
        header: list[str] = []
        for where, cells in csv_rows(file):
            if not header:
                header = cells
            elif len(cells) != len(header):
                set_aside(SetAside(where, f"the header has {len(header)} columns, this row {len(cells)}"))
            elif _are_rows(cells):
                set_aside(SetAside(where, f"{SWALLOWED}: double the quotes of a text, and quote the cell"))
            else:
                yield Record(where, self._fields(header, cells))

    def _fields(self, header: list[str], cells: list[str]) -> Mapping[str, object]:
        given = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
        return {name: _number(cell) if name in self._numbers else cell for name, cell in given.items()}


def _are_rows(cells: list[str]) -> bool:
    """Whether quotes hold together what are as many whole rows by tabs: writers of TSV often quote nothing."""
    lines = "\t".join(cells).split("\n")
    return len(lines) > 1 and len(cells) > 1 and all(line.count("\t") == len(cells) - 1 for line in lines)


def csv_header(file: Path) -> list[str]:
    """The names of the columns. Raises DataError where two are the same, and where the file is empty."""
    header = next((cells for _, cells in csv_rows(file)), [])
    if not header:
        raise DataError(f"{file} is empty; give a line with the names of the columns, then a row per line")
    if len(set(header)) < len(header):
        raise DataError(f"{file}:1: two columns have one name: {', '.join(header)}; rename one")
    return header


def csv_rows(file: Path) -> Iterator[tuple[Location, list[str]]]:
    """Each row with the line it begins in. Raises DataError where the file cannot be read or a quote never closes."""
    csv.field_size_limit(LARGEST_CELL)  # of the whole process; its default of 131,072 is less than a long document
    with reading(file), unpacked(file) as content, io.TextIOWrapper(content, "utf-8-sig", newline="") as text:
        line = 0
        try:
            rows = csv.reader(text, delimiter=_delimiter(file), strict=True)
            for cells in rows:
                begins, line = line + 1, rows.line_num
                if cells:
                    yield Location(str(file), begins), cells
        except csv.Error as error:
            raise DataError(
                f"{file}:{line + 1}: not CSV: {error}; quote cells that hold quotes or line ends"
            ) from error
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: not UTF-8: {error.reason} after line {line}; save it as UTF-8") from error


def open_rows(settings: DataSettings) -> RowTable:
    """The rows under `data.path`. Raises DataError where nothing is there, or files of several kinds."""
    path = str(settings.path)
    endings = CSV_ENDINGS if settings.format == "csv" else JSON_ENDINGS + PARQUET_ENDINGS
    files = _found(path, endings)
    packed = {ending(file) in PARQUET_ENDINGS for file in files}
    if len(packed) != 1:
        what = "Parquet and JSON files, mixed:" if packed else "no file"
        raise DataError(f"data.path: {path} matches {what} ending in {', '.join(endings)}; give a file, folder or glob")
    name = Path(path).name.split(".")[0].strip("*?") or Path(path).resolve().parent.name
    if settings.format == "csv":
        return CsvTable(name, files, ("label", *(settings.columns.get(ours, ours) for ours in NUMBERS)))
    return ParquetTable(name, files) if packed == {True} else JsonTable(name, files)


def _delimiter(file: Path) -> str:
    """What splits the header into the most columns."""
    with reading(file), unpacked(file) as content:
        header = content.readline(LARGEST_CELL).decode("utf-8", "replace")
    return max(DELIMITERS, key=header.count)


def _number(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return cell


def _ignore(_: SetAside) -> None:
    """For a first look: the rows are read again, and reported then."""
