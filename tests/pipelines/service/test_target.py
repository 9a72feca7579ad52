"""A running service, as commands ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.service.target import KEY_VARIABLE, Target, find_target, require_own
from stages.core.errors import ConfigError, EngineError
from tests.api_server import RunningApi, running_api


@pytest.fixture(scope="module")
def api() -> Iterator[RunningApi]:
    with running_api(keys=["secret"]) as running:
        yield running


def test_it_reranks_names_its_model_and_shows_its_metrics(api: RunningApi) -> None:
    target = Target(api.url, "secret")
    answer = target.rerank("red fox", ["a dog", "the red fox"])
    assert [one["index"] for one in answer["results"]] == [1, 0]
    assert target.model()["id"] == "overlap"
    assert "rerank_requests_total" in target.metrics_text()


def test_the_key_comes_from_the_environment(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(EngineError, match="401"):
        find_target(api.url).rerank("red fox", ["a dog"])
    assert "family" not in find_target(api.url).model()
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    assert find_target(api.url).model()["family"] == "overlap"


@pytest.mark.parametrize("key", ["schlüssel", " secret\n"])
def test_a_key_is_sent_whatever_its_letters(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with running_api(keys=[key.strip()]) as api:
        monkeypatch.setenv(KEY_VARIABLE, key)
        assert find_target(api.url).model()["id"] == "overlap"


def test_a_key_that_no_header_can_carry_is_not_shown(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "hunter\n22")
    with pytest.raises(EngineError, match=f"{KEY_VARIABLE} holds what no header can carry") as raised:
        find_target(api.url).model()
    assert "22" not in str(raised.value).replace(api.url, "")


def test_the_password_of_an_address_is_sent_and_never_shown() -> None:
    target = find_target("http://me:p%40ss@host:8000/x")
    assert target.url == "http://host:8000"
    assert target.headers == {"Authorization": "Basic bWU6cEBzcw=="}


def test_what_the_service_refuses_is_told_in_its_own_words(api: RunningApi) -> None:
    with pytest.raises(EngineError, match=r"422: .*documents"):
        Target(api.url, "secret").rerank("red fox", [])


def test_where_nobody_listens_the_error_says_how_to_start_a_service() -> None:
    with pytest.raises(EngineError, match="rerank-eval serve"):
        Target("http://127.0.0.1:9").model()


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "", "http://[::1", "http://a:99999999"]
)
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match=r"--url .*http://127\.0\.0\.1:8000"):
        find_target(url)


@pytest.mark.parametrize(
    ("url", "local", "port"),
    [
        ("http://localhost:8000/v1/rerank", True, 8000),
        ("http://127.0.0.2", True, 80),
        ("http://[::1]:9", True, 9),
        ("https://example.org", False, 443),
        ("http://10.0.0.1:8000", False, 8000),
        ("http://localhost.example.org", False, 80),
    ],
)
def test_only_loopback_is_this_machine(url: str, local: bool, port: int) -> None:
    target = find_target(url)
    assert (target.is_local, target.port) == (local, port)
    if local:
        require_own(target, allowed=False)
    else:
        require_own(target, allowed=True)
        with pytest.raises(ConfigError, match="--i-own-this-server"):
            require_own(target, allowed=False)
