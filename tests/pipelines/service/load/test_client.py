"""The load test's client: connections that stay open, failures by kind, closed and open loop, nothing flattered."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from math import exp
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.ports import free_port
from pipelines.service.load import steps as load_steps
from pipelines.service.load.client import Reply, Send, sender
from pipelines.service.load.payload_shape import Payload
from pipelines.service.load.steps import UNFINISHED, Recorder, Window, arrivals, closed_step, open_step
from pipelines.service.target import Target
from stages.telemetry.load import LoadStep
from tests.api_server import running_api
from tests.load_server import Behaviour, LoadServer
from tests.virtual_time import VirtualTime

pytestmark = pytest.mark.heavy

RATE, STALLED_S = 50, 1.0
PAYLOAD = Payload(b'{"query": "q", "documents": ["a b", "c"]}', 2)


def take() -> Payload:
    return PAYLOAD


def window(seconds: float, drain_s: float = 60.0) -> Window:
    return Window(seconds, drain_s, asyncio.Event())


def with_sender(url: str, work: Callable[[Send], Coroutine[Any, Any, Any]], timeout_s: float = 60.0) -> Any:
    async def run() -> Any:
        async with sender(Target(url), timeout_s) as send:
            return await work(send)

    return asyncio.run(run())


def closed(url: str, clients: int, seconds: float, drain_s: float = 60.0) -> LoadStep:
    step: LoadStep = with_sender(
        url, lambda send: closed_step(send, take, clients, window(seconds, drain_s), Recorder())
    )
    return step


def opened(url: str, rate: float, seconds: float, drain_s: float = 60.0) -> LoadStep:
    step: LoadStep = with_sender(
        url, lambda send: open_step(send, take, rate, window(seconds, drain_s), Recorder(), seed=1)
    )
    return step


def simulated(work: Callable[[Send], Coroutine[Any, Any, LoadStep]], service: Behaviour) -> LoadStep:
    """A step against a service without a network; in virtual time, what is measured is exact."""
    return asyncio.run(work(service.send))


def one(url: str, timeout_s: float = 60.0) -> Reply:
    reply: Reply = with_sender(url, lambda send: send(PAYLOAD), timeout_s)
    return reply


def test_our_own_service_answers_it_and_tells_the_tokens() -> None:
    with running_api() as api:
        reply = one(api.url)
        assert reply.error is None and reply.prompt_tokens is not None and reply.prompt_tokens > 0


def test_a_key_is_sent() -> None:
    with running_api(keys=["secret"]) as api:
        assert one(api.url).error == "HTTP 401"

        async def with_key() -> Reply:
            async with sender(Target(api.url, "secret"), 60) as send:
                return await send(PAYLOAD)

        assert asyncio.run(with_key()).error is None


def test_tokens_are_those_of_the_usage_and_not_of_a_text() -> None:
    content = rb'{"results": [{"document": {"text": "\"prompt_tokens\": 7"}}], "usage": {"prompt_tokens" : 42}}'
    assert Reply(None, content).prompt_tokens == 42
    assert Reply(None, b'{"results": []}').prompt_tokens is None


def test_a_refusal_is_told_by_its_status_and_not_sent_again() -> None:
    with LoadServer(statuses=[503, 429]) as server:
        replies = with_sender(server.url, lambda send: _several(send, 3))
        assert [reply.error for reply in replies] == ["HTTP 503", "HTTP 429", None]
        assert len(server.bodies) == 3


async def _several(send: Send, number: int) -> list[Reply]:
    return [await send(PAYLOAD) for _ in range(number)]


def test_a_server_that_does_not_answer_in_time_is_a_timeout() -> None:
    with LoadServer(delay_s=600) as server:
        assert one(server.url, timeout_s=0.2).error == "timeout"


def test_a_port_where_nobody_listens_refuses() -> None:
    assert one(f"http://127.0.0.1:{free_port()}").error == "connection refused"


def test_a_server_that_hangs_up_is_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert one(f"http://127.0.0.1:{listener.getsockname()[1]}").error == "connection reset"
        thread.join()


def test_a_closed_loop_keeps_one_connection_for_each_client_busy() -> None:
    with LoadServer(delay_s=0.4) as server:  # long enough that all four are there before the first is answered
        step = closed(server.url, clients=4, seconds=1)
        assert server.most_at_work == server.connections == 4
    assert step.answered == len(server.bodies) and step.documents == 2 * step.answered
    assert step.latency is not None and step.latency.p50_ms >= 400
    assert 0 < (step.client_share or 0) < 1


def closed_by(clients: int, seconds: float) -> Callable[[Send], Coroutine[Any, Any, LoadStep]]:
    return lambda send: closed_step(send, take, clients, window(seconds), Recorder())


def opened_by(rate: float, seconds: float) -> Callable[[Send], Coroutine[Any, Any, LoadStep]]:
    return lambda send: open_step(send, take, rate, window(seconds), Recorder(), seed=1)


def test_as_many_are_at_work_as_there_are_clients(virtual_time: VirtualTime) -> None:
    """Little's law."""
    step = simulated(closed_by(4, 1.0), Behaviour(delay_s=0.02))
    assert step.latency is not None
    assert step.requests_per_s * step.latency.mean_ms / 1000 == pytest.approx(4, rel=0.001)
    assert step.requests_per_s == pytest.approx(200, rel=0.001)


