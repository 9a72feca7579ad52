"""Metrics compiled while something else goes on: an engine starts, the data is read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

from stages.quality.evaluate import load_ranx, warm_up


class Compiling:
    """`warm_up` in a thread, begun at once. What cannot be loaded is told before anything is scored, not after it."""

    def __init__(self, metrics: Sequence[str]) -> None:
        self._loaded: Future[None] = Future()
        self._metrics = metrics
        self._thread = threading.Thread(target=self._run, name="compiling", daemon=True)
        self._thread.start()

    def require_loaded(self) -> None:
        """Wait until ranx is imported. Raises what `load_ranx` raises."""
        self._loaded.result()

    def finish(self) -> None:
        """Wait until all is compiled."""
        self._thread.join()

    def _run(self) -> None:
        try:
            load_ranx()
        except BaseException as error:
            self._loaded.set_exception(error)
            return
        self._loaded.set_result(None)
        warm_up(self._metrics)
