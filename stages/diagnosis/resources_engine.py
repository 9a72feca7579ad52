"""What computes: a GPU that is full, waits for the processor or the network, or for reading and writing; without a GPU
an engine that leaves cores idle.
"""

from __future__ import annotations

from collections.abc import Iterator

from stages.core.words import number, share
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.diagnosis.situation import Situation


def engine_findings(seen: Situation) -> Iterator[Finding]:
    """At most one."""
    use, limits = seen.gpu_share, seen.limits
    if use is None:
        yield from _one_core(seen)
    elif use >= limits.gpu_full_share and _steady_share(seen) >= limits.gpu_steady_share:
        yield _gpu_full(seen, use)
    elif use < limits.gpu_low_share:
        yield from _gpu_starved(seen, use)
    elif use < limits.gpu_full_share and (seen.latency_p95_s or 0.0) >= limits.latency_s:
        yield _gpu_waits(seen, use)


def _steady_share(seen: Situation) -> float:
    return sum(one.steady_share for one in seen.gpus) / len(seen.gpus)


def _gpu_evidence(seen: Situation) -> dict[str, float | str | None]:
    return {
        "gpu_share": seen.gpu_share,
        "gpu_steady_share": _steady_share(seen),
        "gpu_memory_share": max(one.memory_share for one in seen.gpus),
        "busy_share": seen.machine.busy_share,
        "at_once_requests": seen.at_once,
        "queue_p95_s": seen.queue_p95_s,
        "latency_p95_s": seen.latency_p95_s,
    }


def _gpu_full(seen: Situation, use: float) -> Finding:
    queue = seen.has_queue
    words = (
        f"the GPU computes {share(use, 0)} of the time, steadily, {'and requests wait' if queue else 'and keeps up'}"
    )
    advice = Advice(
        "add a replica on another GPU; or rerank fewer or shorter documents",
        "pairs per second grow with the GPUs",
        "serve.replicas",
        (seen.traffic.replicas if seen.traffic is not None else None) or None,
        seen.traffic.replicas + 1 if seen.traffic is not None and seen.traffic.replicas else None,
    )
    weight = Weight.LIMIT if queue else Weight.NOTE
    return Finding("resources", "gpu_full", weight, words, _gpu_evidence(seen), advice if queue else None)


def _gpu_starved(seen: Situation, use: float) -> Iterator[Finding]:
    """Only with work to do: a GPU that nobody asks anything stands idle, and nothing is wrong."""
    full = seen.machine.busy_share >= seen.limits.processor_full_share
    if not (seen.has_work or (seen.has_work is None and (full or seen.full_threads))):
        yield Finding(
            "resources", "gpu_idle", Weight.NOTE, f"the GPU computes {share(use, 0)} of the time: it has little to do"
            + ("" if seen.traffic is not None else ", or waits for work; what the service did meanwhile is not known"),
            _gpu_evidence(seen),
        )  # fmt: skip
        return
    if full or seen.full_threads:
        cause = "waits for the processor" + (f", {share(seen.machine.busy_share, 0)} busy" if full else "")
        advice = Advice("give the service more or less busy cores", "the GPU gets its prompts sooner")
    else:
        cause = "waits for the network or for its clients: the processor has room"
        advice = Advice(
            "send more documents in one request, and more requests at once; keep connections open",
            "the GPU gets more prompts in one step",
        )
    waiting = f" with {number(seen.at_once)} requests in the house" if seen.at_once is not None else ""
    words = f"the GPU computes only {share(use, 0)} of the time{waiting}: it {cause}"
    yield Finding("resources", "gpu_starved", Weight.LIMIT, words, _gpu_evidence(seen), advice)


def _gpu_waits(seen: Situation, use: float) -> Finding:
    """Between idle and full, with slow answers. Without a sign of reading or writing it is a guess, and weighs less."""
    sign = _io_sign(seen)
    words = (
        f"the GPU computes {share(use, 0)} of the time, yet 5 % of the requests take {number(seen.latency_p95_s)} s and"
        f" more: it waits for reading and writing, {sign or 'though nothing else here shows that'}"
    )
    evidence = _gpu_evidence(seen) | {
        "io_wait_share": seen.machine.io_wait_share,
        "io_pressure_share": (seen.machine.pressure or {}).get("io"),
        "disk_busy_share": seen.machine.disk.busy_share if seen.machine.disk else None,
    }
    advice = Advice(
        "put weights and caches on a local SSD, and keep the machine from swapping",
        f"at most {number(1 / use)} times the pairs per second",
    )
    return Finding("resources", "gpu_waits_for_io", Weight.LIMIT if sign else Weight.COST, words, evidence, advice)


def _io_sign(seen: Situation) -> str | None:
    machine, limits = seen.machine, seen.limits
    stalled = (machine.pressure or {}).get("io", 0.0)
    if stalled >= limits.io_pressure_share:
        return f"for which some task stands still {share(stalled, 0)} of the time"
    if machine.io_wait_share >= limits.io_wait_share:
        return f"for which {share(machine.io_wait_share, 0)} of the processor time is spent waiting"
    if machine.disk and (machine.disk.busy_share or 0.0) >= limits.disk_busy_share:
        return f"and {machine.disk.device} is busy {share(machine.disk.busy_share, 0)} of the time"
    return None


def _one_core(seen: Situation) -> Iterator[Finding]:
    """An engine on the processor that computes in one thread while other cores are idle."""
    busiest = max((one.busiest_thread_cores or 0.0 for one in seen.machine.of("engine")), default=0.0)
    spare = seen.machine.busy_share < seen.limits.processor_full_share
    if busiest < seen.limits.thread_full_cores or not seen.engine_has_room or not spare:
        return
    usable = seen.machine.cores
    yield Finding(
        "resources",
        "engine_one_core",
        Weight.LIMIT if seen.has_queue else Weight.COST,
        f"the engine computes in one thread, at {number(busiest)} of a core, and leaves the rest of {number(usable)}"
        " cores idle",
        {"busiest_thread_cores": busiest, "engine_cores": seen.engine_cores, "usable_cores": usable},
        Advice(
            "let it compute on every core: set VLLM_CPU_OMP_THREADS_BIND to all of them (as 0-3); vLLM keeps one per"
            " engine free otherwise",
            # Measured with 5 million weights on two cores: 103 pairs/s with one of them, 158 with both.
            "pairs per second grow nearly with the cores: 1.5 times with two instead of one",
        ),
    )
