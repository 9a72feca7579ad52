from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from pipelines.base.redaction import write_config
from pipelines.runs.folder import RunFolder
from pipelines.tracking.copying import copy_results
from stages.core.errors import TrackingError


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "results", "demo")
    folder.rankings.mkdir()
    (folder.rankings / "part-00000.parquet").write_bytes(b"scores")
    folder.metrics.write_text("{}")
    return folder


@pytest.mark.parametrize("form", ["file://{}", "{}", "file://{}/"])
def test_everything_is_copied_under_the_runs_name_also_a_second_time(
    form: str, folder: RunFolder, tmp_path: Path
) -> None:
    for _ in range(2):
        copy_results(folder, form.format(tmp_path / "archive"))
    copied = tmp_path / "archive" / folder.run_id
    assert (copied / "rankings" / "part-00000.parquet").read_bytes() == b"scores"
    assert (copied / "metrics.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["run #1", "50%20", "数据"])
def test_a_folder_that_was_renamed_is_copied_under_its_name(folder: RunFolder, tmp_path: Path, name: str) -> None:
    renamed = RunFolder(folder.path.rename(folder.path.with_name(name)))
    copy_results(renamed, f"file://{tmp_path}/archive")
    assert (tmp_path / "archive" / name / "metrics.json").read_text() == "{}"


def test_a_copy_has_no_secret_and_the_modes_of_the_folder(folder: RunFolder, tmp_path: Path) -> None:
    config = {"tracking": {"uri": "https://me:hunter22@host"}, "data": {}}
    write_config(folder.config, yaml.safe_dump(config), config)
    folder.metrics.chmod(0o640)
    copy_results(folder, str(tmp_path / "archive"))
    copied = tmp_path / "archive" / folder.run_id
    assert yaml.safe_load((copied / "config.yaml").read_text()) == config | {"tracking": {"uri": "https://***@host"}}
    assert stat.S_IMODE((copied / "config.yaml").stat().st_mode) == 0o600
    assert stat.S_IMODE((copied / "metrics.json").stat().st_mode) == 0o640
    assert "hunter22" in folder.config.read_text()


def test_a_copy_is_not_copied_onto_itself(folder: RunFolder) -> None:
    copy_results(folder, str(folder.path.parent))
    assert folder.metrics.read_text() == "{}"


def test_a_password_of_the_place_is_not_told(folder: RunFolder) -> None:
    with pytest.raises(TrackingError) as raised:
        copy_results(folder, "nosuch://me:hunter22@bucket/dir")
    assert "hunter22" not in str(raised.value)


def test_nothing_is_copied_where_no_place_is_named(folder: RunFolder) -> None:
    copy_results(folder, None)


@pytest.mark.parametrize("place", ["file:///proc/nowhere", "nosuch://bucket/dir"])
def test_a_place_that_cannot_be_written_is_one_line_with_the_command_that_tries_again(
    place: str, folder: RunFolder
) -> None:
    with pytest.raises(TrackingError, match=r"output\.copy_to .*rerank-eval sync") as raised:
        copy_results(folder, place)
    assert "\n" not in str(raised.value)
    assert folder.metrics.exists()