def test_requests_that_were_running_at_the_end_are_waited_for_and_their_time_counts(virtual_time: VirtualTime) -> None:
    step = simulated(closed_by(2, 0.5), Behaviour(delay_s=0.4))
    assert step.answered == 4 and not step.errors
    assert step.seconds == pytest.approx(0.8, rel=0.001)


def test_a_saturated_service_is_told_at_its_rate_however_long_its_queue(virtual_time: VirtualTime) -> None:
    """One that answers 20 requests/s has a queue of 0.8 s when 16 clients wait: longer than the step."""
    for clients in (2, 16):
        step = simulated(closed_by(clients, 0.6), Behaviour(delay_s=0.05, places=1))
        assert step.requests_per_s == pytest.approx(20, rel=0.001)


def test_requests_that_are_not_answered_in_the_time_after_the_end_count_as_unfinished() -> None:
    with LoadServer(delay_s=600) as server:
        step = closed(server.url, clients=3, seconds=0.1, drain_s=0.2)
    assert (step.answered, step.latency, step.errors) == (0, None, {UNFINISHED: 3})


def test_latencies_are_of_answered_requests_alone(virtual_time: VirtualTime) -> None:
    step = simulated(closed_by(1, 1.0), Behaviour(delay_s=0.1, statuses=[503] * 5))
    assert step.errors == {"HTTP 503": 5}
    assert step.latency is not None and step.latency.p50_ms >= 100


def test_a_client_that_is_refused_does_not_come_back_at_once(virtual_time: VirtualTime) -> None:
    step = simulated(closed_by(1, 0.5), Behaviour(statuses=[503] * 1000))
    assert step.failed == 10


def test_latencies_are_kept_to_a_thousandth_and_the_mean_and_maximum_exactly() -> None:
    recorder = Recorder()
    for milliseconds in range(1, 1001):
        recorder.record(PAYLOAD, Reply(None), 10.0, 10.0 + milliseconds / 1000)
    told = recorder.latency
    assert told is not None
    assert told.mean_ms == pytest.approx(500.5) and told.max_ms == pytest.approx(1000)
    expected = {"p50_ms": 500, "p90_ms": 900, "p95_ms": 950, "p99_ms": 990}
    assert {name: getattr(told, name) for name in expected} == pytest.approx(expected, rel=0.0011)


@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=50))
def test_percentiles_ascend_up_to_the_longest(seconds: list[float]) -> None:
    recorder = Recorder()
    for latency_s in seconds:
        recorder.record(PAYLOAD, Reply(None), 0.0, latency_s)
    told = recorder.latency
    assert told is not None
    ascending = [told.p50_ms, told.p90_ms, told.p95_ms, told.p99_ms, told.max_ms]
    assert ascending == sorted(ascending)


@given(rate=st.floats(1, 500), seconds=st.floats(0.5, 20), seed=st.integers(0, 99))
def test_arrivals_are_as_many_as_the_rate_says_within_the_step(rate: float, seconds: float, seed: int) -> None:
    moments = arrivals(rate, seconds, seed)
    assert moments == sorted(moments) == arrivals(rate, seconds, seed)
    assert len(moments) == max(1, round(rate * seconds)) and 0 <= moments[0] <= moments[-1] <= seconds


