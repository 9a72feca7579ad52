"""Step 1: which resource is the bottleneck? A machine, its traffic and limits in; findings out, the strongest first."""

from __future__ import annotations

from stages.core.words import number, share
from stages.diagnosis.finding import Finding, Weight
from stages.diagnosis.resource_limits import ResourceLimits
from stages.diagnosis.resources_beside import connection_findings, disk_findings, memory_findings
from stages.diagnosis.resources_engine import engine_findings
from stages.diagnosis.resources_processor import processor_findings
from stages.diagnosis.situation import Situation
from stages.telemetry.machine import Machine
from stages.telemetry.traffic import Traffic

__all__ = ["ResourceLimits", "resource_findings"]


def resource_findings(
    machine: Machine, traffic: Traffic | None = None, limits: ResourceLimits | None = None
) -> list[Finding]:
    """What a watch of the machine tells. `traffic` is what the service did in the same time; None: not known.

    By weight, the heaviest first; of equal ones, what is the cause comes before what it leads to. The last is FINE and
    says what was looked at and is well.
    """
    seen = Situation(machine, traffic, limits or ResourceLimits())
    areas = {
        "memory": list(memory_findings(seen)),
        "disk": list(disk_findings(seen)),
        "processor": list(processor_findings(seen)),
        "gpu": list(engine_findings(seen)),
        "connections": list(connection_findings(seen)),
    }
    found = sorted((one for some in areas.values() for one in some), key=lambda one: -one.weight)
    sick = {area for area, some in areas.items() if any(one.weight > Weight.NOTE for one in some)}
    return [*found, *_well(seen, sick)]


def _well(seen: Situation, sick: set[str]) -> list[Finding]:
    """One finding for all that nothing is wrong with; none where there is no such thing."""
    machine = seen.machine
    told: dict[str, str | None] = {
        "processor": f"processor {share(machine.busy_share, 0)} busy",
        "memory": f"memory {share(machine.memory_share, 0)} in use, {number(machine.swap_mb_s)} MB/s of swap",
        "disk": f"disk {machine.disk.device} read at {number(machine.disk.read_mb_s)} MB/s" if machine.disk else None,
        "connections": f"{sum(machine.connections.by_state.values())} connections" if machine.connections else None,
        "gpu": f"GPU {share(seen.gpu_share, 0)} busy" if seen.gpu_share is not None else None,
    }
    well = {area: words for area, words in told.items() if words and area not in sick}
    if not well:
        return []
    evidence: dict[str, float | str | None] = {
        "busy_share": machine.busy_share,
        "memory_share": machine.memory_share,
        "gpu_share": seen.gpu_share,
        "engine_cores": seen.engine_cores,
        "seconds": machine.seconds,
    }
    return [
        Finding(
            "resources", "resources_well", Weight.FINE, f"the machine has room: {'; '.join(well.values())}", evidence
        )
    ]
