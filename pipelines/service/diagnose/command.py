"""`rerank-eval diagnose`: four steps from symptom to cause, and one sentence at the end.

A running service -> findings (stages/diagnosis), a page, diagnosis.json and, where wanted, an MLflow run and a changed
config.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.base.config import ServeConfig, load
from pipelines.base.console import Console
from pipelines.base.logs import libraries_log_to
from pipelines.runs.report import check_form, show
from pipelines.service.diagnose.known_settings import apply_advice, known_settings
from pipelines.service.diagnose.steps import Worked, press, side_by_side, watch_work
from pipelines.service.limits import ServiceLimits, load_limits
from pipelines.service.target import Target, find_target, require_own
from pipelines.tracking.finding import FindingFolder
from stages.core.errors import EngineError, InterruptedRunError, RerankEvalError, first_line
from stages.diagnosis.conclusion import FULL, Conclusion, conclude
from stages.diagnosis.direct import direct_findings
from stages.diagnosis.finding import Finding, Step, Weight
from stages.diagnosis.metrics import metric_findings
from stages.diagnosis.pressure import pressure_findings
from stages.diagnosis.requests import describe_requests, request_findings
from stages.diagnosis.resources import resource_findings
from stages.report.diagnosis_report import Diagnosed, diagnosis_document
from stages.report.load_report import load_blocks
from stages.telemetry.load import LoadResult
from stages.telemetry.readings import readings

FORMS = ("terminal", "md", "json")


@dataclass(frozen=True, slots=True)
class DiagnoseOrder:
    """What the command line says. `load` and `direct` tell whether steps 3 and 4 are made; `uri` is MLflow's, or None;
    `own` says that a service elsewhere may be put under load.
    """

    url: str
    out: Path
    config: Path | None = None
    seconds: float = 20.0
    probe: str = "1x20x200"
    load: bool = True
    direct: bool = True
    apply_to: Path | None = None
    limits: Path | None = None
    form: str = "terminal"
    uri: str | None = None
    own: bool = False


def run_diagnosis(order: DiagnoseOrder, console: Console) -> Conclusion:
    """Diagnose, print, and leave everything in a folder of `order.out`.

    Raises ConfigError, EngineError where the service does not answer, TrackingError once all is on disk.
    """
    check_form(order.form, FORMS)
    target = find_target(order.url)
    if order.load:
        require_own(target, allowed=order.own)
    limits = load_limits(order.limits)
    config = load(ServeConfig, order.config) if order.config else None
    if order.apply_to is not None:
        load(ServeConfig, order.apply_to)  # a mistake in it is told before the work, not after
    model = _model_of(target)
    seen = _look(order, target, config, model, limits, console)
    folder = FindingFolder.create(order.out, "diagnosis")
    document = diagnosis_document(seen)
    folder.leave(document, diagnosis_content(seen), "diagnosis")
    if order.form == "json":
        print(json.dumps(diagnosis_content(seen), indent=2, ensure_ascii=False))
    else:
        show(document, order.form, None, folder.report)
    _apply(order, seen.conclusion, console)
    console.say(f"diagnosis   {folder.path}")
    if order.uri is not None:
        folder.log(order.uri, "diagnosis", _params(seen), _metrics(seen), document)
    return seen.conclusion


def _model_of(target: Target) -> dict[str, Any]:
    """What the service says of its model; nothing where it has no list of them. The first look sees if it answers."""
    try:
        return target.model()
    except EngineError:
        return {}


def _look(
    order: DiagnoseOrder,
    target: Target,
    config: ServeConfig | None,
    model: dict[str, Any],
    limits: ServiceLimits,
    console: Console,
) -> Diagnosed:
    """All four steps, each with what it found or why it was not made."""
    skipped: dict[Step, str] = {}
    with console.working("1, 2: watching the service and this machine"):
        worked = watch_work(target, order.seconds, order.probe if order.load else None, config)
    requests = describe_requests(worked.asked, known_settings(config, model))
    findings = [*_metrics_of(worked, limits), *_resources(worked, limits, skipped)]
    findings += request_findings(requests)
    pressed: LoadResult | None = None
    if order.load:
        with console.working("3: under pressure"):
            pressed = press(target, order.probe)
        findings += pressure_findings(pressed)
    else:
        skipped["pressure"] = "--no-load"
    findings += _direct(order, target, config, console, skipped)
    return Diagnosed(
        url=target.url,
        model=model.get("id"),
        conclusion=conclude(findings),
        findings=findings,
        readings=readings(worked.traffic, limits.health),
        machine=worked.machine,
        requests=requests,
        pressure=load_blocks(pressed) if pressed else (),
        traffic_of=worked.words,
        skipped=skipped,
    )


def _metrics_of(worked: Worked, limits: ServiceLimits) -> list[Finding]:
    return _judged(worked, metric_findings(worked.traffic, limits.health))


def _judged(worked: Worked, findings: list[Finding]) -> list[Finding]:
    """A probe's clients never let go: that they make a queue and use up the machine is their doing, and no fault."""
    return [_of_probe(one) if worked.probed and one.kind in ("queue", *FULL) else one for one in findings]


