"""The HTTP contract, over a real connection: paths, forms, errors, limits, keys, and what is counted."""

from __future__ import annotations

import concurrent.futures
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from ray.exceptions import RayActorError

from serve_app.metrics import Reason, RequestOutcome
from stages.errors import EngineError, QueryTooLongError
from tests.api_server import MODEL, Call, RunningApi, StandInBackend, running_api, until

DOCUMENTS = ["a fox", "the red fox", "a dog"]
BODY: dict[str, Any] = {"query": "red fox", "documents": DOCUMENTS}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningApi]:
    with running_api() as running:
        yield running


@pytest.fixture
def api(server: RunningApi) -> RunningApi:
    server.renew()
    return server


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer, which has the one form of all errors."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def indices(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [result["index"] for result in answer.json()["results"]]


# --- rerank ---


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
@pytest.mark.parametrize("field", ["documents", "docs"])
@pytest.mark.parametrize("documents", [DOCUMENTS, [{"text": text, "title": "x"} for text in DOCUMENTS]])
def test_every_path_and_form_of_documents_gives_the_best_first(
    api: RunningApi, path: str, field: str, documents: list[Any]
) -> None:
    answer = api.client.post(path, json={"query": "red fox", field: documents})
    assert indices(answer) == [1, 0, 2]
    assert [result["relevance_score"] for result in answer.json()["results"]] == [1.0, 0.5, 0.0]
    assert api.backend.calls[0].documents == DOCUMENTS


def test_an_answer_has_the_agreed_form(api: RunningApi) -> None:
    answer = api.client.post("/v1/rerank", json={**BODY, "model": MODEL}).json()
    assert answer.pop("id").startswith("rerank-")
    assert answer.pop("meta").pop("timings_ms").keys() == {"queue", "tokenize", "engine", "total"}
    assert answer == {
        "model": MODEL,
        "results": [
            {"index": 1, "relevance_score": 1.0},
            {"index": 0, "relevance_score": 0.5},
            {"index": 2, "relevance_score": 0.0},
        ],
        "truncated": [],
        "usage": {"prompt_tokens": 4 + 5 + 4, "total_tokens": 4 + 5 + 4, "cached_tokens": 0},
    }


@pytest.mark.parametrize(
    ("top_n", "expected"), [(None, [1, 0, 2]), (1, [1]), (2, [1, 0]), (2.0, [1, 0]), (10**30, [1, 0, 2])]
)
def test_top_n_keeps_the_best_only(api: RunningApi, top_n: float | None, expected: list[int]) -> None:
    assert indices(api.client.post("/v1/rerank", json={**BODY, "top_n": top_n})) == expected


def test_documents_come_back_only_when_asked_for(api: RunningApi) -> None:
    given = api.client.post("/v1/rerank", json={**BODY, "return_documents": True}).json()["results"]
    assert [result["document"] for result in given] == [{"text": DOCUMENTS[index]} for index in (1, 0, 2)]
    for body in (BODY, {**BODY, "return_documents": False}):
        assert all("document" not in one for one in api.client.post("/v1/rerank", json=body).json()["results"])


def test_instruction_and_token_limit_reach_the_engine_and_cut_documents_are_named(api: RunningApi) -> None:
    answer = api.client.post("/v1/rerank", json={**BODY, "instruction": "find animals", "max_tokens_per_doc": 2})
    assert api.backend.calls == [Call("red fox", DOCUMENTS, "find animals", 2)]
    assert answer.json()["truncated"] == [1]
    assert indices(answer) == [0, 1, 2]


def test_texts_of_any_script_and_special_tokens_pass_unchanged(api: RunningApi) -> None:
    texts = ["", "\x00", "😀 ﷽ é", "<|im_end|>\n<|im_start|>system", "</s>[SEP]", "\u2028\ufeff"]
    answer = api.client.post("/v1/rerank", json={"query": "<|im_end|>", "documents": texts, "return_documents": True})
    assert api.backend.calls[0].documents == texts
    assert {one["index"]: one["document"]["text"] for one in answer.json()["results"]} == dict(enumerate(texts))


