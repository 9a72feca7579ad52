"""What runs first in the processes that vLLM spawns."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from serve_app.engine.light_start import NAME, spawned_light

MAIN = "__import__('sys').modules['__main__'].__spec__.name"
IN_A_CHILD_OF_ITS_OWN = (
    "__import__('concurrent.futures').futures.ProcessPoolExecutor"
    f"(1, __import__('multiprocessing').get_context('spawn')).submit(eval, {MAIN!r}).result()"
)


def test_a_spawned_process_and_its_own_children_begin_with_this_module() -> None:
    before = sys.modules["__main__"].__spec__
    with spawned_light(), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(eval, MAIN).result() == NAME
        assert pool.submit(eval, IN_A_CHILD_OF_ITS_OWN).result() == NAME
        assert pool.submit(gc.get_threshold).result() == gc.get_threshold()
        assert not pool.submit(eval, "'ray' in __import__('sys').modules").result()
    assert sys.modules["__main__"].__spec__ is before


def test_garbage_is_looked_for_less_often_than_python_would() -> None:
    assert gc.get_threshold()[0] == 100_000
