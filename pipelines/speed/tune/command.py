"""`rerank-eval tune`: a short search for the engine settings that score a config's own pairs fastest on this device.

Trials are bare engines in processes of their own, one after the other (`trials`); which comes next, and what is
faster, `stages.speed.tuning` decides. What is faster twice is written as a copy of the config (`written`).
"""

from __future__ import annotations

import contextlib
import json
import shlex
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from pipelines.base.config import RunConfig, load_config
from pipelines.base.config_file import ConfigFile
from pipelines.base.console import Console
from pipelines.base.interruption import Interruption
from pipelines.base.logs import libraries_log_to
from pipelines.speed.backend import require_vllm
from pipelines.speed.tune.sample import PromptSample, read_sample
from pipelines.speed.tune.space import allowed, axes_of, start_of
from pipelines.speed.tune.trials import EngineTrials, Trials
from pipelines.speed.tune.written import check_target, write_tuned
from serve_app.engine.models import ModelInfo, describe
from stages.core.errors import ConfigError, EngineError
from stages.core.words import number
from stages.report.terminal import print_document
from stages.report.tuning_report import sentence, tuning_content, tuning_document, written
from stages.speed.tuning import Point, Search, TrialResult, Tuned, changes

NOT_CONFIRMED = "Interrupted before anything was confirmed: the config stays as it is."
# Of these the engine gives each token a value, which trials do not read.
UNTRIED = ("late-interaction", "listwise")
SHORT_S = 3.0  # a pass over the pairs that is shorter is more noise than rate
# The config, its model, the pairs, a folder to work in, and when the time is over -> what measures.
OpenTrials = Callable[[RunConfig, ModelInfo, PromptSample, Path, float], Trials]


@dataclass(frozen=True, slots=True)
class TuneOrder:
    """What the command line says. `out` None: where `ConfigFile.sibling` says, as NAME.tuned.yaml."""

    config: Path
    overrides: tuple[str, ...] = ()
    out: Path | None = None
    pairs: int = 1000
    minutes: float = 10.0
    as_json: bool = False

    @property
    def target(self) -> Path:
        return self.out or ConfigFile.find(self.config).sibling("tuned.yaml")

    @property
    def command(self) -> str:
        """As it is typed again."""
        words = ["rerank-eval", "tune", "--config", str(self.config)]
        for override in self.overrides:
            words += ["--set", override]
        words += ["--out", str(self.out)] if self.out else []
        return shlex.join([*words, "--pairs", str(self.pairs), "--minutes", f"{self.minutes:g}"])


def tune(order: TuneOrder, console: Console, open_trials: OpenTrials = EngineTrials.open) -> None:
    """Search, print the outcome, and write the config where something is faster.

    Raises ConfigError and DataError before anything is measured, EngineError where the config's own settings fail.
    Interrupted, it prints what was measured so far.
    """
    ends_s = time.monotonic() + 60 * order.minutes
    config = load_config(order.config, order.overrides)
    check_target(order.target, ConfigFile.find(order.config).path)
    require_vllm(config.engine.backend, "tune searches vLLM's settings")
    model = describe(config.model, config.engine.backend)
    if model.family in UNTRIED:
        raise ConfigError(f"model.name {model.name} is {model.family}: tune tries models that give a text one value")
    folder = Path(tempfile.mkdtemp(prefix="rerank-eval-tune-"))
    try:
        with libraries_log_to(folder / "logs"):
            with console.working("reading the pairs"):
                sample = read_sample(config, model, order.pairs)
            with console.working("asking vLLM what the settings come to here"):
                trials = open_trials(config, model, sample, folder, ends_s)
        axes = axes_of(config, model, trials.host.device, trials.planned, sample)
        start = start_of(config, trials.planned, axes)
        search = Search(start, axes, _telling(trials, start, console), time.monotonic, ends_s, allowed)
        with Interruption(console.say):
            _search(search, _Told(order, model, trials.device, sample))
    finally:
        _clear(folder)


def _search(search: Search, told: _Told) -> None:
    try:
        tuned = search.run()
    except KeyboardInterrupt:
        if search.trials:
            told.show(search.result(), None, interrupted=True)
        raise
    if (error := tuned.trials[0].result.error) is not None:
        raise EngineError(f"the config's own settings cannot be measured: {error}")
    target = None
    try:
        target = told.write(tuned) if tuned.changes else None
    finally:  # what took minutes to measure is told in any case
        told.show(tuned, target)


def _telling(trials: Trials, start: Point, console: Console) -> Callable[[Point], TrialResult]:
    """Measures, and says so while it does and afterwards."""
    numbers = count(1)

    def measure(point: Point) -> TrialResult:
        name, what = f"trial {next(numbers)}", written(changes(start, point)) or "the config's own settings"
        with console.working(f"{name}: {what}"):
            result = trials.measure(point)
        gave = "failed" if result.error else f"{number(result.pairs_per_s)} pairs/s"
        console.say(f"{name:<12}{what}: {gave}")
        return result

    return measure


@dataclass(frozen=True, slots=True)
class _Told:
    """What is said of a search, on the terminal and in the config's head."""

    order: TuneOrder
    model: ModelInfo
    device: str
    sample: PromptSample

    def show(self, tuned: Tuned, target: Path | None, *, interrupted: bool = False) -> None:
        """All of it; `target` is the config that was written, if one was."""
        if self.order.as_json:
            print(json.dumps(self._content(tuned, target, interrupted), indent=2, ensure_ascii=False))
            return
        title = f"Tuning {self.model.name} on {self.device}"
        measured = f"{self.sample.pairs:,} pairs of {self.sample.queries:,} queries, {self.sample.tokens:,} tokens"
        print_document(tuning_document(tuned, title, measured, self._sentence(tuned, interrupted)))
        if target:
            print(f"config      {target}")

    def _content(self, tuned: Tuned, target: Path | None, interrupted: bool) -> dict[str, Any]:
        return {
            "config": str(self.order.config),
            "written": str(target) if target else None,
            "interrupted": interrupted,
            "sentence": self._sentence(tuned, interrupted),
            "device": self.device,
            "model": self.model.name,
            "queries": self.sample.queries,
            "pairs": self.sample.pairs,
            "tokens": self.sample.tokens,
            "minutes": self.order.minutes,
        } | tuning_content(tuned)

    def write(self, tuned: Tuned) -> Path:
        """The config with the changes; where it lies. Raises ConfigError."""
        order = self.order
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
        rates = f"{number(tuned.before)} -> {number(tuned.after)} pairs/s"
        head = (
            f"on {now}, on {self.device}: {self.model.name}, {rates}, over {self.sample.pairs:,} of the data's pairs.",
            f"Changed: {written(tuned.changes)}.",
            f"Made from {order.config}, whose comments are not copied, by: {order.command}",
        )
        write_tuned(order.target, order.config, order.overrides, tuned.changes, head)
        return order.target

    def _sentence(self, tuned: Tuned, interrupted: bool) -> str:
        if interrupted:
            return NOT_CONFIRMED
        told = sentence(tuned, self.order.minutes)
        pass_s = self.sample.pairs / tuned.before if tuned.before else SHORT_S
        return told if pass_s >= SHORT_S else f"{told} A pass took {number(pass_s)} s: with more --pairs it tells more."


def _clear(folder: Path) -> None:
    """All but the logs of what failed, to which the reasons refer."""
    for file in (*folder.glob("*.json"), folder / "logs" / "job.log"):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (folder / "logs").rmdir()
        folder.rmdir()