# --- score ---


@pytest.mark.parametrize(
    ("first", "second", "scores"),
    [
        ("red fox", "fox", [0.5]),
        ("red fox", DOCUMENTS, [0.5, 1.0, 0.0]),
        (["fox", "red dog", "cat"], DOCUMENTS, [1.0, 0.5, 0.0]),
    ],
    ids=["1 to 1", "1 to N", "N to N"],
)
def test_score_gives_the_scores_in_the_order_of_the_pairs(
    api: RunningApi, first: Any, second: Any, scores: list[float]
) -> None:
    answer = api.client.post("/v1/score", json={"text_1": first, "text_2": second}).json()
    assert answer["object"] == "list"
    assert answer["model"] == MODEL
    assert answer["data"] == [{"index": at, "object": "score", "score": one} for at, one in enumerate(scores)]
    assert answer["usage"]["prompt_tokens"] > 0
    assert api.ended("ok", "none", "score") == 1


def test_texts_that_make_no_pairs_are_refused(api: RunningApi) -> None:
    error = refused(api.client.post("/v1/score", json={"text_1": ["a", "b"], "text_2": ["c", "d", "e"]}), 422)
    assert error["param"] == "text_1"
    assert "1 to 1, 1 to N, or N to N" in error["message"]
    assert api.ended("rejected", "bad_request", "score") == 1


# --- what operators ask ---


def test_models_names_the_served_one_and_its_settings(api: RunningApi) -> None:
    facts = {"family": MODEL, "max_model_len": 512, "replicas": 1}
    assert api.client.get("/v1/models").json() == {
        "object": "list",
        "data": [{"id": MODEL, "object": "model", "owned_by": "rerank-eval", **facts}],
    }


def test_ready_tells_the_truth_and_health_only_that_the_process_lives(api: RunningApi) -> None:
    assert api.client.get("/ready").json() == {"status": "ready", "replicas": 1}
    assert api.backend.registry.get_sample_value("rerank_ready_replicas") == 1
    api.backend.ready = 0
    answer = api.client.get("/ready")
    assert refused(answer, 503)["code"] == "not_ready"
    assert int(answer.headers["retry-after"]) > 0
    assert api.backend.registry.get_sample_value("rerank_ready_replicas") == 0
    assert api.client.get("/health").json() == {"status": "ok"}


def test_metrics_are_prometheus_text_and_ours(api: RunningApi) -> None:
    api.client.post("/v1/rerank", json=BODY)
    answer = api.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = [one for family in text_string_to_metric_families(answer.text) for one in family.samples]
    assert {sample.labels["replica"] for sample in samples} == {"stand-in"}
    labels = {"endpoint": "rerank", "outcome": "ok", "reason": "none", "replica": "stand-in"}
    assert [one.value for one in samples if one.name == "rerank_requests_total" and one.labels == labels] == [1]


def test_version_docs_and_description_are_served(api: RunningApi) -> None:
    assert api.client.get("/version").json()["version"]
    assert "text/html" in api.client.get("/docs").headers["content-type"]
    paths = {"/v1/rerank", "/v1/score", "/v1/models", "/health", "/ready", "/version", "/metrics"}
    assert api.client.get("/openapi.json").json()["paths"].keys() == paths


# --- errors ---


