"""The rules of a schedule, with real processes for jobs and a clock that jumps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.nightly.cron import Cron
from pipelines.nightly.loop import NightlyJob, Scheduler
from pipelines.nightly.state import Occurrence, ScheduleBusyError, State, StateFile
from stages.core.errors import DataError

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
NIGHTLY = Cron.parse("0 2 * * *", "UTC")
MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Workplace:
    """A scheduler, its state, a clock that moves when somebody sleeps, and what was said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = StateFile(folder / "schedule", "nightly")
        self.now = MIDNIGHT
        self.told: list[str] = []
        self.until = MIDNIGHT
        self.first_job_takes = timedelta()
        self.scheduler: Scheduler

    def start(self, *codes: int, retries: int = 3, synced: int | None = None) -> Scheduler:
        """A scheduler whose job exits with these codes in turn, then 0, and notes when it ran."""
        script = (
            "import pathlib, sys; ran = pathlib.Path(sys.argv[1])\n"
            "lines = ran.read_text().split() if ran.exists() else []\n"
            "ran.write_text(' '.join([*lines, sys.argv[2]])); codes = [int(c) for c in sys.argv[3].split()]\n"
            "print('run folder  results/night'); sys.exit(([*codes, 0])[min(len(lines), len(codes))])"
        )
        call = [sys.executable, "-c", script, str(self.folder / "ran")]
        told = " ".join(map(str, codes))
        job = NightlyJob([*call, "job", told], [*call, "sync", told], retries, backoff_s=60)
        self.scheduler = Scheduler(NIGHTLY, job, self.file, self.told.append, self.clock, self.sleep)
        return self.scheduler

    def clock(self) -> datetime:
        return self.now + (self.first_job_takes if self.ran else timedelta())

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if self.now >= self.until:
            self.scheduler.stop()

    def run_until(self, until: datetime, *codes: int, retries: int = 3) -> State:
        """Let a daemon run from now to `until`."""
        self.until = until
        self.start(*codes, retries=retries).forever(self.new_state())
        return self.state

    def once(self, *codes: int, retries: int = 3) -> int:
        self.until = MIDNIGHT + 1000 * DAY
        return self.start(*codes, retries=retries).once(self.new_state())

    def new_state(self) -> State:
        return State(config="nightly.yaml", cron="0 2 * * *", timezone="UTC", since=self.now)

    @property
    def state(self) -> State:
        state = self.file.read()
        assert state is not None
        return state

    @property
    def ran(self) -> list[str]:
        path = self.folder / "ran"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def at(day: int, hour: int = 2, minute: int = 0) -> datetime:
    return datetime(2026, 6, day, hour, minute, tzinfo=UTC)


# --- a daemon ---


def test_each_night_is_run_once(place: Workplace) -> None:
    place.now = at(1, 1, 59)
    state = place.run_until(at(1, 2, 5))
    place.now = at(2, 1, 59)
    state = place.run_until(at(2, 2, 5))
    assert [one.due for one in state.occurrences] == [at(1), at(2)]
    assert [(one.outcome, one.attempts, one.exit_code) for one in state.occurrences] == [("done", 1, 0)] * 2
    assert {one.run_folder for one in state.occurrences} == {"results/night"}
    assert place.ran == ["job", "job"]


def test_the_first_start_catches_nothing_up(place: Workplace) -> None:
    place.now = at(1, 12)
    assert place.run_until(at(1, 12, 1)).occurrences == []
    assert place.told[-1] == "stopped"


def test_missed_nights_are_caught_up_once(place: Workplace) -> None:
    place.now = at(1, 1)
    place.run_until(at(1, 1, 1))
    place.now = at(9, 12)
    state = place.run_until(at(9, 12, 1))
    assert [one.due for one in state.occurrences] == [at(9)]
    assert place.ran == ["job"]
    assert "2026-06-01 02:00:00+00:00 and what follows it were missed; caught up once" in "\n".join(place.told)


