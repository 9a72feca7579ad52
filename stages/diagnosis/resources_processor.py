"""The processor: taken by others, full of the engine's own work, one thread at its end, throttled, stolen."""

from __future__ import annotations

from collections.abc import Iterator

from stages.core.words import number, share
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.diagnosis.situation import Situation
from stages.telemetry.machine import SERVICE, ProcessUse

NAMED = 3


def processor_findings(seen: Situation) -> Iterator[Finding]:
    """Where the processor is taken, a full thread is the lesser evil: it has its core."""
    if seen.processor_taken:
        yield _taken(seen)
    elif seen.gpu_share is None and seen.engine_share >= seen.limits.engine_full_share:
        yield _full(seen)
    yield from _one_thread(seen)
    yield from _throttled(seen)
    yield from _steal(seen)
    yield from _load(seen)


def _taken(seen: Situation) -> Finding:
    machine = seen.machine
    top = [f"{one.name} ({number(one.cores)} cores, pid {one.pid})" for one in machine.of("other")[:NAMED]]
    if machine.unseen_cores >= seen.limits.taken_share * machine.machine_cores:
        top.append(f"what cannot be seen from here, as in another container ({number(machine.unseen_cores)} cores)")
    gets = f"the engine gets {number(seen.engine_cores)}" if machine.of(*SERVICE) else "no process of it is seen here"
    words = (
        f"the engine is starved by a busy processor: {share(machine.busy_share, 0)} of {machine.machine_cores} cores"
        f" are in use, {number(seen.taken_cores)} of them by others ({'; '.join(top)}); {gets}"
    )
    idle = seen.traffic is not None and seen.traffic.idle
    harmless = idle or not (seen.gpu_share is None or seen.engine_has_room)  # nothing to do, or the GPU is full anyway
    evidence = {
        "busy_share": machine.busy_share,
        "others_cores": seen.taken_cores,
        "engine_cores": seen.engine_cores,
        "machine_cores": float(machine.machine_cores),
        "run_queue_tasks": machine.run_queue,
        "top": top[0] if top else None,
    }
    advice = Advice("stop or move these processes, or give the engine cores of its own", _gain_without_others(seen))
    return Finding("resources", "processor_taken", Weight.NOTE if harmless else Weight.LIMIT, words, evidence, advice)


def _gain_without_others(seen: Situation) -> str:
    engine, usable = seen.engine_cores, seen.machine.cores
    if seen.gpu_share is not None or engine <= 0:
        return f"{number(seen.taken_cores)} cores come free for the service"
    factor = min(engine + seen.taken_cores, usable) / engine
    has = f"the engine has {share(seen.engine_share, 0)} of the cores"
    return f"up to {number(max(factor, 1.0))} times the pairs per second: {has}"


def _full(seen: Situation) -> Finding:
    queue = seen.has_queue
    state = "and requests wait" if queue else "and it keeps up"
    words = (
        f"the engine uses {number(seen.engine_cores)} of {number(seen.machine.cores)} cores {state}: the machine is the"
        " limit, nothing is wrong with the set-up"
    )
    evidence = {
        "engine_cores": seen.engine_cores,
        "engine_share": seen.engine_share,
        "busy_share": seen.machine.busy_share,
        "usable_cores": seen.machine.cores,
        "queue_p95_s": seen.queue_p95_s,
    }
    advice = Advice(
        "take a machine with more cores, or a GPU; or rerank fewer or shorter documents",
        "pairs per second grow about with the cores, and with every document less",
    )
    return Finding(
        "resources",
        "processor_full",
        Weight.LIMIT if queue else Weight.NOTE,
        words,
        evidence,
        advice if queue else None,
    )


def _one_thread(seen: Situation) -> Iterator[Finding]:
    """A thread at a whole core beside an engine with room. Where others take the processor and tokenizing is not most
    of the time, the engine may have room for that reason alone.
    """
    if not seen.full_threads or not seen.engine_has_room:
        return
    process, tokenizing = seen.full_threads[0], seen.tokenize_share
    certain = not seen.processor_taken or (tokenizing is not None and tokenizing >= 0.5)
    evidence = {
        "busiest_thread_cores": process.busiest_thread_cores,
        "process": process.name,
        "role": process.role,
        "process_cores": process.cores,
        "engine_cores": seen.engine_cores,
        "gpu_share": seen.gpu_share,
        "tokenize_share": tokenizing,
    }
    weight = Weight.LIMIT if certain else Weight.COST
    words, advice = _thread_words(seen, process), _more_threads(seen, process)
    yield Finding("resources", "one_thread", weight, words, evidence, advice)


