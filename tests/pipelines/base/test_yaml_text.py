"""A key given twice is refused with both lines, wherever it lies; everything else reads as YAML says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.config import load_config
from pipelines.base.yaml_text import parse_yaml, read_yaml
from pipelines.service.limits import load_limits
from stages.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model:\n  name: a\ndata: {}\nmodel:\n  name: b", "model is given twice, in lines 1 and 4"),
        ("model:\n  name: a\n  family: null\n  name: a", "model.name is given twice, in lines 2 and 4"),
        ("serve:\n  http:\n    port: 1\n    port: 2", "serve.http.port is given twice, in lines 3 and 4"),
        ("engine: {extra: {a: 1, b: {c: 1, c: 2}}}", "engine.extra.b.c is given twice, in line 1"),
        ("a:\n- x: 1\n- y: 1\n  y: 2", "a[1].y is given twice, in lines 3 and 4"),
        ("1: a\n0x1: b", "0x1 is given twice, in lines 1 and 2"),
        ("on: 1\ntrue: 2", "true is given twice, in lines 1 and 2"),
        ('"a": 1\na: 2', "a is given twice, in lines 1 and 2"),
        ("a: &x {b: 1, b: 2}\nc: *x", "a.b is given twice, in line 1"),
    ],
)
def test_a_key_given_twice_is_refused_with_both_lines(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_yaml(text, "config f.yaml")
    assert str(raised.value) == f"config f.yaml: {told}: keep one of them"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "a: 1\nb: {a: 1}\nc: [{a: 1}, {a: 1}]",
        "base: &b {x: 1, y: 2}\nown: {<<: *b, x: 3}",
        "a: &loop\n  b: *loop",
        "? [1, 2]\n: x\n? [1, 3]\n: y",
        '1: a\n"1": b',
    ],
)
def test_what_is_given_once_reads_as_ever(text: str) -> None:
    try:
        expected = yaml.safe_load(text)
    except yaml.YAMLError:
        with pytest.raises(ConfigError):
            parse_yaml(text, "it")
    else:
        assert repr(parse_yaml(text, "it")) == repr(expected)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)))
def test_whatever_can_be_written_reads_as_ever(content: object) -> None:
    text = yaml.safe_dump(content, allow_unicode=True)
    assert parse_yaml(text, "it") == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: 2024-13-45", "a: b\n---\nc: d", "a: !!python/object:x.Y {}", "[" * 5000, "*hunter22", "!hunter22 x"],
)
def test_what_is_no_yaml_is_one_line_that_quotes_no_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^it: not YAML") as raised:
        parse_yaml(f"secret: hunter22\nb: {text}" if text[0] != "[" else text, "it")
    assert "\n" not in str(raised.value) and "hunter22" not in str(raised.value)


def test_every_file_is_read_so(tmp_path: Path) -> None:
    twice = tmp_path / "twice.yaml"
    twice.write_text("health: {}\nhealth: {}\n")
    for read in (load_config, load_limits, lambda path: read_yaml(path, "file")):
        with pytest.raises(ConfigError, match="health is given twice, in lines 1 and 2"):
            read(twice)


def test_no_yaml_is_read_past_this() -> None:
    root = Path(__file__).parents[3]
    readers = ("safe_load", "full_load", "yaml.load", "SafeLoader")
    past = [
        str(file.relative_to(root))
        for package in ("pipelines", "serve_app", "stages")
        for file in (root / package).rglob("*.py")
        if any(name in file.read_text(encoding="utf-8") for name in readers)
    ]
    # The recipes that travel with the packages are nobody's input.
    assert sorted(past) == ["pipelines/base/yaml_text.py", "serve_app/recipes/bundled.py"]
