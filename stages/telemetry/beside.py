"""Something that looks on from a thread while something else is at work."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beside(watch: Callable[[threading.Event], None], name: str) -> Iterator[None]:
    """While open, `watch` runs in a thread called `name`; it is to end when the event it is given is set."""
    done = threading.Event()
    thread = threading.Thread(target=watch, args=(done,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
