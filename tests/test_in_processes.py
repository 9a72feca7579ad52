"""Which test runs in which process: with workers that only count time, and with pytest-xdist's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.in_processes import AHEAD, ByEngine

ENGINE_FILE = "engine.py"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ran:
    test: int
    worker: str
    begin_s: float
    end_s: float


@dataclass(eq=False)
class Worker:
    """As pytest-xdist's: begins a test when it knows the next one, or that there is none."""

    name: str
    ready_s: float = 0.0  # when it has collected
    queue: list[int] = field(default_factory=list)
    running: Ran | None = None
    shutting_down: bool = False

    @property
    def gateway(self) -> Any:
        return SimpleNamespace(id=self.name)

    def send_runtest_some(self, tests: list[int]) -> None:
        assert not self.shutting_down
        self.queue += tests
        assert len(self.queue) <= AHEAD

    def shutdown(self) -> None:
        self.shutting_down = True

    def begin(self, now: float, seconds: list[float]) -> None:
        if self.running is None and len(self.queue) > (0 if self.shutting_down else 1):
            test = self.queue.pop(0)
            self.running = Ran(test, self.name, now, now + seconds[test])

    def next_s(self) -> float:
        """When it has something to say; never where it waits for tests."""
        if self.running:
            return self.running.end_s
        return 0.0 if self.shutting_down and not self.queue else self.ready_s or inf


class Session:
    """One test for each of `files`, the file that it is in. A worker that runs a deadly one dies of it."""

    def __init__(self, files: list[str], seconds: list[float], processes: int, deadly: frozenset[int]) -> None:
        self.collected = [f"{file}::test_{number}" for number, file in enumerate(files)]
        self.seconds, self.deadly, self.ran = seconds, deadly, list[Ran]()
        config = SimpleNamespace(getvalue=lambda _: [f"{processes}*popen"], getoption=lambda _: None)
        self.scheduler = ByEngine(config, SimpleNamespace(loadsched=lambda *_: None), [ENGINE_FILE])
        self.workers = list[Worker]()
        self.started = 0
        for _ in range(processes):
            self.start(0.0)
        for worker in list(self.workers):
            self.collect(worker)

    def start(self, ready_s: float) -> None:
        self.workers.append(Worker(f"gw{self.started}", ready_s))
        self.started += 1
        self.scheduler.add_node(self.workers[-1])

    def collect(self, worker: Worker) -> None:
        worker.ready_s = 0.0
        self.scheduler.add_node_collection(worker, self.collected)
        if self.scheduler.collection_is_completed:
            self.scheduler.schedule()

    def run(self) -> list[Ran]:
        now = 0.0
        while self.workers:
            if self.scheduler.tests_finished:
                for worker in self.workers:
                    worker.shutdown()
            for worker in self.workers:
                worker.begin(now, self.seconds)
            worker = min(self.workers, key=Worker.next_s)
            assert worker.next_s() < inf, "all wait for tests"
            now = max(now, worker.next_s())
            if worker.running:
                self.end_test(worker, worker.running)
            elif worker.ready_s:
                self.collect(worker)
            else:
                self.workers.remove(worker)
                assert self.scheduler.remove_node(worker) is None
        return self.ran

    def end_test(self, worker: Worker, ran: Ran) -> None:
        self.ran.append(ran)
        worker.running = None
        if ran.test not in self.deadly:
            self.scheduler.mark_test_complete(worker, ran.test, self.seconds[ran.test])
            return
        self.workers.remove(worker)
        assert self.scheduler.remove_node(worker) == self.collected[ran.test]
        self.start(ran.end_s + 1.0)


def run(files: list[str], seconds: list[float], processes: int = 3, deadly: frozenset[int] = frozenset()) -> list[Ran]:
    return Session(files, seconds, processes, deadly).run()


@st.composite
def suites(draw: st.DrawFn) -> tuple[list[str], list[float]]:
    sizes = draw(st.dictionaries(st.sampled_from(["a.py", "b.py", "c.py", "d.py"]), st.integers(1, 6)))
    files = [file for file, size in sizes.items() for _ in range(size)]
    for place in draw(st.lists(st.integers(0, len(files)), max_size=8)):
        files.insert(place, ENGINE_FILE)
    seconds = draw(st.lists(st.floats(0.01, 100), min_size=len(files), max_size=len(files)))
    return files, seconds


@given(suites(), st.integers(1, 5), st.frozensets(st.integers(0, 20), max_size=3))
@examples(300)
def test_every_test_runs_once_whoever_dies(
    suite: tuple[list[str], list[float]], processes: int, deadly: frozenset[int]
) -> None:
    files, seconds = suite
    ran = run(files, seconds, processes, deadly)
    assert sorted(one.test for one in ran) == list(range(len(files)))