@pytest.mark.parametrize("content", [b"", b"{", b"query=red", b"\xff\xfe", b'{"query": "\\ud800", "documents": ["a"]}'])
def test_what_is_no_json_is_refused_with_400(api: RunningApi, content: bytes) -> None:
    error = refused(api.client.post("/v1/rerank", content=content), 400)
    assert "Invalid JSON" in error["message"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "bad_request", None)
    assert api.ended("rejected", "bad_request") == 1


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"documents": ["a"]}, "query", "query: Field required"),
        ({"query": "a"}, "documents", "documents: Field required"),
        ({**BODY, "query": ""}, "query", "at least 1 character"),
        ({**BODY, "query": 1}, "query", "query: Input should be a valid string"),
        ({**BODY, "documents": []}, "documents", "at least 1 item"),
        ({**BODY, "documents": "a"}, "documents", "documents: Input should be a valid array"),
        ({"query": "a", "docs": ["a", 1]}, "docs.1", "docs.1: Input should be a valid string; docs.1: Input should be"),
        ({**BODY, "documents": [{"txt": ""}]}, "documents.0", "documents.0.text: Field required"),
        ({**BODY, "top_n": 0}, "top_n", "top_n: Input should be greater than or equal to 1"),
        ({**BODY, "top_n": 2.5}, "top_n", "top_n: Input should be a valid integer"),
        ({**BODY, "top_n": "3"}, "top_n", "top_n: Input should be a valid integer"),
        ({**BODY, "return_documents": 1}, "return_documents", "Input should be a valid boolean"),
        ({**BODY, "max_tokens_per_doc": -5}, "max_tokens_per_doc", "greater than or equal to 1"),
        ({**BODY, "instruction": ""}, "instruction", "at least 1 character"),
        ({**BODY, "query": None, "top_n": True}, "query", "top_n: Input should be a valid integer"),
        ([BODY], None, "Input should be an object"),
    ],
    ids=str,
)
def test_a_wrong_field_is_refused_with_its_name_and_what_is_allowed(
    api: RunningApi, body: Any, param: str | None, message: str
) -> None:
    error = refused(api.client.post("/v1/rerank", json=body), 422)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, "bad_request")
    assert message in error["message"]
    assert "[" not in error["message"], "the names of pydantic's types are no business of a user"
    assert api.ended("rejected", "bad_request") == 1


@pytest.mark.parametrize("text", [1, "", [], [""], ["a", 1], {"a": 1}, None], ids=repr)
def test_a_wrong_text_of_a_pair_is_refused_with_its_name(api: RunningApi, text: Any) -> None:
    error = refused(api.client.post("/v1/score", json={"text_1": text, "text_2": "a"}), 422)
    assert error["param"].split(".")[0] == "text_1"
    assert "[" not in error["message"]
    assert api.ended("rejected", "bad_request", "score") == 1


def test_an_unknown_model_path_and_method_are_told_apart(api: RunningApi) -> None:
    unknown = refused(api.client.post("/v1/rerank", json={**BODY, "model": "gpt-9"}), 404)
    assert (unknown["code"], unknown["param"], unknown["type"]) == ("unknown_model", "model", "not_found_error")
    assert api.ended("rejected", "unknown_model") == 1
    nowhere = refused(api.client.get("/v1/nowhere"), 404)
    assert (nowhere["code"], nowhere["type"]) == ("not_found", "not_found_error")
    assert "/v1/nowhere" in nowhere["message"]
    for path in ("/v1/rerank", "/v2/rerank", "/rerank", "/v1/score"):
        answer = api.client.get(path)
        assert refused(answer, 405)["code"] == "method_not_allowed"
        assert answer.headers["allow"] == "POST"


def test_a_query_that_does_not_fit_the_model_is_named() -> None:
    failures: list[Exception] = [QueryTooLongError("the query has 900 tokens, 512 fit")]
    with running_api(StandInBackend(failures=failures)) as api:
        error = refused(api.client.post("/v1/rerank", json=BODY), 422)
        assert (error["code"], error["param"]) == ("too_long", "query")
        assert api.ended("rejected", "too_long") == 1


def test_what_nobody_foresaw_is_a_500_in_the_same_form_and_tells_nothing_of_itself() -> None:
    with running_api(StandInBackend(failures=[KeyError("secret detail")])) as api:
        error = refused(api.client.post("/v1/rerank", json=BODY), 500)
        assert "secret" not in str(error)
        assert api.ended("failed", "engine_error") == 1
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]


# --- keys ---

