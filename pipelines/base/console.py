"""What a command says on the terminal. The libraries' own output goes to a folder's logs."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Self

from rich.console import Console as Rich
from rich.markup import escape
from rich.status import Status

from stages.telemetry.beside import beside

# How often a log file gets a line while something is waited for, and how often is asked what that is.
LOG_EVERY_S, ASK_EVERY_S = 15.0, 1.0


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

    @contextlib.contextmanager
    def waiting(self, what: str, phase: Callable[[], str]) -> Iterator[None]:
        """While open, says what is waited for: `phase` is asked, and a word, in a log file a line now and then."""
        began_s = time.monotonic()

        def tell(status: Status, done: threading.Event) -> None:
            said_s = began_s
            while not done.wait(ASK_EVERY_S):
                with contextlib.suppress(Exception):  # whom it asks may be starting itself: this is only a word
                    told = escape(f"{what}, {time.monotonic() - began_s:.0f} s: {phase()}")
                    status.update(told)
                    if not self.rich.is_terminal and time.monotonic() - said_s >= LOG_EVERY_S:
                        said_s = time.monotonic()
                        self.say(told)

        with self.rich.status(what) as status, beside(functools.partial(tell, status), "waiting"):
            yield
