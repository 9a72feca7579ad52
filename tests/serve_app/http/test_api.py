"""The HTTP contract, over a real connection: paths, forms of requests and answers, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve_app.http.shapes.request import AT_PATH
from stages.core.errors import QueryTooLongError
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
)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningApi]:
    with running_api() as running:
        yield running


@pytest.fixture
def api(server: RunningApi) -> RunningApi:
    server.renew()
    return server


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
    answer = api.client.post("/v1/rerank", json={**BODY, "model": MODEL, "return_documents": False}).json()
    assert answer.pop("id").startswith("rerank-")
    meta, tokens = answer.pop("meta"), 4 + 5 + 4
    assert meta.pop("timings_ms").keys() == {"queue", "tokenize", "engine", "total"}
    assert meta.pop("tokens") == {"input_tokens": tokens, "output_tokens": 0}
    assert meta == {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    assert answer == {
        "object": "rerank",
        "model": MODEL,
        "results": [
            {"index": 1, "relevance_score": 1.0},
            {"index": 0, "relevance_score": 0.5},
            {"index": 2, "relevance_score": 0.0},
        ],
        "truncated": [],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens, "cached_tokens": 0},
    }


@pytest.mark.parametrize(
    ("top_n", "expected"),
    [(None, [1, 0, 2]), (0, [1, 0, 2]), (1, [1]), (2, [1, 0]), (2.0, [1, 0]), (10**30, [1, 0, 2])],
)
def test_top_n_keeps_the_best_only(api: RunningApi, top_n: float | None, expected: list[int]) -> None:
    assert indices(api.client.post("/v1/rerank", json={**BODY, "top_n": top_n})) == expected


@pytest.mark.parametrize("told", [{}, {"return_documents": True}, {"return_documents": None}], ids=repr)
def test_documents_come_back_unless_the_request_says_no(api: RunningApi, told: dict[str, Any]) -> None:
    given = api.client.post("/v1/rerank", json={**BODY, **told}).json()["results"]
    assert [result["document"] for result in given] == [{"text": DOCUMENTS[index]} for index in (1, 0, 2)]
    without = api.client.post("/v1/rerank", json={**BODY, "return_documents": False}).json()["results"]
    assert all("document" not in one for one in without)


def test_instruction_and_token_limit_reach_the_engine_and_cut_documents_are_named(api: RunningApi) -> None:
    answer = api.client.post("/v1/rerank", json={**BODY, "instruction": "find animals", "max_tokens_per_doc": 2})
    assert api.backend.calls == [Call("red fox", DOCUMENTS, "find animals", 2)]
    assert answer.json()["truncated"] == [1]
    assert indices(answer) == [0, 1, 2]


def test_documents_read_in_passages_are_named_with_their_number(api: RunningApi) -> None:
    api.backend.passages = {DOCUMENTS[2]: 4, DOCUMENTS[0]: 2}
    answer = api.client.post("/v1/rerank", json={**BODY, "top_n": 1}).json()
    assert answer["passages"] == {"0": 2, "2": 4}
    assert answer["truncated"] == []


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
    assert answer["created"] > 0
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
        "data": [{"id": MODEL, "object": "model", "owned_by": "rerank-eval", "model_type": "rerank", **facts}],
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
    asked = {"/v1/models", "/v1/models/{name}", "/v1/cluster/auth", "/info"}
    asked |= {"/health", "/ready", "/version", "/metrics"}
    assert (
        api.client.get("/openapi.json").json()["paths"].keys()
        == {path.replace(":path", "") for path in AT_PATH} | asked
    )


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
        ({**BODY, "documents": 1}, "documents", "documents: Input should be a valid list"),
        ({"query": "a", "docs": ["a", 1]}, "docs.1", "docs.1: Input should be a valid string; docs.1: Input should be"),
        ({**BODY, "documents": [{"txt": ""}]}, "documents.0", "documents.0.text: Field required"),
        ({**BODY, "top_n": -1}, "top_n", "top_n: Input should be greater than or equal to 0"),
        (
            {**BODY, "rank_fields": ["title"], "documents": [{"text": "a"}]},
            "documents.0",
            "documents.0.title: Field requ",
        ),
        ({**BODY, "truncation_side": "left"}, "truncation_side", "documents are cut at their end here"),
        ({**BODY, "truncate_prompt_tokens": 100}, "truncate_prompt_tokens", "is not obeyed here: leave it out"),
        ({**BODY, "top_n": 2.5}, "top_n", "top_n: Input should be a valid integer"),
        ({**BODY, "top_n": "3"}, "top_n", "top_n: Input should be a valid integer"),
        ({**BODY, "return_documents": 1}, "return_documents", "Input should be a valid boolean"),
        ({**BODY, "max_tokens_per_doc": -5}, "max_tokens_per_doc", "greater than or equal to 0"),
        ({**BODY, "instruction": ""}, "instruction", "at least 1 character"),
        ({**BODY, "query": None, "top_n": True}, "query", "top_n: Input should be a valid integer"),
        ([BODY], None, "the body should be a JSON object"),
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
