"""Which resource is the bottleneck, by rules over records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ConfigError
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.diagnosis.resources import ResourceLimits, resource_findings
from stages.telemetry.histogram import Histogram
from stages.telemetry.machine import Connections, DiskUse, GpuUse, Machine, ProcessUse, Role
from stages.telemetry.traffic import Traffic

INF = float("inf")
LIMITS = ResourceLimits()
REPLICA = "ray::ServeReplica:rerank-1:reranker"


def a_machine(**changes: Any) -> Machine:
    """Eight cores with little to do, and nothing wrong."""
    calm = Machine(
        host="h",
        seconds=10.0,
        samples=20,
        cores=8.0,
        machine_cores=8,
        busy_share=0.3,
        io_wait_share=0.0,
        steal_share=0.0,
        run_queue=1.0,
        pressure={"cpu": 0.0, "memory": 0.0, "io": 0.0},
        memory_share=0.4,
        swap_mb_s=0.0,
        processes=(a_process("engine", 2.0, name="VLLM::EngineCore"),),
    )
    return replace(calm, **changes)


def a_process(role: Role, cores: float, busiest: float = 0.2, name: str = "python", pid: int = 7) -> ProcessUse:
    return ProcessUse(role, pid, name, cores, 10, busiest, 0.0, 60.0)


def a_gpu(use: float, steady: float = 0.0, *, mine: bool | None = None, memory: float = 0.8) -> GpuUse:
    return GpuUse(0, "NVIDIA H100", use, steady, memory, mine)


def times(count: float, each_s: float) -> Histogram:
    """`count` observations of `each_s`."""
    bounds = (0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, INF)
    return Histogram(bounds, tuple(count if each_s <= bound else 0.0 for bound in bounds), count * each_s)


def some_traffic(
    answered: float = 100.0, each_s: float = 0.5, queue_s: float = 0.001, tokenize_s: float = 0.01
) -> Traffic:
    return Traffic(
        seconds=10.0,
        answered=answered,
        request_s=times(answered, each_s),
        queue_s=times(answered, queue_s),
        tokenize_s=times(answered, tokenize_s),
        engine_s=times(answered, 0.1),
        replicas=2,
    )


def the(kind: str, found: list[Finding]) -> Finding:
    [one] = [one for one in found if one.kind == kind]
    return one


def heavy(found: list[Finding]) -> list[str]:
    return [one.kind for one in found if one.weight > Weight.NOTE]


def test_a_calm_machine_is_well_and_the_one_finding_says_what_was_looked_at() -> None:
    disk = DiskUse("/models/m", "nvme0n1", "ssd", 0.0, 0.0, 1200.0)
    machine = a_machine(disk=disk, connections=Connections({"ESTABLISHED": 4}, 0.0, 0.0, 0.1))
    [well] = resource_findings(machine, some_traffic())
    assert (well.kind, well.weight) == ("resources_well", Weight.FINE)
    assert well.words == (
        "the machine has room: processor 30% busy; memory 40% in use, 0 MB/s of swap; disk nvme0n1 read at 0 MB/s; "
        "4 connections"
    )


def test_a_processor_taken_by_others_names_them_and_what_the_engine_would_get() -> None:
    others = (a_process("other", 4.6, name="ffmpeg", pid=4711), a_process("other", 1.0, name="cc1plus", pid=12))
    machine = a_machine(busy_share=1.0, cores=6.0, processes=(a_process("engine", 2.0), *others))
    found = resource_findings(machine, some_traffic())
    taken = the("processor_taken", found)
    assert taken == found[0]
    assert taken.weight == Weight.LIMIT
    # Many small ones make up the rest: they count, and are not worth a name.
    assert "6.00 of them by others (ffmpeg (4.60 cores, pid 4711); cc1plus (1.00 cores, pid 12));" in taken.words
    assert taken.evidence["others_cores"] == pytest.approx(6.0)
    assert taken.advice is not None
    assert taken.advice.effect.startswith("up to 3.00 times the pairs per second")
    on_gpu = resource_findings(replace(machine, gpus=(a_gpu(0.5),)), some_traffic())
    assert the("processor_taken", on_gpu).advice == Advice(taken.advice.action, "6.00 cores come free for the service")


def test_a_cpu_engine_that_fills_what_others_leave_is_starved_all_the_same() -> None:
    machine = a_machine(busy_share=1.0, processes=(a_process("engine", 6.0), a_process("other", 2.0)))
    assert the("processor_taken", resource_findings(machine, some_traffic())).weight == Weight.LIMIT


def test_cores_that_nobody_seen_uses_are_taken_by_something_unseen() -> None:
    nobody = the("processor_taken", resource_findings(a_machine(busy_share=0.95, processes=()), some_traffic()))
    assert nobody.words.endswith("no process of it is seen here")
    found = resource_findings(a_machine(busy_share=0.95), some_traffic())
    assert "what cannot be seen from here, as in another container (5.60 cores)" in the("processor_taken", found).words


@pytest.mark.parametrize(
    ("machine", "traffic"),
    [
        pytest.param({"gpus": (a_gpu(0.97, 0.9),)}, some_traffic(), id="the GPU is full anyway"),
        pytest.param({}, Traffic(seconds=10.0), id="nobody asks anything"),
    ],
)
def test_a_taken_processor_that_starves_nobody_is_a_note(machine: dict[str, Any], traffic: Traffic) -> None:
    processes = (a_process("engine", 1.0), a_process("other", 6.5))
    found = resource_findings(a_machine(busy_share=0.95, processes=processes, **machine), traffic)
    assert the("processor_taken", found).weight == Weight.NOTE


def test_an_engine_that_fills_the_machine_is_the_limit_only_where_requests_wait() -> None:
    machine = a_machine(busy_share=0.98, processes=(a_process("engine", 7.5, 0.97),))
    waits = the("processor_full", resource_findings(machine, some_traffic(queue_s=0.4)))
    assert waits.weight == Weight.LIMIT
    assert "uses 7.50 of 8.00 cores and requests wait" in waits.words
    keeps_up = resource_findings(machine, some_traffic(queue_s=0.001))
    assert the("processor_full", keeps_up).weight == Weight.NOTE
    assert heavy(keeps_up) == []


def test_one_tokenizing_thread_is_named_with_its_share_of_the_time_and_the_setting() -> None:
    replica = a_process("replica", 1.1, 0.99, REPLICA)
    machine = a_machine(processes=(a_process("engine", 2.0), replica))
    found = resource_findings(machine, some_traffic(tokenize_s=0.4))
    thread = the("one_thread", found)
    assert thread == found[0]
    assert thread.weight == Weight.LIMIT
    assert thread.words.startswith("tokenizing takes 80% of a query's time: one thread of ray::ServeReplica")
    assert "uses 0.990 of a core, and no thread can use more, while the engine uses 2.00 of 8.00 cores" in thread.words
    assert thread.advice is not None
    assert (thread.advice.setting, thread.advice.now, thread.advice.value) == ("serve.replicas", 2, 3)


@pytest.mark.parametrize(
    ("role", "name", "action"),
    [
        ("api", "python -m vllm.entrypoints.openai.api_server", "--renderer-num-workers"),
        ("replica", "python worker.py", "--renderer-num-workers"),
        ("api", "ray::ServeReplica:rerank-1-api:api", "put more documents into one request"),
        ("proxy", "ray::ProxyActor", "put more documents into one request"),
    ],
)
def test_a_full_thread_outside_the_replicas_gets_its_own_advice(role: Role, name: str, action: str) -> None:
    processes = (a_process("engine", 1.0, 1.0), a_process(role, 1.2, 0.95, name))
    thread = the("one_thread", resource_findings(a_machine(gpus=(a_gpu(0.5),), processes=processes)))
    assert thread.weight == Weight.LIMIT
    assert thread.advice is not None
    assert action in thread.advice.action
    assert thread.advice.setting is None
    assert thread.advice.effect.startswith("up to 2.00 times")


def test_threads_that_take_turns_count_as_one() -> None:
    def found(api: ProcessUse) -> list[str]:
        return heavy(resource_findings(a_machine(processes=(a_process("engine", 2.0), api)), some_traffic()))

    assert found(a_process("api", 1.0, 0.6)) == ["one_thread"]
    fullest = a_machine(processes=(a_process("api", 1.1, 0.9, pid=1), a_process("api", 1.0, 0.99, pid=2)))
    assert "pid 2" in the("one_thread", resource_findings(fullest, some_traffic())).words
    assert found(a_process("api", 3.0, 0.6)) == []


def test_a_full_thread_matters_not_where_the_engine_is_full_nor_in_a_gpu_engine() -> None:
    replica = a_process("replica", 1.0, 1.0, REPLICA)
    full = a_machine(processes=(a_process("engine", 6.5), replica), busy_share=0.94)
    assert "one_thread" not in heavy(resource_findings(full, some_traffic(queue_s=0.4)))
    spins = a_machine(gpus=(a_gpu(0.5),), processes=(a_process("engine", 1.0, 1.0),))
    assert heavy(resource_findings(spins, some_traffic())) == []


def test_beside_others_that_take_the_processor_a_full_thread_weighs_less() -> None:
    replica = a_process("replica", 1.0, 1.0, REPLICA)
    machine = a_machine(busy_share=1.0, processes=(a_process("engine", 1.0), replica, a_process("other", 6.0)))
    found = resource_findings(machine, some_traffic())
    assert [(one.kind, one.weight) for one in found[:2]] == [
        ("processor_taken", Weight.LIMIT),
        ("one_thread", Weight.COST),
    ]


def test_an_engine_in_one_thread_beside_idle_cores_is_told_how_to_use_them() -> None:
    machine = a_machine(processes=(a_process("engine", 1.0, 0.99),))
    assert the("engine_one_core", resource_findings(machine, some_traffic())).weight == Weight.COST
    assert the("engine_one_core", resource_findings(machine, some_traffic(queue_s=0.4))).weight == Weight.LIMIT


def test_a_full_gpu_is_the_limit_where_requests_wait() -> None:
    machine = a_machine(gpus=(a_gpu(0.97, 0.95),))
    found = resource_findings(machine, some_traffic(queue_s=0.4))
    assert (found[0].kind, found[0].weight) == ("gpu_full", Weight.LIMIT)
    assert found[0].advice is not None
    assert (found[0].advice.now, found[0].advice.value) == (2, 3)
    keeps_up = resource_findings(machine, some_traffic(queue_s=0.001))
    assert the("gpu_full", keeps_up).weight == Weight.NOTE
    now_and_then = a_machine(gpus=(a_gpu(0.91, 0.6),))
    assert heavy(resource_findings(now_and_then, some_traffic(queue_s=0.4))) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "waits for the network or for its clients"),
        ({"busy_share": 0.95, "processes": (a_process("replica", 7.6, 0.5),)}, "waits for the processor, 95% busy"),
        ({"processes": (a_process("api", 1.0, 1.0),)}, "it waits for the processor"),
    ],
)
def test_a_gpu_below_30_percent_with_requests_in_the_house_waits(changes: dict[str, Any], words: str) -> None:
    found = resource_findings(a_machine(gpus=(a_gpu(0.2),), **changes), some_traffic(each_s=0.5))
    starved = the("gpu_starved", found)
    assert starved.weight == Weight.LIMIT
    assert words in starved.words
    assert "with 5.00 requests in the house" in starved.words


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "gpu_idle"),
        ({"busy_share": 0.95, "processes": (a_process("replica", 7.6, 0.5),)}, "gpu_starved"),
        ({"processes": (a_process("api", 1.0, 1.0),)}, "gpu_starved"),
    ],
)
def test_without_traffic_a_low_gpu_is_starved_only_where_the_processor_shows_work(
    changes: dict[str, Any], kind: str
) -> None:
    [gpu] = [one for one in resource_findings(a_machine(gpus=(a_gpu(0.2),), **changes)) if one.kind.startswith("gpu")]
    assert gpu.kind == kind
    assert ("what the service did meanwhile is not known" in gpu.words) == (kind == "gpu_idle")


def test_a_gpu_with_little_to_do_is_no_bottleneck() -> None:
    found = resource_findings(a_machine(gpus=(a_gpu(0.02),)), some_traffic(answered=5, each_s=0.05))
    assert heavy(found) == []
    assert the("gpu_idle", found).weight == Weight.NOTE


def test_single_prompts_are_not_taken_for_requests_in_the_house() -> None:
    prompts = replace(some_traffic(answered=1000, each_s=0.5), per_prompt=True)
    assert heavy(resource_findings(a_machine(gpus=(a_gpu(0.1),)), prompts)) == []


def test_a_half_busy_gpu_with_slow_answers_waits_for_reading_and_writing() -> None:
    slow = some_traffic(each_s=1.8)
    guess = resource_findings(a_machine(gpus=(a_gpu(0.6),)), slow)
    assert the("gpu_waits_for_io", guess).weight == Weight.COST
    assert "though nothing else here shows that" in the("gpu_waits_for_io", guess).words
    busy_disk = DiskUse("/models/m", "nvme0n1", "ssd", 900.0, 0.8)
    for sign, words in (
        ({"pressure": {"io": 0.5}}, "some task stands still 50% of the time"),
        ({"io_wait_share": 0.3}, "30% of the processor time is spent waiting"),
        ({"disk": busy_disk}, "nvme0n1 is busy 80% of the time"),
    ):
        told = the("gpu_waits_for_io", resource_findings(a_machine(gpus=(a_gpu(0.6),), **sign), slow))
        assert told.weight == Weight.LIMIT
        assert words in told.words
    assert heavy(resource_findings(a_machine(gpus=(a_gpu(0.6),)), some_traffic(each_s=0.3))) == []


def test_other_peoples_gpus_do_not_count() -> None:
    gpus = (a_gpu(0.97, 0.95, mine=False), a_gpu(0.5, mine=True))
    assert heavy(resource_findings(a_machine(gpus=gpus), some_traffic(queue_s=0.4))) == []
    empty = a_machine(gpus=(a_gpu(0.0, memory=0.01),))  # the engine computes on the processor
    assert [one.kind for one in resource_findings(empty, some_traffic())] == ["resources_well"]


def test_a_connection_per_request_is_told_by_time_wait_or_by_what_was_accepted() -> None:
    requests = some_traffic(answered=200)  # 20 a second
    near = Connections({"TIME_WAIT": 400}, time_wait_per_s=19.0, opened_per_s=19.0, accepted_per_s=20.0)
    cost = the("connections", resource_findings(a_machine(connections=near), requests))
    assert cost.weight == Weight.COST
    assert "0.950 new connections for each answered request, 400 connections in TIME_WAIT" in cost.words
    far = Connections({"ESTABLISHED": 2}, time_wait_per_s=0.0, opened_per_s=4.0, accepted_per_s=20.0)
    assert heavy(resource_findings(a_machine(connections=far), requests)) == ["connections"]


@pytest.mark.parametrize(
    "connections",
    [
        pytest.param(Connections({"ESTABLISHED": 8}, 0.0, 0.0, 0.0), id="kept alive"),
        pytest.param(Connections({"ESTABLISHED": 8}, 0.0, 0.0, 50.0), id="accepted by another service"),
        pytest.param(Connections({"TIME_WAIT": 60}, 1.0, 1.0, 1.0), id="who looks at the metrics"),
        pytest.param(Connections({"TIME_WAIT": 90}, 4.0, 4.0, 4.0), id="ten requests a second share four"),
        pytest.param(Connections({"ESTABLISHED": 8}, 3.0, 3.0, 900.0), id="another service accepts most"),
    ],
)
def test_kept_connections_are_fine(connections: Connections) -> None:
    assert heavy(resource_findings(a_machine(connections=connections), some_traffic())) == []


def test_a_wide_first_bucket_and_no_word_of_waiting_are_no_queue() -> None:
    full = a_machine(busy_share=0.98, processes=(a_process("engine", 7.5, 0.97),))
    wide = replace(some_traffic(), queue_s=Histogram((0.3, INF), (100.0, 100.0), 0.1))
    for traffic, weight in (
        (wide, Weight.NOTE),
        (Traffic(seconds=10.0, answered=5), Weight.NOTE),
        (Traffic(seconds=10.0, answered=5, waiting=40.0), Weight.LIMIT),
    ):
        assert the("processor_full", resource_findings(full, traffic)).weight == weight


def test_a_port_that_runs_out_is_told_without_any_traffic() -> None:
    connections = Connections({"TIME_WAIT": 20_000}, 300.0, 300.0, None)
    assert (
        "20,000 connections in TIME_WAIT"
        in the("connections", resource_findings(a_machine(connections=connections))).words
    )


def test_a_slow_disk_is_told_with_its_rate_and_how_long_the_weights_take() -> None:
    disk = DiskUse("/models/m", "sda", "hdd", 20.0, 0.99, 16_000.0, service_read_mb_s=19.0)
    found = resource_findings(a_machine(disk=disk))
    slow = the("slow_disk", found)
    assert slow == found[0]
    assert slow.weight == Weight.LIMIT
    assert "disk" not in found[-1].words  # what is sick is not told as well
    assert slow.words == (
        "a rotating disk (sda) gives the weights at 20.0 MB/s, busy 99% of the time; all 16.0 GB of weights take"
        " 13.3 minutes"
    )
    assert slow.evidence["weights_read_s"] == 800.0


def test_a_network_disk_is_slow_by_who_waits_for_it() -> None:
    disk = DiskUse("/models/m", "nas:/models", "network", 30.0, None, 1200.0)
    assert heavy(resource_findings(a_machine(disk=disk, io_wait_share=0.4))) == ["slow_disk"]
    assert heavy(resource_findings(a_machine(disk=disk, pressure={"io": 0.5}))) == ["slow_disk"]
    assert heavy(resource_findings(a_machine(disk=disk))) == []


@pytest.mark.parametrize(
    ("disk", "weight"),
    [
        (DiskUse("/m", "nas:/m", "network", 0.0, None), Weight.NOTE),
        (DiskUse("/m", "sda", "hdd", 0.0, 0.0), Weight.NOTE),
        (DiskUse("/m", "sda", "hdd", 60.0, 1.0, 900.0, service_read_mb_s=0.0), Weight.NOTE),  # a backup reads it
        (DiskUse("/m", "nvme0n1", "ssd", 2000.0, 1.0), None),
        (DiskUse("/m", "nvme0n1", "ssd", 0.2, 0.9), None),  # written to
        (DiskUse("/m", "tmpfs", "memory", None, None), None),
    ],
)
def test_a_disk_that_the_service_does_not_read_is_a_note_at_most(disk: DiskUse, weight: Weight | None) -> None:
    found = [one.weight for one in resource_findings(a_machine(disk=disk)) if one.kind == "slow_disk"]
    assert found == ([] if weight is None else [weight])


@pytest.mark.parametrize(
    ("changes", "kind", "weight", "words"),
    [
        ({"memory_share": 0.97}, "memory_pressure", Weight.LIMIT, "97% of it is in use"),
        ({"swap_mb_s": 40.0}, "memory_pressure", Weight.LIMIT, "40.0 MB/s go to and from swap"),
        ({"pressure": {"memory": 0.2}}, "memory_pressure", Weight.LIMIT, "some task waits for it 20% of the time"),
        ({"steal_share": 0.2}, "steal", Weight.COST, "gives 20% of this virtual machine's processor time to others"),
        ({"throttled_share": 0.6, "cores": 2.0}, "processor_throttled", Weight.LIMIT, "quota of 2.00 cores in 60%"),
    ],
)
def test_what_a_machine_suffers_is_told(changes: dict[str, Any], kind: str, weight: Weight, words: str) -> None:
    found = resource_findings(a_machine(**changes), some_traffic())
    assert heavy(found) == [kind]
    assert the(kind, found).weight == weight
    assert words in the(kind, found).words


def test_load_sent_from_the_same_machine_is_noted() -> None:
    processes = (a_process("engine", 4.0), a_process("this command", 3.9))
    found = resource_findings(a_machine(busy_share=0.99, processes=processes), some_traffic())
    assert the("load_takes_processor", found).weight == Weight.NOTE
    assert heavy(found) == []
    with_room = a_machine(busy_share=0.85, processes=processes)
    little = a_machine(busy_share=0.99, processes=(a_process("engine", 7.5), a_process("this command", 0.4)))
    for fine in (with_room, little):
        assert "load_takes_processor" not in [one.kind for one in resource_findings(fine, some_traffic())]


def test_limits_are_settings() -> None:
    machine = a_machine(steal_share=0.2)
    assert heavy(resource_findings(machine, None, ResourceLimits(steal_share=0.3))) == []
    for wrong in ({"steal_share": 1.2}, {"swap_mb_s": 0.0}, {"gpu_low_share": 0.95}):
        with pytest.raises(ConfigError, match=f"resources.{next(iter(wrong))}"):
            ResourceLimits(**wrong)


def below(limit: float) -> st.SearchStrategy[float]:
    return st.floats(0, limit, exclude_max=True)


@st.composite
def machines_within_limits(draw: st.DrawFn) -> Machine:
    """Of any size, with processes of every role, none of whose values reaches its limit."""
    cores = draw(st.integers(2, 128))
    busy = draw(below(LIMITS.processor_full_share))
    engine = draw(below(LIMITS.engine_full_share)) * busy * cores
    roles: tuple[Role, ...] = ("engine", "replica", "api", "proxy", "ray", "other", "this command")
    used = [engine, *(draw(below(0.8)) for _ in roles[1:])]
    threads = [draw(below(min(LIMITS.thread_full_cores, cores_used))) if cores_used > 0 else 0.0 for cores_used in used]
    kinds = st.sampled_from(["ssd", "hdd", "network", "memory", "unknown"])
    disk = DiskUse("/m", "d", draw(kinds), draw(st.none() | st.floats(0, 5000)), draw(below(LIMITS.disk_busy_share)))
    return Machine(
        host="h",
        seconds=draw(st.floats(1, 100)),
        samples=3,
        cores=float(cores),
        machine_cores=cores,
        busy_share=busy,
        io_wait_share=draw(below(LIMITS.io_wait_share)),
        steal_share=draw(below(LIMITS.steal_share)),
        run_queue=draw(st.none() | st.floats(0, 500)),
        pressure={
            "cpu": draw(st.floats(0, 1)),
            "memory": draw(below(LIMITS.memory_pressure_share)),
            "io": draw(below(LIMITS.io_pressure_share)),
        },
        memory_share=draw(below(LIMITS.memory_share)),
        swap_mb_s=draw(below(LIMITS.swap_mb_s)),
        processes=tuple(map(a_process, roles, used, threads)),
        gpus=tuple(a_gpu(draw(st.floats(0.3, 0.89))) for _ in range(draw(st.integers(0, 2)))),
        disk=disk,
        connections=Connections({"ESTABLISHED": 3}, draw(below(2.0)), draw(below(2.0)), draw(st.none() | below(1e3))),
        throttled_share=draw(st.none() | below(LIMITS.throttled_share)),
    )


@given(machines_within_limits(), st.sampled_from([None, Traffic(seconds=10.0), some_traffic(), some_traffic(5, 0.05)]))
def test_within_all_limits_nothing_is_heavier_than_a_note(machine: Machine, traffic: Traffic | None) -> None:
    assert heavy(resource_findings(machine, traffic)) == []


@given(
    machines_within_limits(),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 300),
    st.sampled_from([None, Traffic(seconds=0.0), some_traffic(0), some_traffic(queue_s=3.0, tokenize_s=2.0)]),
)
def test_shares_stay_shares_and_the_heaviest_comes_first(
    machine: Machine, busy: float, gpu: float, engine: float, traffic: Traffic | None
) -> None:
    processes = (a_process("engine", engine, 1.0), a_process("api", 1.0, 1.0), a_process("other", 5.0))
    worked = replace(machine, busy_share=busy, processes=processes, gpus=(a_gpu(gpu, gpu),) if gpu else ())
    found = resource_findings(worked, traffic)
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    for one in found:
        shares = [value for name, value in one.evidence.items() if name.endswith("_share")]
        assert all(value is None or (isinstance(value, float) and 0 <= value <= 1) for value in shares)
        assert not one.words.endswith(".")
        assert "nan" not in one.words.split()