KEYS = ["first-key-0123", "second-key-4567", "schlüssel"]
WRONG = ["", "Bearer", "Bearer other", "Basic first-key-0123", "first-key-0123", "Bearer first-key-0123x"]


@pytest.mark.parametrize("key", KEYS)
def test_each_of_several_keys_is_accepted(key: str) -> None:
    with running_api(keys=KEYS) as api:
        for scheme in ("Bearer", "bearer"):
            headers = {b"Authorization": f"{scheme} {key}".encode()}
            assert indices(api.client.post("/v1/rerank", json=BODY, headers=headers)) == [1, 0, 2]
            assert api.client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("header", [None, *WRONG])
def test_no_key_or_a_wrong_one_is_refused_before_the_body_is_looked_at(header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    with running_api(keys=KEYS) as api:
        for path in ("/v1/rerank", "/v2/rerank", "/rerank", "/v1/score"):
            answer = api.client.post(path, content=b"no json", headers=headers)
            assert (refused(answer, 401)["code"], answer.headers["www-authenticate"]) == ("unauthorized", "Bearer")
        refused(api.client.get("/v1/models", headers=headers), 401)
        assert api.ended("rejected", "unauthorized") == 3
        assert api.ended("rejected", "unauthorized", "score") == 1


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
    with running_api(max_body_mib=1) as api, socket.create_connection(("127.0.0.1", api.port), timeout=5) as raw:
        raw.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_no_declared_length_is_refused_once_it_is_too_large() -> None:
    with running_api(max_body_mib=1) as api:
        body = sized(1 << 20)
        assert indices(api.client.post("/v1/rerank", content=iter([body[:5000], body[5000:]]))) == [0]
        refused(api.client.post("/v1/rerank", content=iter([body, b" " * 10])), 413)
        assert api.ended("rejected", "too_large") == 1
        assert indices(api.client.post("/v1/rerank", json=BODY)) == [1, 0, 2]


def test_more_documents_than_allowed_are_refused(api: RunningApi) -> None:
    error = refused(api.client.post("/v1/rerank", json={"query": "a", "documents": ["a"] * 10_000}), 422)
    assert error["param"] == "documents"
    assert "1000 are allowed" in error["message"]


def test_a_full_service_says_when_to_come_again() -> None:
    backend = StandInBackend(delay_s=0.5)
    with running_api(backend, max_waiting=2) as api, concurrent.futures.ThreadPoolExecutor() as pool:
        accepted = [pool.submit(api.client.post, "/v1/rerank", json=BODY) for _ in range(2)]
        until(lambda: len(backend.calls) == 2)
        answer = api.client.post("/v1/rerank", json=BODY)
        error = refused(answer, 429)
        assert (error["code"], error["type"]) == ("overload", "rate_limit_error")
        assert int(answer.headers["retry-after"]) > 0
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
    ("backend", "status", "reason"),
    [
        (StandInBackend(delay_s=30), 504, "timeout"),
        (StandInBackend(delay_s=30, ready=0), 503, "not_ready"),
    ],
    ids=["too slow", "no engine"],
)
def test_the_deadline_ends_a_request_and_frees_its_work(backend: StandInBackend, status: int, reason: Reason) -> None:
    with running_api(backend, deadline_s=0.2) as api:
        answer = api.client.post("/v1/rerank", json=BODY)
        assert refused(answer, status)["code"] == reason
        assert ("retry-after" in answer.headers) == (status == 503)
        assert len(backend.cancelled) == 1
        assert api.ended("failed", reason) == 1


def leaving(api: RunningApi, content: bytes, length: int) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", api.port), timeout=5)
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
        ends: list[tuple[RequestOutcome, Reason]] = [("ok", "none"), ("rejected", "bad_request")]
        assert [api.ended(*end) for end in [*ends, ("rejected", "unknown_model")]] == [1, 1, 1]
        labelled = api.backend.registry.collect()
        counts = [
            sample.value for family in labelled for sample in family.samples if sample.name == "rerank_requests_total"
        ]
        assert sum(counts) == 3
