"""The documented shape of each client that people use: what it sends, and what it reads of the answer.

A case sends what the client's own code sends, and reads as that does, down to what it would crash on. Where the client
can be installed beside us, `make test-clients` has the client itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from tests.api_server import DOCUMENTS, RunningApi, running_api

QUERY = "red fox"
RANKED = [(1, 1.0), (0, 0.5), (2, 0.0)]
TEXTS = [DOCUMENTS[index] for index, _ in RANKED]
Read = Callable[[Any], list[tuple[int, float]]]


class Case(NamedTuple):
    client: str
    path: str
    body: dict[str, Any]
    read: Read
    headers: Mapping[str, str] = {}


def results(answer: Any) -> list[tuple[int, float]]:
    return [(one["index"], one["relevance_score"]) for one in answer["results"]]


def with_texts(answer: Any) -> list[tuple[int, float]]:
    assert [one["document"]["text"] for one in answer["results"]] == TEXTS
    return results(answer)


def with_strings(answer: Any) -> list[tuple[int, float]]:
    assert [one["document"] for one in answer["results"]] == TEXTS
    return results(answer)


def elasticsearch(answer: Any) -> list[tuple[int, float]]:
    """Its parser throws on an unknown field of an item."""
    assert all(one.keys() <= {"index", "relevance_score", "document"} for one in answer["results"])
    return results(answer)


def data(answer: Any) -> list[tuple[int, float]]:
    return [(one["index"], one["relevance_score"]) for one in answer["data"]]


def data_with_strings(answer: Any) -> list[tuple[int, float]]:
    assert [one["document"] for one in answer["data"]] == TEXTS
    assert answer["usage"]["total_tokens"] == 13
    return data(answer)


def bare(answer: Any) -> list[tuple[int, float]]:
    assert all(one.keys() <= {"index", "score", "text"} for one in answer)
    return [(one["index"], one["score"]) for one in answer]


def bare_with_texts(answer: Any) -> list[tuple[int, float]]:
    assert [one["text"] for one in answer] == TEXTS
    return bare(answer)


def rankings(answer: Any) -> list[tuple[int, float]]:
    return [(one["index"], one["logit"]) for one in answer["rankings"]]


def weaviate_transformers(answer: Any) -> list[tuple[int, float]]:
    """It gives the scores to its own documents one by one, so they come in their order."""
    assert [one["document"] for one in answer["scores"]] == DOCUMENTS
    return sorted(enumerate(one["score"] for one in answer["scores"]), key=lambda one: -one[1])


def in_input_order(name: str) -> Read:
    def read(answer: Any) -> list[tuple[int, float]]:
        scores = [one["score"] if isinstance(one, dict) else one for one in answer[name]]
        return sorted(enumerate(scores), key=lambda one: -one[1])

    return read


def pinecone(answer: Any) -> list[tuple[int, float]]:
    assert [one["document"] for one in answer["data"]] == [{"text": text, "id": text[-3:]} for text in TEXTS]
    assert isinstance(answer["usage"]["rerank_units"], int)
    return [(one["index"], one["score"]) for one in answer["data"]]


def mixedbread(answer: Any) -> list[tuple[int, float]]:
    assert (answer["object"], answer["top_k"], answer["return_input"]) == ("list", 3, False)
    assert all(one["object"] == "rank_result" and "input" not in one for one in answer["data"])
    return [(one["index"], one["score"]) for one in answer["data"]]


def dashscope(answer: Any) -> list[tuple[int, float]]:
    assert answer["request_id"]
    assert answer["usage"]["total_tokens"] == 13
    return with_texts(answer["output"])


def zeroentropy(answer: Any) -> list[tuple[int, float]]:
    assert {"actual_latency_mode", "e2e_latency", "inference_latency", "total_bytes", "total_tokens"} < answer.keys()
    return results(answer)


def xinference(answer: Any) -> list[tuple[int, float]]:
    assert answer["meta"]["tokens"]["input_tokens"] == 13
    return results(answer)


PLAIN = {"model": "overlap", "query": QUERY, "documents": DOCUMENTS}
OBJECTS = [{"text": text} for text in DOCUMENTS]
NIM = {"model": "overlap", "query": {"text": QUERY}, "passages": OBJECTS}
TEI = {"query": QUERY, "texts": DOCUMENTS}
CASES = [
    Case("Open WebUI's external reranker", "/v1/rerank", PLAIN | {"top_n": 3}, results),
    Case("Dify, Jina, which reads each document", "/v1/rerank", PLAIN | {"top_n": None}, with_texts),
    Case("Dify, OpenAI-compatible", "/v1/rerank", PLAIN | {"top_n": 4, "return_documents": True}, with_texts),
    Case("Dify, Voyage", "/v1/rerank", PLAIN | {"top_k": 3, "return_documents": True}, data_with_strings),
    Case("Dify, TEI", "/rerank", TEI | {"return_text": True, "raw_scores": False, "truncate": True}, bare_with_texts),
    Case("RAGFlow, Jina and others", "/v1/rerank", PLAIN | {"top_n": 3}, results),
    Case("RAGFlow, Xinference", "/v1/rerank", PLAIN | {"return_documents": "true", "return_len": "true"}, xinference),
    Case("RAGFlow, NVIDIA", "/v1/reranking", NIM | {"top_n": 3, "truncate": "END"}, rankings),
    Case("RAGFlow, local", "/api/v1/rerank", PLAIN, results),
    Case("FastGPT", "/v1/rerank", PLAIN, results),
    Case("Continue, Cohere", "/v1/rerank", PLAIN, results),
    Case("Continue, TEI", "/rerank", TEI | {"truncation_direction": "Right", "return_text": True}, bare_with_texts),
    Case("Continue, Voyage", "/voyage/v1/rerank", PLAIN, data),
    Case("Milvus, vLLM: no model", "/v2/rerank", {"query": QUERY, "documents": DOCUMENTS}, results),
    Case("Milvus, TEI", "/rerank", TEI | {"truncate": True, "truncation_direction": "Right"}, bare),
    Case("Milvus, SiliconFlow", "/v1/rerank", PLAIN | {"max_chunks_per_doc": 9, "overlap_tokens": 8}, results),
    Case("Milvus, DashScope", "/api/v1/services/rerank/text-rerank/text-rerank",
         {"model": "overlap", "input": {"query": QUERY, "documents": DOCUMENTS},
          "parameters": {"return_documents": True}}, dashscope),
    Case("Elasticsearch, Cohere", "/v2/rerank", PLAIN | {"return_documents": True, "top_n": 3}, elasticsearch),
    Case("Elasticsearch, Jina", "/v1/rerank", PLAIN | {"top_n": 3}, elasticsearch),
    Case("Elasticsearch, Hugging Face", "/rerank", TEI | {"return_text": True, "top_n": 3}, bare_with_texts),
    Case("Elasticsearch, one version of it", "/rerank", PLAIN | {"return_text": True}, bare_with_texts),
    Case("OpenSearch", "/v1/rerank", PLAIN, results),
    Case("Weaviate, transformers", "/rerank", {"query": QUERY, "documents": DOCUMENTS, "property": ""},
         weaviate_transformers),
    Case("Weaviate, NVIDIA", "/v1/retrieval/nvidia/reranking", NIM, rankings),
    Case("Weaviate, Voyage", "/v1/rerank", PLAIN | {"return_documents": False, "truncation": False}, data),
    Case("MaxKB, vLLM by Cohere's client", "/v2/rerank", PLAIN | {"top_n": 3}, with_texts),
    Case("voyageai", "/v1/rerank", PLAIN | {"top_k": None, "truncation": True}, data),
    Case("Cohere's first API", "/v1/rerank", PLAIN | {"documents": OBJECTS, "return_documents": True}, with_texts),
    Case("Xinference's client", "/v1/rerank", PLAIN | {"top_n": None, "max_chunks_per_doc": None,
         "return_documents": None, "return_len": None, "kwargs": "{}"}, xinference),
    Case("infinity's client", "/rerank", PLAIN | {"model": "default/not-specified", "raw_scores": False,
         "return_documents": True}, with_strings),
    Case("infinity's client under /v1", "/v1/rerank", PLAIN | {"raw_scores": False, "return_documents": True},
         with_strings),
    Case("litellm, infinity", "/infinity/rerank", PLAIN | {"return_documents": True}, with_strings),
    Case("litellm, hosted_vllm", "/rerank", PLAIN | {"return_documents": True}, with_texts),
    Case("litellm, nvidia_nim", "/v1/retrieval/nvidia/rerank-1b_v2/reranking", NIM | {"top_k": 3}, rankings),
    Case("litellm, huggingface", "/rerank", TEI | {"raw_scores": False, "return_text": False,
         "truncation_direction": "Right", "top_n": 3}, bare),
    Case("litellm, DeepInfra", "/v1/inference/overlap", {"queries": [QUERY] * 3, "documents": DOCUMENTS},
         in_input_order("scores")),
    Case("litellm, DashScope", "/compatible-api/v1/reranks", PLAIN | {"return_documents": True}, with_texts),
    Case("TEI at its root", "/", TEI, bare),
    Case("NIM", "/v1/ranking", NIM | {"truncate": "END"}, rankings),
    Case("Mixedbread", "/v1/reranking", {"model": "overlap", "query": QUERY, "input": DOCUMENTS, "top_k": 3},
         mixedbread),
    Case("Pinecone", "/rerank", PLAIN | {"documents": [{"text": text, "id": text[-3:]} for text in DOCUMENTS],
         "rank_fields": ["text"], "parameters": {"truncate": "END"}}, pinecone, {"X-Pinecone-Api-Version": "2025-10"}),
    Case("Together", "/v1/rerank", PLAIN | {"documents": OBJECTS, "rank_fields": ["text"]}, with_texts),
    Case("Fireworks", "/inference/v1/rerank", PLAIN | {"task": "find animals"}, data_with_strings),
    Case("ZeroEntropy", "/v1/models/rerank", PLAIN | {"latency": "fast"}, zeroentropy),
    Case("Azure", "/providers/cohere/v2/rerank", PLAIN, results),
    Case("DashScope, compatible", "/v1/reranks", PLAIN | {"instruct": "find animals"}, results),
    Case("vLLM, content parts", "/v1/rerank", {"query": {"content": [{"type": "text", "text": QUERY}]},
         "documents": [{"content": [{"type": "text", "text": text}]} for text in DOCUMENTS]}, results),
    Case("vLLM's score, queries and documents", "/score", {"queries": QUERY, "documents": DOCUMENTS},
         in_input_order("data")),
    Case("vLLM's score, items", "/v1/score", {"queries": [QUERY], "items": DOCUMENTS}, in_input_order("data")),
    Case("vLLM's score, data", "/v1/score", {"data_1": QUERY, "data_2": DOCUMENTS}, in_input_order("data")),
    Case("vLLM's score, texts", "/v1/score", {"text_1": QUERY, "text_2": OBJECTS}, in_input_order("data")),
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[RunningApi]:
    with running_api() as running:
        yield running


@pytest.fixture
def api(server: RunningApi) -> RunningApi:
    server.renew()
    return server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.client)
def test_a_client_reads_the_ranking(api: RunningApi, case: Case) -> None:
    answer = api.client.post(case.path, json=case.body, headers=case.headers)
    assert answer.status_code == 200, answer.text
    assert case.read(answer.json()) == RANKED
    assert "1.0" in answer.text, "OpenSearch's cast to a double fails for 1"
    assert case.body.get("task", case.body.get("instruct")) == api.backend.calls[0].instruction


NEEDED = {
    "query",
    "queries",
    "documents",
    "texts",
    "passages",
    "input",
    "items",
    "data_1",
    "data_2",
    "text_1",
    "text_2",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.client)
def test_null_is_taken_for_every_optional_field(api: RunningApi, case: Case) -> None:
    body = {name: value if name in NEEDED else None for name, value in case.body.items()}
    answer = api.client.post(case.path, json=body | {"model": None, "top_n": None}, headers=case.headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.client)
def test_a_client_finds_why_its_request_is_refused(api: RunningApi, case: Case) -> None:
    answer = api.client.post(case.path, json=dict.fromkeys(case.body, 3), headers=case.headers)
    assert answer.status_code == 422, answer.text
    body = answer.json()
    detail = body["detail"]
    if isinstance(detail, dict):  # DeepInfra's
        detail = detail["error"]
    elif isinstance(detail, list):  # infinity's and NVIDIA's
        detail = detail[0]["msg"]
    assert detail == body["message"]
    assert "Input should be" in detail or "Field required" in detail


# --- where clients contradict each other ---

BAD = {"documents": ["a"], "model": None}


@pytest.mark.parametrize(
    ("path", "body", "error", "detail"),
    [
        ("/v1/rerank", {}, dict, str),  # Jina's, Xinference's and Cohere's clients
        ("/v1/rerank", {"top_k": 1}, dict, str),  # Voyage's
        ("/rerank", {"raw_scores": False}, dict, list),  # infinity's fails on a text
        ("/infinity/rerank", {}, dict, list),
        ("/rerank", {"texts": ["a"]}, str, str),  # TEI's
        ("/tei/rerank", {}, str, str),
        ("/rerank", {"property": ""}, str, str),  # Weaviate's fails on an object
        ("/v1/ranking", {}, dict, list),  # Weaviate's module for NVIDIA wants a list
        ("/v1/inference/overlap", {}, dict, dict),
    ],
)
def test_the_form_of_an_error_follows_path_and_body(
    api: RunningApi, path: str, body: dict[str, Any], error: type, detail: type
) -> None:
    answer = api.client.post(path, json=BAD | body)
    assert answer.status_code == 422
    told = answer.json()
    assert (type(told["error"]), type(told["detail"]), type(told["message"])) == (error, detail, str)


def test_other_refusals_than_of_the_body_are_texts_for_every_client(api: RunningApi) -> None:
    api.backend.ready, api.service._opened = 0, False
    for path in ("/v1/rerank", "/rerank", "/v1/ranking", "/infinity/rerank"):
        answer = api.client.post(path, json=PLAIN)
        assert answer.status_code == 503
        assert "starting" in answer.json()["detail"]
    api.backend.ready = 1


def test_the_kind_of_an_error_is_teis_own() -> None:
    with running_api(max_documents=1) as api:
        answer = api.client.post("/rerank", json=TEI)
        assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")
        assert answer.json()["error"].startswith("3 documents in one request")
