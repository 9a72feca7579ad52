"""What a command says on the terminal. The libraries' own output goes to a folder's logs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from rich.console import Console as Rich


class Console:
    """Prints to the stdout it was made with, wherever that is sent later; nothing when `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        terminal = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self.rich = Rich(file=terminal, quiet=quiet, highlight=False)

    def say(self, text: str) -> None:
        self.rich.print(text, soft_wrap=True)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        with self.rich.status(what):
            yield
