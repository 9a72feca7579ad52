"""The watch over this very machine, with planted bottlenecks. Other tests may run beside: what is asserted is who is
named, and one thing against another.
"""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pipelines.service.diagnose.machine import watch as watch_module
from pipelines.service.diagnose.machine.disk import DiskCounters, DiskWatch, place_of
from pipelines.service.diagnose.machine.processes import ProcessWatch
from pipelines.service.diagnose.machine.watch import MachineWatch, Paced
from stages.diagnosis.finding import Finding, Weight
from stages.diagnosis.resources import ResourceLimits, resource_findings
from stages.telemetry.cores import usable_cores
from stages.telemetry.machine import Machine, ProcessUse
from stages.telemetry.traffic import Traffic

pytestmark = pytest.mark.heavy

WATCH_S = 1.5
BUSY = "while True: pass"
# Listens, and either burns one core or sleeps; a second thread waits for callers that never come.
SERVER = """
import socket, threading, time
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=server.accept, daemon=True).start()
print(server.getsockname()[1], flush=True)
"""
REQUESTS = 40


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process in a session of its own, as somebody else's is."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_busy(process: subprocess.Popen[str], for_s: float = 0.1) -> None:
    """Until it has used so much more of a processor, however little of one it gets."""
    used = psutil.Process(process.pid)
    begun_s = sum(used.cpu_times()[:2])
    while sum(used.cpu_times()[:2]) < begun_s + for_s:
        time.sleep(0.02)


def watched(port: int | None = None, while_: Callable[[], object] | None = None) -> Machine:
    with MachineWatch(port, None, every_s=0.2) as watch:
        (while_ or (lambda: time.sleep(WATCH_S)))()
    return watch.result()


def process(machine: Machine, pid: int) -> ProcessUse:
    [one] = [one for one in machine.processes if one.pid == pid]
    return one


def kinds(found: list[Finding]) -> dict[str, Weight]:
    return {one.kind: one.weight for one in found}


def test_busy_processes_of_others_are_named_and_take_the_processor() -> None:
    number = 2 * len(usable_cores())
    with ExitStack() as stack:
        server = stack.enter_context(running(SERVER + "time.sleep(600)"))
        hogs = [stack.enter_context(running(BUSY)) for _ in range(number)]
        for hog in hogs:
            wait_until_busy(hog)
        assert server.stdout is not None
        machine = watched(int(server.stdout.readline()), lambda: [wait_until_busy(hog, 0.3) for hog in hogs])
    used = [process(machine, hog.pid) for hog in hogs]
    assert {one.role for one in used} == {"other"}
    assert all(one.cores > process(machine, server.pid).cores for one in used)
    # Whatever a hypervisor takes of this machine meanwhile.
    found = resource_findings(machine, None, ResourceLimits(processor_full_share=0.5))
    assert kinds(found)["processor_taken"] == Weight.LIMIT
    [taken] = [one for one in found if one.kind == "processor_taken"]
    others = taken.evidence["others_cores"]
    assert isinstance(others, float)
    assert others >= 0.99 * sum(one.cores for one in used)
    assert machine.run_queue is not None
    assert machine.run_queue >= 1


def test_a_server_with_one_busy_thread_is_found_by_its_port() -> None:
    with running(SERVER + BUSY) as server:
        wait_until_busy(server)
        assert server.stdout is not None
        machine = watched(int(server.stdout.readline()), lambda: wait_until_busy(server, 1.0))
    api = process(machine, server.pid)
    assert (api.role, api.threads) == ("api", 2)
    assert api.busiest_thread_cores == pytest.approx(api.cores, rel=0.2)
    # As full as a thread can be beside whatever else this machine does just now.
    limits = ResourceLimits(thread_full_cores=min(0.85, 0.5 * api.cores), taken_share=1.0, engine_full_share=1.0)
    [thread] = [one for one in resource_findings(machine, None, limits) if one.kind == "one_thread"]
    assert f"pid {server.pid}" in thread.words
    assert thread.weight == Weight.LIMIT


def test_a_service_with_nothing_to_do_is_well() -> None:
    with running(SERVER + "time.sleep(600)") as server:
        assert server.stdout is not None
        machine = watched(int(server.stdout.readline()))
    api = process(machine, server.pid)
    assert api.role == "api"
    assert api.cores < 0.1
    service = {"one_thread", "connections", "processor_full", "slow_disk", "engine_one_core", "gpu_starved"}
    assert not service & kinds(resource_findings(machine, Traffic(seconds=machine.seconds))).keys()
    assert machine.watch_cores > 0
    assert machine.samples >= 2


