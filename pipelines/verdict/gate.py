"""`rerank-eval gate`: find the run and its baseline, judge, print, and leave the verdict with the run."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipelines.base.logs import libraries_log_to
from pipelines.base.redaction import redacted_text
from pipelines.runs.read import RunContent
from pipelines.tracking.client import PARENT_TAG
from pipelines.tracking.find import find_run, latest_runs, set_tags
from pipelines.verdict.rules import Limits, Verdict, judge
from pipelines.verdict.runs import Allowed
from stages.core.errors import ConfigError, DataError, TrackingError
from stages.quality.regression import Ruling

GATE_TAG = "gate"
MARKS = {Ruling.PASSED: ("ok", "green"), Ruling.CANNOT_TELL: ("?", "yellow"), Ruling.REGRESSED: ("FAILED", "red")}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a run is held against: a run, or the latest of an MLflow experiment; neither for limits alone."""

    run: str | None = None
    latest_of: str | None = None


def run_gate(reference: str, baseline: Baseline, limits: Limits, allowed: Allowed, uri: str | None) -> Verdict:
    """Judge the run, and leave gate.json in its folder and the ruling as a tag of its MLflow run, if there are any.

    Raises ConfigError, DataError (exit 2) where something cannot be found or compared, TrackingError (4) where MLflow
    cannot be reached for a run that is there.
    """
    if baseline.run and baseline.latest_of:
        raise ConfigError("--against and --against-latest name two baselines: give one of them")
    with tempfile.TemporaryDirectory(prefix="rerank-eval-gate-") as fetched, libraries_log_to(Path(fetched, "logs")):
        run = find_run(reference, uri, Path(fetched))
        verdict = judge(run, _find(baseline, run, uri, Path(fetched)), limits, allowed=allowed)
        _leave(run, verdict)
        if (fault := _tag(run, verdict, uri)) is not None:
            verdict = replace(verdict, notes=[*verdict.notes, fault])
    return verdict


def _leave(run: RunContent, verdict: Verdict) -> None:
    try:
        run.folder.write_json(run.folder.gate, asdict(verdict) | {"sentence": verdict.sentence()})
    except OSError as error:
        raise DataError(
            f"{run.folder.gate}: cannot be written ({error.strerror}); the verdict is: {verdict.sentence()}"
        ) from error


def print_verdict(verdict: Verdict, *, as_json: bool) -> None:
    """Every check on a line, then the sentence that decided."""
    if as_json:
        print(json.dumps(asdict(verdict) | {"sentence": verdict.sentence()}, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for check in verdict.checks:
        mark, colour = MARKS[check.outcome]
        console.print(f"[{colour}]{mark:<8}[/]", escape(check.words), sep="")
    for note in verdict.notes:
        console.print(f"{'note':<8}", escape(note), sep="")
    console.print(escape(verdict.sentence()), style="bold")


def _find(baseline: Baseline, run: RunContent, uri: str | None, to: Path) -> RunContent | None:
    if baseline.run:
        return find_run(baseline.run, uri, to)
    if not baseline.latest_of:
        return None
    if uri is None:
        raise ConfigError("--against-latest looks in MLflow: say where that is with --uri")
    dataset = run.environment.get("dataset")
    for earlier in latest_runs(uri, baseline.latest_of, dataset):
        # Names begin with the time. One that failed its own gate is no baseline: the next night would be held against
        # the regression. Nor is a part of a sweep or of a job over several first stages.
        failed, part = earlier.tags.get(GATE_TAG) == Ruling.REGRESSED.value, PARENT_TAG in earlier.tags
        if earlier.name < run.run_id and not failed and not part:
            return find_run(earlier.mlflow_id, uri, to)
    raise DataError(
        f"--against-latest {baseline.latest_of}: no earlier run over {dataset} at {redacted_text(uri)} that did not "
        "fail its gate. Name a baseline with --against, or let the first night pass without one"
    )


def _tag(run: RunContent, verdict: Verdict, uri: str | None) -> str | None:
    """The verdict stands on disk. Returns what to tell where MLflow, which --against-latest reads, did not take it."""
    if uri is None or run.config.get("tracking", {}).get("uri") is None:
        return None
    experiment = run.config.get("tracking", {}).get("experiment")
    try:
        set_tags(uri, run.run_id, experiment, {GATE_TAG: verdict.outcome.value, "gate.sentence": verdict.sentence()})
    except (DataError, TrackingError) as error:
        return f"the outcome is not in MLflow, where --against-latest looks: {error}"
    return None
