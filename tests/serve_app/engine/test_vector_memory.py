"""A replica's memory of vectors has a bound, within which the latest used stay."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engine.vector_memory import BESIDE_BYTES, VectorMemory

SIZE = 8
EACH = SIZE * 4 + BESIDE_BYTES


def vector(number: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(SIZE, number, np.float32)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60), st.integers(0, 6))
def test_it_is_the_latest_used_vectors_that_fit(steps: list[tuple[bool, int]], room: int) -> None:
    memory, latest = VectorMemory(room * EACH), list[int]()
    for kept, number in steps:
        if kept:
            if number not in latest:
                latest.append(number)
            memory.keep(bytes([number]), vector(number))
            latest = latest[max(0, len(latest) - room) :]
            continue
        found = memory.get(bytes([number]))
        assert (found is not None) == (number in latest)
        if found is not None:
            assert found.tolist() == vector(number).tolist()
            latest.append(latest.pop(latest.index(number)))
    assert len(memory) == len(latest)
    assert memory.bytes == len(latest) * EACH <= memory.most_bytes


def test_the_bound_is_what_is_taken() -> None:
    """Views of one large array are kept as copies, so that the array is not."""
    memory, rows = VectorMemory(2 << 20), np.zeros((4000, 384), np.float32)
    tracemalloc.start()
    for place, row in enumerate(rows):
        memory.keep(place.to_bytes(16, "little"), row)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.8 * memory.most_bytes < taken < 1.1 * memory.most_bytes


def test_nobody_can_change_what_is_kept() -> None:
    memory, own = VectorMemory(1 << 20), vector(1)
    memory.keep(b"a", own)
    own[0] = 7
    found = memory.get(b"a")
    assert found is not None
    assert found.tolist() == vector(1).tolist()
    assert not found.flags.writeable
