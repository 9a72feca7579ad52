from __future__ import annotations

from pathlib import Path

import pytest

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
