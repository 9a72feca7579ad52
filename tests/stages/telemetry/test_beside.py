"""What looks on ends with what it looks at, however that ends."""

from __future__ import annotations

import threading

import pytest

from stages.telemetry.beside import beside


def test_it_runs_meanwhile_and_has_ended_afterwards_also_after_an_error() -> None:
    began, ended = threading.Event(), threading.Event()

    def watch(done: threading.Event) -> None:
        began.set()
        done.wait()
        ended.set()

    def work() -> None:
        with beside(watch, "watch"):
            assert began.wait(60) and not ended.is_set()
            raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        work()
    assert ended.is_set()
