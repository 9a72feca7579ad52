from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.sweep.folder import PointResult, SweepFolder
from stages.core.errors import DataError


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
