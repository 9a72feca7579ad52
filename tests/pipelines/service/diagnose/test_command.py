"""`rerank-eval diagnose` on planted bottlenecks: each is named, and a healthy service is called healthy."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
import yaml
from prometheus_client import Counter, Gauge

from pipelines.base.console import Console
from pipelines.cli.app import main
from pipelines.service import scrape
from pipelines.service.diagnose import steps as diagnose_steps
from pipelines.service.diagnose.command import DiagnoseOrder, run_diagnosis
from pipelines.service.diagnose.machine.disk import DiskCounters, place_of
from pipelines.service.diagnose.machine.watch import MachineWatch
from stages.core.errors import ConfigError, EngineError
from stages.core.records import TimedScores
from stages.telemetry.cores import usable_cores
from stages.telemetry.machine import Machine
from tests.api_server import RunningApi, StandInBackend, running_api, until
from tests.meanwhile import Meanwhile

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[4]
SHAPE = "1x5x50"
BODY = {"query": "red fox", "documents": ["a fox"] * 20}
# Together in a watch of 1.5 s, they are 2.7 in the house on average: enough to wait for each other.
CALLERS, HELD_S, WATCH_S = 8, 0.5, 1.5
# What a machine's memory and processors tell where nothing else is at work.
ROOM = {"pressure": None, "memory_share": 0.3, "swap_mb_s": 0.0, "throttled_share": None, "steal_share": 0.0}
RESTED = {**ROOM, "busy_share": 0.1, "io_wait_share": 0.0, "processes": (), "gpus": ()}


@dataclass
class CountingBackend(StandInBackend):
    """A stand-in that also counts as an engine does: prompt tokens, and what the prefix cache had of them."""

    queue_ms: float = 1.0
    tokenize_ms: float = 1.0
    engine_ms: float = 20.0
    hit_share: float = 0.5
    generates: bool = False
    counters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("prompt_tokens", "generation_tokens", "prefix_cache_queries", "prefix_cache_hits")
        self.counters = {name: Counter(f"vllm:{name}", name, registry=self.registry) for name in names}
        Gauge("vllm:kv_cache_usage_perc", "kv", registry=self.registry).set(0.02)
        Gauge("vllm:num_requests_running", "running", registry=self.registry).set(1)

    async def score(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores:
        scores = await super().score(query, documents, instruction, max_document_tokens)
        tokens = sum(pair.prompt_tokens for pair in scores.pairs)
        self.counters["prompt_tokens"].inc(tokens)
        self.counters["prefix_cache_queries"].inc(tokens)
        self.counters["prefix_cache_hits"].inc(self.hit_share * tokens)
        if self.generates:
            self.counters["generation_tokens"].inc(1)
        return replace(scores, queue_ms=self.queue_ms, tokenize_ms=self.tokenize_ms, engine_ms=self.engine_ms)


def planting(**planted: Any) -> type[MachineWatch]:
    """A watch that looks at this machine, and tells what is planted in the place of what it saw."""

    class Planting(MachineWatch):
        def result(self) -> Machine:
            return replace(super().result(), **planted)

    return Planting


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of a diagnosis in little time, on a machine without other work: the tests' own is none of theirs."""
    for name, seconds in {"GLANCE_S": 0.3, "STEP_S": 0.5, "WARM_UP_S": 0.2, "PRESSURE_S": 2.0}.items():
        monkeypatch.setattr(diagnose_steps, name, seconds)
    monkeypatch.setattr(diagnose_steps, "MachineWatch", planting(**RESTED))


