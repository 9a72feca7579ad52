"""Text files line by line, plain or packed: what cannot be decoded or parsed is set aside, and reading goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from stages.core.errors import DataError, first_line
from stages.core.prepare import Report
from stages.core.records import Location, SetAside
from stages.sources.json_once import OnceDecoder
from stages.sources.packed import DAMAGED, ENDINGS, foreign, unpacking

JSON_ENDINGS = (".jsonl", ".ndjson", ".json")

# trec_eval splits at ASCII white space only: an id may hold any other.
_FIELD = re.compile(r"\S+", re.ASCII)
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    where: Location
    text: str

    def fields(self) -> list[str]:
        """What ASCII white space separates."""
        return _FIELD.findall(self.text)

    def by_tabs(self, at_least: int) -> list[str]:
        """What tabs separate; blank columns at the end count only among the first `at_least`."""
        columns = self.text.split("\t")
        while len(columns) > at_least and not columns[-1].strip():
            columns.pop()
        return columns


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON object or one row of a table."""

    where: Location
    fields: Mapping[str, object]


def existing_file(path: Path, setting: str) -> Path:
    """`path`, if it is a file; otherwise DataError that names the setting it came from."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{setting}: {path} {what}; give the path of a file")
    return path


def ending(path: Path) -> str:
    """The file's ending, one that says how it is packed not counted."""
    return path.with_suffix("").suffix if path.suffix in ENDINGS else path.suffix


def read_lines(path: Path, set_aside: Report) -> Iterator[Line]:
    """Every line that is not blank, without its line ending. Raises DataError where the file cannot be read."""
    with reading(path), unpacked(path) as file:
        for number, content in enumerate(file, 1):
            line = decoded(content, Location(str(path), number), set_aside)
            if line is not None:
                yield line


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What cannot be read within becomes a DataError that names `path`."""
    try:
        yield
    except DAMAGED as error:
        told = first_line(error)
        raise DataError(f"cannot read {path}: {told}; see that it is complete and that you may read it") from error


def read_objects(path: Path, set_aside: Report) -> Iterator[Record]:
    """The JSON object of each line. Raises DataError where the file cannot be read."""
    json = OnceDecoder()
    for line in read_lines(path, set_aside):
        try:
            value = json.decode(line.text)
        except (ValueError, RecursionError) as error:
            set_aside(SetAside(line.where, f"not JSON: {error}"))
            continue
        if json.fault:
            set_aside(SetAside(line.where, json.fault))
        elif isinstance(value, dict):
            yield Record(line.where, value)
        else:
            set_aside(SetAside(line.where, f"not a JSON object but {type(value).__name__}"))


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked where they are packed, by gzip, bzip2, xz or zstd.

    Raises DataError where they begin as no text does, and what DAMAGED names.
    """
    with path.open("rb") as file, unpacking(file) as content:
        if what := foreign(content):
            raise DataError(f"{path} is {what}")
        yield content


def shown_line(where: Location, longest: int = 80) -> str | None:
    """The line as it stands in its file, quoted and cut to `longest` characters; None where there is none to read."""
    path = Path(where.file)
    if not where.line or not path.is_file():
        return None
    try:
        with unpacked(path) as file:
            content = next(islice(file, where.line - 1, None), b"")
    except (DataError, *DAMAGED):
        return None
    text = repr(content.removeprefix(BOM).decode("utf-8", "backslashreplace").rstrip("\r\n"))
    return text if len(text) <= longest else f"{text[:longest]}…"


def decoded(content: bytes, where: Location, set_aside: Report) -> Line | None:
    """The line, without its ending; None where it is blank, and, set aside, where it is not UTF-8."""
    if where.line == 1:
        content = content.removeprefix(BOM)
    try:
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        set_aside(SetAside(where, f"not UTF-8: {error.reason} at byte {error.start}"))
        return None
    return Line(where, text) if text.strip() else None
