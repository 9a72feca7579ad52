"""Addresses as clients join them, over the real routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api_server import BODY, MODEL, RunningApi, indices, refused, running_api


@pytest.fixture(scope="module")
def api() -> Iterator[RunningApi]:
    with running_api(model_names=["rerank-2", "nvidia/*"]) as running:
        yield running


@pytest.mark.parametrize("path", ["/v1/rerank/", "//v1/rerank", "/v1//rerank//"])
def test_slashes_too_many_change_nothing(api: RunningApi, path: str) -> None:
    assert indices(api.client.post(path, json=BODY)) == [1, 0, 2]


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/v1/models", "/docs"])
def test_head_is_get_without_the_body(api: RunningApi, path: str) -> None:
    answer = api.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == api.client.get(path).headers["content-type"]


def test_an_address_may_name_its_shape(api: RunningApi) -> None:
    assert [one["index"] for one in api.client.post("/voyage/v1/rerank", json=BODY).json()["data"]] == [1, 0, 2]
    assert api.client.post("/voyage/v1/score", json={"text_1": "fox", "text_2": "fox"}).json()["data"]
    assert api.client.get("/infinity/v1/models").json()["data"][0]["id"] == MODEL
    assert api.client.post("/tei", json=BODY).json()[0] == {"index": 1, "score": 1.0}
    assert indices(api.client.post("/rerank", json=BODY)) == [1, 0, 2], "a path as well as a shape"
    refused(api.client.post("/voyag/v1/rerank", json=BODY), 404)


# --- names of the model ---


@pytest.mark.parametrize("name", [None, "", MODEL, "rerank-2", "nvidia/any-thing"])
def test_the_model_has_several_names(api: RunningApi, name: str | None) -> None:
    assert indices(api.client.post("/v1/rerank", json={**BODY, "model": name})) == [1, 0, 2]
    if name:
        assert api.client.get(f"/v1/models/{name}").json()["model_type"] == "rerank"


def test_models_are_listed_under_each_name(api: RunningApi) -> None:
    assert [one["id"] for one in api.client.get("/v1/models").json()["data"]] == [MODEL, "rerank-2"]
    refused(api.client.get("/v1/models/rerank-3"), 404)
    assert "rerank-3" in refused(api.client.post("/v1/rerank", json={**BODY, "model": "rerank-3"}), 404)["message"]


def test_a_model_that_the_path_names_must_be_ours(api: RunningApi) -> None:
    body = {"queries": ["fox"], "documents": ["fox"]}
    assert api.client.post("/v1/inference/nvidia/x", json=body).json()["scores"] == [1.0]
    assert api.client.post("/v1/inference/another", json=body).status_code == 404


# --- what else can be set ---


@pytest.mark.parametrize(("setting", "echoed"), [(None, True), (True, True), (False, False)])
def test_the_operator_says_whether_documents_come_back_where_the_request_does_not(
    setting: bool | None, echoed: bool
) -> None:
    with running_api(return_documents=setting) as api:
        first = api.client.post("/v1/rerank", json=BODY).json()["results"][0]
        assert ("document" in first) is echoed
        asked = api.client.post("/v1/rerank", json={**BODY, "return_documents": True}).json()["results"][0]
        assert asked["document"]["text"]
        sent = {"query": "fox", "documents": ["fox"], "property": ""}
        assert api.client.post("/rerank", json=sent).json()["scores"][0]["document"] == "fox"


ORIGIN = "https://search.example"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


def test_pages_of_other_origins_may_ask_only_where_that_is_set() -> None:
    with running_api() as closed:
        assert "access-control-allow-origin" not in closed.client.get("/health", headers={"Origin": ORIGIN}).headers
    with running_api(cors_origins=[ORIGIN]) as api:
        assert api.client.options("/v1/rerank", headers=PREFLIGHT).headers["access-control-allow-origin"] == ORIGIN
        answer = api.client.post("/v1/rerank", json={}, headers={"Origin": ORIGIN})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (422, ORIGIN)
        other = api.client.get("/health", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