def test_the_gaps_between_arrivals_are_exponential() -> None:
    moments = arrivals(100, 200, seed=3)
    gaps_s = [after - before for before, after in pairwise(moments)]
    for times_the_mean in (0.5, 1, 2):
        longer = sum(gap_s > times_the_mean / 100 for gap_s in gaps_s) / len(gaps_s)
        assert longer == pytest.approx(exp(-times_the_mean), abs=0.01)


def test_an_open_loop_sends_at_its_rate_however_long_answers_take(virtual_time: VirtualTime) -> None:
    service = Behaviour(delay_s=0.5)
    step = simulated(opened_by(40, 1.0), service)
    assert service.most_at_work > 10
    assert (step.answered, step.errors) == (40, {})
    assert step.requests_per_s == pytest.approx(40, rel=0.1)


def test_a_service_that_cannot_keep_up_shows_what_it_can_do(virtual_time: VirtualTime) -> None:
    step = simulated(opened_by(40, 0.8), Behaviour(delay_s=0.05, places=1))  # 20 requests/s at most
    assert step.answered == 32
    assert step.requests_per_s == pytest.approx(20, rel=0.05)


def test_a_stall_is_paid_for_by_every_request_that_it_kept_from_being_sent(virtual_time: VirtualTime) -> None:
    """Coordinated omission: who sends the next request only after the answer, and counts from the sending, meets a
    stall of 1 s once; a third of the callers did.
    """
    naive = Recorder()

    async def both(send: Send) -> LoadStep:
        step, _ = await asyncio.gather(opened_by(RATE, STALLED_S * 3)(send), _one_by_one(send, naive))
        return step

    service = Behaviour(delay_s=0.002, stalled_from_s=STALLED_S, stalled_to_s=2 * STALLED_S)
    true, told = simulated(both, service).latency, naive.latency
    assert true is not None and told is not None
    assert true.p99_ms > 900 and true.p90_ms > 600
    assert told.max_ms > 900  # it met the stall
    assert told.p99_ms < true.p99_ms / 2 and told.p90_ms < true.p90_ms / 4


async def _one_by_one(send: Send, recorder: Recorder) -> None:
    """The same arrivals, one at a time, each timed from when it was sent."""
    began_s = time.perf_counter()
    for moment in arrivals(RATE, STALLED_S * 3, seed=1):
        await asyncio.sleep(max(0.0, began_s + moment - time.perf_counter()))
        sent_s = time.perf_counter()
        recorder.record(PAYLOAD, await send(PAYLOAD), sent_s, time.perf_counter())


def test_too_many_outstanding_requests_wait_in_the_client_and_their_wait_counts(
    monkeypatch: pytest.MonkeyPatch, virtual_time: VirtualTime
) -> None:
    monkeypatch.setattr(load_steps, "MOST_OUTSTANDING", 2)
    service = Behaviour(delay_s=0.1)
    step = simulated(opened_by(40, 1.0), service)
    assert service.most_at_work == 2
    assert step.answered == 40 and step.held_back > 10
    assert step.latency is not None and step.latency.max_ms > 900


def test_arrivals_that_were_never_sent_count_as_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_steps, "MOST_OUTSTANDING", 2)
    with LoadServer(delay_s=600) as server:
        step = opened(server.url, rate=20, seconds=0.5, drain_s=0.3)
    assert (step.answered, step.errors) == (0, {UNFINISHED: 10})


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_a_step_that_is_stopped_ends_early_and_keeps_what_it_has(mode: str) -> None:
    async def stopped(send: Send) -> LoadStep:
        one = window(60)
        asyncio.get_running_loop().call_later(0.5, one.stop.set)
        if mode == "closed":
            return await closed_step(send, take, 2, one, Recorder())
        return await open_step(send, take, 50, one, Recorder(), seed=0)

    with LoadServer(delay_s=0.01) as server:
        step = with_sender(server.url, stopped)
    assert 0.4 < step.seconds < 60
    assert step.answered > 0 and not step.errors
