"""Many texts read by a few threads, for a library that lets go of Python's lock while it reads one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from typing import TypeVar

from stages.telemetry.cores import core_share

Read = TypeVar("Read")

# A thread that has less to read costs more than it saves: so many characters take some 5 ms.
LEAST_CHARS = 50_000
# Cores are there for the engine as well, and each text leaves a part of the work to Python's lock.
MOST_THREADS = 4
THREADS = min(MOST_THREADS, core_share() // 2)


def each_read(read: Callable[[str], Read], texts: Sequence[str], chars: int, threads: int = THREADS) -> Iterator[Read]:
    """What `read` gives for each text, in order. `chars` is how much of a text it reads at most, or about."""
    parts = min(threads, sum(min(len(text), chars) for text in texts) // LEAST_CHARS)
    if parts < 2:
        return map(read, texts)
    shares = [texts[len(texts) * part // parts : len(texts) * (part + 1) // parts] for part in range(parts)]
    return chain.from_iterable(_threads(threads).map(lambda share: list(map(read, share)), shares))


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    """For all calls of this process."""
    return ThreadPoolExecutor(number, "texts")
