"""What a scorer waits for, in words for people who wait with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from stages.core.words import counted


class Waits:
    """Written in the event loop that asks `host`, read in any thread."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._began_s: dict[int, float] = {}
        self._next = 0
        self._refused, self._until_s = "", 0.0

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """While open, an answer is waited for."""
        self._next += 1
        number = self._next
        self._began_s[number] = time.monotonic()
        try:
            yield
        finally:
            self._began_s.pop(number, None)

    def refuse(self, reason: str, told_wait_s: float | None) -> None:
        """Something is to be asked again; the server may have said after how long."""
        self._refused = reason
        if told_wait_s is not None:
            self._until_s = max(self._until_s, time.monotonic() + told_wait_s)

    def answer(self) -> None:
        """Something was answered: what was refused before does not matter any more."""
        self._refused = ""

    def held(self) -> str:
        """What keeps answers from coming; nothing where they come."""
        left_s = self._until_s - time.monotonic()
        if left_s > 0:
            return f"{self._host} asks to wait {left_s:.0f} s more ({self._refused or 'too many requests'})"
        return f"{self._host} is asked again ({self._refused})" if self._refused else ""

    def told(self) -> str:
        """What is waited for before anything is answered; short, as it stands beside a progress bar."""
        began_s = list(self._began_s.values())
        if not began_s:
            return self.held() or f"waiting to ask {self._host}"
        longest_s = time.monotonic() - min(began_s)
        after = f"; {held}" if (held := self.held()) else ""
        return f"waiting {longest_s:.0f} s for {self._host}, {counted(len(began_s), 'request')} under way{after}"
