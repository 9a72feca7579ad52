"""What was judged, line by line, as it came: the one file of a plan that its state is read from.

A line is on the disk before it is answered for. One that a kill cut in two is dropped when the file is opened again.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.core.errors import DataError, first_line


class Journal:
    """Entries are JSON objects. `append` returns once the entry is on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _drop_torn_line(path)

    def entries(self) -> Iterator[dict[str, Any]]:
        """In the order in which they were appended. Raises DataError where the file holds something else."""
        if not self._path.is_file():
            return
        with self._path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    entry = json.loads(line)
                except ValueError:
                    entry = None
                if not isinstance(entry, dict):
                    raise DataError(
                        f"{self._path}:{number} is no entry of a plan's journal, which nobody edits: restore the file, "
                        f"or remove line {number}"
                    )
                yield entry

    def append(self, *entries: Mapping[str, Any]) -> None:
        """All of them in one write. Raises DataError where the disk does not take them."""
        lines = "".join(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n" for entry in entries)
        try:
            with self._path.open("ab") as file:
                file.write(lines.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"cannot write {self._path} ({error.strerror}); nothing of this was saved") from error


def _drop_torn_line(path: Path) -> None:
    """What follows the last line's end was never answered for."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())


def write_whole(path: Path, text: str) -> None:
    """Write a file in one step, and return once it is on the disk. Raises DataError where that cannot be done."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"cannot write {path} ({error.strerror}); free it or make room") from error


@contextmanager
def alone_with(folder: Path, remedy: str = "use its page, or end it with Ctrl-C first") -> Iterator[None]:
    """While open, no other process has the folder, as a plan's. SQLite's lock goes with its process, however that
    ends, and there is one on every system. Raises DataError where another has it.
    """
    database = sqlite3.connect(folder / ".lock", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        try:
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise DataError(f"{folder} is open in another process ({first_line(error)}): {remedy}") from error
        yield
    finally:
        database.close()
