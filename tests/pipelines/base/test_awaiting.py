"""Coroutines give their results to plain code, in a script and in a notebook."""

from __future__ import annotations

import asyncio

from pipelines.base.awaiting import awaited


async def three() -> int:
    await asyncio.sleep(0)
    return 3


def test_a_script_gets_the_result() -> None:
    assert awaited(three()) == 3


def test_a_notebook_does_too_whose_thread_has_a_loop_that_runs() -> None:
    async def cell() -> int:
        return awaited(three())

    assert asyncio.run(cell()) == 3
