"""`--config` takes a file or the name of a bundled config, which works in any folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipelines.base.bundled import bundled_configs
from pipelines.base.config import RunConfig, ServeConfig, load, load_config
from pipelines.base.config_file import ConfigFile
from stages.core.errors import ConfigError

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "configs" / "demo"
MINE = {"data": {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_demo_is_found_by_its_name_with_its_data_in_any_folder(folder: Path) -> None:
    config = load_config(Path("demo"))
    assert (config.data.path, config.data.run) == (str(DEMO), DEMO / "runs" / "bm25.trec")
    written = load_config(DEMO.with_suffix(".yaml"))
    assert config.model_copy(update={"data": written.data}) == written


@pytest.mark.parametrize("name", sorted(bundled_configs()))
def test_every_bundled_config_loads_by_its_name(name: str, folder: Path) -> None:
    assert load_config(Path(name)).model == load_config(ROOT / "configs" / f"{name}.yaml").model
    assert load(ServeConfig, Path(name)).model == load_config(Path(name)).model


def test_what_a_bundled_config_leaves_to_the_user_starts_in_the_current_folder(folder: Path) -> None:
    config = load_config(Path("nightly"))
    assert (config.data.run, config.data.queries) == (
        Path("data/nightly/first-stage.trec"),
        Path("data/nightly/queries.tsv"),
    )


def test_an_override_of_a_bundled_config_means_what_it_means_elsewhere(folder: Path) -> None:
    config = load_config(Path("demo"), ["data.path=configs/mine", "data.depth=3"])
    assert (config.data.path, config.data.depth) == ("configs/mine", 3)
    assert config.data.run == DEMO / "runs" / "bm25.trec"


def test_paths_of_a_users_own_config_stay_as_they_are(folder: Path) -> None:
    for path in (Path("mine.yaml"), folder / "mine.yaml"):
        path.write_text(yaml.safe_dump(MINE))
        assert load_config(path) == RunConfig.model_validate(MINE)


def test_a_file_that_is_there_goes_before_the_bundled_config_of_its_name(folder: Path) -> None:
    Path("demo").write_text(yaml.safe_dump(MINE))
    assert ConfigFile.find(Path("demo")) == ConfigFile(Path("demo"), Path("demo"))
    assert load_config(Path("demo")) == RunConfig.model_validate(MINE)


def test_a_folder_of_the_name_does_not_stand_in_the_way(folder: Path) -> None:
    Path("demo").mkdir()
    assert load_config(Path("demo")).data.path == str(DEMO)


@pytest.mark.parametrize("given", ["dmo", "demo.yml", "none.yaml"])
def test_an_unknown_name_is_told_those_that_exist(given: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(Path(given))
    assert str(raised.value) == (
        f"config {given}: cannot be read (No such file or directory). Give an existing YAML file, "
        f"or the name of a bundled config: {', '.join(sorted(bundled_configs()))}."
    )


@pytest.mark.parametrize("given", ["configs/demo", "x/none.yaml", "/none.yaml"])
def test_a_path_is_no_name(given: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(No such file or directory\)\. Give an existing YAML file\.$"):
        load_config(Path(given))


def test_a_name_with_a_point_is_whole(folder: Path) -> None:
    assert ConfigFile.find(Path("qwen3-reranker-0.6b")).name == "qwen3-reranker-0.6b"
    assert ConfigFile.find(Path("x/qwen3-reranker-0.6b.yaml")).name == "qwen3-reranker-0.6b"


def test_what_is_made_from_a_config_lies_beside_it_but_never_beside_a_bundled_one(folder: Path) -> None:
    assert ConfigFile.find(Path("x/mine.yaml")).sibling("tuned.yaml") == Path("x/mine.tuned.yaml")
    assert ConfigFile.find(Path("demo")).sibling("tuned.yaml") == Path("demo.tuned.yaml")