def _of_probe(found: Finding) -> Finding:
    return replace(
        found, weight=Weight.NOTE, words=f"under the probe {found.words[0].lower()}{found.words[1:]}", advice=None
    )


def _resources(worked: Worked, limits: ServiceLimits, skipped: dict[Step, str]) -> list[Finding]:
    if worked.machine is None:
        skipped["resources"] = "the service runs on another machine; run the command there"
        return []
    return _judged(worked, resource_findings(worked.machine, worked.traffic, limits.resources))


def _direct(
    order: DiagnoseOrder, target: Target, config: ServeConfig | None, console: Console, skipped: dict[Step, str]
) -> list[Finding]:
    """Step 4. What keeps it from being made (no weights here, no memory) does not take the other steps along."""
    if not order.direct or not order.load or config is None:
        skipped["direct"] = "it needs --config, to know the model" if config is None else "--no-direct or --no-load"
        return []
    try:
        with (
            console.working("4: the same pairs without vLLM"),
            TemporaryDirectory() as logs,
            libraries_log_to(Path(logs)),
        ):
            return direct_findings(side_by_side(target, config, order.probe))
    except InterruptedRunError:
        raise
    except (RerankEvalError, OSError, RuntimeError) as error:  # torch's out-of-memory error is a RuntimeError
        skipped["direct"] = first_line(error)
        return []


def _apply(order: DiagnoseOrder, told: Conclusion, console: Console) -> None:
    if order.apply_to is None:
        return
    advice = told.bottleneck.advice if told.bottleneck else None
    if advice is None or advice.setting is None or advice.value is None:
        console.say(f"apply-to    nothing written: no value of a setting in {order.apply_to} would mend it")
        return
    console.say(f"apply-to    {apply_advice(advice, order.apply_to)}")


def diagnosis_content(seen: Diagnosed) -> dict[str, Any]:
    """The content of diagnosis.json."""
    bottleneck = seen.conclusion.bottleneck
    return {
        "url": seen.url,
        "model": seen.model,
        "sentence": seen.conclusion.sentence,
        "healthy": bottleneck is None,
        "bottleneck": _told(bottleneck) if bottleneck else None,
        "findings": [_told(one) for one in seen.findings],
        "golden_metrics": [asdict(one) for one in seen.readings],
        "requests": asdict(seen.requests) if seen.requests else None,
        "machine": asdict(seen.machine) if seen.machine else None,
        "skipped": dict(seen.skipped),
    }


def _told(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"weight": finding.weight.name.lower(), "evidence": dict(finding.evidence)}


def _params(seen: Diagnosed) -> dict[str, Any]:
    bottleneck = seen.conclusion.bottleneck
    return {"url": seen.url, "model": seen.model, "bottleneck": bottleneck.kind if bottleneck else "none"}


def _metrics(seen: Diagnosed) -> dict[str, float]:
    """Each figure that a finding rests on, as `resources/processor_taken/busy_share`."""
    return {
        f"{one.step}/{one.kind}/{name}": float(value)
        for one in seen.findings
        for name, value in one.evidence.items()
        if isinstance(value, int | float)
    }
