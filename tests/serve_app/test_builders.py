"""`serve deploy` asks for the same keys as `rerank-eval serve`, or does not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serve_app.builders import api
from serve_app.http.api_input import key_digest
from stages.core.errors import ConfigError


def digests(**http: Any) -> list[str]:
    """Those that the ingress is bound with."""
    built: Any = api({"model": {"name": "overlap"}, "serve": {"application": "engines", "http": http}})
    found: list[str] = built._bound_deployment.init_args[2]
    return found


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RERANK_EVAL_API_KEYS", raising=False)


def test_the_keys_of_a_file_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("one\n# gone\ntwo\n")
    monkeypatch.setenv("RERANK_EVAL_API_KEYS", "three")
    assert digests(api_keys_file=str(tmp_path / "keys")) == [key_digest("one"), key_digest("two")]
    assert digests() == [key_digest("three")]


@pytest.mark.parametrize("given", ["{}/none", "{}/empty", "keys", ""])
def test_a_file_that_gives_no_key_is_refused_and_nothing_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (tmp_path / "empty").write_text("# none yet\n")
    (tmp_path / "keys").write_text("one\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"serve\.http\.api_keys_file"):
        digests(api_keys_file=given.format(tmp_path))


def test_the_stages_of_a_cascade_are_bound_in_order_with_their_depths() -> None:
    stages = [
        {"model": {"name": "overlap"}, "serve": {"application": name}, "depth": depth}
        for name, depth in (("first", 50), ("last", 5))
    ]
    built: Any = api({"stages": stages})
    several = built._bound_deployment.init_args[0]
    assert [(one.settings.name, one.depth) for one in several] == [("first", 50), ("last", 5)]
    with pytest.raises(ValueError, match="in a cascade each stage has its own"):
        api({"stages": stages, "model": {"name": "overlap"}})