@given(suites(), st.integers(1, 5), st.frozensets(st.integers(0, 20), max_size=3))
@examples(300)
def test_engine_tests_run_in_order_one_at_a_time_and_in_a_process_that_ran_nothing_else(
    suite: tuple[list[str], list[float]], processes: int, deadly: frozenset[int]
) -> None:
    files, seconds = suite
    ran = run(files, seconds, processes, deadly)
    engine = [one for one in ran if files[one.test] == ENGINE_FILE]
    assert [one.test for one in engine] == sorted(one.test for one in engine)
    assert all(before.end_s <= after.begin_s for before, after in pairwise(engine))
    elsewhere = {one.worker for one in ran if files[one.test] != ENGINE_FILE}
    assert processes == 1 or not elsewhere & {one.worker for one in engine}
    died = len([one for one in (engine if processes > 1 else ran) if one.test in deadly])  # one process has all
    assert len({one.worker for one in engine}) <= 1 + died


@given(suites(), st.integers(3, 5))
@examples(200)
def test_a_file_is_in_one_process_and_one_of_the_processes_waits(
    suite: tuple[list[str], list[float]], processes: int
) -> None:
    files, seconds = suite
    ran = run(files, seconds, processes)
    for file in set(files):
        assert len({one.worker for one in ran if files[one.test] == file}) == 1
    for one in ran:
        assert len([other for other in ran if other.begin_s <= one.begin_s < other.end_s]) < processes


def test_the_process_that_waited_takes_over_half_of_what_is_left_when_the_engine_is_done() -> None:
    files = [ENGINE_FILE] * 4 + [f"{number}.py" for number in range(20)]
    ran = run(files, [1.0] * len(files))
    assert max(one.end_s for one in ran) == 12  # 24 tests of a second by two at once
    assert [one.worker for one in ran if files[one.test] == ENGINE_FILE] == ["gw0"] * 4
    late = [one for one in ran if one.worker == "gw2"]
    assert len(late) == 8 and min(one.begin_s for one in late) == 4


def test_with_two_processes_the_second_has_all_that_needs_no_engine() -> None:
    files = [ENGINE_FILE, "a.py", "b.py", "b.py"]
    assert {one.worker for one in run(files, [1.0] * 4, 2) if files[one.test] != ENGINE_FILE} == {"gw1"}


def test_the_rest_of_what_a_dead_engine_had_to_run_goes_to_the_process_that_waits() -> None:
    files = [ENGINE_FILE] * 5 + [f"{number}.py" for number in range(20)]
    ran = run(files, [1.0] * len(files), deadly=frozenset({2}))
    assert [one.worker for one in ran if files[one.test] == ENGINE_FILE] == ["gw0"] * 3 + ["gw2"] * 2


CONFTEST = """
from tests.in_processes import ByEngine

def pytest_xdist_make_scheduler(config, log):
    return ByEngine(config, log, ["test_engine.py"])
"""

MANY = "import os, time, pytest\n\n@pytest.mark.parametrize('n', range({}))\ndef test_it(n):\n    "


def real_session(here: Path, files: dict[str, str], *options: str) -> tuple[int, list[tuple[str, str, str]]]:
    """pytest-xdist's own three processes on these tests: the exit status; by test its worker, outcome and name."""
    for name, source in {"conftest.py": CONFTEST, "pytest.ini": "[pytest]\n", **files}.items():
        (here / name).write_text(source)
    command = [sys.executable, "-m", "pytest", "-v", "-n3", "-p", "xdist", "-p", "no:cacheprovider", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=120, check=False)
    found = re.findall(r"^\[(gw\d+)\][^A-Z]*([A-Z]+) (\S+)", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return done.returncode, found


@pytest.mark.heavy
def test_under_pytest_xdist_nothing_is_lost_or_run_twice_when_the_engine_s_process_dies(tmp_path: Path) -> None:
    files = {f"test_{name}.py": MANY.format(4) + "time.sleep(0.05)\n" for name in "abcdef"}
    files["test_engine.py"] = MANY.format(4) + "n != 1 or os._exit(3)\n"
    status, found = real_session(tmp_path, files)
    assert status == 1 and len(found) == len({name for _, _, name in found}) == 28
    assert [name for _, outcome, name in found if outcome != "PASSED"] == ["test_engine.py::test_it[1]"]
    engine = [(worker, name[-3:]) for worker, _, name in found if name.startswith("test_engine")]
    assert [name for _, name in engine] == ["[0]", "[1]", "[2]", "[3]"]
    assert engine[0][0] == engine[1][0] != engine[2][0] == engine[3][0]


@pytest.mark.heavy
def test_under_pytest_xdist_a_failure_ends_a_session_that_is_to_stop_at_the_first(tmp_path: Path) -> None:
    fails = "def test_it():\n    assert False\n"
    many = MANY.format(40) + "time.sleep(0.1)\n"
    status, found = real_session(tmp_path, {"test_a.py": fails, "test_engine.py": many}, "-x")
    assert status != 0 and len(found) < 20
