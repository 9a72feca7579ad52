"""A run config is read strictly: every mistake is one line that says what, where and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.base.config import RunConfig, load_config
from stages.core.errors import ConfigError

SMALL: dict[str, Any] = {"data": {"format": "jsonl", "path": "rows.jsonl"}}


def write(folder: Path, content: object) -> Path:
    path = folder / "run.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path, SMALL)


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        load_config(path, overrides)
    message = str(raised.value)
    assert "\n" not in message
    return message


# --- reading ---


def test_the_data_alone_is_a_config_and_the_rest_has_defaults(small: Path) -> None:
    config = load_config(small)
    assert config.data.path == "rows.jsonl"
    assert config.evaluate.metrics == ("ndcg@10", "mrr@10")
    assert (config.tracking.uri, config.output.dir) == ("sqlite:///mlflow.db", "results")
    assert config.rerank.max_failed_share == 0.0


def test_every_setting_is_described() -> None:
    for section, field in RunConfig.model_fields.items():
        assert field.annotation is not None
        for name, setting in field.annotation.model_fields.items():
            assert setting.description, f"{section}.{name}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml").startswith(f"config {tmp_path}/none.yaml: cannot be read (No such file")


def test_a_folder_is_not_a_config(tmp_path: Path) -> None:
    assert "cannot be read (Is a directory)" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["", "just words", "- a\n- b", "7"])
def test_what_is_not_in_sections_is_refused_with_the_sections(tmp_path: Path, content: str) -> None:
    assert "expected sections (data, model, engine, serve" in refusal(write(tmp_path, content))


def test_what_is_not_yaml_is_refused_with_the_line(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, "data:\n  format: [jsonl\nmodel: 3"))
    assert "not YAML" in message and "line 3" in message


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(b"data: \xff\xfe")
    assert "not YAML" in refusal(path)


# --- validation ---


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"dta": {}}, "unknown key dta; did you mean data? Known: data, model, engine"),
        ({"data": {"formt": "jsonl"}}, "unknown key data.formt; did you mean format? Known: format, path"),
        ({"engine": {"max_num_seq": 4}}, "unknown key engine.max_num_seq; did you mean max_num_seqs?"),
        ({"serve": {"replica": 2}}, "unknown key serve.replica; did you mean replicas?"),
        ({"evaluate": {"metric": ["mrr"]}}, "unknown key evaluate.metric; did you mean metrics?"),
        ({"tracking": {"url": "x"}}, "unknown key tracking.url; did you mean uri? Known: uri, experiment, tags"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    assert told in refusal(write(tmp_path, SMALL | content))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"engine": {"dtype": "int8"}}, "engine.dtype: Input should be 'auto', 'bfloat16', 'float16' or 'float32'"),
        ({"model": {"family": "bm25"}}, "'late-interaction' or 'listwise', not 'bm25'"),
        ({"data": {"format": "xlsx"}}, "'llamaindex' or 'haystack', not 'xlsx'"),
        ({"evaluate": {"metrics": ["ndgc@10"]}}, "the nearest one is 'ndcg@10'. Choose from: ndcg, mrr, map"),
        ({"evaluate": {"metrics": ["mrr", "map", "mrr"]}}, "evaluate.metrics: named twice: mrr"),
        ({"evaluate": {"metrics": []}}, "evaluate.metrics"),
        ({"rerank": {"max_failed_share": 1.5}}, "rerank.max_failed_share: Input should be less than or equal to 1"),
        ({"serve": {"replicas": 0}}, "serve.replicas: Input should be greater than 0, not 0"),
        ({"serve": {"replicas": "many"}}, "serve.replicas: Input should be a valid integer"),
        ({"output": {"dir": ""}}, "output.dir"),
        (
            {"data": {"format": "beir", "path": "x"}},
            "data.format beir needs data.path and data.run; data.run not given",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_the_choices(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    assert told in refusal(write(tmp_path, SMALL | content))


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, {"model": {}})).endswith("data is missing")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, SMALL | {"serve": {"replicas": 0, "port": 1}, "engine": {"dtype": "int8"}}))
    for key in ("serve.replicas", "serve.port", "engine.dtype"):
        assert key in message


def test_a_long_value_is_cut_in_the_message(tmp_path: Path) -> None:
    assert len(refusal(write(tmp_path, SMALL | {"engine": {"dtype": "x" * 5000}}))) < 500


# --- overrides ---


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("data.depth=50", "data", "depth", 50),
        ("data.depth=null", "data", "depth", None),
        ("engine.compile=false", "engine", "compile", False),
        ("engine.gpu_memory_share=0.5", "engine", "gpu_memory_share", 0.5),
        ("engine.extra.enforce_eager=true", "engine", "extra", {"enforce_eager": True}),
        ("engine.extra={a: 1, b: [2, 3]}", "engine", "extra", {"a": 1, "b": [2, 3]}),
        ("evaluate.metrics=[mrr, ndcg@5]", "evaluate", "metrics", ("mrr", "ndcg@5")),
        ("model.instruction='a = b: c'", "model", "instruction", "a = b: c"),
        ("tracking.tags.owner=search", "tracking", "tags", {"owner": "search"}),
        ("tracking.uri=", "tracking", "uri", None),
        (" data.depth = 7", "data", "depth", 7),
    ],
)
def test_an_override_is_a_key_and_a_value_in_yaml(
    small: Path, override: str, section: str, key: str, value: object
) -> None:
    assert getattr(getattr(load_config(small, [override]), section), key) == value


def test_an_override_replaces_what_the_file_says_and_keeps_what_stands_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL | {"serve": {"replicas": 2, "max_ongoing_queries": 8}})
    config = load_config(path, ["serve.replicas=3"])
    assert (config.serve.replicas, config.serve.max_ongoing_queries) == (3, 8)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["data.depth=1", "data.depth=2"], "--set data.depth: set twice, each time otherwise"),
        (["data.depth=1", "model.name=x", "data.depth=true"], "--set data.depth: set twice"),
        (["serve.http={port: 1}", "serve.http.host=::1"], "--set serve.http and serve.http.host: set twice"),
        (["serve.http.port=1", "serve.http={port: 1}"], "--set serve.http.port and serve.http: set twice"),
        (["engine.extra={a: 1, a: 2}"], "--set engine.extra={a: 1, a: 2}: a is given twice, in line 1"),
    ],
)
def test_a_key_that_is_set_twice_is_refused(small: Path, overrides: list[str], told: str) -> None:
    assert told in refusal(small, *overrides)


def test_the_same_said_twice_is_said_once_and_neighbours_do_not_meet(small: Path) -> None:
    config = load_config(small, ["data.depth=2", " data.depth = 2", "engine.extra.a=1", "engine.extra.ab=2"])
    assert (config.data.depth, config.engine.extra) == (2, {"a": 1, "ab": 2})


def test_what_is_wrong_about_a_secret_is_told_without_it(tmp_path: Path) -> None:
    assert "hunter22" not in refusal(write(tmp_path, SMALL | {"engine": {"hf_token": "hunter22"}}))
    wrong = refusal(write(tmp_path, SMALL | {"tracking": {"uri": ["http://me:hunter22@host"]}}))
    assert "tracking.uri" in wrong and "hunter22" not in wrong
    assert "hunter22" not in refusal(write(tmp_path, SMALL), "tracking.uri=http://me:hunter22@host: [")
    assert "hunter22" not in refusal(write(tmp_path, "engine: {extra: {hf_token: hunter22]}"))


def test_an_override_fills_a_section_that_the_file_leaves_empty(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, SMALL | {"serve": None}), ["serve.replicas=2"]).serve.replicas == 2


@pytest.mark.parametrize("override", ["data.depth", "depth=5", "=5", "data.=5", ".depth=5", "data..depth=5"])
def test_an_override_of_another_form_is_refused_with_the_right_one(small: Path, override: str) -> None:
    assert f"--set {override}: write section.key=value, as in --set data.depth=50" in refusal(small, override)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.dpth=5", "unknown key data.dpth; did you mean depth?"),
        ("modle.name=x", "unknown key modle; did you mean model?"),
        ("model.name.first=x", "model.name"),
        ("data.path.x=5", "--set data.path.x=5: path holds a value, not keys"),
        ("data.depth=[1", "--set data.depth=[1: not YAML"),
        ("model.instruction=a = b: c", "model.instruction: Input should be a valid string"),
        ("data.depth=deep", "data.depth: Input should be a valid integer"),
    ],
)
def test_a_wrong_override_is_refused_as_a_wrong_file_is(small: Path, override: str, told: str) -> None:
    assert told in refusal(small, override)


# --- the digest and the resolved config ---


@pytest.mark.parametrize("override", ["tracking.experiment=other", "tracking.uri=null", "output.dir=elsewhere"])
def test_where_results_are_written_and_logged_is_no_part_of_the_digest(small: Path, override: str) -> None:
    assert load_config(small, [override]) != load_config(small)
    assert load_config(small, [override]).digest == load_config(small).digest


@pytest.mark.parametrize(
    "override",
    [
        "data.path=other.jsonl",
        "data.depth=5",
        "model.instruction=find it",
        "engine.dtype=float32",
        "engine.extra.seed=1",
        "serve.replicas=2",
        "rerank.max_failed_share=0.5",
        "evaluate.metrics=[map]",
    ],
)
def test_what_could_change_results_changes_the_digest(small: Path, override: str) -> None:
    assert load_config(small, [override]).digest != load_config(small).digest


def test_the_digest_does_not_depend_on_how_the_file_is_written(tmp_path: Path) -> None:
    plain = load_config(write(tmp_path, "{data: {format: jsonl, path: rows.jsonl}, engine: {extra: {a: 1, b: 2}}}"))
    spelled_out = load_config(
        write(
            tmp_path, "serve: {}\nengine: {extra: {b: 2, a: 1}, compile: true}\ndata: {path: rows.jsonl, format: jsonl}"
        )
    )
    assert spelled_out.digest == plain.digest
    assert len(plain.digest) == 16 and int(plain.digest, 16)


def test_the_resolved_config_reads_back_as_it_was(tmp_path: Path) -> None:
    content = {
        "data": {"format": "beir", "path": "数据", "run": "runs/bm25.trec", "depth": None},
        "model": {"name": "Qwen/Qwen3-Reranker-0.6B", "instruction": "找出: 答案 # 不是注释", "max_length": 512},
        "engine": {"extra": {"seed": 3, "limits": {"a": [1, 2]}}, "kv_cache_gib": 0.5},
        "evaluate": {"metrics": ["map", "ndcg@5"]},
        "tracking": {"uri": None, "tags": {"on": "yes", "n": "1"}},
    }
    config = load_config(write(tmp_path, content))
    text = config.to_yaml()
    assert load_config(write(tmp_path, text)) == config
    assert "数据" in text


def test_the_resolved_config_spells_out_every_default(small: Path) -> None:
    resolved = yaml.safe_load(load_config(small).to_yaml())
    assert list(resolved) == ["schema_version", *RunConfig.model_fields]
    assert resolved["engine"]["gpu_memory_share"] == 0.9
    assert resolved["model"]["template"] == "single_newline"
