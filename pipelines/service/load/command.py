"""`rerank-eval loadtest`: how much load does a service bear? -> steps.csv, load.json, a page with figures, MLflow."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.base.console import Console
from pipelines.service.load.payloads import open_payloads
from pipelines.service.load.plan import LoadPlan, LoadProgress
from pipelines.service.load.run import OnProgress, run_load
from pipelines.service.target import DEFAULT_URL, find_target, require_own
from pipelines.tracking.finding import FindingFolder
from stages.report.load_report import load_document
from stages.report.terminal import print_document
from stages.telemetry.load import LoadResult, LoadStep, Mode
from stages.telemetry.load_table import COLUMNS, load_content, step_row

__all__ = ["LoadOrder", "LoadPlan", "run_load", "run_loadtest"]

WIDTH: dict[Mode, int] = {"closed": 12, "open": 28}


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """What the command line says. At most one of `config`, `file` and `shape` says what is sent; `own` allows a service
    on another machine; `as_json` prints load.json and nothing else; `uri` is MLflow's, None where nothing is logged.
    """

    url: str = DEFAULT_URL
    out: Path = Path("loadtests")
    config: Path | None = None
    file: Path | None = None
    shape: str | None = None
    repeat: float = 0.0
    plan: LoadPlan = field(default_factory=LoadPlan)
    own: bool = False
    as_json: bool = False
    uri: str | None = None


def run_loadtest(order: LoadOrder, console: Console) -> Path:
    """Load the service, print what it bears, and leave everything in a folder of `order.out`, which is returned.

    Raises ConfigError or DataError for what the user gave, EngineError where the service does not answer,
    InterruptedRunError where nothing was measured, TrackingError once all is on disk.
    """
    target = find_target(order.url)
    require_own(target, allowed=order.own)
    plan = order.plan
    payloads = open_payloads(order.config, order.file, order.shape, order.repeat, order.plan.seed)
    with showing(console, plan) as on_progress:
        result = run_load(target, payloads, plan, on_progress)
    folder = leave(result, FindingFolder.create(order.out, "loadtest"))
    if order.as_json:
        print(json.dumps(load_content(result), indent=2, ensure_ascii=False))
    else:
        print_document(load_document(result), console.rich)
    console.say(f"report      {folder.report}")
    console.say(f"load test   {folder.path}")
    if order.uri is not None:
        folder.log(order.uri, "loadtest", logged_params(result, order), logged_metrics(result), load_document(result))
    return folder.path


def leave(result: LoadResult, folder: FindingFolder) -> FindingFolder:
    """Write steps.csv, load.json, report.html and figures/. Raises DataError where that cannot be done."""
    with folder.told_when_full(), (folder.path / "steps.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(COLUMNS))
        rows.writeheader()
        rows.writerows(step_row(result, index) for index in range(len(result.steps)))
    folder.leave(load_document(result), load_content(result), "load")
    return folder


@contextmanager
def showing(console: Console, plan: LoadPlan) -> Iterator[OnProgress]:
    """A line for each step that ended, and on a terminal a live one of the step at work."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console.rich, transient=True, disable=not console.rich.is_terminal) as bar:
        task = bar.add_task("load", total=plan.max_s, done="")

        def on_progress(now: LoadProgress) -> None:
            failed = f", {now.failed:,} failed" if now.failed else ""
            done = f"{now.answered:,} answered{failed}"
            bar.update(task, description=now.doing, completed=min(now.elapsed_s, plan.max_s), done=done)
            if now.step is not None:
                console.say(f"{now.step.level_words:<{WIDTH[plan.mode]}}{_line(now.step)}")

        yield on_progress


def _line(step: LoadStep) -> str:
    failed = f", {step.error_share:.0%} failed" if step.errors else ""
    p95 = f", p95 {step.latency.p95_ms:,.0f} ms" if step.latency else ""
    return f"{step.requests_per_s:,.3g} requests/s, {step.pairs_per_s:,.4g} pairs/s{p95}{failed}"


def logged_params(result: LoadResult, order: LoadOrder) -> dict[str, Any]:
    """What was asked for, for MLflow."""
    told = {"url": result.url, "model": result.model, "payload": result.payload, "ended": result.ended}
    plan = {name: getattr(order.plan, name) for name in LoadPlan.__dataclass_fields__}
    return told | plan


def logged_metrics(result: LoadResult) -> dict[str, float]:
    """What it bears, for MLflow: at the knee, and the most pairs/s of any step."""
    found: dict[str, float | None] = {
        "load/pairs_per_s_max": max(step.pairs_per_s for step in result.steps),
        "load/requests_per_s_max": max(step.requests_per_s for step in result.steps),
        "load/error_share_max": max(step.error_share for step in result.steps),
        "load/tokens_per_pair": result.tokens_per_pair,
    }
    if (best := result.knee_step) is not None and best.latency is not None:
        found |= {
            "load/knee_level": best.level,
            "load/knee_pairs_per_s": best.pairs_per_s,
            "load/knee_requests_per_s": best.requests_per_s,
            "load/knee_p50_ms": best.latency.p50_ms,
            "load/knee_p95_ms": best.latency.p95_ms,
            "load/knee_p99_ms": best.latency.p99_ms,
        }
    return {name: value for name, value in found.items() if value is not None}
