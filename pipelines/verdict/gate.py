"""`rerank-eval gate`, and the gate at the end of a run: find what the run is held against, judge, and leave the verdict
with the run.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from pipelines.base.config import RunConfig
from pipelines.base.limits import place_of, places
from pipelines.base.logs import libraries_log_to
from pipelines.base.sections import GateSettings
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_run_folder
from pipelines.tracking.content import gate_tags
from pipelines.tracking.find import find_run, set_tags
from pipelines.verdict.baseline import Found, Places, last_passed, pinned_run, that_is_there
from pipelines.verdict.limits import Limits
from pipelines.verdict.refused import asks_quality, refuse_model
from pipelines.verdict.rules import Verdict, judge
from pipelines.verdict.runs import Allowed
from stages.core.errors import CannotTellError, ConfigError, DataError, RegressedError, RerankEvalError, TrackingError
from stages.core.judges import mark_of_judgements
from stages.core.records import Judgements
from stages.quality.regression import Ruling

MARKS = {Ruling.PASSED: ("ok", "green"), Ruling.CANNOT_TELL: ("?", "yellow"), Ruling.REGRESSED: ("FAILED", "red")}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a run is held against: a run; the last that passed of an MLflow experiment, or in a folder of results; or a
    pinned run, which is also what drift is measured from. None at all for limits alone.
    """

    run: str | None = None
    latest_of: str | None = None
    pin: str | None = None

    @property
    def given(self) -> bool:
        return any((self.run, self.latest_of, self.pin))


def run_gate(reference: str, baseline: Baseline, limits: Limits, allowed: Allowed, uri: str | None) -> Verdict:
    """Judge the run, by its own config's section `gate` where neither baseline nor limits are given; leave gate.json in
    its folder, and the ruling as a tag of its MLflow run, if there are any.

    Raises ConfigError, DataError (exit 2) where something cannot be found or compared, TrackingError (4) where MLflow
    cannot be reached for a run that is there.
    """
    if baseline.run and baseline.latest_of:
        raise ConfigError("--against and --against-latest name two baselines: give one of them")
    if limits.compares and not baseline.given:
        raise ConfigError("--max-drop needs a run to drop from: give --against RUN or --against-latest EXPERIMENT")
    with tempfile.TemporaryDirectory(prefix="rerank-eval-gate-") as fetched, libraries_log_to(Path(fetched, "logs")):
        run = find_run(reference, uri, Path(fetched))
        own = GateSettings(**gate) if (gate := run.config.get("gate")) else GateSettings()
        if baseline.given or limits.any or not own.asked:
            verdict = _judged(run, limits, allowed, _asked_for(baseline, run, limits, uri, Path(fetched)))
        else:
            verdict = _by_config(run, own, allowed, uri, Path(fetched))
        _leave(run.folder, verdict)
        if (fault := _tag(run, uri)) is not None:
            verdict = replace(verdict, notes=[*verdict.notes, fault])
    return verdict


def gate_finished(folder: RunFolder, config: RunConfig) -> Verdict:
    """Judge a run that has just ended, by its config, and leave gate.json in its folder: MLflow is told with the rest.

    Raises ConfigError and DataError (exit 2) where something cannot be found or compared.
    """
    with tempfile.TemporaryDirectory(prefix="rerank-eval-gate-") as fetched:
        verdict = _by_config(read_run_folder(folder.path), config.gate, Allowed(), None, Path(fetched))
    _leave(folder, verdict)
    return verdict


def check_pinned(config: RunConfig) -> None:
    """Raises DataError where there is no such run to pin: known before the night, not after it."""
    if config.gate.pin is None:
        return
    places = Places(Path(config.output.dir), that_is_there(config.tracking.uri), config.tracking.experiment)
    with tempfile.TemporaryDirectory(prefix="rerank-eval-gate-") as fetched:
        try:
            pinned_run(config.gate.pin, places, Path(fetched))
        except TrackingError:
            return  # MLflow may be there again when the night is over


def check_judge_of(config: RunConfig, judgements: Judgements) -> None:
    """Raises DataError where the config's gate asks for quality that a model judged: before anything is scored."""
    if config.gate.asked and "model_judgements" not in config.gate.allow:
        limits, known = Limits.of(config.gate), places(config.evaluate.metrics)
        limited = [place_of(name, known) for name in (*limits.most, *limits.least)]
        if asks_quality(limits, limited):
            refuse_model("the data's quality", mark_of_judgements(judgements))


