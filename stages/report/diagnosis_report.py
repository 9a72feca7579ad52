"""What a diagnosis found -> a document: the one sentence first, then each step with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stages.core.words import NONE, Tone, number, share
from stages.diagnosis.conclusion import Conclusion
from stages.diagnosis.finding import Finding, Step, Weight
from stages.diagnosis.requests import Requests, as_yaml
from stages.report.document import Block, Cell, Column, Details, Document, Items, Section, Table, Text
from stages.telemetry.machine import Machine
from stages.telemetry.readings import Reading

TITLES: dict[Step, str] = {
    "metrics": "The golden metrics",
    "resources": "1. Which resource?",
    "requests": "2. What do requests look like?",
    "pressure": "3. Under pressure",
    "direct": "4. Without vLLM",
}
TONES: dict[Weight, Tone] = {
    Weight.FINE: "good",
    Weight.NOTE: "plain",
    Weight.COST: "unsure",
    Weight.LIMIT: "bad",
    Weight.BROKEN: "bad",
}


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """All that a diagnosis saw. `skipped` says of a step that was not made why; `pressure` are a load test's blocks;
    `traffic_of` says whose requests were looked at.
    """

    url: str
    model: str | None
    conclusion: Conclusion
    findings: Sequence[Finding]
    readings: Sequence[Reading] = ()
    machine: Machine | None = None
    requests: Requests | None = None
    pressure: Sequence[Block] = ()
    traffic_of: str = ""
    skipped: Mapping[Step, str] = field(default_factory=dict)


def diagnosis_document(seen: Diagnosed) -> Document:
    """The lead is the conclusion; whoever reads on finds each step's sentences, then its figures."""
    bottleneck = seen.conclusion.bottleneck
    tone = "good" if bottleneck is None else TONES[bottleneck.weight]
    lead = [
        Text(seen.conclusion.sentence, tone),
        Text(f"{seen.url}, {seen.model or 'model not told'}. {seen.traffic_of}"),
    ]
    blocks: dict[Step, list[Block]] = {
        "metrics": _readings(seen.readings) if seen.readings else [],
        "resources": _machine(seen.machine) if seen.machine else [],
        "requests": _wishes(seen.requests) if seen.requests and seen.requests.wishes else [],
        "pressure": list(seen.pressure),
        "direct": [],
    }
    return Document("Diagnosis", lead, [_section(step, seen, blocks[step]) for step in TITLES])


def _section(step: Step, seen: Diagnosed, blocks: Sequence[Block]) -> Section:
    told: list[Block] = []
    for finding in sorted((one for one in seen.findings if one.step == step), key=lambda one: -one.weight):
        told.append(Text(finding.sentence, TONES[finding.weight]))
        if finding.advice is not None:
            told.append(Text(f"To do: {finding.advice.action}. Expect: {finding.advice.effect}."))
    if step in seen.skipped:
        told.append(Text(f"Not looked at: {seen.skipped[step]}."))
    elif not told:
        told.append(Text("Nothing to report."))
    return Section(TITLES[step], [*told, *blocks])


def _readings(readings: Sequence[Reading]) -> list[Block]:
    rows: list[list[Cell | str]] = [[one.name, one.text, Cell(one.zone, one.tone)] for one in readings]
    table = Table([Column("metric", numeric=False), Column("value"), Column("zone", numeric=False)], rows)
    return [table, Details("What each means", [Items([f"{one.name}: {one.words}." for one in readings])])]


def _machine(machine: Machine) -> list[Block]:
    values = {
        "watched for": f"{machine.seconds:.0f} s on {machine.host}",
        "processor cores": number(machine.cores),
        "processor use": share(machine.busy_share),
        "waiting for disks": share(machine.io_wait_share),
        "taken by the hypervisor": share(machine.steal_share),
        "tasks that run or want to": number(machine.run_queue),
        "memory use": share(machine.memory_share),
    }
    values |= {f"some task waited for {name}": share(value) for name, value in (machine.pressure or {}).items()}
    for gpu in machine.gpus:
        values[f"GPU {gpu.index} ({gpu.name})"] = f"{share(gpu.use_share)} used, memory {share(gpu.memory_share)}"
    if (disk := machine.disk) is not None:
        values["disk of the weights"] = f"{disk.device} ({disk.kind}), reads {number(disk.read_mb_s, ' MB/s')}"
    if machine.connections is not None:
        by_state = machine.connections.by_state
        values["connections"] = ", ".join(f"{count} {state}" for state, count in by_state.items()) or "none"
    table = Table([Column("", numeric=False), Column("")], [[name, value] for name, value in values.items()])
    return [table, Details("Processes", [_processes(machine)])]


def _processes(machine: Machine) -> Table:
    columns = [
        Column("role", numeric=False),
        Column("process", numeric=False),
        Column("cores"),
        Column("busiest thread"),
        Column("reads, MB/s"),
    ]
    rows = [
        [
            one.role,
            f"{one.name} ({one.pid})",
            f"{one.cores:.2f}",
            _cores(one.busiest_thread_cores),
            number(one.read_mb_s),
        ]
        for one in machine.processes
    ]
    return Table(columns, rows)


def _cores(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _wishes(requests: Requests) -> list[Block]:
    rows: list[list[Cell | str]] = [
        [
            wish.setting,
            Cell("not known" if wish.fits is None else as_yaml(wish.now), "unsure" if wish.fits is False else "plain"),
            as_yaml(wish.wanted),
        ]
        for wish in requests.wishes
    ]
    columns = [Column("setting", numeric=False), Column("now"), Column("wanted")]
    table = Table(columns, rows, f"What requests of the kind “{requests.pattern}” want")
    return [table, Details("Why", [Items([f"{wish.setting}: {wish.why}." for wish in requests.wishes])])]
