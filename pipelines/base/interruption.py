"""Ctrl-C once: finish what is in flight. Ctrl-C twice, or where nothing is: stop now. SIGTERM counts as Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NAMESPACE = "rerank-eval-stop"


@dataclass(frozen=True, slots=True)
class StopFlag:
    """Tells a job's workers, on any node, to begin no further query: a key in the cluster's own store.

    Ray is imported by what uses it: a job whose pairs are all stored, one that asks a hosted model, and the commands
    over finished runs have no workers to tell.
    """

    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def set(self) -> None:
        if not _has_cluster():
            return
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(self.key, b"stop", namespace=NAMESPACE)

    def is_set(self) -> bool:
        from ray.experimental.internal_kv import _internal_kv_get

        return _internal_kv_get(self.key, namespace=NAMESPACE) is not None

    def clear(self) -> None:
        if not _has_cluster():
            return
        from ray.experimental.internal_kv import _internal_kv_del

        _internal_kv_del(self.key, namespace=NAMESPACE)


def _has_cluster() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


class Interruption:
    """While open, signals are met as above; `flag` is set at the first one within `finishing_work`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.flag = StopFlag()
        self.requested = False
        self._say = say
        self._finishing = False

    def __enter__(self) -> Interruption:
        self._handlers = {}
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.requested:
            self.flag.clear()

    @contextlib.contextmanager
    def finishing_work(self) -> Iterator[None]:
        """The time in which a first signal lets calls at work end, and be kept."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested or not self._finishing:
            raise KeyboardInterrupt
        self.requested = True
        # Not here: a handler runs in the midst of whatever the main thread does, which may be a call to the same store.
        threading.Thread(target=self._stop, name="stop").start()

    def _stop(self) -> None:
        self.flag.set()
        self._say("stopping    calls at work are finished and kept; once more stops at once")
