"""`rerank-eval schedule`: `rerank-eval run` every night on this machine; from a daemon, or from cron with `--once`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.base.config import load_config
from pipelines.base.config_file import ConfigFile
from pipelines.nightly.cron import Cron
from pipelines.nightly.loop import NightlyJob, Scheduler
from pipelines.nightly.state import State, StateFile
from stages.core.errors import ConfigError
from stages.core.words import counted


@dataclass(frozen=True, slots=True)
class Schedule:
    """What `rerank-eval schedule` was told. `state` is the folder of state and logs, None: <output.dir>/schedule."""

    config: Path
    overrides: Sequence[str] = ()
    cron: str | None = None
    timezone: str | None = None
    name: str | None = None
    state: Path | None = None
    retries: int = 3
    backoff_s: float = 60.0

    @property
    def source(self) -> ConfigFile:
        """The config's file."""
        return ConfigFile.find(self.config)

    def file(self) -> StateFile:
        """Its state file, named after the config. Raises ConfigError where that belongs to another config."""
        folder = self.state or Path(load_config(self.config, self.overrides, cascade=True).output.dir) / "schedule"
        file = StateFile(folder, self.name or self.source.name)
        known = file.read()
        if known is not None and known.config != str(self.source.path.resolve()):
            raise ConfigError(
                f"--name {file.name}: {file.path} is the schedule of {known.config}. Choose another --name, or remove "
                "that file"
            )
        return file


def run_schedule(schedule: Schedule, *, once: bool) -> int:
    """Run until SIGINT or SIGTERM, or with `once` the latest due occurrence; returns the exit code.

    Raises ConfigError before anything starts, DataError for state that cannot be used, ScheduleBusyError.
    """
    config = load_config(schedule.config, schedule.overrides, cascade=True)
    if schedule.cron is None:
        raise ConfigError("--cron is missing: say when, such as --cron '0 2 * * *' for 2 o'clock every night")
    cron = Cron.parse(schedule.cron, schedule.timezone)
    if config.rerank.store is None:
        _say("warning: rerank.store is null, a retried run scores everything again; set it to a folder")
    job = NightlyJob(_command(schedule), retries=schedule.retries, backoff_s=schedule.backoff_s)
    scheduler = Scheduler(cron, job, schedule.file(), _say)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: scheduler.stop())
    now = datetime.now(UTC)
    state = State(
        config=str(schedule.source.path.resolve()), cron=schedule.cron, timezone=schedule.timezone or "local", since=now
    )
    if once:
        return scheduler.once(state)
    scheduler.forever(state)
    return 0


def print_status(schedule: Schedule, *, as_json: bool) -> None:
    """What the schedule did last and what it does now; the whole state as JSON."""
    file = schedule.file()
    state, busy = file.read(), file.busy()
    if as_json:
        content = None if state is None else state.model_dump(mode="json")
        print(json.dumps({"name": file.name, "at_work": busy, "state": content}, indent=2))
        return
    if state is None:
        print(f"schedule    {file.name}: never started")
        return
    upcoming = Cron.parse(state.cron, None if state.timezone == "local" else state.timezone)
    due = upcoming.next(datetime.now(UTC))
    print(f"schedule    {file.name}: {state.cron} ({upcoming.zone}), {'running' if busy else 'not running'}")
    print(f"next        {due.astimezone(upcoming.zone).isoformat(' ', 'seconds') if due else 'never'}")
    for night in state.occurrences[-7:]:
        told = night.outcome if busy or night.outcome != "running" else "cut off"
        code = "" if night.exit_code is None else f", exit code {night.exit_code}"
        place = f"  {night.run_folder}" if night.run_folder else f"  log {night.log}"
        when = night.due.astimezone(upcoming.zone).isoformat(" ", "seconds")
        print(f"{when}  {told} ({counted(night.attempts, 'attempt')}{code}){place}")


def _command(schedule: Schedule) -> list[str]:
    options = [word for override in schedule.overrides for word in ("--set", override)]
    return [sys.executable, "-m", "pipelines.run", "--config", str(schedule.config), *options]


def _say(text: str) -> None:
    """A line for a terminal, a journal or cron's mail, at once."""
    print(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {text}", flush=True)
