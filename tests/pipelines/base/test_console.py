"""What is waited for is said, in a log file a line now and then."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable

import pytest

from pipelines.base import console as module
from pipelines.base.console import Console


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_log_file_hears_what_an_engine_that_starts_is_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_EVERY_S", 0.01)
    monkeypatch.setattr(module, "LOG_EVERY_S", 0.0)
    phases = itertools.chain(["the model is loaded", "the engine compiles"], itertools.repeat("nearly ready"))
    out = io.StringIO()
    with Console(file=out).waiting("engine      starts", lambda: next(phases)):
        wait_for(lambda: "nearly ready" in out.getvalue())
    lines = out.getvalue().splitlines()
    assert lines[:3] == [
        "engine      starts, 0 s: the model is loaded",
        "engine      starts, 0 s: the engine compiles",
        "engine      starts, 0 s: nearly ready",
    ]


def test_whoever_is_asked_may_fail_and_a_short_wait_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_EVERY_S", 0.01)
    out, asked = io.StringIO(), []

    def fail() -> str:
        asked.append(1)
        raise RuntimeError("the cluster is busy")

    with Console(file=out).waiting("engine      starts", fail):
        wait_for(lambda: len(asked) > 2)
    assert out.getvalue() == ""
