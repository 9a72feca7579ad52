"""The HTTP service in front of a real engine."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import ray
import yaml
from ray import serve

from pipelines.base.config import ServeConfig, load
from pipelines.service.serve import announce, run_service, shown_page
from serve_app.engine.models import describe
from serve_app.http.ingress import build_ingress
from serve_app.http.ui import launch_page
from serve_app.http_settings import HttpSettings
from serve_app.replica.app import AppSettings, run_app
from serve_app.replica.collector import collector_of
from serve_app.replica.status import wait_until_up
from stages.core.errors import ConfigError
from stages.core.scoring import sigmoid
from stages.telemetry.telemetry import Snapshot
from tests.api_server import until
from tests.browser import PATIENCE_MS, chromium, fill, first_of_ranking, press_rank
from tests.monitoring import assert_dashboard_has_data, requires_prometheus, running_prometheus

# For who waits for nothing else, and with time enough on a busy machine.
SHORT = HttpSettings(deadline_s=1)
STRICT = HttpSettings(deadline_s=300, max_body_mib=1, max_waiting=2)
PASSAGES = [f"passage number {number} about the sea and the weather" for number in range(20)]


@pytest.fixture(scope="module")
def settings(served: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AppSettings:
    path = tmp_path_factory.mktemp("serve") / "serve.yaml"
    path.write_text(yaml.safe_dump(served))
    config = load(ServeConfig, path)
    return AppSettings(describe(config.model), config.model, config.engine, config.serve)


@contextlib.contextmanager
def clients_of(root: str) -> Iterator[list[httpx.Response]]:
    """The answers that clients get meanwhile, one after the other."""
    answers: list[httpx.Response] = []
    done = threading.Event()

    def keep_asking() -> None:
        with httpx.Client(base_url=root, timeout=400) as client:
            while not done.wait(0.05):
                answers.append(client.get("/v1/models"))
                answers.append(client.post("/v1/rerank", json={"query": "sea", "documents": ["sea"]}))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        yield answers
    finally:
        done.set()
        asking.join()


def assert_there_or_503(answers: list[httpx.Response]) -> None:
    """Never 404, which clients take for an unknown model."""
    assert {one.status_code for one in answers} <= {200, 503}
    away = [one for one in answers if one.status_code == 503]
    assert all(one.json()["error"]["code"] == "not_ready" and one.headers["retry-after"] for one in away)
    assert away, "it was there all the while"


@pytest.fixture(scope="module")
def url(settings: AppSettings, http_port: int) -> Iterator[str]:
    """The service in front of the engine that the jobs use too; under /short and /strict with narrow limits."""
    root = f"http://127.0.0.1:{http_port}"
    limits = {"api": settings.deployment.http.model_copy(update={"deadline_s": 300}), "short": SHORT, "strict": STRICT}
    with clients_of(root) as answers:
        until(lambda: len(answers) >= 2, 240)
        for name, limit in limits.items():
            run_app(build_ingress(settings, limit, []), name, route="/" if name == "api" else f"/{name}")
        for name in limits:
            wait_until_up(name, 300)
    assert_there_or_503(answers)
    yield root
    with clients_of(root) as answers:
        for name in reversed(limits):
            serve.delete(name)
        until(lambda: answers and answers[-1].status_code == 503, 240)
    assert_there_or_503(answers)
    assert answers[-1].status_code == 503


def test_engines_that_score_otherwise_are_refused_and_run_on(settings: AppSettings, tmp_path: Path) -> None:
    """The first of this file: the service that others ask has the same route."""
    before = set(serve.status().applications)
    path = tmp_path / "serve.yaml"
    told = {"model": {"name": settings.model.path, "max_length": 128}, "engine": settings.engine.model_dump()}
    path.write_text(yaml.safe_dump(told | {"serve": {"application": settings.name}}))
    with pytest.raises(ConfigError, match=f"application {settings.name} scores otherwise .* max_length 128 and 400"):
        run_service(load(ServeConfig, path), open_to_all=False)
    assert set(serve.status().applications) == before >= {settings.name}


def ask(url: str, query: str = "weather at sea", documents: list[str] | None = None) -> httpx.Response:
    return httpx.post(f"{url}/v1/rerank", json={"query": query, "documents": documents or PASSAGES}, timeout=400)


def test_documents_come_back_in_order_of_score_with_what_it_cost(url: str) -> None:
    answer = ask(url).raise_for_status().json()
    scores = [one["relevance_score"] for one in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert sorted(one["index"] for one in answer["results"]) == list(range(20))
    assert answer["usage"]["prompt_tokens"] > 20 * 50
    assert answer["meta"]["timings_ms"]["engine"] > 0


def test_a_long_document_is_cut_and_named_and_a_long_query_is_the_clients_error(url: str) -> None:
    assert ask(url, documents=["short", "long " * 3000]).json()["truncated"] == [1]
    refused = ask(url, query="long " * 3000, documents=["short"])
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert (error["param"], error["code"]) == ("query", "too_long")
    assert error["message"].startswith("the query ")
    assert not any(word in error["message"] for word in ("\n", "Traceback", "ray::", "pid=", "/", "Error"))


def test_a_document_of_millions_of_characters_is_scored_as_its_beginning_or_refused_with_the_limit(url: str) -> None:
    def ask(document: str) -> httpx.Response:
        return httpx.post(f"{url}/v1/rerank", json={"query": "sea", "documents": ["short", document]}, timeout=400)

    beginning = "passages about the sea and the weather, "
    answers = [ask(beginning * times).json() for times in (5_000, 240_000)]
    assert [answer["truncated"] for answer in answers] == [[1], [1]]
    shorter, longer = ({one["index"]: one["relevance_score"] for one in answer["results"]} for answer in answers)
    assert longer == pytest.approx(shorter, abs=1e-3)
    refused = ask(beginning * 260_000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
    message = (
        "document 1: the text has 10,400,000 characters, serve.max_text_chars allows 10,000,000: send a part of it"
    )
    assert refused.json()["error"]["message"].startswith(message)


def test_other_shapes_come_through_serve_with_the_engines_own_logits(url: str) -> None:
    """Behind Serve's proxy, at the root and below a prefix, with an address that has a slash or a shape too many."""
    body = {"query": "weather at sea", "texts": PASSAGES[:5]}
    passages = [{"text": text} for text in PASSAGES[:5]]

    def post(path: str, **body: Any) -> Any:
        return httpx.post(f"{url}{path}", json=body, timeout=400).raise_for_status().json()

    scores = {one["index"]: one["score"] for one in post("/rerank/", **body)}
    raw = {one["index"]: one["score"] for one in post("/strict//rerank", **body, raw_scores=True)}
    nim = post("/v1/ranking", query={"text": body["query"]}, passages=passages)["rankings"]
    assert {index: sigmoid(value) for index, value in raw.items()} == pytest.approx(scores, abs=1e-3)
    assert {one["index"]: one["logit"] for one in nim} == pytest.approx(raw, abs=1e-2)
    named = post("/strict/voyage/v1/rerank", query=body["query"], documents=PASSAGES[:5])["data"]
    assert sorted(one["index"] for one in named) == [0, 1, 2, 3, 4]
    long = httpx.post(f"{url}/rerank", json={"query": "sea", "texts": ["long " * 3000], "truncate": False}, timeout=400)
    assert (long.status_code, long.json()["error_type"]) == (422, "Validation")
    assert "longer than the model reads" in long.json()["error"]
    assert httpx.head(f"{url}/health", timeout=60).status_code == 200


