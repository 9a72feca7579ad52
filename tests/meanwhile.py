"""Callers of a service that is watched for some seconds: as many, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count


class Meanwhile:
    """In the place of the module `time` where a command waits between two looks: `callers` ask while it waits, each
    once, by `ask`, which gets the request's number; and its clock goes on by the seconds that it wanted to wait.

    So a watch sees a certain number of requests, each of which took as long as it was held or longer, in a certain
    time: no rate depends on how busy the machine is.
    """

    perf_counter = staticmethod(time.perf_counter)

    def __init__(self, ask: Callable[[int], object], callers: int) -> None:
        self._ask, self._callers, self._numbers, self._now_s = ask, callers, count(1), 0.0

    def sleep(self, seconds: float) -> None:
        numbers = [next(self._numbers) for _ in range(self._callers)]
        with ThreadPoolExecutor(max(self._callers, 1)) as pool:
            list(pool.map(self._ask, numbers))
        self._now_s += seconds

    def monotonic(self) -> float:
        return self._now_s
