"""Packed files, known by their first bytes, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

ENDINGS = (".gz", ".bz2", ".xz", ".zst")
# What reading a damaged file, or one that ends too early, may raise.
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
BUFFER_BYTES = 2**17
HEAD_BYTES = 512

# Of bzip2 the name and the level could begin a text: what begins a block, or ends a file without one, must follow.
_BZIP2 = tuple(b"BZh%d" % level + sign for level in range(1, 10) for sign in (b"1AY&SY", b"\x17rE8P\x90"))
# Of zstd a frame, or one to be skipped, such as pzstd begins with.
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes((first,)) + b"\x2a\x4d\x18" for first in range(0x50, 0x60)))
# Python's readers read all members of a file; so does Arrow's of zstd, which Python cannot unpack before 3.14.
_READERS: Mapping[tuple[bytes, ...], Callable[[BinaryIO], Any]] = {
    (b"\x1f\x8b",): lambda file: gzip.GzipFile(fileobj=file),
    _BZIP2: bz2.BZ2File,
    (b"\xfd7zXZ\x00",): lzma.LZMAFile,
    _ZSTD: lambda file: pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"),
}
# Others that are told by their beginning, and what to do about them.
_FOREIGN: Mapping[bytes, str] = {
    b"PK\x03\x04": "a ZIP archive: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"\x04\x22\x4d\x18": "packed with LZ4: unpack it, or pack it with gzip or zstd",
    b"\x1f\x9d": "packed with compress: unpack it, or pack it with gzip or zstd",
    b"PAR1\x15": "a Parquet file: data.format parquet reads rows of it",
    b"SQLite format 3\x00": "an SQLite database: export what is needed of it",
    b"\xff\xfe": "UTF-16 text: write it as UTF-8",
    b"\xfe\xff": "UTF-16 text: write it as UTF-8",
    b"version https://git-lfs": "a pointer of Git LFS, not the file: `git lfs pull` fetches it",
}
_TAR, _TAR_AT = b"ustar", 257


def plain_or_packed(path: Path) -> Path:
    """`path` if it is there, or the file that is called so and by its end packed; `path` if neither is there."""
    packed = (path.with_name(path.name + one) for one in ENDINGS)
    return path if path.is_file() else next((one for one in packed if one.is_file()), path)


def unpacking(file: io.BufferedReader) -> BinaryIO:
    """What a file that was just opened holds: unpacked by gzip, bzip2, xz or zstd; or `file` itself, if it is plain."""
    start = _peek(file)
    for beginnings, reader in _READERS.items():
        if start.startswith(beginnings):
            return cast("BinaryIO", io.BufferedReader(reader(file), BUFFER_BYTES))
    return file


def foreign(content: BinaryIO) -> str | None:
    """What is no text, by the beginning of what `unpacking` gave: what it is, and what to do; None where it may be."""
    start = _peek(content)
    if start[_TAR_AT:].startswith(_TAR):
        return "a tar archive: unpack it"
    return next((what for magic, what in _FOREIGN.items() if start.startswith(magic)), None)


def is_seekable(content: BinaryIO) -> bool:
    """Whether what `unpacking` gave can be read at any place without being read from its beginning again."""
    return isinstance(content, io.BufferedReader) and isinstance(content.raw, io.FileIO) and content.seekable()


def _peek(file: BinaryIO) -> bytes:
    """The first bytes, which stay to be read; fewer than HEAD_BYTES where the file, or what a pipe gave, is shorter."""
    return cast("io.BufferedReader", file).peek(HEAD_BYTES)[:HEAD_BYTES]
