"""What clients ask of the model before they send anything."""

from __future__ import annotations

from tests.api_server import MODEL, RunningApi, refused, running_api

KEY = "a-key-0123"


def info(api: RunningApi, key: str | None = None) -> dict[str, object]:
    told: dict[str, object] = api.client.get("/info", headers={"X-API-Key": key} if key else {}).json()
    return told


def test_info_is_that_of_text_embeddings_inference() -> None:
    with running_api(max_documents=7) as api:
        told = info(api)
    assert (told["model_id"], told["max_input_length"], told["max_client_batch_size"]) == (MODEL, 512, 7)
    assert list(told["model_type"]) == ["reranker"]  # type: ignore[call-overload]  # Dify reads the first key


def test_info_tells_the_models_settings_with_a_key_alone() -> None:
    with running_api(keys=[KEY]) as api:
        assert info(api)["max_input_length"] is None
        assert info(api, KEY)["max_input_length"] == 512
        refused(api.client.get("/info", headers={"X-API-Key": "wrong"}), 401)


def test_whether_a_key_is_needed_is_told_to_xinferences_client() -> None:
    for keys in ([], [KEY]):
        with running_api(keys=keys) as api:
            assert api.client.get("/v1/cluster/auth").json() == {"auth": bool(keys)}
