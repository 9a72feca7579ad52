"""`rerank-eval loadtest` as a whole: it finds what a service bears, always ends, and leaves files that agree."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.console import Console
from pipelines.service.load import run as load_run
from pipelines.service.load.client import Send
from pipelines.service.load.command import LoadOrder, logged_metrics, logged_params, run_load, run_loadtest
from pipelines.service.load.notes import notes
from pipelines.service.load.payload_shape import ShapePayloads, parse_shape
from pipelines.service.load.plan import LoadPlan, LoadProgress
from pipelines.service.load.run import WAS_INTERRUPTED
from pipelines.service.target import Target
from pipelines.tracking.finding import FindingFolder
from stages.core.errors import ConfigError, EngineError, InterruptedRunError
from stages.telemetry.load import Latency, LoadResult, LoadStep
from stages.telemetry.load_table import COLUMNS
from tests.api_server import StandInBackend, running_api, until
from tests.load_server import Behaviour, LoadServer
from tests.virtual_time import VirtualTime

pytestmark = pytest.mark.heavy

# In so short a time, and with room for a machine that takes long for anything.
QUICK = LoadPlan(step_s=0.6, warm_up_s=0.2, max_s=300, drain_s=60)


def load(url: str, plan: LoadPlan = QUICK, shape: str = "1x4x60", **more: Any) -> LoadResult:
    return run_load(Target(url), ShapePayloads(parse_shape(shape)), plan, **more)


@pytest.fixture
def simulated(virtual_time: VirtualTime, monkeypatch: pytest.MonkeyPatch) -> Callable[[Behaviour], str]:
    """The address of a service without a network: in virtual time, what is measured is exact."""

    def behaving(service: Behaviour) -> str:
        @contextlib.asynccontextmanager
        async def sender(*_: object) -> AsyncIterator[Send]:
            yield service.send

        monkeypatch.setattr(load_run, "sender", sender)
        monkeypatch.setattr(load_run, "served_model", lambda _: service.model)
        return "http://127.0.0.1:8000"

    return behaving


@pytest.fixture
def simulate(simulated: Callable[[Behaviour], str]) -> Callable[..., LoadResult]:
    """A whole load test against such a service."""
    return lambda service, plan=QUICK: load(simulated(service), plan)


@pytest.fixture
def quiet() -> Console:
    return Console(quiet=True)


def test_clients_double_until_the_service_brings_no_more(simulate: Callable[..., LoadResult]) -> None:
    result = simulate(Behaviour(delay_s=0.1, places=4))
    assert [step.level for step in result.steps] == [1, 2, 4, 8]
    assert result.saturated and "throughput than" in result.ended
    # Four places of 100 ms: 40 requests/s of 4 pairs.
    assert max(step.pairs_per_s for step in result.steps) == pytest.approx(160, rel=0.001)
    assert result.knee is not None and result.steps[result.knee].level == 4


def test_one_slow_moment_is_no_saturation(simulate: Callable[..., LoadResult]) -> None:
    service = Behaviour(delay_s=0.05, stalled_from_s=1.2, stalled_to_s=2.0)
    result = simulate(service, replace(QUICK, step_s=1.0, warm_up_s=0, highest=2))
    assert [step.level for step in result.steps] == [1, 2]
    assert (result.ended, result.saturated) == ("the highest level was reached, 2 clients", False)


def test_an_open_loop_doubles_its_rate_until_the_service_does_not_keep_up(simulate: Callable[..., LoadResult]) -> None:
    result = simulate(Behaviour(delay_s=0.05, places=1), replace(QUICK, mode="open", start=16))  # 20 requests/s
    assert result.mode == "open" and result.saturated
    assert [step.level for step in result.steps] == [16, 32]
    assert result.steps[-1].requests_per_s < 22


def test_what_a_pair_costs_is_what_the_shape_says() -> None:
    with LoadServer(model="served") as server:
        result = load(server.url, replace(QUICK, highest=1), shape="1x3x150")
        assert {body["model"] for body in server.bodies} == {"served"}
    assert result.model == "served" and result.tokens_per_pair == pytest.approx(150, abs=1)
    assert result.payload == "1 query and 3 documents a request, about 150 prompt tokens a pair, no query twice"
    assert (result.ended, result.saturated) == ("the highest level was reached, 1 client", False)


def test_a_server_without_a_list_of_models_or_token_counts_is_loaded_too() -> None:
    with LoadServer(model=None, tells_tokens=False) as server:
        result = load(server.url, replace(QUICK, highest=1))
        assert all("model" not in body for body in server.bodies)
    assert (result.model, result.tokens_per_pair, result.steps[0].prompt_tokens) == (None, None, None)
    assert "The service does not tell how many tokens it read: how long a pair was is a guess." in result.notes


def test_warm_up_is_not_counted(simulate: Callable[..., LoadResult]) -> None:
    service = Behaviour(delay_s=0.02)
    result = simulate(service, replace(QUICK, highest=1, warm_up_s=1.0))
    assert result.steps[0].answered == 30
    assert len(service.bodies) == pytest.approx(80, abs=2)


def test_too_many_errors_end_it_and_are_told_by_kind(simulate: Callable[..., LoadResult]) -> None:
    result = simulate(Behaviour(delay_s=0.05, most_waiting=2))
    last = result.steps[-1]
    assert last.level == 4 and last.errors["HTTP 429"] > 0 and set(last.errors) == {"HTTP 429"}
    assert result.ended.endswith("of the requests failed with 4 clients, most with: HTTP 429")
    assert result.knee is not None and result.knee < 2


def test_our_own_service_refuses_with_429_once_its_queue_is_full() -> None:
    with running_api(StandInBackend(delay_s=2), max_waiting=3) as api:  # longer than a step: none makes room
        result = load(api.url, replace(QUICK, start=8))
    (step,) = result.steps
    assert set(step.errors) == {"HTTP 429"} and step.errors["HTTP 429"] >= 5 and result.saturated


def test_no_step_begins_that_would_end_too_late(simulate: Callable[..., LoadResult]) -> None:
    result = simulate(Behaviour(delay_s=0.01), replace(QUICK, step_s=1.0, max_s=2.5))
    assert len(result.steps) == 2
    assert result.ended == "another step would take longer than the 2.5 s that it may take"


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [([401], "answers HTTP 401 to the first request: .*as the test wants it"), ([404], "answers HTTP 404")],
)
def test_a_service_that_refuses_the_first_request_is_not_loaded(statuses: list[int], reason: str) -> None:
    with LoadServer(statuses=statuses) as server:
        with pytest.raises(EngineError, match=reason):
            load(server.url)
        assert len(server.bodies) == 1


def test_a_server_that_answers_without_results_is_told() -> None:
    with LoadServer(statuses=[200]) as server, pytest.raises(EngineError, match="answers without results"):
        load(server.url)


def test_where_nobody_listens_it_says_how_to_start_the_service() -> None:
    with LoadServer() as server:
        url = server.url
    with pytest.raises(EngineError, match=r"does not answer \(connection refused\). Start it: rerank-eval serve"):
        load(url)


def test_a_first_answer_that_takes_too_long_is_told() -> None:
    with LoadServer(delay_s=600) as server, pytest.raises(EngineError, match=r"within 0\.3 s: try fewer documents"):
        load(server.url, replace(QUICK, timeout_s=0.3))


def test_ctrl_c_ends_it_with_what_is_measured() -> None:
    pressed = threading.Event()

    def press(now: LoadProgress) -> None:
        if now.doing == "2 clients" and not pressed.is_set():
            pressed.set()
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with LoadServer(delay_s=0.02) as server:
        result = load(server.url, replace(QUICK, step_s=1), on_progress=press)
    assert (result.ended, result.saturated) == (WAS_INTERRUPTED, False)
    assert [step.level for step in result.steps] == [1, 2]
    assert all(step.answered for step in result.steps)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_anything_is_measured_says_so() -> None:
    def press() -> None:
        until(lambda: server.bodies)
        os.kill(os.getpid(), signal.SIGINT)

    with LoadServer(delay_s=600) as server:
        threading.Thread(target=press).start()
        with pytest.raises(InterruptedRunError, match="before anything was measured"):
            load(server.url)


def test_it_runs_beside_the_main_thread_too() -> None:
    """As a diagnosis does, which watches the machine meanwhile."""
    found: list[LoadResult] = []
    with LoadServer(delay_s=0.02) as server:
        thread = threading.Thread(target=lambda: found.append(load(server.url, replace(QUICK, highest=1))))
        thread.start()
        thread.join(120)
    assert found and found[0].steps[0].answered > 0


def test_progress_is_told_from_the_first_request_on() -> None:
    told: list[LoadProgress] = []
    with LoadServer(delay_s=0.02) as server:
        load(server.url, replace(QUICK, highest=2), on_progress=told.append)
    assert [one.doing for one in told if one.step] == ["1 client", "2 clients"]
    assert {"first requests", "warm-up, 1 client"} <= {one.doing for one in told}
    assert [one.elapsed_s for one in told] == sorted(one.elapsed_s for one in told)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mode": "half"}, "--mode half: choose from closed, open"),
        ({"start": 0}, "--start 0: a number above 0"),
        ({"start": 1.5}, "--start 1.5: clients are whole"),
        ({"start": 1000}, "--start 1000: at most 512 in the closed loop"),
        ({"step_s": float("nan")}, "--step-s nan"),
        ({"max_s": -1}, "--max-s -1"),
        ({"warm_up_s": -1}, "--warm-up-s -1: 0 or more"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        LoadPlan(**changed)


def test_a_service_on_another_machine_is_not_loaded_without_a_word(tmp_path: Path, quiet: Console) -> None:
    order = LoadOrder(url="http://198.51.100.7:8000", out=tmp_path)
    with pytest.raises(ConfigError, match="--i-own-this-server"):
        run_loadtest(order, quiet)
    assert not list(tmp_path.iterdir())


def test_the_files_of_a_load_test_agree_and_go_to_mlflow(
    tmp_path: Path, quiet: Console, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[Any] = []
    monkeypatch.setattr(FindingFolder, "log", lambda folder, *told: logged.append((folder.path, *told)))
    order = LoadOrder(
        out=tmp_path,
        shape="1x3x60",
        repeat=0.5,
        plan=replace(QUICK, highest=2),
        as_json=True,
        uri="here",
    )
    with LoadServer(delay_s=0.02) as server:
        folder = run_loadtest(replace(order, url=server.url), quiet)
    content = json.loads((folder / "load.json").read_text())
    assert json.loads(capsys.readouterr().out) == content
    with (folder / "steps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [(float(row["pairs_per_s"]), int(row["answered"])) for row in rows] == [
        (step["pairs_per_s"], step["answered"]) for step in content["steps"]
    ]
    assert [index for index, row in enumerate(rows) if row["knee"] == "1"] == [content["knee"]]
    assert "50% of the queries asked before" in content["payload"]
    assert (folder / "report.html").read_text().count("<svg") == 2
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "throughput-latency.png",
        "latency-percentiles.png",
    }
    assert (tmp_path / "latest").resolve() == folder.resolve()
    ((path, uri, kind, params, metrics, _),) = logged
    assert (path, uri, kind, params["max_s"]) == (folder, "here", "loadtest", 300)
    assert max(step["pairs_per_s"] for step in content["steps"]) == pytest.approx(
        metrics["load/pairs_per_s_max"], abs=0.01
    )


def test_the_terminal_shows_each_step_and_the_table(
    simulated: Callable[[Behaviour], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    order = LoadOrder(out=tmp_path, shape="1x3x60", plan=replace(QUICK, highest=2))
    folder = run_loadtest(replace(order, url=simulated(Behaviour(delay_s=0.02))), Console())
    shown = capfd.readouterr().out
    assert "1 client    " in shown and "2 clients   " in shown
    assert "It works best with" in shown and "Why the test ended: the highest level was reached, 2 clients." in shown
    assert shown.rstrip().splitlines()[-1].split() == ["load", "test", str(folder)]


def test_what_mlflow_gets_is_the_plan_and_what_the_service_bears_at_its_knee() -> None:
    with LoadServer(delay_s=0.02) as server:
        result = load(server.url, replace(QUICK, highest=1))
    metrics, params = logged_metrics(result), logged_params(result, LoadOrder(shape="1x4x60", plan=LoadPlan(max_s=30)))
    best = result.steps[0]
    assert metrics["load/knee_pairs_per_s"] == metrics["load/pairs_per_s_max"] == best.pairs_per_s
    assert metrics["load/knee_level"] == 1 and best.latency and metrics["load/knee_p95_ms"] == best.latency.p95_ms
    assert params["mode"] == "closed" and params["max_s"] == 30 and params["ended"] == result.ended
    refused = replace(result, knee=None, steps=(replace(best, answered=0, documents=0, prompt_tokens=None),))
    assert set(logged_metrics(refused)) == {
        "load/pairs_per_s_max",
        "load/requests_per_s_max",
        "load/error_share_max",
    }


def test_notes_tell_when_the_client_itself_was_the_limit() -> None:
    latency = Latency(10, 10, 10, 10, 10, 10)
    calm = LoadStep("open", 10, 10.0, 100, 100, 5, {}, latency, client_share=0.1, late_ms=0.5)
    assert list(notes([calm])) == []
    (busy,) = notes([calm, replace(calm, level=20, client_share=0.95)])
    assert busy.startswith("With 20 requests/s offered the client itself took 95% of a core")
    (late,) = notes([calm, replace(calm, late_ms=3.0), replace(calm, late_ms=6.0)])
    assert "sent its requests 3 ms late on average" in late
    (held,) = notes([replace(calm, held_back=7)])
    assert "512 requests were outstanding" in held and "7 more waited in it" in held
    (unfinished,) = notes([replace(calm, errors={"unfinished": 4})])
    assert unfinished.startswith("4 requests were not answered in the time after a step's end")
