"""Which test runs in which process of `make test`: the scheduler that tests/conftest.py gives to pytest-xdist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdist.scheduler import LoadScheduling

ENGINE = "engine"
AHEAD = 3  # a worker begins a test when it has the next one; one more, that it never waits for us


class ByEngine(LoadScheduling):  # type: ignore[misc]
    """All tests of `engine_files` in one process, in order; the others file by file, each in one process.

    An engine is waited for as often as it computes, and two at once would only be in each other's way. One process of
    three or more waits until another ends, which is the engine's when its tests are done, and takes over files that
    nobody has begun. It is a new process: Ray's client ends its own, minutes after the cluster that it belonged to.

    Tests are sent when they are about to be needed: what was sent is run, also after a failure under `-x`. What a
    process that died had not run goes to the others; the engine's tests to one that has run none.

    Not xdist's own `--dist loadgroup`: 3.8.0 reads no group under pytest 9.2, and says nothing.
    """

    def __init__(self, config: Any, log: Any, engine_files: Sequence[str]) -> None:
        super().__init__(config, log)
        self._engine_files = tuple(engine_files)
        self._at_once = max(2, self.numnodes - 1)
        self._at: dict[Any, str] = {}  # who works -> the file that it is in, or ENGINE
        self._parts: list[str] = []  # of each test that was collected

    def schedule(self) -> None:
        """When all have collected, and again when one has that replaces one that died."""
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                self.log("**Different tests collected, aborting run**")
                return
            self.collection = next(iter(self.node2collection.values()))
            self._parts = [self._part(nodeid) for nodeid in self.collection]
            self.pending[:] = range(len(self.collection))
        self._schedule_all()

    def check_schedule(self, node: Any, duration: float = 0) -> None:
        """Send what this one is to run next, or have it end where nothing is left to begin."""
        if self.collection is None or node.shutting_down or node not in self.node2collection:
            return
        while len(self.node2pending[node]) < AHEAD:
            if (test := self._next(node)) is None:
                if not self._waits(node):
                    node.shutdown()
                return
            self._at[node] = self._parts[test]
            self.pending.remove(test)
            self.node2pending[node].append(test)
            node.send_runtest_some([test])

    def remove_node(self, node: Any) -> str | None:
        """Gives the test in which it died, which is not run again; None where it came to its end."""
        died_in, *left = self.node2pending.pop(node) or [None]
        self._at.pop(node, None)
        self.pending[:] = sorted([*self.pending, *left])
        self._schedule_all()
        return None if died_in is None else self.collection[died_in]

    def _schedule_all(self) -> None:
        for node in self.nodes:
            self.check_schedule(node)

    def _part(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return ENGINE if file in self._engine_files or self.numnodes == 1 else file

    def _next(self, node: Any) -> int | None:
        """Of the part that it is in; else of one that nobody is in."""
        mine, taken = self._at.get(node), set(self._at.values())
        if mine is None and len(self._at) >= self._at_once:
            return None
        if mine is not None or ENGINE not in taken:
            for test in self.pending:
                if self._parts[test] == (mine or ENGINE):
                    return test
        if mine == ENGINE:
            return None
        taken.add(ENGINE)
        return next((test for test in self.pending if self._parts[test] not in taken), None)

    def _waits(self, node: Any) -> bool:
        """Whether it has run nothing, and may have to."""
        taken = set(self._at.values())
        return node not in self._at and any(self._parts[test] not in taken for test in self.pending)