def fault_of(verdict: Verdict, folder: RunFolder) -> RerankEvalError | None:
    """What a run raises after this verdict."""
    told = f"{verdict.sentence()}. The results are complete in {folder.path}"
    kinds = {Ruling.REGRESSED: RegressedError, Ruling.CANNOT_TELL: CannotTellError}
    return kinds[verdict.outcome](told) if verdict.outcome in kinds else None


def print_verdict(verdict: Verdict, *, as_json: bool) -> None:
    """Every check on a line, then the sentence that decided."""
    if as_json:
        print(json.dumps(_content(verdict), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for check in verdict.checks:
        mark, colour = MARKS[check.outcome]
        console.print(f"[{colour}]{mark:<8}[/]", escape(check.words), sep="")
    for note in verdict.notes:
        console.print(f"{'note':<8}", escape(note), sep="")
    console.print(escape(verdict.sentence()), style="bold")


def _by_config(run: RunContent, gate: GateSettings, allowed: Allowed, uri: str | None, to: Path) -> Verdict:
    tracking = run.config.get("tracking") or {}
    # One that was fetched from MLflow lies among others that were, not among the job's own.
    results = None if run.folder.path.is_relative_to(to.resolve()) else run.folder.path.parent
    places = Places(results, uri or that_is_there(tracking.get("uri")), tracking.get("experiment"))
    limits = Limits.of(gate)
    pinned = pinned_run(gate.pin, places, to) if gate.pin else None
    if pinned is not None and not limits.drifts:
        found = Found(pinned)
    else:
        found = _with_drift_told(last_passed(run, places, to), limits)
    allowed = Allowed(
        judgements=allowed.judgements or "judgements" in gate.allow,
        candidates=allowed.candidates or "candidates" in gate.allow,
        model_judgements=allowed.model_judgements or "model_judgements" in gate.allow,
    )
    return _judged(run, limits, allowed, _Against(found, pinned))


@dataclass(frozen=True, slots=True)
class _Against:
    found: Found
    pinned: RunContent | None


def _asked_for(baseline: Baseline, run: RunContent, limits: Limits, uri: str | None, to: Path) -> _Against:
    """What the options name."""
    here = Places(run.folder.path.parent, uri)
    pinned = pinned_run(baseline.pin, here, to) if baseline.pin else None
    if baseline.run:
        return _Against(Found(find_run(baseline.run, uri, to)), pinned)
    if not baseline.latest_of:
        return _Against(Found(pinned), pinned)
    if Path(baseline.latest_of).is_dir():
        places = Places(folder=Path(baseline.latest_of))
    elif uri is None:
        raise ConfigError(
            f"--against-latest {baseline.latest_of}: no folder of results; of an experiment in MLflow, say "
            "where that is with --uri"
        )
    else:
        places = Places(uri=uri, experiment=baseline.latest_of)
    return _Against(_with_drift_told(last_passed(run, places, to), limits), pinned)


def _with_drift_told(found: Found, limits: Limits) -> Found:
    """Against the last night alone, six small drops pass where their sum would not."""
    if found.baseline is None or not limits.drops or limits.drifts:
        return found
    told = "small drops of several nights are not added up: give --pin and --max-drift for their sum"
    return replace(found, notes=[*found.notes, told])


def _judged(run: RunContent, limits: Limits, allowed: Allowed, against: _Against) -> Verdict:
    found = against.found
    verdict = judge(run, found.baseline, limits, allowed=allowed, pinned=against.pinned, unknown=found.unknown)
    return replace(verdict, notes=[*verdict.notes, *found.notes])


def _leave(folder: RunFolder, verdict: Verdict) -> None:
    try:
        folder.write_json(folder.gate, _content(verdict))
    except OSError as error:
        raise DataError(
            f"{folder.gate}: cannot be written ({error.strerror}); the verdict is: {verdict.sentence()}"
        ) from error


def _content(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict) | {"sentence": verdict.sentence()}


def _tag(run: RunContent, uri: str | None) -> str | None:
    """The verdict stands on disk. Returns what to tell where MLflow, which --against-latest reads, did not take it."""
    tracking = run.config.get("tracking") or {}
    uri = uri or that_is_there(tracking.get("uri"))
    if uri is None or tracking.get("uri") is None:
        return None
    try:
        set_tags(uri, run.run_id, str(tracking.get("experiment")), gate_tags(run.folder))
    except (DataError, TrackingError) as error:
        return f"the outcome is not in MLflow, where --against-latest looks: {error}"
    return None
