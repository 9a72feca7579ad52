"""What a schedule remembers, in one JSON file that is replaced whole, and the lock that keeps two runs apart."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from pipelines.base.places import place_in
from stages.core.errors import DataError, RerankEvalError, first_line

NightStatus = Literal["running", "done", "regressed", "cannot tell", "failed", "interrupted", "superseded"]
JUDGED: dict[int, NightStatus] = {5: "cannot tell", 6: "regressed"}
"""What the gate said of a run that ended with such a code. Its results are complete, and a retry mends nothing."""
POLL_S = 0.5
KEPT = 60  # occurrences in the file: two months of nights


class ScheduleBusyError(RerankEvalError):
    """Another process runs this schedule; exit code 1."""


class Occurrence(BaseModel):
    """One night: when it was due, and what became of it. `exit_code` is the last attempt's that ended.

    `regressed` and `cannot tell` are the verdicts of the config's gate over complete results: nothing is repeated.
    One that was cut off, with its scheduler or by a signal, stays running or interrupted: it is continued, unless a
    later one is due by then, which supersedes it.
    """

    model_config = ConfigDict(extra="forbid")

    due: AwareDatetime
    outcome: NightStatus = "running"
    attempts: int = 0
    exit_code: int | None = None
    run_folder: str | None = None
    log: str
    started: AwareDatetime
    finished: AwareDatetime | None = None

    @property
    def over(self) -> bool:
        """Whether it has results that need nothing more."""
        return self.outcome == "done" or self.outcome in JUDGED.values()

    @property
    def open(self) -> bool:
        return self.outcome in ("running", "interrupted")


class State(BaseModel):
    """A schedule's file. Occurrences up to `since` belong to nobody: the schedule did not exist, or was another."""

    model_config = ConfigDict(extra="forbid")

    config: str
    cron: str
    timezone: str
    since: AwareDatetime
    occurrences: list[Occurrence] = []

    @property
    def last(self) -> Occurrence | None:
        return self.occurrences[-1] if self.occurrences else None

    def at(self, due: datetime) -> Occurrence | None:
        """The occurrence that was due then, if it was ever started."""
        return next((one for one in self.occurrences if one.due == due), None)


class StateFile:
    """`<folder>/<name>.json`, the lock beside it, and a folder of logs. Raises DataError for a name that is a path."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.logs = place_in(folder, name, "--name")
        self.path = folder / f"{name}.json"
        self._lock = folder / f"{name}.lock"

    def read(self) -> State | None:
        """None before the first start. Raises DataError for a file that is not ours."""
        try:
            return State.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise DataError(
                f"state of the schedule {self.path}: cannot be read ({first_line(error)}). Mend it, or remove it: the "
                "schedule then starts anew, and what is in the score store stays"
            ) from error

    def write(self, state: State) -> None:
        """Replace the file; a crash leaves the old one or the new one."""
        state.occurrences = state.occurrences[-KEPT:]
        partial = self.path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(state.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.path)

    @contextlib.contextmanager
    def locked(self, say: Callable[[str], None], stopping: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Hold the schedule; gives the lock's file descriptor, for a job to inherit.

        A job that outlives a killed scheduler therefore still holds it, and is waited for. Raises ScheduleBusyError
        where a scheduler is alive, or when `stopping` while it waits, DataError where the folder cannot be written.
        """
        descriptor = self._open_lock()
        try:
            waited = False
            while not _try_lock(descriptor):
                self._refuse_if_alive()
                if not waited:
                    say("waiting for a job that an earlier scheduler left running")
                waited = True
                if stopping():
                    raise ScheduleBusyError(f"{self.name}: stopped, while the job of an earlier scheduler is at work")
                time.sleep(POLL_S)
            _write_pid(descriptor, f"{os.getpid()}\n")
            try:
                yield descriptor
            finally:
                _write_pid(descriptor, "")
        finally:
            os.close(descriptor)

    def busy(self) -> bool:
        """Whether a scheduler, or a job that one left, is at work now."""
        if not self._lock.exists():
            return False
        descriptor = self._open_lock()
        try:
            return not _try_lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            return os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DataError(
                f"folder of the schedule's state {self.path.parent}: cannot be written ({error.strerror}). Choose "
                "another with --state"
            ) from error

    def _refuse_if_alive(self) -> None:
        text = self._lock.read_text(encoding="ascii").strip()
        if not text:
            return
        try:
            os.kill(int(text), 0)
        except ProcessLookupError:
            return
        except PermissionError:
            pass  # somebody else's process, but alive
        raise ScheduleBusyError(
            f"the schedule {self.name} is at work already (process {text}); two never run at once. Look with --status, "
            "or give this one another --name"
        )


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_pid(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode("ascii"), 0)
