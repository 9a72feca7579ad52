"""The main job on a Ray cluster, through its job server: submit it, follow its log, end as it ended.

A job is named after its config and its date. What already ran or runs under that name is followed, not repeated: a cron
entry that fires twice does not run the same night twice. What failed or was stopped gets a further, numbered attempt,
unless its gate has judged it: then Ray calls it failed too, but its results are complete, and would be the same again.
The cluster remembers the names as long as its head lives.
"""

from __future__ import annotations

import datetime
import os
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ray.job_submission import JobDetails, JobStatus

from pipelines.base.config import RunConfig, load_config
from pipelines.base.config_file import ConfigFile
from pipelines.base.overrides import set_key
from pipelines.base.process import INTERRUPTED, QUIET
from pipelines.base.redaction import redacted
from pipelines.nightly.job_server import JobServer, connect, last_line
from pipelines.nightly.state import JUDGED
from stages.core.errors import ConfigError, EngineError, InputError
from stages.core.words import distinct

POLL_S = 1.0
PATIENCE_S = 90.0  # a job server that is restarted answers again within that time; the job does not notice
# Whole, with their secrets; the job needs its own config alone. As in .gitignore; run folders are named by their time.
CONFIGS_OF_RUNS = f"/**/{'[0-9]' * 8}-{'[0-9]' * 6}-*/**/config.yaml"
_SIGNS, _ESCAPED = re.compile(r"[*?\[\]!#\\ ]"), r"\\\g<0>"


@dataclass(frozen=True, slots=True)
class Job:
    """What the job server is given. `name` is the submission id of the first attempt; the next ones are NAME-2, ..."""

    name: str
    entrypoint: str
    runtime_env: dict[str, Any]
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class JobStanding:
    """How a submitted job stands: Ray's status, and the exit code once it has ended (None before)."""

    submission_id: str
    status: str
    exit_code: int | None


def describe_job(config: Path, overrides: Sequence[str], working_dir: Path, date: datetime.date) -> Job:
    """The job that runs `config` in a copy of `working_dir`; nothing is sent yet.

    Raises ConfigError for a config that is wrong, lies outside the folder, or would write where nothing lasts, and for
    an override that shows a password.
    """
    file = ConfigFile.find(config)
    # The file, of a bundled one too: it travels, and its paths start in the job's copy of the folder.
    settings = load_config(file.path, overrides, cascade=True)
    folder = working_dir.resolve()
    sent = file.path.parent.resolve() / file.path.name
    if not sent.is_relative_to(folder):
        raise ConfigError(
            f"config {config} lies outside {working_dir}, and only that folder travels to the cluster. "
            f"Name a folder that holds it: --working-dir {sent.parents[1] if file.bundled else 'DIR'}"
        )
    _refuse_passwords(overrides)
    _refuse_passing_places(settings)
    command = ["python", "-m", "pipelines.run", "--config", sent.relative_to(folder).as_posix()]
    command += [argument for override in overrides for argument in ("--set", override)]
    stem = distinct(file.name, re.sub(r"[^A-Za-z0-9_-]+", "-", file.name)[:40])
    return Job(
        name=f"rerank-eval-{stem}-{settings.digest[:8]}-{date.isoformat()}",
        entrypoint=shlex.join(command),
        # The variables reach every worker; what the job sets for itself does not.
        runtime_env={
            "working_dir": str(folder),
            "excludes": [CONFIGS_OF_RUNS, f"!/{_SIGNS.sub(_ESCAPED, sent.relative_to(folder).as_posix())}"],
            "env_vars": {name: os.environ.get(name, value) for name, value in QUIET.items()},
        },
        metadata={"config": sent.name, "config_digest": settings.digest, "date": date.isoformat()},
    )


def _refuse_passwords(overrides: Sequence[str]) -> None:
    for override in overrides:
        content: dict[str, Any] = {}
        set_key(content, override)
        if redacted(content) != content:
            raise ConfigError(
                f"--set {override.partition('=')[0]}: holds a password, and the cluster shows a job's command to "
                "everybody. Write it into the config file, or set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD on the nodes."
            )


def _refuse_passing_places(config: RunConfig) -> None:
    """Relative places lie in the job's own copy of the folder, which Ray deletes once the job is over."""
    places = {"output.dir": config.output.dir, "rerank.store": config.rerank.store, "tracking.uri": config.tracking.uri}
    passing = {key: place for key, place in places.items() if place is not None and not _lasts(place)}
    if passing:
        raise ConfigError(
            "would be lost with the job's own folder on the cluster: "
            + ", ".join(f"{key} {place}" for key, place in passing.items())
            + ". Give each an absolute place that every node sees, or a server's address, as in "
            + " ".join(f"--set {key}={'http://HOST:5000' if key == 'tracking.uri' else '/PATH'}" for key in passing)
        )


