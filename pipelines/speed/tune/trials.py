"""A point of the search -> pairs/s of a bare engine with those settings, in a fresh process."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines.base.config import RunConfig
from pipelines.base.environment import describe_hardware
from pipelines.speed.bench.bench import do_job
from pipelines.speed.bench.engines import ask_plan, prompts_job
from pipelines.speed.bench.process import Group
from pipelines.speed.tune.sample import PromptSample
from serve_app.engine.bare_engine import stock
from serve_app.engine.engine_args import Host, engine_arguments
from serve_app.engine.models import ModelInfo
from serve_app.engine.procedure import task_of
from serve_app.settings import EngineSettings
from stages.core.errors import RerankEvalError, first_line
from stages.speed.tuning import Point, TrialResult

# A trial that takes so many times as long as the first one is no candidate.
PATIENCE = 3
# What a trial may come to, and what its process may have left unfinished.
FAILURES = (RerankEvalError, OSError, ValueError, KeyError)


class Trials(Protocol):
    """What a search measures with. `planned` are vLLM's arguments for the config's own settings."""

    device: str
    host: Host
    planned: Mapping[str, Any]

    def measure(self, point: Point) -> TrialResult: ...


@dataclass(slots=True)
class EngineTrials:
    """Trials with vLLM, one after the other. `folder` takes their jobs and, in `folder`/logs, what they print while
    they are at work.
    """

    config: RunConfig
    model: ModelInfo
    sample: PromptSample
    folder: Path
    ends_s: float  # on the monotonic clock, when the search's time is over
    device: str
    host: Host
    planned: Mapping[str, Any]
    environment: Mapping[str, str]
    done: int = 0
    first_s: float | None = None

    @classmethod
    def open(
        cls, config: RunConfig, model: ModelInfo, sample: PromptSample, folder: Path, ends_s: float
    ) -> EngineTrials:
        """Ask vLLM what the settings come to here. Raises EngineError."""
        (folder / "logs").mkdir(exist_ok=True)
        log = folder / "logs" / "plan.log"
        told = ask_plan(config, model, folder, log)
        log.unlink()
        ours, host = told["ours"], Host(**told["host"])
        prompts = {"prompts": prompts_job(sample.prompts), "warm_up": prompts_job(sample.warm_up)}
        _write(folder / "prompts.json", prompts)
        device = told["device_name"] if host.device == "gpu" else _processor()
        return cls(config, model, sample, folder, ends_s, device, host, ours["arguments"], ours["environment"])

    def measure(self, point: Point) -> TrialResult:
        """Start an engine, warm it up, pass over the pairs once. Whatever goes wrong is told as the reason; its log is
        kept.
        """
        self.done += 1
        name = f"trial-{self.done}"
        log = self.folder / "logs" / f"{name}.log"
        began_s, started_s = time.monotonic(), time.time()
        try:
            with Group(log, self._limit_s()) as group:
                told = do_job(group, "serve_app.engine.bare_engine", self._job(name, point), self.environment)
        except FAILURES as error:
            return TrialResult(error=first_line(error))
        finally:
            self.first_s = self.first_s or time.monotonic() - began_s
        log.unlink()
        seconds = told["ended_s"] - told["began_s"]
        return TrialResult(self.sample.pairs / seconds, told["first_s"] - started_s)

    def _job(self, name: str, point: Point) -> Path:
        changed = {key.removeprefix("engine."): value for key, value in point.items()}
        engine = EngineSettings.model_validate(self.config.engine.model_dump() | changed)
        arguments = stock(engine_arguments(self.model, engine, self.host))
        job = {
            "do": "score",
            "task": task_of(self.model),
            "arguments": {key: value for key, value in arguments.items() if value is not None},
            "prompts_file": str(self.folder / "prompts.json"),
            "out": str(self.folder / f"{name}-told.json"),
        }
        return _write(self.folder / f"{name}.json", job)

    def _limit_s(self) -> float:
        """The first one may take as long as a start may; whoever comes later, what is left, or a few times as long."""
        left_s = self.ends_s - time.monotonic()
        if self.first_s is None:
            return left_s + self.config.serve.start_timeout_s
        return max(left_s, PATIENCE * self.first_s)


def _processor() -> str:
    """vLLM calls every CPU `cpu`."""
    hardware = describe_hardware()
    return f"{hardware['processor']}, {hardware['cores']} cores"


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