def test_another_cron_expression_catches_nothing_up(place: Workplace) -> None:
    place.now = at(1, 1)
    place.run_until(at(1, 1, 1))
    state = place.state
    state.cron = "0 1 * * *"
    place.file.write(state)
    place.now = at(9, 12)
    assert place.run_until(at(9, 12, 1)).occurrences == []


def test_a_run_longer_than_the_period_delays_the_next_and_skips_those_between(place: Workplace) -> None:
    place.now = at(1, 1, 59)
    place.first_job_takes = 2.5 * DAY
    state = place.run_until(at(1, 2, 1))
    assert [one.due for one in state.occurrences] == [at(1), at(3)]
    assert "2026-06-02 02:00:00+00:00 and what follows it were missed" in "\n".join(place.told)


def test_a_night_that_was_cut_off_is_continued_until_a_later_one_takes_its_place(place: Workplace) -> None:
    cut_off = place.new_state()
    cut_off.occurrences = [Occurrence(due=at(1), log=str(place.folder / "log"), attempts=1, started=at(1))]
    place.file.logs.mkdir(parents=True)
    place.file.write(cut_off)
    place.now = at(1, 12)
    [night] = place.run_until(at(1, 12, 1)).occurrences
    assert (night.outcome, night.attempts) == ("done", 2)
    place.file.write(cut_off)
    place.now = at(4, 12)
    state = place.run_until(at(4, 12, 1))
    assert [(one.due, one.outcome) for one in state.occurrences] == [(at(1), "superseded"), (at(4), "done")]


def test_a_night_that_is_cut_off_again_and_again_runs_out_of_attempts(place: Workplace) -> None:
    cut_off = place.new_state()
    cut_off.occurrences = [Occurrence(due=at(1), log="log", attempts=4, started=at(1))]
    place.file.logs.mkdir(parents=True)
    place.file.write(cut_off)
    place.now = at(1, 12)
    assert place.run_until(at(1, 12, 1)).occurrences[0].outcome == "failed"
    assert place.ran == []


# --- failures ---


def test_a_failed_job_is_retried_with_a_back_off_that_doubles(place: Workplace) -> None:
    place.now = at(1, 1, 59)
    [night] = place.run_until(at(1, 3), 1, 1).occurrences
    assert (night.outcome, night.attempts) == ("done", 3)
    assert [line.split(" in ")[1] for line in place.told if "tried again" in line] == ["60 s", "120 s"]
    assert night.finished is not None and night.finished - night.due == timedelta(seconds=180)


def test_a_job_that_never_works_fails_after_its_retries_and_is_not_touched_again(place: Workplace) -> None:
    place.now = at(1, 1, 59)
    [night] = place.run_until(at(1, 3), 1, 1, 1, 1, retries=2).occurrences
    assert (night.outcome, night.attempts, night.exit_code) == ("failed", 3, 1)
    place.run_until(at(1, 4))
    assert place.ran == ["job"] * 3


@pytest.mark.parametrize("code", [2, 3])
def test_what_a_retry_cannot_mend_is_not_retried(code: int, place: Workplace) -> None:
    assert place.once(code, 0) == code
    assert (place.state.occurrences[0].outcome, place.ran) == ("failed", ["job"])
    assert any("not retried" in line for line in place.told)


@pytest.mark.parametrize(("code", "outcome"), [(5, "cannot tell"), (6, "regressed")])
def test_a_verdict_ends_the_night_and_is_told_again_to_whoever_asks(code: int, outcome: str, place: Workplace) -> None:
    assert place.once(code, 0) == code
    assert (place.state.occurrences[0].outcome, place.state.occurrences[0].attempts) == (outcome, 1)
    assert place.once(0) == code
    assert place.ran == ["job"]
    assert f"has its verdict, {outcome}, already (results/night): nothing to do" in place.told[-1]