def test_bodies_are_read_within_deadline_and_limits_behind_serve_too(url: str) -> None:
    place = url.removeprefix("http://").split(":")
    head = b"POST /%s/v1/rerank HTTP/1.1\r\nHost: x\r\n"
    with (
        socket.create_connection((place[0], int(place[1])), timeout=120) as slow,
        socket.create_connection((place[0], int(place[1])), timeout=120) as large,
    ):
        slow.sendall(head % b"short" + b'Content-Length: 100\r\n\r\n{"query"')
        large.sendall(
            head % b"strict" + b"Transfer-Encoding: chunked\r\n\r\n" + (b"40000\r\n" + b" " * 0x40000 + b"\r\n") * 5
        )
        assert large.recv(1000).startswith(b"HTTP/1.1 413 "), "refused though it never ends"
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
    body = gzip.compress(json.dumps({"query": "weather at sea", "documents": PASSAGES}).encode())
    packed = httpx.post(f"{url}/strict/v1/rerank", content=body, headers={"Content-Encoding": "gzip"}, timeout=400)
    assert len(packed.raise_for_status().json()["results"]) == 20
    bomb = gzip.compress(b" " * (1 << 26))
    refused = httpx.post(f"{url}/strict/v1/rerank", content=bomb, headers={"Content-Encoding": "gzip"}, timeout=400)
    assert refused.status_code == 413


def test_the_service_is_ready_and_names_its_model(url: str, settings: AppSettings) -> None:
    assert httpx.get(f"{url}/ready").json() == {"status": "ready", "replicas": 1}
    (model,) = httpx.get(f"{url}/v1/models").json()["data"]
    assert model["id"] == settings.model.name
    assert model["dtype"] == model["identity"]["dtype"] in ("bfloat16", "float32")
    assert model["backend"] == "vllm"
    assert model["identity"]["model"] == f"sha256:{settings.model.digest}"


def test_a_visitor_of_the_page_sees_the_order_that_the_engine_gives(url: str) -> None:
    passages = ["calm sea", "stormy weather at sea", "a recipe for soup"]
    best = ask(url, documents=passages).json()["results"][0]["index"]
    page = launch_page(url, port=0)
    try:
        with chromium() as browser:
            tab = browser.new_page()
            tab.set_default_timeout(PATIENCE_MS)
            tab.goto(page.local_url)
            tab.get_by_text("up to 400 tokens").wait_for()
            fill(tab, "weather at sea", "\n".join(passages))
            press_rank(tab)
            first = first_of_ranking(tab)
    finally:
        page.close(verbose=False)
    assert passages[best] in first


