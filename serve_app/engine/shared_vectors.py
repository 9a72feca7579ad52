"""Each text embedded once: what a vector is known of is not computed again, nor what another call computes right now.

The documents of a corpus are candidates of many queries, and their vectors do not depend on these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np

from serve_app.engine.outputs import Output
from serve_app.engine.prompts import Prompt
from serve_app.engine.vector_memory import VectorMemory
from serve_app.engine.vectors import Vector, vector_key
from stages.core.vectors import Floats

Compute: TypeAlias = Callable[[Sequence[Prompt], int], Awaitable[tuple[list[Output], float]]]
Read: TypeAlias = Callable[[Sequence[Prompt], Sequence[Output]], Sequence[Vector | str]]


class _Work(NamedTuple):
    """What one call computes, and how urgently. `done` never fails: what is not in it is to be computed again."""

    priority: int
    done: asyncio.Future[Mapping[bytes, Floats]]


class SharedVectors:
    """For the calls of one event loop. `read` makes vectors of what the engine gives."""

    def __init__(self, read: Read, memory: VectorMemory) -> None:
        self.memory = memory
        self._read = read
        self._at_work: dict[bytes, _Work] = {}

    async def of(
        self,
        prompts: Sequence[Prompt],
        priority: int,
        compute: Compute,
        given: Mapping[bytes, Floats] = MappingProxyType({}),
    ) -> tuple[list[Vector | str], float]:
        """Each prompt's vector, or why it has none; and the longest time (ms) that one of those computed here waited.

        `given` are vectors, by their keys, that the caller knows.
        A text that another call computes is waited for, unless that call comes after this one by its priority. Where
        it is cancelled or fails this one computes the text itself. Raises what `compute` does.
        """
        keys = [vector_key(prompt) for prompt in prompts]
        wanted = dict(zip(keys, prompts, strict=True))
        known = {key: given[key] for key in wanted if key in given}
        for key, one in known.items():
            self.memory.keep(key, one)
        fresh: dict[bytes, Vector | str] = {}
        waited_ms = 0.0
        while missing := [key for key in wanted if key not in known and key not in fresh]:
            known |= self._remembered(missing)
            unknown = [key for key in missing if key not in known]
            others = self._others(unknown, priority)
            own = {key: wanted[key] for key in unknown if key not in others}
            if own:
                computed, longest_ms = await self._compute(own, priority, compute)
                fresh |= computed
                waited_ms = max(waited_ms, longest_ms)
            for key, work in others.items():
                await asyncio.wait([work.done])  # being cancelled meanwhile leaves it as it is
                if (values := work.done.result().get(key)) is not None:
                    known[key] = values
        return _in_order(keys, known, fresh), waited_ms

    def _remembered(self, keys: Sequence[bytes]) -> dict[bytes, Floats]:
        found = {key: self.memory.get(key) for key in keys}
        return {key: values for key, values in found.items() if values is not None}

    def _others(self, keys: Sequence[bytes], priority: int) -> dict[bytes, _Work]:
        """What is at work, at least as urgently."""
        found = {key: self._at_work.get(key) for key in keys}
        return {key: work for key, work in found.items() if work is not None and work.priority <= priority}

    async def _compute(
        self, prompts: Mapping[bytes, Prompt], priority: int, compute: Compute
    ) -> tuple[dict[bytes, Vector | str], float]:
        work = _Work(priority, asyncio.get_running_loop().create_future())
        self._at_work |= dict.fromkeys(prompts, work)
        good: dict[bytes, Floats] = {}
        try:
            outputs, waited_ms = await compute(list(prompts.values()), priority)
            found = dict(zip(prompts, self._read(list(prompts.values()), outputs), strict=True))
            good = {key: one.values for key, one in found.items() if isinstance(one, Vector) and _is_finite(one)}
            for key, values in good.items():
                self.memory.keep(key, values)
        finally:
            for key in prompts:
                if self._at_work.get(key) is work:  # a more urgent call may have taken its place
                    del self._at_work[key]
            work.done.set_result(good)
        return found, waited_ms


def _is_finite(one: Vector) -> bool:
    return bool(np.isfinite(one.values).all())


def _in_order(
    keys: Sequence[bytes], known: Mapping[bytes, Floats], fresh: Mapping[bytes, Vector | str]
) -> list[Vector | str]:
    """Of a text that occurs again the engine read the first one."""
    seen: set[bytes] = set()
    found: list[Vector | str] = []
    for key in keys:
        one = fresh[key] if key in fresh else Vector(known[key], known=True)
        found.append(one._replace(known=True) if isinstance(one, Vector) and key in seen else one)
        seen.add(key)
    return found
