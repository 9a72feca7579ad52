"""The Ray cluster of a job, connected to when something first needs it: a job whose pairs are all stored never does."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pipelines.base.config import RunConfig
from pipelines.base.interruption import SIGNALS
from serve_app.settings import DeploymentSettings


class LateCluster:
    """While open, `connect` gives the job its cluster, for `replicas` engines; leaving it lets the cluster go.

    Jobs that run one after the other, in something that has opened it, share it: the outermost lets it go.
    """

    def __init__(self, serve: DeploymentSettings, replicas: int | None = None) -> None:
        self._address, self._niceness = serve.ray_address, serve.niceness
        self._replicas = replicas or serve.replicas
        self._held = contextlib.ExitStack()
        self._connected, self._depth = False, 0

    def connect(self) -> None:
        """Raises EngineError where the cluster cannot be reached."""
        if self._connected:
            return
        from pipelines.base.cluster import connected  # Ray, which takes a second to import

        with _signals_kept():
            self._held.enter_context(connected(self._address, self._replicas, self._niceness))
        self._connected = True

    def __enter__(self) -> Self:
        self._depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._connected = False
            self._held.__exit__(kind, error, at)


def most_replicas(config: RunConfig) -> int:
    """How many engines the job may have at once: those of all stages of a cascade."""
    return sum(one.serve.replicas for one in config.stages() if one.model.api is None) or 1


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts; whoever met it before goes on to."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that C code has set cannot be set from here
                signal.signal(number, handler)
