"""The settings of a service, and a config with an advice in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipelines.base.config import ServeConfig, load, load_config
from pipelines.service.diagnose.known_settings import apply_advice, known_settings
from stages.core.errors import ConfigError
from stages.diagnosis.finding import Advice


def config_file(folder: Path, text: str = "data: {format: jsonl, path: a}\nserve:\n") -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_the_service_says_counts_more_than_the_config(tmp_path: Path) -> None:
    config = load(ServeConfig, config_file(tmp_path))
    known = known_settings(config, {"replicas": 3, "dtype": None, "id": "a model"})
    assert (known["serve.replicas"], known["engine.dtype"], known["serve.http.max_waiting"]) == (3, "auto", 256)
    assert known_settings(None, {"replicas": 3}) == {"serve.replicas": 3}


@pytest.mark.parametrize("value", [4, "null", True, "bfloat16"])
def test_the_copy_differs_in_the_advised_setting_alone_and_is_a_valid_config(tmp_path: Path, value: object) -> None:
    key = {4: "serve.replicas", "null": "engine.max_num_seqs", True: "engine.compile"}.get(value, "engine.dtype")
    path = config_file(tmp_path)
    copy = apply_advice(Advice("do it", "it is faster", key, "before", value), path)
    section, name = key.split(".")
    assert copy == tmp_path / "mine.diagnosed.yaml"
    assert yaml.safe_load(copy.read_text())[section] == {name: None if value == "null" else value}
    assert copy.read_text().startswith(f"# mine.yaml, with one change: {key}. Expect: it is faster.")
    assert path.read_text() == "data: {format: jsonl, path: a}\nserve:\n"


def test_a_copy_with_a_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = config_file(tmp_path, "data: {}\nengine: {extra: {hf_token: hunter22}}\n")
    copy = apply_advice(Advice("do it", "it is faster", "serve.replicas", 1, 2), path)
    assert copy.stat().st_mode & 0o777 == 0o600


def test_of_a_bundled_config_the_copy_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = apply_advice(Advice("do it", "it is faster", "serve.replicas", 1, 2), Path("demo"))
    assert copy.resolve() == tmp_path / "demo.diagnosed.yaml"
    assert load_config(copy).serve.replicas == 2
    assert load_config(copy).data == load_config(Path("demo")).data


def test_an_advice_that_is_no_setting_and_a_file_that_is_no_config_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no value of a setting"):
        apply_advice(Advice("stop the other job", "more cores"), config_file(tmp_path))
    with pytest.raises(ConfigError, match="cannot be read"):
        apply_advice(Advice("more", "faster", "serve.replicas", 1, 2), tmp_path / "missing.yaml")
