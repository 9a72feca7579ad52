"""Clients that know nothing of us: the description at /openapi.json is true, and Cohere's own client gets results."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.http.shapes.request import AT_PATH
from tests.api_server import MODEL, Call, RunningApi, running_api

DOCUMENTS = ["a fox", "the red fox", "a dog"]
KEY = "a-key-0123"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApi]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_api(keys=[KEY]) as running:
        yield running


# --- the description ---

# A schema cannot say that two lists are as long as each other, that each document has the fields that another field
# names, or which shape a further key tells: a valid body may be refused.
SCHEMATHESIS = """
generation = { max-examples = 10, deterministic = true }
checks.positive_data_acceptance.expected-statuses = ["200", "404", "422"]
"""
# Of the paths that the same shapes share one is tried. GET /v1/models/rerank works, though not described: it asks for a
# model of that name.
TRIED = {shapes: path for path, shapes in reversed(AT_PATH.items()) if path != "/v1/models/rerank"}.values()
LEFT_OUT = [path.replace(":path", "") for path in AT_PATH if path not in TRIED]


@pytest.mark.heavy
def test_every_answer_keeps_what_the_description_promises(api: RunningApi, tmp_path: Path) -> None:
    if importlib.util.find_spec("schemathesis") is None:
        pytest.skip("schemathesis is not installed: make install-dev")
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.url}/openapi.json", "--checks=all"]
    options = ["--header", f"Authorization: Bearer {KEY}", "--no-color", *(f"--exclude-path={one}" for one in LEFT_OUT)]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Operations:       19 selected / 30 total" in done.stdout
    assert api.ended("ok", "none") > 0
    assert api.ended("ok", "none", "score") > 0
    assert api.ended("rejected", "bad_request") > 0
    assert api.ended("rejected", "unauthorized") > 0, "it also leaves the key out, and must be refused"


def test_the_description_names_the_key_only_where_one_is_needed(api: RunningApi) -> None:
    keyed = {path for path, methods in api.client.get("/openapi.json").json()["paths"].items() if secured(methods)}
    assert keyed == {path.replace(":path", "") for path in AT_PATH}
    with running_api() as free:
        assert not any(map(secured, free.client.get("/openapi.json").json()["paths"].values()))


def secured(methods: dict[str, Any]) -> bool:
    return any("security" in operation for operation in methods.values())


# --- Cohere's client ---


@pytest.fixture
def cohere() -> Any:
    return pytest.importorskip("cohere", reason="cohere is not installed: make install-dev", exc_type=ImportError)


def test_coheres_client_gets_its_results(api: RunningApi, cohere: Any) -> None:
    client = cohere.ClientV2(api_key=KEY, base_url=api.url)
    answer = client.rerank(model=MODEL, query="red fox", documents=DOCUMENTS, top_n=2, max_tokens_per_doc=100)
    assert [(result.index, result.relevance_score) for result in answer.results] == [(1, 1.0), (0, 0.5)]
    assert answer.id.startswith("rerank-")
    assert answer.meta.api_version.version == "2"
    assert answer.meta.billed_units.search_units == 1
    assert api.backend.calls == [Call("red fox", DOCUMENTS, None, 100)]


def test_coheres_client_of_version_one_gets_its_documents_too(api: RunningApi, cohere: Any) -> None:
    client = cohere.Client(api_key=KEY, base_url=api.url)
    documents = [{"text": text} for text in DOCUMENTS]
    answer = client.rerank(query="red fox", documents=documents, top_n=2, return_documents=True, max_chunks_per_doc=3)
    found = [(result.index, result.relevance_score, result.document.text) for result in answer.results]
    assert found == [(1, 1.0, "the red fox"), (0, 0.5, "a fox")]


def test_coheres_client_raises_its_own_errors(api: RunningApi, cohere: Any) -> None:
    def asked(key: str = KEY, **fields: Any) -> None:
        client = cohere.ClientV2(api_key=key, base_url=api.url, max_retries=0)
        client.rerank(**{"model": MODEL, "query": "red fox", "documents": DOCUMENTS, **fields})

    with pytest.raises(cohere.UnauthorizedError) as unauthorized:
        asked(key="wrong")
    assert unauthorized.value.body["error"]["code"] == "unauthorized"
    with pytest.raises(cohere.NotFoundError, match="gpt-9"):
        asked(model="gpt-9")
    with pytest.raises(cohere.UnprocessableEntityError, match="at least 1 item"):
        asked(documents=[])
    with pytest.raises(cohere.UnprocessableEntityError, match="greater than or equal to 0"):
        asked(top_n=-1)
