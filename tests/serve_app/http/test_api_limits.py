"""Who may ask, how much and for how long, over a real connection; and what becomes of a request nobody waits for."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import logging
import socket

import pytest
from ray.exceptions import RayActorError

from serve_app.http.metrics import EndKind, Reason
from serve_app.http_settings import HttpSettings
from stages.core.errors import EngineError
from tests.api_server import (
    BODY,
    DOCUMENTS,
    MODEL,
    Call,
    RunningApi,
    StandInBackend,
    indices,
    refused,
    running_api,
    until,
)

# --- keys ---

KEYS = ["first-key-0123", "second-key-4567", "schlüssel"]
WRONG = ["", "Bearer", "Bearer other", "other", "Basic first-key-0123", "Bearer first-key-0123x"]


@pytest.mark.parametrize("key", KEYS)
def test_each_of_several_keys_is_accepted(key: str) -> None:
    with running_api(keys=KEYS) as api:
        sent = [("Authorization", f"{scheme}{key}") for scheme in ("Bearer ", "bearer ", "")]
        for name, value in [*sent, ("X-API-Key", key), ("Api-Key", key)]:
            headers = {name.encode(): value.encode()}
            assert indices(api.client.post("/v1/rerank", json=BODY, headers=headers)) == [1, 0, 2]
            assert api.client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("header", [None, *WRONG])
def test_no_key_or_a_wrong_one_is_refused_before_the_body_is_looked_at(header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    with running_api(keys=KEYS) as api:
        for path in ("/v1/rerank", "/v2/rerank", "/rerank", "/v1/score"):
            answer = api.client.post(path, content=b"no json", headers=headers)
            assert (refused(answer, 401)["code"], answer.headers["www-authenticate"]) == ("unauthorized", "Bearer")
        if header is not None:
            refused(api.client.get("/v1/models", headers=headers), 401)
        assert api.ended("rejected", "unauthorized") == 3
        assert api.ended("rejected", "unauthorized", "score") == 1


def test_without_a_key_a_service_that_asks_for_one_names_its_model_and_nothing_else() -> None:
    with running_api(keys=KEYS) as api:
        named = {"id": MODEL, "object": "model", "owned_by": "rerank-eval", "model_type": "rerank"}
        assert api.client.get("/v1/models").json()["data"] == [named]
        (known,) = api.client.get("/v1/models", headers={"Authorization": f"Bearer {KEYS[0]}"}).json()["data"]
        assert known.keys() > named.keys()


def test_what_operators_ask_needs_no_key() -> None:
    with running_api(keys=KEYS) as api:
        for path in ("/health", "/ready", "/version", "/metrics", "/docs", "/openapi.json"):
            assert api.client.get(path).status_code == 200


def test_no_key_is_ever_logged_or_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    given = [*KEYS[:2], "wrong-key-89"]
    failing = StandInBackend(failures=[KeyError("unforeseen")])
    answers = []
    with running_api(failing, keys=KEYS, log_level="trace") as api:
        for key in given:
            for body in (BODY, {}, {**BODY, "model": key[::-1]}):
                answers.append(api.client.post("/v1/rerank", json=body, headers={"Authorization": f"Bearer {key}"}))
        answers.append(api.client.get("/metrics"))
        answers.append(api.client.get("/openapi.json"))
    assert {answer.status_code for answer in answers} == {200, 401, 404, 422, 500}
    assert any("POST /v1/rerank" in record.getMessage() for record in caplog.records), "the server logs nothing"
    for key in given:
        assert key not in caplog.text
        assert all(key not in answer.text + str(answer.headers) for answer in answers)


# --- while the service starts ---


def test_until_the_first_engine_is_ready_every_path_that_a_client_asks_says_503() -> None:
    with running_api(StandInBackend(ready=0)) as api:
        for path in ("/v1/rerank", "/v2/rerank", "/rerank", "/v1/score", "/v1/nowhere"):
            answer = api.client.post(path, json=BODY)
            error = refused(answer, 503)
            assert (error["code"], error["type"]) == ("not_ready", "server_error")
            assert "starting" in error["message"]
            assert int(answer.headers["retry-after"]) > 0
        refused(api.client.get("/v1/models"), 503)
        assert api.client.get("/health").status_code == 200
        api.backend.ready = 1
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]
        refused(api.client.get("/v1/nowhere"), 404)


# --- limits ---


def sized(size: int) -> bytes:
    body = json.dumps({"query": "fox", "documents": ["fox"], "padding": ""})
    return body.replace('""', f'"{"x" * (size - len(body))}"').encode()


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    with running_api(max_body_mib=1) as api:
        assert indices(api.client.post("/v1/rerank", content=sized(1 << 20))) == [0]
        error = refused(api.client.post("/v1/rerank", content=sized((1 << 20) + 1)), 413)
        assert (error["code"], error["type"]) == ("too_large", "request_too_large")
        assert "1 MiB" in error["message"]
        assert api.ended("rejected", "too_large") == 1


def test_a_large_body_is_refused_by_its_declared_length_before_it_is_sent() -> None:
    with running_api(max_body_mib=1) as api, socket.create_connection(("127.0.0.1", api.port), timeout=60) as raw:
        raw.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_no_declared_length_is_refused_once_it_is_too_large() -> None:
    with running_api(max_body_mib=1) as api:
        body = sized(1 << 20)
        assert indices(api.client.post("/v1/rerank", content=iter([body[:5000], body[5000:]]))) == [0]
        refused(api.client.post("/v1/rerank", content=iter([body, b" " * 10])), 413)
        assert api.ended("rejected", "too_large") == 1
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]


def test_a_body_that_never_ends_is_refused_while_it_is_sent() -> None:
    with running_api(max_body_mib=0.01) as api, socket.create_connection(("127.0.0.1", api.port), timeout=60) as raw:
        raw.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        raw.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_comes_slowly_has_a_place_meanwhile() -> None:
    with running_api(max_waiting=1) as api, leaving(api, b'{"query"', 100):
        until(lambda: api.service.at_work == 1)
        refused(api.client.post("/v1/rerank", json=BODY), 429)


def test_a_body_that_comes_too_slowly_ends_at_the_deadline_and_its_connection_with_it() -> None:
    with running_api(deadline_s=0.2, max_waiting=1) as api, leaving(api, b'{"query"', 100) as slow:
        answer = b"".join(iter(lambda: slow.recv(1000), b""))  # to its end: the server closes
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"slow_body"' in answer
        assert b"within 0.2 s" in answer
        assert api.ended("rejected", "slow_body") == 1
        api.service.limits = HttpSettings(max_waiting=1)  # so that no busy machine is too slow for the next one
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]


def test_bytes_that_drip_in_do_not_put_the_deadline_off() -> None:
    with running_api(deadline_s=0.3) as api, leaving(api, b"{", 100_000) as slow:
        slow.settimeout(0.05)
        answer = b""
        for _ in range(1200):  # a minute: many times the deadline
            slow.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                answer = slow.recv(1000)
            if answer:
                break
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_more_documents_than_allowed_are_refused() -> None:
    with running_api(max_documents=3) as api:
        error = refused(api.client.post("/v1/rerank", json={"query": "a", "documents": ["a"] * 4}), 422)
        assert error["param"] == "documents"
        assert "3 are allowed" in error["message"]
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]


def test_a_full_service_says_when_to_come_again() -> None:
    backend = StandInBackend(held=True)
    with running_api(backend, max_waiting=2) as api, concurrent.futures.ThreadPoolExecutor() as pool:
        accepted = [pool.submit(api.client.post, "/v1/rerank", json=BODY) for _ in range(2)]
        until(lambda: len(backend.calls) == 2)
        answer = api.client.post("/v1/rerank", json=BODY)
        error = refused(answer, 429)
        assert (error["code"], error["type"]) == ("overload", "rate_limit_error")
        assert int(answer.headers["retry-after"]) > 0
        backend.held = False
        assert [indices(one.result()) for one in accepted] == [[1, 0, 2]] * 2
        assert api.ended("rejected", "overload") == 1
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]


# --- replicas, the deadline, and clients that leave ---


def test_a_replica_that_dies_under_a_call_is_no_matter_to_the_client() -> None:
    with running_api(StandInBackend(failures=[RayActorError(), EngineError("died")])) as api:
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]
        assert len(api.backend.calls) == 3
        assert api.ended("ok", "none") == 1


@pytest.mark.parametrize(
    ("ready", "status", "reason"), [(1, 504, "timeout"), (0, 503, "not_ready")], ids=["too slow", "no engine"]
)
def test_the_deadline_ends_a_request_and_frees_its_work(ready: int, status: int, reason: Reason) -> None:
    backend = StandInBackend(delay_s=30)
    with running_api(backend, deadline_s=0.2) as api:
        assert api.client.get("/v1/models").status_code == 200
        backend.ready = ready
        answer = api.client.post("/v1/rerank", json=BODY)
        assert refused(answer, status)["code"] == reason
        assert ("retry-after" in answer.headers) == (status == 503)
        assert len(backend.cancelled) == 1
        assert api.ended("failed", reason) == 1


def leaving(api: RunningApi, content: bytes, length: int) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", api.port), timeout=60)
    raw.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (length, content))
    return raw


def test_a_client_that_goes_away_cancels_its_call_and_frees_its_place() -> None:
    backend = StandInBackend(delay_s=30)
    content = json.dumps(BODY).encode()
    with running_api(backend, max_waiting=1) as api:
        with leaving(api, content, len(content)):
            until(lambda: len(backend.calls) == 1)
            assert backend.cancelled == []
        until(lambda: len(backend.cancelled) == 1)
        until(lambda: api.ended("failed", "client_gone") == 1)
        backend.delay_s = 0
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]


def test_a_client_that_goes_away_before_its_body_is_complete_is_counted_as_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_api(log_level="info") as api:
        with leaving(api, b'{"query"', 100):
            pass
        until(lambda: api.ended("failed", "client_gone") == 1)
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]
        assert api.backend.calls == [Call("red fox", DOCUMENTS, None, None)]
    assert "Exception" not in caplog.text


def test_every_end_is_counted_once() -> None:
    with running_api(StandInBackend()) as api:
        for body in (BODY, {}, {**BODY, "model": "other"}):
            api.client.post("/v1/rerank", json=body)
        ends: list[tuple[EndKind, Reason]] = [("ok", "none"), ("rejected", "bad_request")]
        assert [api.ended(*end) for end in [*ends, ("rejected", "unknown_model")]] == [1, 1, 1]
        labelled = api.backend.registry.collect()
        counts = [
            sample.value for family in labelled for sample in family.samples if sample.name == "rerank_requests_total"
        ]
        assert sum(counts) == 3
