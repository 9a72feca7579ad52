"""A grid is every combination of its values, each a valid config, in an order that lets points share scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.config import load_config
from pipelines.sweep.grid import GridPoint, as_override, by_engine, grid_points, in_order, parse_grid
from stages.core.errors import ConfigError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"data": {"format": "jsonl", "path": "rows.jsonl"}, "model": {"name": "overlap"}}))
    return path


def points(config: Path, *options: str, overrides: tuple[str, ...] = (), max_points: int = 100) -> list[GridPoint]:
    return grid_points(config, overrides, parse_grid(options), max_points)


def test_every_combination_is_a_point_with_its_whole_config(config: Path) -> None:
    found = points(config, "data.depth=[10, null]", 'model.instruction=["a: b", null]', overrides=("serve.replicas=2",))
    assert [(point.config.data.depth, point.config.model.instruction) for point in found] == [
        (10, "a: b"),
        (10, None),
        (None, "a: b"),
        (None, None),
    ]
    assert {point.config.serve.replicas for point in found} == {2}
    assert found[0].values == {"data.depth": 10, "model.instruction": "a: b"}
    assert [point.name for point in found[:2]] == ["depth=10, instruction=a: b", "depth=10, instruction=null"]


def test_a_value_may_be_a_list(config: Path) -> None:
    found = points(config, "evaluate.metrics=[[ndcg@10], [mrr, map]]")
    assert [point.config.evaluate.metrics for point in found] == [("ndcg@10",), ("mrr", "map")]


def test_keys_that_would_read_the_same_keep_their_section(config: Path) -> None:
    [point] = points(config, "data.path=[a.jsonl]", "serve.http.port=[1]", "model.name=[overlap]")
    assert point.name == "path=a.jsonl, port=1, name=overlap"
    assert GridPoint({"a.x": 1, "b.x": 2}, point.config).name == "a.x=1, b.x=2"


def test_a_secret_is_not_in_a_points_name(config: Path) -> None:
    [point] = points(config, "engine.extra.hf_token=[hunter22]")
    assert "hunter22" not in point.name
    assert point.config.engine.extra == {"hf_token": "hunter22"}


@pytest.mark.parametrize(
    "option",
    ["data.depth", "data.depth=", "data.depth=10", "data.depth=[]", "depth=[1]", "=[1]", "data.depth={a: 1}"],
)
def test_what_is_no_list_of_values_names_the_form(option: str) -> None:
    with pytest.raises(ConfigError, match=r"--grid .*: write section\.key=\[value, \.\.\.\]"):
        parse_grid([option])


def test_other_wrong_options_are_one_line() -> None:
    with pytest.raises(ConfigError, match=r"--grid data\.depth=\[1: not YAML") as raised:
        parse_grid(["data.depth=[1"])
    assert "\n" not in str(raised.value)
    with pytest.raises(ConfigError, match=r"data\.depth is given twice"):
        parse_grid(["data.depth=[1]", "data.depth=[2]"])
    with pytest.raises(ConfigError, match="needs a grid"):
        parse_grid([])


@pytest.mark.parametrize(
    ("override", "swept"),
    [
        ("data.depth=5", "data.depth=[5]"),
        ("serve.http.port=1", "serve.http=[{port: 1}]"),
        ("serve.http={}", "serve.http.port=[1]"),
    ],
)
def test_a_key_that_is_set_is_not_swept_as_well(config: Path, override: str, swept: str) -> None:
    with pytest.raises(ConfigError, match=r"--grid \S+ and --set \S+ are about the same key"):
        grid_points(config, [override], parse_grid([swept]))


def test_an_unknown_key_names_the_nearest_and_a_wrong_value_what_is_right(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key data\.dept; did you mean depth"):
        points(config, "data.dept=[10]")
    with pytest.raises(ConfigError, match=r"data\.depth"):
        points(config, "data.depth=[10, many]")
    with pytest.raises(ConfigError, match=r"unknown key model\.instructions; did you mean instruction"):
        points(config, "data.depth=[10]", "model.instructions=[a]")


@pytest.mark.parametrize("option", ["data.depth=[10, 20, 10]", 'data.depth=[10, "10"]', "cost.per_hour=[1, 2]"])
def test_points_with_the_same_results_are_refused(config: Path, option: str) -> None:
    with pytest.raises(ConfigError, match=r"has a point twice: \w+=.* gives the same results as"):
        points(config, option)


def test_too_many_points_name_the_option_that_allows_them(config: Path) -> None:
    depths, replicas = f"data.depth={list(range(1, 12))}", f"serve.replicas={list(range(1, 11))}"
    with pytest.raises(ConfigError, match=r"110 points, more than 100: allow them with --max-points 110"):
        points(config, depths, replicas)
    assert len(points(config, depths, replicas, max_points=110)) == 110


def test_points_of_one_engine_follow_each_other_the_deepest_first(config: Path) -> None:
    found = points(config, "data.depth=[10, null, 50]", "model.instruction=[a, b]")
    assert [(point.config.model.instruction, point.config.data.depth) for point in in_order(found)] == [
        *(("a", None), ("a", 50), ("a", 10)),
        *(("b", None), ("b", 50), ("b", 10)),
    ]
    assert [len(group) for group in by_engine(found)] == [3, 3]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.dates(), st.lists, max_leaves=5))
def test_a_value_survives_the_way_through_an_override(value: Any) -> None:
    key, _, text = as_override("model.instruction", value).partition("=")
    assert key == "model.instruction"
    assert yaml.safe_load(text) == value


def test_texts_that_yaml_would_read_as_something_else_stay_texts(config: Path) -> None:
    odd = ["2024", "no", "null", "a: b", '"quoted"', "中文 😀", "[x]", "1e3"]
    found = points(config, f"model.instruction={json.dumps(odd, ensure_ascii=False)}")
    assert [point.config.model.instruction for point in found] == odd
    again = [load_config(config, [as_override("model.instruction", one)]).model.instruction for one in odd]
    assert again == odd