@pytest.mark.parametrize("http", [HttpSettings(), HttpSettings(api_keys_file="keys")])
def test_the_command_that_is_shown_gives_one_key_where_there_are_several(http: HttpSettings) -> None:
    said: list[str] = []
    announce(http, True, said.append)
    header = said[-1].partition("-H ")[2].partition(" -H")[0]
    known = {"RERANK_EVAL_API_KEYS": "one,two", "RERANK_EVAL_API_KEY": "one"}
    known |= {"RERANK_EVAL_API_KEYS": "unset"} if http.api_keys_file else {}
    printed = subprocess.run(["sh", "-c", f"printf %s {header}"], env=known, capture_output=True, text=True, check=True)
    assert printed.stdout == "Authorization: Bearer one"


def test_without_gradio_it_is_said_in_one_line_how_to_have_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the service goes on; where no page is wanted nothing is said."""
    monkeypatch.setitem(sys.modules, "gradio", None)
    said: list[str] = []
    for port in (7860, None):
        with shown_page(HttpSettings(page_port=port), said.append):
            said.append("serving")
    told = "page        none: the page needs Gradio, which this install lacks: pip install 'rerank-eval[ui]'"
    assert said == [told, "serving", "serving"]


def test_metrics_carry_the_engines_own_names_and_ours_with_the_replica(url: str) -> None:
    ask(url)
    wanted = ("vllm:prompt_tokens_total{", "vllm:kv_cache_usage_perc{", "rerank_requests_total{")
    deadline = time.monotonic() + 120
    while not all(name in (text := httpx.get(f"{url}/metrics").text) for name in wanted):
        assert time.monotonic() < deadline, text[:2000]
        time.sleep(0.5)
    assert all("replica=" in line for line in text.splitlines() if line.startswith(("vllm:", "rerank_")))
    generated = [line for line in text.splitlines() if line.startswith("vllm:generation_tokens_total")]
    assert generated and all(line.endswith(" 0.0") for line in generated)


@requires_prometheus
def test_a_real_prometheus_scrapes_it_and_every_query_of_the_dashboard_has_data(url: str, tmp_path: Path) -> None:
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            ask(url, documents=PASSAGES[:5])

    traffic = threading.Thread(target=keep_asking)
    traffic.start()
    try:
        with running_prometheus(tmp_path, url.removeprefix("http://")) as prometheus:
            assert_dashboard_has_data(prometheus)
    finally:
        done.set()
        traffic.join()


def test_a_client_that_goes_away_frees_its_work_in_the_engine(url: str, settings: AppSettings) -> None:
    def told() -> Snapshot:
        """The engine's latest news."""
        _, news = ray.get(collector.latest.remote())
        return max(news.values(), key=lambda one: one.time_s)

    collector, documents = collector_of(settings.name), [f"{number} " + "word " * 250 for number in range(1000)]
    before = told()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/v1/rerank", json={"query": "leaving", "documents": documents}, timeout=1.5)
    # What is in the engine's current step is finished, and then nothing more is begun: whatever begins is looked up.
    gone_s, at_rest, later = time.time(), before, told()
    while at_rest.time_s < gone_s or later.time_s < at_rest.time_s + 4:
        if at_rest.time_s < gone_s or later.prefix_queries != at_rest.prefix_queries:
            at_rest = later
        looked_up = later.prefix_queries - before.prefix_queries
        assert looked_up < 250 * len(documents), "the engine still works for a client that is gone"
        time.sleep(0.5)
        later = told()
    assert ask(url, documents=["one"]).status_code == 200


def test_a_killed_engine_loses_no_accepted_request_and_ready_tells_the_truth(url: str, settings: AppSettings) -> None:
    collector = collector_of(settings.name)
    before = ray.get(collector.replicas.remote())
    children = psutil.Process(before[-1]["process_id"]).children(recursive=True)
    (engine,) = [one for one in children if "EngineCore" in " ".join(one.cmdline())]
    stop, readiness = threading.Event(), []

    def keep_asking(worker: int) -> list[int]:
        statuses = []
        while not stop.is_set():
            statuses.append(ask(url, query=f"weather {worker}", documents=PASSAGES[:3]).status_code)
        return statuses

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(keep_asking, worker) for worker in range(4)]
        time.sleep(2)
        engine.kill()
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (503 in readiness and readiness[-1] == 200):
            time.sleep(0.5)
            readiness.append(httpx.get(f"{url}/ready", timeout=120).status_code)
        stop.set()
        statuses = [status for future in asked for status in future.result()]
    assert set(readiness) <= {200, 503}
    assert 503 in readiness, "it was ready all the while"
    assert readiness[-1] == 200, "the replica did not return"
    # A request waits for the replica's return up to its deadline (300 s); none that was accepted may fail otherwise.
    assert set(statuses) == {200}
    after = ray.get(collector.replicas.remote())
    assert [one["ended_s"] is None for one in after] == [False] * len(before) + [True]