@pytest.fixture
def asked_by(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have callers ask during the watch, each request by `ask`. Without a `clock` of its own rates are as they are."""

    def asked(ask: Callable[[int], object], callers: int = CALLERS, *, clock: bool = True) -> None:
        meanwhile = Meanwhile(ask, callers)
        monkeypatch.setattr(diagnose_steps, "time", meanwhile)
        if clock:
            monkeypatch.setattr(scrape, "time", meanwhile)

    return asked


@pytest.fixture
def diagnosed(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Diagnose a service; returns what diagnosis.json holds. `limits` are of the section `resources`."""

    def run(api: RunningApi | SimpleNamespace, limits: dict[str, float] | None = None, **told: Any) -> dict[str, Any]:
        if limits is not None:
            told["limits"] = tmp_path / "limits.yaml"
            told["limits"].write_text(yaml.safe_dump({"resources": limits}))
        order = {"seconds": WATCH_S, "probe": SHAPE, "load": False, "direct": False, "out": tmp_path / "found"} | told
        run_diagnosis(DiagnoseOrder(api.url, **order), Console(quiet=True))
        content: dict[str, Any] = json.loads((tmp_path / "found" / "latest" / "diagnosis.json").read_text())
        return content

    return run


def kinds(found: dict[str, Any], *weights: str) -> set[str]:
    return {one["kind"] for one in found["findings"] if one["weight"] in weights}


@pytest.fixture
def service() -> Iterator[Callable[..., RunningApi]]:
    """Start services over stand-ins; all stop at the end."""
    with contextlib.ExitStack() as stack:

        def start(backend: StandInBackend, **limits: Any) -> RunningApi:
            return stack.enter_context(running_api(backend, **limits))

        yield start


def asking(api: RunningApi, documents: int) -> Callable[[int], object]:
    """Over connections that stay open, a query of so many `documents`: another one each time."""

    def ask(number: int) -> object:
        body = {"query": f"query number {number}", "documents": [f"text {i}" for i in range(documents)]}
        return api.client.post("/v1/rerank", json=body)

    return ask


def test_a_healthy_service_is_called_healthy(service: Any, asked_by: Any, diagnosed: Any) -> None:
    api = service(CountingBackend(delay_s=HELD_S))
    asked_by(asking(api, 20))
    found = diagnosed(api)
    assert kinds(found, "broken", "limit") == set()
    assert found["sentence"].startswith(("The service is healthy", "Nothing limits the service"))
    assert found["requests"]["documents_mean"] == 20


def test_a_queue_too_long_for_the_replicas_asks_for_replicas(service: Any, asked_by: Any, diagnosed: Any) -> None:
    api = service(CountingBackend(delay_s=HELD_S, queue_ms=900.0))
    asked_by(asking(api, 20))
    found = diagnosed(api)
    assert found["bottleneck"]["kind"] == "queue"
    assert found["bottleneck"]["advice"]["setting"] == "serve.replicas"
    assert "Next: " in found["sentence"]


def test_queries_that_never_repeat_make_a_prefix_cache_useless(service: Any, asked_by: Any, diagnosed: Any) -> None:
    api = service(CountingBackend(hit_share=0.0))
    asked_by(asking(api, 1))
    found = diagnosed(api)
    assert "prefix_unused" in kinds(found, "cost", "limit")
    assert found["requests"]["repeat_share"] == 0


def test_a_service_that_generates_is_broken_whatever_else_is_wrong(service: Any, asked_by: Any, diagnosed: Any) -> None:
    api = service(CountingBackend(delay_s=HELD_S, generates=True, queue_ms=900.0))
    asked_by(asking(api, 20))
    found = diagnosed(api)
    assert found["bottleneck"]["kind"] == "generating"
    assert "queue" in kinds(found, "limit")
    assert found["sentence"].startswith("Something is broken")


def test_a_client_that_opens_a_connection_per_request_is_noticed(service: Any, asked_by: Any, diagnosed: Any) -> None:
    api = service(CountingBackend())
    asked_by(lambda _: httpx.post(f"{api.url}/v1/rerank", json=BODY, trust_env=False, timeout=60), 20, clock=False)
    # Connections and requests are counted over slightly different times, in which a busy machine may do little.
    found = diagnosed(api, limits={"connections_per_request": 0.2, "connections_per_s": 0.01})
    assert "connections" in kinds(found, "cost", "limit")


@contextlib.contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process in a session of its own, as somebody else's is."""
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_busy(process: subprocess.Popen[str]) -> None:
    while sum(psutil.Process(process.pid).cpu_times()[:2]) < 0.1:
        time.sleep(0.02)


def test_an_engine_starved_by_a_busy_processor_names_who_takes_it(
    service: Any, asked_by: Any, diagnosed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnose_steps, "MachineWatch", planting(**ROOM))
    api = service(CountingBackend(delay_s=HELD_S, queue_ms=900.0))
    asked_by(asking(api, 20))
    with contextlib.ExitStack() as stack:
        for hog in [stack.enter_context(running("while True: pass")) for _ in range(2 * len(usable_cores()))]:
            wait_until_busy(hog)
        # Whatever a hypervisor takes of this machine meanwhile.
        found = diagnosed(api, limits={"processor_full_share": 0.5, "taken_share": 0.1})
    assert found["bottleneck"]["kind"] == "processor_taken"
    assert "queue" in kinds(found, "limit")  # what it leads to is seen, and is not called the cause
    # Ours, or whoever else takes more of a machine that is busy anyway; never the service, which runs in this process.
    named = re.findall(r"\(([\d.]+) cores, pid (\d+)\)", found["sentence"])
    assert named
    assert str(os.getpid()) not in {pid for _, pid in named}


# A service whose one event loop does 50 ms of work for each request, all of it tokenizing.
TOKENIZING = """
import time
from tests.api_server import running_api
from tests.pipelines.service.diagnose.test_command import CountingBackend

class Tokenizing(CountingBackend):
    async def score(self, *told):
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        return await super().score(*told)

with running_api(Tokenizing(tokenize_ms=45.0, engine_ms=5.0)) as api:
    print(api.url, flush=True)
    time.sleep(600)
"""


def test_one_thread_that_tokenizes_for_all_is_the_bottleneck(
    asked_by: Any, diagnosed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {name: value for name, value in RESTED.items() if name != "processes"}
    monkeypatch.setattr(diagnose_steps, "MachineWatch", planting(**seen, cores=16.0))
    with running(TOKENIZING) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            asked_by(lambda number: client.post("/v1/rerank", json={**BODY, "query": f"query {number}"}))
            # As full as a thread can be beside whatever else this machine does just now.
            found = diagnosed(SimpleNamespace(url=url), limits={"thread_full_cores": 0.01})
    assert found["bottleneck"]["kind"] == "one_thread"
    assert found["bottleneck"]["evidence"]["role"] == "api"
    assert f"pid {server.pid}" in found["sentence"]
    assert "tokenizing takes" in found["sentence"].lower()


def test_weights_on_a_throttled_disk_are_the_bottleneck(
    service: Any, asked_by: Any, diagnosed: Any, tmp_path: Path, tiny_qwen3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, began_s = place_of(tiny_qwen3), time.monotonic()
    if place.kind == "memory":
        pytest.skip("temporary files lie in memory here")

    def throttled() -> dict[str, DiskCounters]:
        """Ten megabytes a second, and never idle: between two looks that are not at one moment, more busy than that."""
        seconds = time.monotonic() - began_s
        return {place.device: DiskCounters(int(10e6 * seconds), 10 * seconds)}

    monkeypatch.setattr(diagnose_steps, "MachineWatch", partial(planting(**RESTED), reader=throttled))
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump({"model": {"name": str(tiny_qwen3)}}))
    api = service(CountingBackend(delay_s=HELD_S))
    asked_by(asking(api, 20))
    found = diagnosed(api, config=config)
    assert found["bottleneck"]["kind"] == "slow_disk"
    assert 1 < found["bottleneck"]["evidence"]["read_mb_s"] < 100


def test_without_traffic_a_probe_is_sent_and_put_under_pressure(service: Any, diagnosed: Any) -> None:
    api = service(CountingBackend(delay_s=0.02))
    found = diagnosed(api, load=True)
    assert {one["step"] for one in found["findings"]} >= {"metrics", "resources", "requests", "pressure"}
    assert "no_requests" in kinds(found, "note")  # the probe's are not the callers'
    assert found["skipped"] == {"direct": "it needs --config, to know the model"}


def test_what_is_advised_is_written_beside_the_config(
    service: Any, asked_by: Any, diagnosed: Any, tmp_path: Path
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("data: {format: jsonl, path: a.jsonl}\nserve: {replicas: 1}\n")
    api = service(CountingBackend(delay_s=HELD_S, queue_ms=900.0))
    asked_by(asking(api, 20))
    diagnosed(api, apply_to=config)
    changed = yaml.safe_load((tmp_path / "mine.diagnosed.yaml").read_text())
    assert changed["serve"]["replicas"] == 2
    assert yaml.safe_load(config.read_text())["serve"]["replicas"] == 1


def test_the_folder_holds_a_page_and_mlflow_the_run(service: Any, diagnosed: Any, tmp_path: Path, store: str) -> None:
    api = service(CountingBackend(delay_s=0.02))
    found = diagnosed(api, load=True, uri=store)
    folder = (tmp_path / "found" / "latest").resolve()
    assert found["sentence"][:40] in (folder / "report.html").read_text()
    assert (folder / "figures").is_dir()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(store)
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert run.data.tags["rerank_eval.kind"] == "diagnosis"
    # Under `pressure/pressure`, or where a busy machine held up a few of the requests, `pressure/uneven`.
    (knee,) = (value for name, value in run.data.metrics.items() if name.endswith("/knee_pairs_per_s"))
    assert knee > 0
    assert {"diagnosis.json", "report.html"} <= {one.path for one in client.list_artifacts(run.info.run_id)}


def test_a_service_that_is_not_there_and_one_that_is_not_yours_are_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not answer"):
        run_diagnosis(DiagnoseOrder("http://127.0.0.1:9", tmp_path), Console(quiet=True))
    with pytest.raises(ConfigError, match="--i-own-this-server"):
        run_diagnosis(DiagnoseOrder("http://10.0.0.1:8000", tmp_path), Console(quiet=True))
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_sentence_first(service: Any, asked_by: Any, tmp_path: Path, capfd: Any) -> None:
    api = service(CountingBackend(delay_s=HELD_S, queue_ms=900.0))
    asked_by(asking(api, 20))
    with pytest.raises(SystemExit) as ended:
        main(["diagnose", "--url", api.url, "--no-load", "--seconds", "2", "--out", str(tmp_path / "d")])
    assert ended.value.code == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "The bottleneck: " in told
    assert "diagnosis " in told


def test_ctrl_c_ends_it_whatever_it_is_at(service: Any, tmp_path: Path) -> None:
    api = service(CountingBackend(delay_s=0.02))
    command = [Path(sys.executable).with_name("rerank-eval"), "diagnose", "--url", api.url, "--out", tmp_path / "d"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    until(lambda: len(api.backend.calls) > 20, 120)  # the probe is under way
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert told.strip().startswith("rerank-eval: interrupted")
    assert not (tmp_path / "d").exists()
