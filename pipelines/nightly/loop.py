"""A job at every occurrence of a cron expression, retried with back-off, with state that survives a restart.

One rule serves the daemon, its restarts and `--once`: the latest occurrence that is due and not finished is run. So a
missed night is caught up once, however many were missed, and a job that takes longer than the period delays the next.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.base.process import INTERRUPTED
from pipelines.nightly.cron import Cron
from pipelines.nightly.state import JUDGED, NightStatus, Occurrence, State, StateFile
from pipelines.runs.folder import RunFolder

NOT_LOGGED = 4  # results are complete, MLflow was not reached
HOPELESS = {2: "the config, the data or the model cannot be used", 3: "too many pairs failed; results are kept"}
POLL_S = 1.0  # a clock that is set, or a machine that slept, is noticed so soon
LATE_S = 60.0  # an occurrence that starts later than this was missed
LAST_ATTEMPT = {"running": "was cut off", "interrupted": "was interrupted", "failed": "failed"}
RUN_FOLDER = re.compile(r"^run folder {2}(.+)$", re.MULTILINE)  # the last line of `rerank-eval run`


@dataclass(frozen=True, slots=True)
class NightlyJob:
    """The commands of one occurrence, each a process of its own: a crashed engine takes no scheduler with it."""

    command: Sequence[str]
    sync_command: Sequence[str] = (sys.executable, "-m", "pipelines", "sync")
    retries: int = 3
    backoff_s: float = 60.0  # before the first retry; doubles with each

    def step(self, night: Occurrence) -> list[str]:
        """What is to do next: log complete results, or run the job (which goes on from the score store)."""
        if night.exit_code == NOT_LOGGED and night.run_folder:
            return [*self.sync_command, night.run_folder]
        return list(self.command)


class Scheduler:
    """Runs `job` at the occurrences of `cron`. `now` and `sleep` are the clock, `say` prints a line."""

    def __init__(
        self,
        cron: Cron,
        job: NightlyJob,
        file: StateFile,
        say: Callable[[str], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cron, self._job, self._file, self._say = cron, job, file, say
        self._now, self._sleep = now, sleep
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Start nothing more and interrupt the job, which finishes what is in flight. Safe in a signal handler."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)

    def once(self, state: State) -> int:
        """Run the latest due occurrence unless it is done; returns the exit code of its job, 0 where none was due.

        Raises ScheduleBusyError.
        """
        with self._file.locked(self._say, lambda: self._stopping) as lock:
            state = self._resumed(state)
            due = self._cron.latest(self._now())
            if due is None:
                self._say("no occurrence was ever due: nothing to do")
                return 0
            night = state.at(due)
            if night is not None and night.over:
                told = "was done" if night.outcome == "done" else f"has its verdict, {night.outcome},"
                self._say(f"[{self._local(due)}] {told} already ({night.run_folder}): nothing to do")
                return night.exit_code or 0
            if night is not None and night.outcome == "failed":
                night.attempts = 0  # whoever asks again wants it tried again
            return self._run(self._begin(state, due), state, lock)

    def forever(self, state: State) -> None:
        """Run each occurrence until `stop`; what was missed since the last one is caught up once, first.

        Raises ScheduleBusyError.
        """
        with self._file.locked(self._say, lambda: self._stopping) as lock:
            state = self._resumed(state)
            self._announce_next()
            while not self._stopping:
                due = self._cron.latest(self._now())
                if due is not None and self._is_open(state, due):
                    self._run(self._begin(state, due), state, lock)
                    self._announce_next()
                else:
                    self._sleep(POLL_S)
        self._say("stopped")

    def _resumed(self, new: State) -> State:
        """The state of an earlier start; one of another cron expression begins anew, its history stays."""
        state = self._file.read() or new
        if (state.cron, state.timezone) != (new.cron, new.timezone):
            state = state.model_copy(update={"cron": new.cron, "timezone": new.timezone, "since": new.since})
        self._file.write(state)
        return state

    def _is_open(self, state: State, due: datetime) -> bool:
        night = state.at(due)
        if night is not None:
            return night.open
        return due > state.since and (state.last is None or due > state.last.due)

    def _begin(self, state: State, due: datetime) -> Occurrence:
        """The occurrence, new or continued, and a word where it starts late."""
        night = state.at(due)
        if night is not None:
            self._say(f"[{self._local(due)}] goes on: its last attempt {LAST_ATTEMPT[night.outcome]}")
            return night
        if state.last is not None and state.last.open:
            self._say(f"[{self._local(due)}] takes the place of {self._local(state.last.due)}, which was cut off")
            state.last.outcome = "superseded"
        previous = max(state.last.due, state.since) if state.last else state.since
        skipped = self._cron.next(previous)
        if skipped is not None and skipped < due:
            self._say(
                f"[{self._local(due)}] {self._local(skipped)} and what follows it were missed; caught up once, now"
            )
        elif (late_s := (self._now() - due).total_seconds()) > LATE_S:
            self._say(f"[{self._local(due)}] was missed by {late_s / 60:.0f} min: caught up")
        log = self._file.logs / f"{due.astimezone(self._cron.zone):%Y%m%dT%H%M%S%z}.log"
        night = Occurrence(due=due, log=str(log), started=self._now())
        state.occurrences.append(night)
        return night

    def _run(self, night: Occurrence, state: State, lock: int) -> int:
        """Attempts with back-off until the occurrence is done, hopeless, or out of retries; returns the exit code."""
        while night.attempts <= self._job.retries:
            logs_only = night.exit_code == NOT_LOGGED
            code = self._attempt(night, state, lock)
            if code == 0 and logs_only:
                # Behind a 4 the run kept back what its gate said; that it is logged now changes nothing about it.
                code = night.exit_code = _verdict(night.run_folder)
            if code == 0 or code in JUDGED:
                return self._end(night, state, JUDGED.get(code, "done"), code)
            if self._stopping:
                night.attempts -= 1  # not the job's fault
                return self._end(night, state, "interrupted", INTERRUPTED)
            if code in HOPELESS:
                self._say(f"[{self._local(night.due)}] not retried: {HOPELESS[code]}")
                break
            if not self._wait_before_retry(night):
                return self._end(night, state, "interrupted", INTERRUPTED)
        return self._end(night, state, "failed", night.exit_code if night.exit_code is not None else 1)

    def _attempt(self, night: Occurrence, state: State, lock: int) -> int:
        """One process, its output appended to the occurrence's log. A signal n is exit code 128 + n, as in a shell."""
        command = self._job.step(night)
        night.attempts, night.outcome, night.finished = night.attempts + 1, "running", None
        self._file.write(state)
        self._say(f"[{self._local(night.due)}] attempt {night.attempts} of {self._job.retries + 1}, log {night.log}")
        with Path(night.log).open("ab") as log:
            log.write(f"--- attempt {night.attempts}, {self._local(self._now())}\n".encode())
            log.flush()
            begin = log.tell()
            # A session of its own: Ctrl-C reaches it through `stop` alone, once. It inherits the lock.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, pass_fds=[lock]
            )
            if self._stopping:  # asked between the last look and the start
                self.stop()
            code = self._process.wait()
        night.exit_code = 128 - code if code < 0 else code
        night.run_folder = _run_folder(Path(night.log), begin) or night.run_folder
        self._say(f"[{self._local(night.due)}] attempt {night.attempts} ended with exit code {night.exit_code}")
        return night.exit_code

    def _wait_before_retry(self, night: Occurrence) -> bool:
        """Sleep 1, 2, 4 ... times the back-off, unless there is no retry left; False when asked to stop meanwhile."""
        if night.attempts > self._job.retries:
            return True
        left_s = self._job.backoff_s * 2 ** (night.attempts - 1)
        what = "logging" if night.exit_code == NOT_LOGGED and night.run_folder else "the job"
        self._say(f"[{self._local(night.due)}] {what} is tried again in {left_s:g} s")
        while left_s > 0 and not self._stopping:
            self._sleep(min(left_s, POLL_S))
            left_s -= POLL_S
        return not self._stopping

    def _end(self, night: Occurrence, state: State, outcome: NightStatus, code: int) -> int:
        night.outcome, night.finished = outcome, self._now()
        self._file.write(state)
        self._say(f"[{self._local(night.due)}] {outcome}" + (f": {night.run_folder}" if night.run_folder else ""))
        return code

    def _announce_next(self) -> None:
        upcoming = self._cron.next(self._now())
        if upcoming is not None and not self._stopping:
            self._say(f"next occurrence {self._local(upcoming)}")

    def _local(self, moment: datetime) -> str:
        return moment.astimezone(self._cron.zone).isoformat(" ", "seconds")


def _verdict(run_folder: str | None) -> int:
    """The exit code of the verdict that a run's gate left in its folder; 0 where it passed, or nothing was asked."""
    file = RunFolder(Path(run_folder or "")).gate
    outcome = json.loads(file.read_text(encoding="utf-8"))["outcome"] if file.is_file() else None
    return next((code for code, judged in JUDGED.items() if judged == outcome), 0)


def _run_folder(log: Path, begin: int) -> str | None:
    """The folder that the attempt's output names last, from byte `begin`."""
    told = RUN_FOLDER.findall(log.read_bytes()[begin:].decode("utf-8", "replace"))
    return told[-1].strip() if told else None
