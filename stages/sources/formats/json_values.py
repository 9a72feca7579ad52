"""JSON in whatever pieces it comes: an object a line, an array of objects, arrays or indented objects one after the
other. What comes first decides; a value is decoded at a time, so that memory holds one and not the file.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from stages.core.errors import DataError, first_line
from stages.core.prepare import Report
from stages.core.records import Location, SetAside
from stages.sources.json_once import OnceDecoder
from stages.sources.lines import Record, read_objects, reading, unpacked

BYTES_PER_READ = 2**20
LARGEST_VALUE = 2**26
"""Characters. A value that is longer is a file whose brackets do not close."""
BLANK = " \t\r\n"
_NEAR_THE_END = 8  # characters: of a literal or an escape that the end of what was read so far cuts in two


class Value(NamedTuple):
    """`fault`: why it cannot be told what is meant."""

    where: Location
    value: object
    fault: str | None = None


def read_json(path: Path, set_aside: Report) -> Iterator[Record]:
    """Each JSON object of the file; what is none is set aside. Raises DataError where the file cannot be read, and
    where an array or an indented object is damaged: what follows could not be told apart.
    """
    if not is_in_pieces(path):
        yield from read_objects(path, set_aside)
        return
    for where, value, fault in read_values(path):
        if fault:
            set_aside(SetAside(where, fault))
        elif isinstance(value, dict):
            yield Record(where, value)
        else:
            set_aside(SetAside(where, f"not a JSON object but {type(value).__name__}"))


def is_in_pieces(path: Path) -> bool:
    """Whether the file is no JSON Lines: its first line is not one object."""
    with reading(path), unpacked(path) as file:
        start = file.read(BYTES_PER_READ).removeprefix(codecs.BOM_UTF8).lstrip()
    if not start.startswith(b"{"):
        return start.startswith(b"[")
    line, newline, rest = start.partition(b"\n")
    try:
        json.loads(line)
    except (ValueError, RecursionError) as error:
        damaged = error if isinstance(error, json.JSONDecodeError) else None
        if damaged and damaged.msg == "Extra data" and damaged.doc[damaged.pos :].lstrip().startswith("{"):
            return True  # one object behind the other
        # A line that breaks off where the next one is an object of its own is a damaged line among JSON Lines.
        return bool(newline) and not line.rstrip().endswith(b"}") and not _is_object(rest.lstrip().partition(b"\n")[0])
    return False


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def read_values(path: Path) -> Iterator[Value]:
    """The elements of the file's arrays, and its values outside of any, in their order.

    Raises DataError as `read_json`.
    """
    with reading(path), unpacked(path) as file:
        text = _Text(path, file)
        inside = False
        while (sign := text.peek()) is not None:
            if sign == "," or (sign == "[" and not inside) or (sign == "]" and inside):
                inside = inside if sign == "," else sign == "["
                text.skip()
            else:
                yield text.value()
        if inside:
            raise text.fault("the file ends within an array")


class _Text:
    """What was read and not yet decoded, and its line."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._json = OnceDecoder()
        self._held, self._at, self._line, self._ended = "", 0, 1, False

    def peek(self) -> str | None:
        """The next character that is not blank; None at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in BLANK + "\ufeff":
                self.skip()
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more():
                return None

    def skip(self) -> None:
        self._line += self._held[self._at] == "\n"
        self._at += 1

    def value(self) -> Value:
        where = Location(str(self._path), self._line)
        while True:
            try:
                value, end = self._json.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                if not (self._is_cut(error) and self._more()):
                    raise self.fault(f"not JSON: {error.msg}", self._held.count("\n", self._at, error.pos)) from error
            except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets as deep
                raise self.fault(f"not JSON: {first_line(error)}") from error
            else:
                if end < len(self._held) or not self._more():  # else a number may go on
                    self._line += self._held.count("\n", self._at, end)
                    self._at = end
                    return Value(where, value, self._json.fault)

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether more of the file may mend it."""
        return error.pos >= len(self._held) - _NEAR_THE_END or error.msg.startswith("Unterminated string")

    def _more(self) -> bool:
        """Read on, twice as much of what is long; False at the end."""
        if self._ended:
            return False
        content = self._file.read(max(BYTES_PER_READ, len(self._held) - self._at))
        self._ended = not content
        try:
            self._held = self._held[self._at :] + self._decode.decode(content, final=self._ended)
        except UnicodeDecodeError as error:
            raise self.fault(f"not UTF-8: {error.reason}") from error
        self._at = 0
        if len(self._held) > LARGEST_VALUE + BYTES_PER_READ:
            raise self.fault(f"a value of more than {LARGEST_VALUE:,} characters")
        return not self._ended

    def fault(self, what: str, lines: int = 0) -> DataError:
        where = Location(str(self._path), self._line + lines)
        return DataError(f"{where}: {what}; see that the file is complete, or write a JSON object per line")
