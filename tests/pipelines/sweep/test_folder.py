"""A sweep's folder is found by its name, whatever the name is written in, and read whatever version wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.sweep.folder import PointResult, SweepFolder
from stages.core.errors import DataError

POINT = {"name": "depth=2", "values": {"data.depth": 2}, "config_digest": "c", "exit_code": 0, "metrics": {"mrr": 0.5}}
STATE: dict[str, Any] = {"config": "mine.yaml", "overrides": [], "grid": {"data.depth": [2]}, "points": [POINT]}


def written(path: Path, name: str, **changed: Any) -> SweepFolder:
    """The folder of a sweep as 0.1.0 left it."""
    folder = SweepFolder(path)
    folder.points.mkdir(parents=True)
    folder.state.write_text(json.dumps(STATE | {"sweep_id": path.name, "name": name} | changed), encoding="utf-8")
    return folder


@pytest.mark.parametrize("names", [("深度", "广度"), ("My sweep", "my-sweep"), ("x" * 70, "x" * 71), ("", "-")])
def test_names_of_which_a_file_system_takes_the_same_are_sweeps_of_their_own(
    names: tuple[str, str], tmp_path: Path
) -> None:
    one, other = (SweepFolder.open(tmp_path, name).path for name in names)
    assert one != other
    assert [SweepFolder.open(tmp_path, name).path for name in names] == [one, other]
    assert one.name.isascii()


def test_one_whose_name_is_known_goes_on_and_no_other_though_0_1_0_gave_both_one_folder(tmp_path: Path) -> None:
    old = written(tmp_path / "20261129-120000-sweep-sweep", "深度")
    assert SweepFolder.open(tmp_path, "深度").path == old.path
    assert SweepFolder.open(tmp_path, "广度").path != old.path
    assert SweepFolder.open(tmp_path, "sweep").path != old.path
    newest = written(tmp_path / "20261129-130000-sweep-2f0a", "深度")
    assert SweepFolder.open(tmp_path, "深度").path == newest.path


def test_the_state_of_0_1_0_is_read_with_keys_that_are_gone(tmp_path: Path) -> None:
    point = POINT | {"colour": "red"}
    state = written(tmp_path / "20261129-120000-sweep-mine", "mine", points=[point], gone=True).read()
    assert state is not None and (state.schema_version, state.points[0].metrics) == (1, {"mrr": 0.5})


def test_the_state_of_a_later_version_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = written(tmp_path / "20261129-120000-sweep-mine", "mine", schema_version=99)
    with pytest.raises(DataError, match=r"sweep\.json was written by a newer rerank-eval .* Upgrade it"):
        folder.read()


def point(run_folder: str) -> PointResult:
    return PointResult(name="depth=1", values={}, config_digest="c", run_folder=run_folder, exit_code=0)


def test_a_points_run_lies_in_the_sweeps_folder(tmp_path: Path) -> None:
    assert SweepFolder(tmp_path).run_folder(point("points/a")).path == tmp_path / "points" / "a"


@pytest.mark.parametrize(
    "run_folder", ["../other", "/etc", "points/../../other", "points/a/b", "points", "", "points/.."]
)
def test_a_run_folder_elsewhere_is_refused(tmp_path: Path, run_folder: str) -> None:
    with pytest.raises(DataError, match=r"sweep\.json: run_folder"):
        SweepFolder(tmp_path).run_folder(point(run_folder))
