"""What every contender of a benchmark works on, and what it gives back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.speed.bench.pairs import PairSet
from pipelines.speed.bench.process import Group
from serve_app.engine.models import ModelInfo
from stages.core.errors import EngineError
from stages.speed.benchmark import Kind


@dataclass(frozen=True, slots=True)
class Timed:
    """One contender once: Unix times, the tokens that it read (None: it says nothing of them), and a probability for
    each pair, in order. `started_s` is when its command was typed.
    """

    started_s: float
    began_s: float
    ended_s: float
    scores: Sequence[float]
    first_s: float | None = None
    tokens: int | None = None
    whole_s: float | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """The pairs, the settings and a folder to work in. `plan` is what `bare_engine` says of this machine.

    `config` is the run config that our own contenders get, less its store.
    """

    folder: Path
    config: RunConfig
    model: ModelInfo
    plan: Mapping[str, Any]
    pairs: PairSet
    warm_up: PairSet
    library_dtype: str

    def write(self, name: str, content: Mapping[str, Any]) -> Path:
        """A job file for a process of its own."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path


Run = Callable[[Bench, Group, str], Timed]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to score the pairs. `run` gets a name for its files, and raises EngineError where it fails."""

    name: str
    title: str
    kind: Kind
    ours: bool
    run: Run
    clients: int | None = None


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of ours."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def do_job(
    group: Group,
    command: str,
    job: Path,
    environment: Mapping[str, str] | None = None,
    beside: subprocess.Popen[bytes] | None = None,
) -> dict[str, Any]:
    """Run `python -m COMMAND JOB` to its end, and read what it wrote to the job's `out`. Raises EngineError."""
    out = Path(json.loads(job.read_text(encoding="utf-8"))["out"])
    out.unlink(missing_ok=True)
    group.finish(group.start(module(command, job), environment), beside)
    told: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if told.get("error"):
        raise EngineError(str(told["error"]))
    return told


def timed(told: Mapping[str, Any], started_s: float) -> Timed:
    """Of a job that wrote its own times."""
    return Timed(
        started_s=started_s,
        began_s=told["began_s"],
        ended_s=told["ended_s"],
        scores=told["scores"],
        first_s=told["first_s"],
        tokens=told["tokens"],
        whole_s=time.time() - started_s,
    )
