"""Keys that are named are asked for; a name that gives none is refused, and no message holds a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serve_app.http.keys import api_keys
from serve_app.http_settings import HttpSettings
from stages.core.errors import ConfigError

DEFAULT = "RERANK_EVAL_API_KEYS"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEFAULT, raising=False)


def of(**settings: Any) -> list[str]:
    return api_keys(HttpSettings(**settings))


def refusal(**settings: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        of(**settings)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_where_nothing_is_named_no_key_is_asked_for() -> None:
    assert of() == []


def test_a_variable_holds_keys_with_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEFAULT, " one, zwölf,,")
    assert of() == ["one", "zwölf"]
    monkeypatch.setenv("OURS", "three")
    assert of(api_keys_env="OURS") == ["three"]


@pytest.mark.parametrize("told", ["", " ", ",", " , "])
def test_a_variable_that_holds_no_key_does_not_open_the_service(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv(DEFAULT, told)
    assert f"${DEFAULT} is set, and holds no key" in refusal()


def test_a_variable_of_ones_own_that_is_not_set_does_not_open_the_service() -> None:
    assert "$OURS is not set" in refusal(api_keys_env="OURS")


@pytest.mark.parametrize("written", ["one\nzwölf\n", "\ufeffone\r\n# old\r\n  zwölf  \r\n\r\n   # older", "one\nzwölf"])
def test_a_file_holds_a_key_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv(DEFAULT, "another")
    (tmp_path / "keys").write_bytes(written.encode())
    assert of(api_keys_file=str(tmp_path / "keys")) == ["one", "zwölf"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "holds no key"),
        (b"\n # only words\n", "holds no key"),
        (b"hunter22\xff", "is no text in UTF-8, at byte 8"),
        (b"hunter22\tx", "a key has a character that no header can carry"),
    ],
)
def test_a_file_without_a_key_that_can_be_sent_does_not_open_the_service(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    message = refusal(api_keys_file=str(file))
    assert told in message and "serve.http.api_keys_file" in message and "hunter22" not in message
