"""The beginning of a file: what kind of content it is, as far as its first bytes tell."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import NamedTuple

from stages.core.errors import DataError
from stages.sources.lines import reading, unpacked
from stages.sources.packed import unpacking

HEAD_BYTES = 2**20
LONGEST_LINE = 2**26
"""Bytes. Readers hold a line at a time: what has longer ones is no file of lines."""

# Files that are told by their first bytes.
MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"ARROW1", "an Arrow file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive, as .xlsx, .docx and .npz are"),
    (b"\xd0\xcf\x11\xe0", "an old Office document, such as .xls"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
    (b"\x1f\x8b", "packed with gzip"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard"),
    (b"\x04\x22\x4d\x18", "packed with LZ4, as ranx does"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)
PARQUET = b"PAR1"


class Head(NamedTuple):
    """`text` are the first characters of a text; `whole`: they are all of it. `foreign` says what is no text."""

    text: str
    whole: bool
    foreign: str | None = None


def read_head(path: Path) -> Head:
    """The beginning, unpacked. Raises DataError where it cannot be read."""
    with reading(path), path.open("rb") as packed, unpacking(packed) as file:
        content = file.read(HEAD_BYTES + 1)
    for magic, told in MAGIC:
        if content.startswith(magic):
            return Head("", whole=False, foreign=told)
    whole = len(content) <= HEAD_BYTES
    if b"\0" in content:
        return Head("", whole, "no text, but binary data")
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(content, final=whole)
    except UnicodeDecodeError as error:
        return Head("", whole, f"no UTF-8 text: {error.reason} at byte {error.start:,}")
    return Head(text, whole)


def starts_with(path: Path, magic: bytes) -> bool:
    """By its own first bytes, packed as they are. Raises DataError where it cannot be read."""
    with reading(path), path.open("rb") as file:
        return file.read(len(magic)) == magic


def require_lines(path: Path) -> None:
    """Raises DataError where a line is longer than LONGEST_LINE; memory holds a piece of the file at a time."""
    length, line = 0, 1
    with reading(path), unpacked(path) as file:
        while piece := file.read(HEAD_BYTES):
            first, *rest = piece.split(b"\n")
            for ended in (first, *rest[:-1]) if rest else ():
                if length + len(ended) > LONGEST_LINE:
                    raise _too_long(path, line)
                length, line = 0, line + 1
            length += len(rest[-1]) if rest else len(first)
            if length > LONGEST_LINE:
                raise _too_long(path, line)


def _too_long(path: Path, line: int) -> DataError:
    return DataError(f"{path}:{line}: a line of more than {LONGEST_LINE:,} bytes; write one record per line")