def _thread_words(seen: Situation, process: ProcessUse) -> str:
    tokenizing = seen.tokenize_share
    does = ""
    if tokenizing is not None and tokenizing >= seen.limits.tokenize_share:
        does = f"tokenizing takes {share(tokenizing, 0)} of a query's time: "
    alone = (process.busiest_thread_cores or 0.0) >= seen.limits.thread_full_cores
    turns = "no thread can use more" if alone else f"all its threads {number(process.cores)}, for they take turns"
    if seen.gpu_share is not None:
        room = f"the GPU computes {share(seen.gpu_share, 0)} of the time"
    else:
        who = "engine" if seen.machine.of("engine") else "server"
        room = f"the {who} uses {number(seen.engine_cores)} of {number(seen.machine.cores)} cores"
    return (
        f"{does}one thread of {process.name} ({process.role}, pid {process.pid}) uses"
        f" {number(process.busiest_thread_cores)} of a core, and {turns}, while {room}"
    )


def _more_threads(seen: Situation, process: ProcessUse) -> Advice:
    busy = seen.gpu_share if seen.gpu_share is not None else seen.engine_share
    room = 1 / busy if busy > 0 else None
    effect = (
        f"up to {number(min(room, 2.0))} times the pairs per second, until the engine is full"
        if room is not None
        else "the engine gets work as fast as it can do it"
    )
    if process.role == "replica" and "ServeReplica" in process.name:
        replicas = seen.traffic.replicas if seen.traffic is not None and seen.traffic.replicas else None
        more = replicas + 1 if replicas else None
        return Advice("raise serve.replicas: each has a thread of its own", effect, "serve.replicas", replicas, more)
    if process.role == "proxy" or "ServeReplica" in process.name:
        return Advice("put more documents into one request, so that fewer pass this process", effect)
    return Advice(
        "send token ids instead of text, let more threads tokenize (vLLM's server: --renderer-num-workers 4), or run"
        " more server processes",
        effect,
    )


def _throttled(seen: Situation) -> Iterator[Finding]:
    throttled = seen.machine.throttled_share
    if throttled is None or throttled < seen.limits.throttled_share:
        return
    yield Finding(
        "resources",
        "processor_throttled",
        Weight.LIMIT,
        f"the control group used up its quota of {number(seen.machine.cores)} cores in {share(throttled, 0)} of its"
        " periods, and stood still for the rest of each",
        {"throttled_share": throttled, "usable_cores": seen.machine.cores},
        Advice(
            "raise the container's processor limit (Kubernetes: resources.limits.cpu), or take it away",
            "the pauses end, which the slowest requests feel most",
        ),
    )


def _steal(seen: Situation) -> Iterator[Finding]:
    steal = seen.machine.steal_share
    if steal < seen.limits.steal_share:
        return
    yield Finding(
        "resources",
        "steal",
        Weight.COST,
        f"the hypervisor gives {share(steal, 0)} of this virtual machine's processor time to others: a noisy neighbour",
        {"steal_share": steal},
        Advice("move to another host, or to a machine with cores of its own", f"about {share(steal, 0)} more time"),
    )


def _load(seen: Situation) -> Iterator[Finding]:
    """What sends the load takes from what bears it, when both are on one machine."""
    own, machine = seen.machine.cores_of("this command"), seen.machine
    full = machine.busy_share >= seen.limits.processor_full_share
    if full and own >= seen.limits.taken_share * machine.machine_cores:
        yield Finding(
            "resources",
            "load_takes_processor",
            Weight.NOTE,
            f"this command uses {number(own)} of {machine.machine_cores} cores itself: the service could do more than"
            " is measured here",
            {"this_command_cores": own, "machine_cores": float(machine.machine_cores)},
            Advice("send the load from another machine", "the figures are the service's alone"),
        )
