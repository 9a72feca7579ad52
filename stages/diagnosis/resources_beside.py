"""What lies beside the engine: the disk with the weights, memory, and the clients' connections."""

from __future__ import annotations

from collections.abc import Iterator

from stages.core.words import number, share
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.diagnosis.situation import Situation
from stages.telemetry.machine import Connections, DiskUse

KINDS = {
    "ssd": "an SSD",
    "hdd": "a rotating disk",
    "network": "a network disk",
    "memory": "memory",
    "unknown": "a disk",
}
# Of a disk's reads: with less of them the service is not who reads.
READS_SHARE = 0.1
# Of what the machine accepts: with fewer of them seen at the service's port, it was accepted elsewhere.
SEEN_SHARE = 0.1


def disk_findings(seen: Situation) -> Iterator[Finding]:
    """At most one: a slow disk that the service reads, or a note of one that will be slow when it is read."""
    disk = seen.machine.disk
    if disk is None or disk.kind == "memory":
        return
    rate = disk.read_mb_s or 0.0
    theirs = disk.service_read_mb_s
    slow = seen.limits.disk_read_mb_s <= rate < seen.limits.disk_slow_mb_s and _strained(seen, disk)
    if slow and (theirs is None or theirs >= READS_SHARE * rate):
        yield _slow(seen, disk, rate)
    elif slow or disk.kind in ("hdd", "network"):
        state = f"read at {number(rate)} MB/s by others" if slow else "not read much now"
        yield Finding(
            "resources",
            "slow_disk",
            Weight.NOTE,
            f"the weights lie on {KINDS[disk.kind]} ({disk.device}), {state}: it counts when the service starts",
            _disk_evidence(disk),
            Advice("copy the weights to a local SSD", "a faster start"),
        )


def _strained(seen: Situation, disk: DiskUse) -> bool:
    """Whether the disk gives what it can: by its own time, or where that is not counted, by who waits for it."""
    if disk.busy_share is not None:
        return disk.busy_share >= seen.limits.disk_busy_share
    stalled = (seen.machine.pressure or {}).get("io", 0.0)
    return seen.machine.io_wait_share >= seen.limits.io_wait_share or stalled >= seen.limits.io_pressure_share


def _slow(seen: Situation, disk: DiskUse, rate: float) -> Finding:
    busy = f"busy {share(disk.busy_share, 0)} of the time" if disk.busy_share is not None else "which tasks wait for"
    whole = f"; all {number(disk.weights_mb / 1000)} GB of weights take {_minutes(disk.weights_mb / rate)}" if (
        disk.weights_mb
    ) else ""  # fmt: skip
    fast = seen.limits.disk_slow_mb_s
    effect = f"at {number(fast)} MB/s and more, {number(fast / rate)} times as fast at least"
    return Finding(
        "resources",
        "slow_disk",
        Weight.LIMIT,
        f"{KINDS[disk.kind]} ({disk.device}) gives the weights at {number(rate)} MB/s, {busy}{whole}",
        _disk_evidence(disk),
        Advice("copy the weights to a local SSD, or raise the disk's limit", effect),
    )


def _minutes(seconds: float) -> str:
    return f"{number(seconds / 60)} minutes" if seconds >= 120 else f"{number(seconds)} s"


def _disk_evidence(disk: DiskUse) -> dict[str, float | str | None]:
    return {
        "disk": disk.device,
        "disk_kind": disk.kind,
        "read_mb_s": disk.read_mb_s,
        "service_read_mb_s": disk.service_read_mb_s,
        "disk_busy_share": disk.busy_share,
        "weights_mb": disk.weights_mb,
        "weights_read_s": disk.weights_mb / disk.read_mb_s if disk.weights_mb and disk.read_mb_s else None,
    }


def memory_findings(seen: Situation) -> Iterator[Finding]:
    machine, limits = seen.machine, seen.limits
    stalled = (machine.pressure or {}).get("memory", 0.0)
    signs = {
        f"{share(machine.memory_share, 0)} of it is in use": machine.memory_share >= limits.memory_share,
        f"{number(machine.swap_mb_s)} MB/s go to and from swap": machine.swap_mb_s >= limits.swap_mb_s,
        f"some task waits for it {share(stalled, 0)} of the time": stalled >= limits.memory_pressure_share,
    }
    if not any(signs.values()):
        return
    yield Finding(
        "resources",
        "memory_pressure",
        Weight.LIMIT,
        f"memory is short: {', '.join(sign for sign, told in signs.items() if told)}",
        {"memory_share": machine.memory_share, "swap_mb_s": machine.swap_mb_s, "memory_pressure_share": stalled},
        Advice(
            "take memory from what else runs here, lower engine.kv_cache_gib, or run fewer replicas",
            "no more waiting for pages, and no process killed for want of memory",
            "engine.kv_cache_gib",
        ),
    )


def connection_findings(seen: Situation) -> Iterator[Finding]:
    connections = seen.machine.connections
    if connections is None:
        return
    opened, waiting = _opened_per_s(seen, connections), connections.by_state.get("TIME_WAIT", 0)
    requests = seen.traffic.requests_per_s if seen.traffic is not None else None
    many = waiting >= seen.limits.time_wait_many
    if opened is None and not many:
        return
    parts = []
    if opened is not None and requests:
        parts.append(f"{number(opened / requests)} new connections for each answered request")
    if many or waiting:
        parts.append(f"{waiting:,} connections in TIME_WAIT")
    yield Finding(
        "resources",
        "connections",
        Weight.COST,
        f"clients do not keep their connections: {', '.join(parts)}",
        {
            "opened_per_s": opened,
            "answered_per_s": requests,
            "time_wait": float(waiting),
            "time_wait_per_s": connections.time_wait_per_s,
            "accepted_per_s": connections.accepted_per_s,
        },
        Advice(
            "keep connections alive: one session or client object per process (httpx.Client, requests.Session)",
            "every request saves a round trip, two more with TLS, and ports do not run out",
        ),
    )


def _opened_per_s(seen: Situation, connections: Connections) -> float | None:
    """New connections per second, where they are too many for the requests; None where they are not, or it cannot be
    told. What is seen in the table is too low where clients elsewhere close first; then what the machine accepted
    counts, if a part of it was seen at this port.
    """
    limits = seen.limits
    requests = seen.traffic.requests_per_s if seen.traffic is not None else None
    if not requests:
        return None
    least = max(limits.connections_per_s, limits.connections_per_request * requests)
    known = max(connections.time_wait_per_s, connections.opened_per_s)
    if known >= least:
        return known
    accepted = connections.accepted_per_s or 0.0
    here = known >= max(limits.connections_per_s, SEEN_SHARE * accepted)
    return accepted if accepted >= least and here else None
