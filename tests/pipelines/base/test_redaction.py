"""No secret of a config gets past redaction, and nothing else is touched."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.config import RunConfig
from pipelines.base.redaction import hidden_in, redacted, redacted_text, secrets_in, write_config

SECRETS = st.text("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789._~-", min_size=12, max_size=40)
PLACES = (
    "https://user:{}@host/path",
    "https://{}@host",
    "postgresql+psycopg2://me:{}@db:5432/mlflow?sslmode=require",
    "https://host/x?a=1&access_token={}&b=2",
    "s3://bucket?X-Amz-Signature={}",
    "https://host/#token={}",
    "host=db password={} dbname=x",
    "see https://user:{}@host, then go on",
)


@pytest.mark.parametrize(
    ("given_value", "left"),
    [
        ("https://user:pass@host/a", "https://***@host/a"),
        ("https://user:p@ss@host/a", "https://***@host/a"),
        ("https://user:pa/ss@host/a", "https://***@host/a"),
        ("https://token@host:5000", "https://***@host:5000"),
        ("https://host/a?token=abc&x=1", "https://host/a?token=***&x=1"),
        ("https://host:5000/models@v2", "https://host:5000/models@v2"),
        ("https://host/models@v2", "https://host/models@v2"),
        ("sqlite:////tmp/mlflow.db", "sqlite:////tmp/mlflow.db"),
        (
            "Given a query, find the key passage: a token of trust",
            "Given a query, find the key passage: a token of trust",
        ),
        ("ops@example.org", "ops@example.org"),
        ("hf_abcdefghijklmnopqrst", "***"),
    ],
)
def test_of_a_text_the_credentials_alone_are_hidden(given_value: str, left: str) -> None:
    assert redacted_text(given_value) == left
    assert redacted({"uri": given_value}) == {"uri": left}


@pytest.mark.parametrize(
    "name",
    ["hf_token", "api_key", "apiKey", "PASSWORD", "client_secret", "credential", "credentials", "key", "api_keys"],
)
def test_what_stands_under_a_name_of_a_secret_is_hidden_also_in_lists_and_mappings(name: str) -> None:
    assert redacted({"a": [{name: "abcdef"}]}) == {"a": [{name: "***"}]}
    assert redacted({name: {"deep": ["abcdef", 123456]}}) == {name: {"deep": ["***", "***"]}}
    assert secrets_in({"a": {name: "abcdef"}}) == {"abcdef"}


def test_where_a_secret_is_kept_and_how_many_tokens_there_are_stays_readable() -> None:
    plain = {
        "api_keys_env": "RERANK_EVAL_API_KEYS",
        "api_keys_file": "/etc/keys",
        "max_num_batched_tokens": 4096,
        "token": None,
        "keyword": "search",
        "tokenizer": "bpe",
        "tokens": {"prompt": 800, "generation": 0},
    }
    assert redacted(plain) == plain
    assert secrets_in(plain) == set()


def test_a_config_without_secrets_is_left_as_it_is() -> None:
    content = RunConfig.model_validate({"data": {"format": "jsonl", "path": "x"}}).model_dump(mode="json")
    assert redacted(content) == content


@given(SECRETS, st.sampled_from(PLACES), st.booleans())
def test_a_secret_in_any_text_at_any_depth_is_found_and_hidden(secret: str, place: str, nested: bool) -> None:
    content: dict[str, Any] = {"uri": place.format(secret)}
    content = {"tags": [content, {"x": content}]} if nested else content
    assert secret not in json.dumps(redacted(content))
    assert secret in secrets_in(content)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x, max_size=3), max_leaves=5)
)
def test_hiding_twice_hides_no_more(value: Any) -> None:
    once = redacted({"a": value, "api_key": value})
    assert redacted(once) == once


def test_a_known_secret_is_hidden_in_any_text() -> None:
    assert redacted_text("failed: hunter22 is wrong", {"hunter22"}) == "failed: *** is wrong"


def test_a_config_with_a_secret_is_readable_by_its_owner_alone_and_complete(tmp_path: Path) -> None:
    content = {"tracking": {"uri": "https://me:hunter22@host"}}
    path = tmp_path / "config.yaml"
    path.write_text("old")
    write_config(path, "tracking: {uri: https://me:hunter22@host}\n", content)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "tracking: {uri: https://me:hunter22@host}\n"


def test_a_config_without_one_has_the_mode_of_any_file(tmp_path: Path) -> None:
    (tmp_path / "any").write_text("x")
    write_config(tmp_path / "config.yaml", "a: 1\n", {"a": 1})
    assert (tmp_path / "config.yaml").stat().st_mode == (tmp_path / "any").stat().st_mode


@given(SECRETS, st.sampled_from(PLACES))
def test_where_a_secret_was_is_told(secret: str, place: str) -> None:
    config = {"tracking": {"uri": place.format(secret)}, "engine": {"extra": {"tokens": [{"api_key": secret}]}}}
    assert hidden_in(config) == []
    assert hidden_in(redacted(config)) == ["tracking.uri", "engine.extra.tokens"]


@pytest.mark.parametrize("text", ["rated *** of five", "a=*** b", "**bold***", "https://host/***", ""])
def test_stars_that_hide_nothing_are_none(text: str) -> None:
    assert hidden_in({"model": {"instruction": text}}) == []
