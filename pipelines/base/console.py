"""What a command says on the terminal. The libraries' own output goes to a folder's logs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Self

from rich.console import Console as Rich


class Console:
    """Prints to the stdout it was made with, wherever that is sent later; nothing when `quiet`."""

    def __init__(self, *, quiet: bool = False, file: IO[str] | None = None) -> None:
        terminal = file or os.fdopen(os.dup(1), "w", encoding="utf-8")
        # Plain lines in a notebook: it shows what comes and goes on a terminal as boxes and codes.
        lively = None if file is None else False
        self.rich = Rich(file=terminal, quiet=quiet, highlight=False, force_jupyter=lively, force_terminal=lively)

    @classmethod
    def for_python(cls, *, quiet: bool = False) -> Self:
        """For a caller in Python: a notebook puts a stream of its own in the place of stdout."""
        return cls(quiet=quiet, file=None if sys.stdout is sys.__stdout__ else sys.stdout)

    def say(self, text: str) -> None:
        self.rich.print(text, soft_wrap=True)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        with self.rich.status(what):
            yield
