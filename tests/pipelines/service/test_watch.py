"""What an operator sees of a service: ours with real requests, a vLLM server's metrics, and one that is gone."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.service import scrape, watch
from pipelines.service.target import Target
from pipelines.service.watch import Watcher, run_watch
from pipelines.service.watch_screen import sparkline
from stages.core.errors import ConfigError, EngineError
from stages.telemetry.health import Zones
from tests.api_server import BODY, RunningApi, running_api
from tests.fake_service import FakeService
from tests.meanwhile import Meanwhile

pytestmark = pytest.mark.heavy

EVERY_S = 0.3


@pytest.fixture(scope="module")
def listening() -> Iterator[RunningApi]:
    with running_api(max_documents=5) as running:
        yield running


@pytest.fixture
def api(listening: RunningApi) -> RunningApi:
    listening.renew()
    return listening


@contextlib.contextmanager
def requests_to(api: RunningApi) -> Iterator[None]:
    """Requests, one after the other, while open."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.01):
            api.client.post("/v1/rerank", json=BODY)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def vllm_server(metrics: Callable[[], str], model: str | None = "Qwen3-Reranker") -> Iterator[str]:
    """A server of which only the metrics and the model's name can be had; None: not even that."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics() if self.path == "/metrics" else json.dumps({"data": [{"id": model}]})
            self.send_response(200 if model or self.path == "/metrics" else 404)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def vllm_text(tokens: float, generated: float = 0, usage: float = 0.97) -> str:
    labels = '{model_name="m",engine="0"}'
    return (
        f"# TYPE vllm:prompt_tokens_total counter\nvllm:prompt_tokens_total{labels} {tokens}\n"
        f"# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{labels} {generated}\n"
        f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{labels} 4\n"
        f"# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{labels} {usage}\n"
    )


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What is shown of one stretch of EVERY_S, in which so many requests are answered."""

    def shown(url: str, requests: int = 0, **options: Any) -> str:
        meanwhile = Meanwhile(
            lambda _: httpx.post(f"{url}/v1/rerank", json=BODY, trust_env=False, timeout=60), requests
        )
        for module in (watch, scrape):
            monkeypatch.setattr(module, "time", meanwhile)
        run_watch(Target(url), EVERY_S, Zones(), once=True, **options)
        return capsys.readouterr().out

    return shown


def row(shown: str, name: str) -> str:
    return next(" ".join(line.split()) for line in shown.splitlines() if line.startswith(name))


# --- once ---


def test_one_look_tells_what_happened_meanwhile(api: RunningApi, once: Callable[..., str]) -> None:
    shown = once(api.url, 5)
    assert shown.startswith(f"{api.url}  overlap  1 of 1 replicas ready  watched since ")
    assert re.search(r"^Counts and times are of the last 0\.30* s\.", shown, re.MULTILINE)
    assert re.fullmatch(r"failures 0 of 5 none", row(shown, "failures"))
    assert re.fullmatch(r"queue time p95 [\d.]+ ms short", row(shown, "queue time p95"))
    assert row(shown, "documents a request") == "documents a request 3.00"
    assert "Queue time p95: the engines keep up; the limit is 200 ms." in shown
    assert "Not told by this service: KV cache, prefix hits," in shown


def test_what_is_not_shown_on_a_terminal_holds_no_control_characters(api: RunningApi, once: Callable[..., str]) -> None:
    shown = once(api.url)
    assert all(letter == "\n" or letter.isprintable() for letter in shown)


def test_as_json_it_is_one_object_with_the_numbers(api: RunningApi, once: Callable[..., str]) -> None:
    told = json.loads(once(api.url, 5, as_json=True))
    assert (told["url"], told["model"], told["quiet_s"], told["failed"]) == (api.url, "overlap", None, {})
    assert (told["answered"], told["seconds"]) == (5, pytest.approx(EVERY_S))
    assert set(told["request_s"]) == {"mean", "p50", "p95", "p99"}
    assert told["stage_shares"] == pytest.approx({"queue": 2 / 6, "tokenize": 1 / 6, "engine": 3 / 6})
    values = {one["key"]: one["value"] for one in told["readings"]}
    assert values["pairs_per_s"] == pytest.approx(3 * values["requests_per_s"])
    assert (values["kv_usage"], values["failed_share"]) == (None, 0)


def test_where_nobody_asks_it_says_so_and_tells_of_all_since_the_start(
    api: RunningApi, once: Callable[..., str]
) -> None:
    for _ in range(7):
        api.client.post("/v1/rerank", json=BODY)
    shown = once(api.url)
    assert re.search(r"No traffic in the last 0\.30* s: counts and times are of all since its start\.", shown)
    assert row(shown, "requests") == "requests 7 in all"
    told = json.loads(once(api.url, as_json=True))
    assert (told["seconds"], told["answered"]) == (None, 7)
    assert told["quiet_s"] > 0


def test_a_service_that_was_never_asked_says_that(api: RunningApi, once: Callable[..., str]) -> None:
    assert "nobody has asked yet" in once(api.url)


def test_nobody_there_is_an_error(once: Callable[..., str]) -> None:
    with FakeService() as service:
        url = service.url
        with pytest.raises(EngineError, match="/metrics answers 404"):
            once(url)
    with pytest.raises(EngineError, match=f"{url} does not answer"):
        once(url)


@pytest.mark.parametrize("every_s", [0, -1, float("nan"), 1e9])
def test_a_time_that_is_none_is_refused(every_s: float) -> None:
    with pytest.raises(ConfigError, match="--every"):
        run_watch(Target("http://127.0.0.1:1"), every_s, Zones(), once=True)