def _lasts(place: str) -> bool:
    path = re.sub(r"^(sqlite:///|file://|file:)", "", place)
    return Path(path).is_absolute() or "://" in path or path.startswith("databricks")


def submit_job(job: Job, address: str, *, again: bool, wait: bool, log: TextIO) -> JobStanding:
    """Submit the job, or find it there; with `wait`, copy its log to `log` until it has ended.

    Raises InputError when `again` is asked for while it runs, EngineError when the job server cannot be reached, does
    not take the job, or stops answering.
    """
    server = connect(address)
    entry = _submit_once(server, job, again)
    at = f"--address {address} {entry.submission_id}"
    commands = f"follow      ray job logs --follow {at}\nstop        ray job stop {at}"
    try:
        print(f"job         {entry.submission_id}: {entry.told}", file=log, flush=True)
        details = follow(server, entry.submission_id, log) if wait else server.get_job_info(entry.submission_id)
    except KeyboardInterrupt:
        print(f"\nThe job goes on.\n{commands}", file=log, flush=True)
        raise
    if not details.status.is_terminal():
        print(commands, file=log, flush=True)
    elif details.driver_exit_code is None:
        print(f"job         {details.status.value.lower()}: {last_line(details.message or '')}", file=log, flush=True)
    return JobStanding(entry.submission_id, details.status.value, exit_code(details))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A job in the job server's list, and how it came there."""

    submission_id: str
    told: str


def _submit_once(server: JobServer, job: Job, again: bool) -> _Entry:
    attempts = _attempts(server, job.name)
    if not attempts:
        return _submit_as(server, job, job.name, "submitted")
    number = max(attempts)
    last = attempts[number]
    if again and not last.status.is_terminal():
        raise InputError(f"--again: {last.submission_id} runs; stop it first: ray job stop {last.submission_id}")
    judged = JUDGED.get(exit_code(last) or 0)
    if again or (judged is None and last.status in (JobStatus.FAILED, JobStatus.STOPPED)):
        told = f"submitted; attempt {number} {last.status.value.lower()}"
        return _submit_as(server, job, f"{job.name}-{number + 1}", told)
    state = f"has its verdict, {judged}," if judged else "has succeeded" if last.status.is_terminal() else "runs"
    return _Entry(str(last.submission_id), f"{state} already, nothing is submitted (--again repeats what has ended)")


def _submit_as(server: JobServer, job: Job, submission_id: str, told: str) -> _Entry:
    try:
        server.submit_job(
            entrypoint=job.entrypoint, runtime_env=job.runtime_env, metadata=job.metadata, submission_id=submission_id
        )
    except EngineError as error:
        if "already exists" not in str(error):
            raise
        told = "submitted by another process at the same moment"
    return _Entry(submission_id, told)


def _attempts(server: JobServer, name: str) -> dict[int, JobDetails]:
    """What the cluster remembers of this job, by the number of the attempt."""
    numbered = re.compile(re.escape(name) + r"(?:-(\d+))?")
    found = ((numbered.fullmatch(job.submission_id or ""), job) for job in server.list_jobs())
    return {int(match[1] or 1): job for match, job in found if match}


def follow(server: JobServer, submission_id: str, log: TextIO) -> JobDetails:
    """Copy the job's log to `log` as it grows, until the job has ended.

    It asks again and again: a connection held open for hours is cut by what lies between, at times without a word.
    Raises EngineError when no answer has come for 90 s.
    """
    printed, heard_s = 0, time.monotonic()
    while True:
        asked_s = time.monotonic()
        try:
            job = server.get_job_info(submission_id)
            text = server.get_job_logs(submission_id)  # after the status: what an ended job wrote is all there
        except EngineError as error:
            if time.monotonic() - heard_s > PATIENCE_S:
                raise EngineError(f"{error}. The job may go on; the same command follows it again.") from error
        else:
            heard_s = time.monotonic()
            print(text[printed:], end="", file=log, flush=True)
            printed = len(text)
            if job.status.is_terminal():
                return job
        # The log comes whole each time: a long one is asked for less often.
        time.sleep(max(POLL_S, 9 * (time.monotonic() - asked_s)))


def exit_code(job: JobDetails) -> int | None:
    """What the job's own process exited with, as a shell tells it.

    130 when the job was stopped, 1 when it never started or its node is gone, None while it goes on.
    """
    if not job.status.is_terminal():
        return None
    if job.status == JobStatus.STOPPED:
        return INTERRUPTED
    if job.driver_exit_code is None:
        return 1
    return job.driver_exit_code if job.driver_exit_code >= 0 else 128 - job.driver_exit_code