def test_what_costs_much_is_looked_at_as_seldom_as_a_hundredth_of_a_core_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, spent_s, looks = 0.0, 0.0, 0
    monkeypatch.setattr(watch_module, "time", SimpleNamespace(monotonic=lambda: now_s, thread_time=lambda: spent_s))

    def look() -> None:
        nonlocal spent_s, looks
        spent_s, looks = spent_s + 0.05, looks + 1

    paced = Paced(look)
    while now_s < 100:
        paced()
        now_s += 0.5
    assert looks == 21  # the first does not count; each of the others is paid for with 5 s
    paced(now=True)
    assert looks == 22


class Answering(BaseHTTPRequestHandler):
    """Answers GET; with HTTP/1.1 it leaves the connection to the client."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def answering(protocol: str) -> Iterator[int]:
    handler = type("Handler", (Answering,), {"protocol_version": protocol})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"ok"


def connection_per_request(port: int) -> None:
    for _ in range(REQUESTS):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            ask(connection)


def one_connection(port: int) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for _ in range(REQUESTS):
            ask(connection)


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"], ids=["the server closes first", "the client does"])
def test_a_connection_per_request_leaves_one_in_time_wait_each(protocol: str) -> None:
    with answering(protocol) as port:
        machine = watched(port, lambda: connection_per_request(port))
    seen = machine.connections
    assert seen is not None
    assert seen.time_wait_per_s * machine.seconds >= 0.9 * REQUESTS
    assert seen.by_state["TIME_WAIT"] >= 0.9 * REQUESTS
    assert seen.accepted_per_s is not None
    assert seen.accepted_per_s * machine.seconds >= 0.9 * REQUESTS
    traffic = Traffic(seconds=machine.seconds, answered=REQUESTS)
    # So few requests may take long on a busy machine: the least rate is not what is tested.
    found = kinds(resource_findings(machine, traffic, ResourceLimits(connections_per_s=0.01)))
    assert found["connections"] == Weight.COST


def test_a_kept_connection_is_one_connection() -> None:
    with answering("HTTP/1.1") as port:
        machine = watched(port, lambda: one_connection(port))
    assert machine.connections is not None
    # The whole watch is a little longer than that of the connections alone.
    assert 0.9 <= machine.connections.opened_per_s * machine.seconds < REQUESTS / 4
    traffic = Traffic(seconds=machine.seconds, answered=REQUESTS)
    assert "connections" not in kinds(resource_findings(machine, traffic, ResourceLimits(connections_per_s=0.01)))


def test_weights_on_a_throttled_disk_are_told_by_their_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1_000_000))
    place, ticks = place_of(tmp_path), count()
    if place.kind == "memory":
        pytest.skip("temporary files lie in memory here")
    # A clock that goes on by half a second each time that one of the two counters is read: a second a look.
    monkeypatch.setattr(watch_module, "DiskWatch", partial(DiskWatch, clock=lambda: next(ticks) / 2))
    seconds = count()

    def throttled() -> Mapping[str, DiskCounters]:
        """Ten megabytes a second, and never idle."""
        second = next(seconds)
        return {place.device: DiskCounters(10_000_000 * second, float(second))}

    with MachineWatch(None, tmp_path, reader=throttled) as watch:
        pass
    machine = watch.result()
    assert machine.disk is not None
    assert machine.disk.read_mb_s == pytest.approx(10)
    assert machine.disk.weights_mb == 1.0
    [slow] = [one for one in resource_findings(machine) if one.kind == "slow_disk"]
    assert slow.weight == Weight.LIMIT
    assert "weights take 0.1" in slow.words


def test_what_ends_meanwhile_keeps_what_it_used_and_what_begins_counts_from_then_on() -> None:
    watch = ProcessWatch(None)
    watch.look()
    with running(BUSY) as short:
        wait_until_busy(short)
        watch.look()
    watch.look()
    [one] = [one for one in watch.result() if one.pid == short.pid]
    assert one.cores > 0
    assert one.role == "other"


def test_this_commands_own_work_is_told_apart() -> None:
    def work() -> None:
        until_s = time.thread_time() + 0.5
        while time.thread_time() < until_s:
            pass

    machine = watched(None, work)
    own = process(machine, psutil.Process().pid)
    assert own.role == "this command"
    assert own.cores * machine.seconds >= 0.45
    assert machine.connections is None
    assert machine.disk is None
    for share in (machine.busy_share, machine.io_wait_share, machine.steal_share, machine.memory_share):
        assert 0 <= share <= 1