@pytest.mark.parametrize("code", [5, 6])
def test_a_daemon_touches_no_night_that_has_its_verdict_and_goes_on_to_the_next(code: int, place: Workplace) -> None:
    place.now = at(1, 1, 59)
    place.run_until(at(1, 2, 5), code)
    place.now = at(2, 1, 59)
    place.run_until(at(2, 2, 5), code)
    assert [(one.due, one.exit_code) for one in place.state.occurrences] == [(at(1), code), (at(2), 0)]
    assert place.ran == ["job", "job"]


def test_a_verdict_that_a_missing_server_hid_is_told_once_the_results_are_logged(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run exits with 4, which comes before 5, and says the rest in its folder."""
    monkeypatch.chdir(place.folder)
    (place.folder / "results" / "night").mkdir(parents=True)
    (place.folder / "results" / "night" / "gate.json").write_text('{"outcome": "cannot tell"}')
    assert place.once(4, 0) == 5
    assert place.ran == ["job", "sync"]
    assert (place.state.occurrences[0].outcome, place.state.occurrences[0].exit_code) == ("cannot tell", 5)


def test_results_that_were_not_logged_are_logged_again_and_not_computed_again(place: Workplace) -> None:
    assert place.once(4, 4, 0) == 0
    assert place.ran == ["job", "sync", "sync"]
    assert place.state.occurrences[0].outcome == "done"


def test_a_job_killed_by_a_signal_is_retried(place: Workplace) -> None:
    killed = "import os; os.kill(os.getpid(), 9)"
    place.until = MIDNIGHT + DAY
    job = NightlyJob([sys.executable, "-c", killed], retries=1)
    scheduler = Scheduler(NIGHTLY, job, place.file, place.told.append, lambda: place.now, place.sleep)
    place.scheduler = scheduler
    assert scheduler.once(place.new_state()) == 137
    assert place.state.occurrences[0].attempts == 2


# --- once ---


def test_once_runs_the_latest_due_occurrence_and_a_second_time_nothing(place: Workplace) -> None:
    assert (place.once(), place.once()) == (0, 0)
    assert place.ran == ["job"]
    assert "was done already (results/night): nothing to do" in place.told[-1]
    place.now += DAY
    assert place.once() == 0
    assert [one.due for one in place.state.occurrences] == [at(1) - DAY, at(1)]


def test_once_tries_a_failed_occurrence_again(place: Workplace) -> None:
    assert place.once(2) == 2
    assert place.once(2) == 0
    assert (place.state.occurrences[0].outcome, place.state.occurrences[0].attempts) == ("done", 1)


# --- restarts, overlap, signals: a scheduler in a process of its own ---

SCHEDULER = """
import signal, sys, pathlib
from datetime import UTC, datetime
from apscheduler.triggers.cron import CronTrigger
from pipelines.nightly.cron import Cron
from pipelines.nightly.state import State, StateFile
from pipelines.nightly.loop import NightlyJob, Scheduler
cron = Cron(CronTrigger(year="*", month=1, day=1))
file = StateFile(pathlib.Path(sys.argv[1]), "nightly")
job = NightlyJob([sys.executable, "-c", sys.argv[2]], backoff_s=0)
scheduler = Scheduler(cron, job, file, lambda text: print(text, flush=True))
signal.signal(signal.SIGTERM, lambda *_: scheduler.stop())
sys.exit(scheduler.once(State(config="c", cron="yearly", timezone="UTC", since=datetime.now(UTC))))
"""
# At work, the first time, until it is let go.
SLOW = """
import pathlib, time, sys
started, let_go = (pathlib.Path({folder!r}, name) for name in ('started', 'let go'))
if started.exists():
    sys.exit(0)
try:
    started.touch()
    while not let_go.exists():
        time.sleep(0.05)
except KeyboardInterrupt:
    pathlib.Path({folder!r}, 'finished what was in flight').touch()
    sys.exit(130)
"""


def process(folder: Path, job: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCHEDULER, str(folder), job],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path: Path) -> None:
    for _ in range(2400):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never appeared")


@pytest.fixture
def job(tmp_path: Path) -> Iterator[str]:
    """SLOW in this folder; at the end it is let go, whoever still has it."""
    yield SLOW.format(folder=str(tmp_path))
    (tmp_path / "let go").touch()


def test_sigterm_reaches_the_job_as_sigint_and_the_night_goes_on_at_the_next_start(tmp_path: Path, job: str) -> None:
    first = process(tmp_path, job)
    wait_for(tmp_path / "started")
    first.send_signal(signal.SIGTERM)
    output, _ = first.communicate(timeout=120)
    assert first.returncode == 130, output
    assert (tmp_path / "finished what was in flight").exists()
    state = StateFile(tmp_path, "nightly").read()
    assert state is not None and (state.occurrences[0].outcome, state.occurrences[0].attempts) == ("interrupted", 0)
    output, _ = (second := process(tmp_path, job)).communicate(timeout=120)
    assert second.returncode == 0, output
    assert "goes on: its last attempt was interrupted" in output


def test_a_scheduler_beside_a_living_one_is_refused(tmp_path: Path, job: str) -> None:
    first = process(tmp_path, job)
    try:
        wait_for(tmp_path / "started")
        assert StateFile(tmp_path, "nightly").busy()
        with (
            pytest.raises(ScheduleBusyError, match=rf"at work already \(process {first.pid}\)"),
            StateFile(tmp_path, "nightly").locked(print),
        ):
            pytest.fail("two hold the lock")
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=120)
    assert not StateFile(tmp_path, "nightly").busy()


def test_a_job_that_outlives_its_killed_scheduler_is_waited_for(tmp_path: Path, job: str) -> None:
    first = process(tmp_path, job)
    wait_for(tmp_path / "started")
    first.kill()
    first.wait()
    assert StateFile(tmp_path, "nightly").busy()
    second = process(tmp_path, job)
    assert second.stdout is not None
    assert second.stdout.readline().startswith("waiting for a job that an earlier scheduler left running")
    (tmp_path / "let go").touch()
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    assert "goes on: its last attempt was cut off" in output
    state = StateFile(tmp_path, "nightly").read()
    assert state is not None and (state.occurrences[0].outcome, state.occurrences[0].attempts) == ("done", 2)


def test_who_waits_for_such_a_job_can_be_stopped(tmp_path: Path, job: str) -> None:
    first = process(tmp_path, job)
    wait_for(tmp_path / "started")
    first.kill()
    first.wait()
    second = process(tmp_path, job)
    assert second.stdout is not None
    assert second.stdout.readline().startswith("waiting for a job")
    second.send_signal(signal.SIGTERM)
    output, _ = second.communicate(timeout=120)  # the job is at work until the end of this test
    assert second.returncode == 1
    assert "stopped, while the job of an earlier scheduler is at work" in output


# --- the state file ---


def test_a_state_file_that_is_not_ours_is_refused_with_a_remedy(tmp_path: Path) -> None:
    file = StateFile(tmp_path, "nightly")
    file.path.write_text('{"config": 1')
    with pytest.raises(DataError, match=r"nightly\.json: cannot be read .* remove it"):
        file.read()


def test_a_state_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "schedule").touch()
    with (
        pytest.raises(DataError, match=r"cannot be written .* Choose another with --state"),
        StateFile(tmp_path / "schedule", "nightly").locked(print),
    ):
        pytest.fail("locked")


def test_a_reader_never_sees_half_a_state(tmp_path: Path) -> None:
    file = StateFile(tmp_path, "nightly")
    state = State(config="c", cron="* * * * *", timezone="UTC", since=MIDNIGHT)
    state.occurrences = [Occurrence(due=MIDNIGHT + n * DAY, log="l" * 500, started=MIDNIGHT) for n in range(50)]
    file.write(state)
    writer = threading.Thread(target=lambda: [file.write(state) for _ in range(100)])
    writer.start()
    while writer.is_alive():
        assert file.read() == state
    writer.join()
