"""What a replica tells while its engine lives, from a thread of its own, and its end when the engine dies.

Apart from the event loop, which computes: a busy loop, or a busy machine, is no dead engine. That is also why the
replica has no `check_health`, which Serve would call on that loop. A replica whose engine died ends its process, which
Ray sees at once, and Serve replaces it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import ray
import ray.util
from prometheus_client import REGISTRY

from serve_app.replica.collector import (
    EXPOSE_EVERY_S,
    PUSH_EVERY_S,
    PUSH_UNCHANGED_EVERY_S,
    Heard,
)
from serve_app.replica.exposition import labelled_exposition
from serve_app.replica.node_metrics import NodeMetrics, this_node
from serve_app.replica.processor_time import ProcessorTime
from stages.telemetry.telemetry import Snapshot

logger = logging.getLogger(__name__)
# How long calls that were at work when the engine died have to end with that as their reason: so long at least, and so
# long at most, as the prompts of a batch's last queries are being made.
LAST_WORDS_S, LONGEST_LAST_WORDS_S = 1.0, 10.0
LISTEN_EVERY_S = 0.1
# How long Ray may take to end an actor that asks for it.
KILLED_S = 5.0
# A collector that does not answer for so long is restarting, or the machine is busy: the next snapshot has it all.
ANSWER_S = 10.0


class Stats(Protocol):
    def snapshot(self) -> Snapshot: ...


class Engine(Protocol):
    """What is read of an engine; from another thread than its own."""

    @property
    def dead(self) -> bool: ...

    @property
    def stats(self) -> Stats: ...


class Reporter:
    """Pushes an engine's counts to the collector, twice a second while they change, and calls `end` when the engine is
    dead and none of the calls is left that `at_work` counts.
    """

    def __init__(
        self,
        replica: str,
        engine: Engine,
        collector: Any,
        facts: Mapping[str, Any],
        end: Callable[[], object] | None = None,
        at_work: Callable[[], int] = int,
    ) -> None:
        self._replica, self._engine, self._collector, self._facts = replica, engine, collector, facts
        self._end, self._at_work = end or end_this_actor, at_work
        self._stopped, self._telling = threading.Event(), threading.Lock()
        self._pushed: Snapshot | None = None
        self._pushed_s = self._exposed_s = float("-inf")
        self._scraped = False
        self._processors = ProcessorTime()
        self._node: NodeMetrics
        threading.Thread(target=self._run, name="reporter", daemon=True).start()

    def stop(self) -> None:
        """The replica is stopping: that its engine does is no death."""
        self._stopped.set()

    def tell(self) -> None:
        """Push what is counted by now, from any thread. Raises what Ray does where the collector is away."""
        with self._telling:
            self._push(self._engine.stats.snapshot())

    def _run(self) -> None:
        self._node = this_node(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        while not self._stopped.is_set():
            if self._engine.dead:
                self._last_words()
                return
            try:
                with self._telling:  # one push after the other: the newest counts come last
                    self._tell_changes()
                if self._scraped and time.monotonic() - self._exposed_s >= EXPOSE_EVERY_S:
                    self._exposed_s = time.monotonic()
                    self._collector.expose.remote(self._replica, labelled_exposition(REGISTRY, self._replica))
            except Exception:  # whatever it is: counts are late then, and the engine answers on
                logger.warning("the replica's counts could not be told", exc_info=True)
            self._stopped.wait(PUSH_EVERY_S)

    def _tell_changes(self) -> None:
        snapshot = self._engine.stats.snapshot()
        counts = replace(snapshot, time_s=0.0)
        if counts == self._pushed and time.monotonic() - self._pushed_s < PUSH_UNCHANGED_EVERY_S:
            return
        self._push(replace(snapshot, node_sample=self._node.sample()))
        self._pushed, self._pushed_s = counts, time.monotonic()

    def _push(self, snapshot: Snapshot) -> None:
        told = replace(snapshot, processor_s=self._processors.spent_s())
        heard: Heard = self._collector.push.remote(told).future().result(ANSWER_S)
        self._scraped = heard.scraped
        if not heard.known:
            self._collector.register.remote(self._replica, dict(self._facts))

    def _last_words(self) -> None:
        logger.error("the engine died: this replica ends, and Serve starts another one")
        with contextlib.suppress(Exception):
            self._collector.engine_died.remote(self._replica)
        deadline = time.monotonic() + LONGEST_LAST_WORDS_S
        stopped = self._stopped.wait(LAST_WORDS_S)
        while not stopped and self._at_work() and time.monotonic() < deadline:
            stopped = self._stopped.wait(LISTEN_EVERY_S)
        if not stopped:
            self._end()


def end_this_actor() -> None:
    """Through Ray, which else warns the user of a worker that died unexpectedly."""
    with contextlib.suppress(Exception):
        ray.kill(ray.get_runtime_context().current_actor)
        time.sleep(KILLED_S)
    os._exit(1)