def test_a_vllm_servers_metrics_alone_are_enough(once: Callable[..., str]) -> None:
    tokens = iter(range(1000, 10_000, 1000))
    with vllm_server(lambda: vllm_text(next(tokens), generated=5)) as url:
        shown = once(url)
    assert shown.startswith(f"{url}  Qwen3-Reranker  1 engine seen  ")
    assert row(shown, "KV cache") == "KV cache 97.0% thrashing"
    assert row(shown, "generated tokens") == "generated tokens 0 none"  # 5, all of them before the first look
    assert re.fullmatch(r"prompt tokens [\d,.]+/s", row(shown, "prompt tokens"))


def test_an_exporter_that_has_nothing_but_metrics_is_watched_too(once: Callable[..., str]) -> None:
    with vllm_server(lambda: vllm_text(7), model=None) as url:
        assert once(url).startswith(f"{url}  1 engine seen  watched since ")


def test_what_a_server_calls_its_model_cannot_move_the_cursor(once: Callable[..., str]) -> None:
    with vllm_server(lambda: vllm_text(1), model="[red]m\x1b[2J[/red]") as url:
        shown = once(url)
    assert "[red]m\N{REPLACEMENT CHARACTER}[2J[/red]" in shown


# --- again and again ---


def test_rates_are_over_the_last_seconds_and_the_course_over_all_looks(api: RunningApi) -> None:
    watcher = Watcher(Target(api.url), Zones())
    first = watcher.look()
    assert first.traffic.seconds is None
    for _ in range(3):
        api.client.post("/v1/rerank", json=BODY)
        view = watcher.look()
    assert view.traffic.answered == 3
    assert [rate is not None and rate > 0 for rate in view.course.pairs_per_s] == [True] * 3
    assert view.course.kv_usage.count(None) == 3


def test_old_looks_are_forgotten(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(Target(api.url), Zones())
    monkeypatch.setattr("pipelines.service.watch.WINDOW_S", 0.0)
    for _ in range(4):
        api.client.post("/v1/rerank", json=BODY)
        view = watcher.look()
    assert view.traffic.answered == 1


def test_a_sparkline_has_a_block_for_each_value_and_a_blank_for_none() -> None:
    assert sparkline([0.0, 0.5, None, 1.0]) == "▁▅ █"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([0.1, 2.0], most=1.0) == "▂█"
    assert sparkline([None, None]) == "  "
    assert sparkline([]) == ""


WATCH = """
import sys
from pipelines.service.target import Target
from pipelines.service.watch import run_watch
from stages.telemetry.health import Zones
run_watch(Target(sys.argv[1]), 0.2, Zones(), as_json=len(sys.argv) > 2)
print("ended quietly")
"""


@contextlib.contextmanager
def watching(url: str, *options: str, terminal: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`run_watch` in a process of its own, whose output can be read from the file descriptor."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    command = [sys.executable, "-c", WATCH, url, *options]
    environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, cwd=root) as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def read_until(descriptor: int, done: Callable[[str], bool], timeout_s: float = 240.0) -> str:
    """What comes until it is enough; a terminal whose last process is gone ends with an error."""
    text, deadline = "", time.monotonic() + timeout_s
    while not done(text):
        assert time.monotonic() < deadline, text
        try:
            part = os.read(descriptor, 65536)
        except OSError:
            part = b""
        assert part, f"it ended: {text}"
        text += part.decode()
    return text


def interrupted(process: subprocess.Popen[bytes], descriptor: int) -> str:
    process.send_signal(signal.SIGINT)
    rest = read_until(descriptor, lambda text: "ended quietly" in text)
    assert process.wait(120) == 0
    return rest


def test_without_a_terminal_each_look_is_printed_until_ctrl_c_ends_it(api: RunningApi) -> None:
    with requests_to(api), watching(api.url) as (process, output):
        shown = read_until(output, lambda text: "are of the last" in text and text.count("watched since") >= 3)
        shown += interrupted(process, output)
    assert "\x1b" not in shown
    assert "Counts and times are of all since its start." in shown  # the first look
    assert re.search(r"Counts and times are of the last [\d.]+ m?s", shown)
    assert "Traceback" not in shown


def test_on_a_terminal_it_is_drawn_in_place_in_colour_with_its_course(api: RunningApi) -> None:
    with requests_to(api), watching(api.url, terminal=True) as (process, output):
        shown = read_until(output, lambda text: "highest" in text and text.count("replicas ready") >= 4)
        shown += interrupted(process, output)
    assert "\x1b[32m" in shown  # green
    assert "\x1b[1A" in shown  # the cursor goes up to draw it again
    assert shown.rstrip().endswith("ended quietly")
    assert "\x1b[?25h" in shown  # the cursor is seen again
    assert "Traceback" not in shown


def test_a_service_that_is_not_there_yet_is_asked_until_it_answers(api: RunningApi) -> None:
    texts: list[str] = []
    with vllm_server(lambda: texts[0] if texts else "") as url, watching(url, "json") as (process, output):
        refused = read_until(output, lambda text: text.count('"error"') >= 2)
        texts.append(vllm_text(1000))
        shown = read_until(output, lambda text: '"readings"' in text and text.endswith("\n"))
        interrupted(process, output)
    assert "no metric of a reranker" in json.loads(refused.splitlines()[0])["error"]
    assert json.loads(shown.splitlines()[-1])["model"] == "Qwen3-Reranker"


def test_a_service_that_goes_away_is_told_on_the_terminal() -> None:
    with FakeService() as service:
        url = service.url
    with watching(url, terminal=True) as (process, output):
        shown = read_until(output, lambda text: "Asked again every" in text)
        interrupted(process, output)
    assert "does not answer" in shown
