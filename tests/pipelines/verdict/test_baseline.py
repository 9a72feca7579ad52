"""The last run that passed: by its start in UTC, in a folder of results and in MLflow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.sections import TrackingSettings
from pipelines.runs.read import RunContent
from pipelines.tracking.client import track
from pipelines.verdict.baseline import Found, Places, last_passed, pinned_run
from stages.core.errors import DataError, TrackingError
from tests.pipelines.finished_runs import ENVIRONMENT, finished_run

NOWHERE = "sqlite:////proc/no/such/mlflow.db"


def night(folder: Path, name: str, started: str | None, outcome: str | None = "passed", **changed: Any) -> RunContent:
    """A run in a folder of results, as its gate left it."""
    sections = {"tracking": {"experiment": changed.pop("experiment", "nightly")}}
    run = finished_run(folder / name, [0.5, 0.7], config=sections, started=started, **changed)
    if outcome is not None:
        run.folder.write_json(run.folder.gate, {"outcome": outcome, "sentence": outcome, "against": None})
    return run


def found(run: RunContent, places: Places, to: Path) -> Found:
    return last_passed(run, places, to / "fetched")


def name_of(one: Found) -> str | None:
    return one.baseline.run_id if one.baseline else None


# --- in a folder of results ---


def test_the_last_that_passed_is_the_baseline_and_no_other(tmp_path: Path) -> None:
    night(tmp_path, "passed", "2026-01-01T02:00:00+00:00")
    night(tmp_path, "could-not-tell", "2026-01-02T02:00:00+00:00", "cannot tell")
    night(tmp_path, "regressed", "2026-01-03T02:00:00+00:00", "regressed")
    night(tmp_path, "never-gated", "2026-01-04T02:00:00+00:00", None)
    tonight = night(tmp_path, "tonight", "2026-01-05T02:00:00+00:00", None)
    night(tmp_path, "later", "2026-01-06T02:00:00+00:00")
    (tmp_path / "latest").symlink_to("tonight")
    assert name_of(found(tonight, Places(tmp_path), tmp_path)) == "passed"


def test_runs_are_ordered_by_their_start_in_utc_and_not_by_name_or_age_of_files(tmp_path: Path) -> None:
    """Folders are named in local time, which was set back at 3 o'clock; the first of two starts was copied later."""
    first = night(tmp_path, "20261025-025900-small", "2026-10-25T00:59:00.000001+00:00")
    night(tmp_path, "20261025-020000-small", "2026-10-25T01:00:00.000002+00:00")
    os.utime(first.folder.metrics, (4e9, 4e9))
    tonight = night(tmp_path, "20261025-010000-small", "2026-10-25T03:30:00+02:00", None)  # 01:30 in UTC
    assert name_of(found(tonight, Places(tmp_path), tmp_path)) == "20261025-020000-small"


def test_of_two_runs_of_one_second_the_earlier_is_the_other_s_baseline_and_never_the_reverse(tmp_path: Path) -> None:
    early = night(tmp_path, "20260101-020000-small-ffff", "2026-01-01T02:00:00.100000+00:00")
    late = night(tmp_path, "20260101-020000-small-0000", "2026-01-01T02:00:00.900000+00:00")
    assert name_of(found(late, Places(tmp_path), tmp_path)) == early.run_id
    assert found(early, Places(tmp_path), tmp_path).baseline is None


def test_runs_of_other_data_of_another_experiment_and_parts_of_a_job_are_no_baseline(tmp_path: Path) -> None:
    other = night(tmp_path, "other-data", "2026-01-01T02:00:00+00:00")
    other.folder.write_json(other.folder.environment, ENVIRONMENT | {"dataset": "other"})
    night(tmp_path, "other-job", "2026-01-02T02:00:00+00:00", experiment="tried out")
    night(tmp_path, "part", "2026-01-03T02:00:00+00:00", part_of="whole")
    tonight = night(tmp_path, "tonight", "2026-01-05T02:00:00+00:00", None)
    one = found(tonight, Places(tmp_path), tmp_path)
    assert one.baseline is None
    (told,) = one.notes
    assert told.startswith(f"no earlier run over small passed its gate in {tmp_path}: limits alone decide, and if it ")


def test_runs_of_before_starts_were_recorded_are_told_of_and_must_be_named(tmp_path: Path) -> None:
    old = night(tmp_path, "old", None)
    tonight = night(tmp_path, "tonight", "2026-01-05T02:00:00+00:00", None)
    one = found(tonight, Places(tmp_path), tmp_path)
    assert one.baseline is None
    assert one.notes[0].startswith("1 run that passed did not say when they started")
    with pytest.raises(DataError, match="old does not say when it started"):
        found(old, Places(tmp_path), tmp_path)


def test_a_verdict_that_cannot_be_read_is_refused_with_its_file(tmp_path: Path) -> None:
    night(tmp_path, "damaged", "2026-01-01T02:00:00+00:00").folder.gate.write_text("{")
    tonight = night(tmp_path, "tonight", "2026-01-05T02:00:00+00:00", None)
    with pytest.raises(DataError, match=r"damaged/gate\.json: cannot be read .* Gate that run again"):
        found(tonight, Places(tmp_path), tmp_path)


# --- in MLflow ---


def logged(run: RunContent, store: str, experiment: str) -> RunContent:
    assert track(run.folder, TrackingSettings(uri=store, experiment=experiment))
    return run


def test_in_mlflow_too_it_is_the_last_that_passed_by_its_start(tmp_path: Path, store: str) -> None:
    for name, started, outcome in (
        ("z-first", "2026-01-01T02:00:00+00:00", "passed"),
        ("y-second", "2026-01-02T02:00:00+00:00", "passed"),
        ("x-third", "2026-01-03T02:00:00+00:00", "cannot tell"),
        ("w-fourth", "2026-01-04T02:00:00+00:00", None),
    ):
        run = logged(night(tmp_path, name, started, outcome), store, "order")
        run.folder.path.rename(tmp_path / f"gone-{name}")
    tonight = night(tmp_path / "here", "tonight", "2026-01-05T02:00:00+00:00", None)
    one = found(tonight, Places(uri=store, experiment="order"), tmp_path)
    assert name_of(one) == "y-second"
    assert one.notes == []


def test_of_a_folder_and_mlflow_the_later_counts_and_what_mlflow_calls_regressed_is_none(
    tmp_path: Path, store: str
) -> None:
    results, places = tmp_path / "results", Places(tmp_path / "results", store, "both")
    kept = night(results, "kept", "2026-01-01T02:00:00+00:00", experiment="both")
    judged_anew = night(results, "judged-anew", "2026-01-02T02:00:00+00:00", "regressed", experiment="both")
    logged(judged_anew, store, "both")
    judged_anew.folder.write_json(judged_anew.folder.gate, {"outcome": "passed"})
    tonight = night(results, "tonight", "2026-01-05T02:00:00+00:00", None, experiment="both")
    assert name_of(found(tonight, places, tmp_path)) == kept.run_id
    logged(night(tmp_path / "elsewhere", "far", "2026-01-03T02:00:00+00:00", experiment="both"), store, "both")
    assert name_of(found(tonight, places, tmp_path)) == "far"


def test_a_first_night_has_no_experiment_yet_but_a_name_that_is_wrong_is_refused(tmp_path: Path, store: str) -> None:
    tonight = night(tmp_path, "tonight", "2026-01-05T02:00:00+00:00", None)
    assert "limits alone decide" in found(tonight, Places(tmp_path, store, "not yet"), tmp_path).notes[0]
    with pytest.raises(DataError, match="no finished run of such an experiment"):
        found(tonight, Places(uri=store, experiment="not yet"), tmp_path)


def test_where_mlflow_does_not_answer_the_folder_is_asked_and_without_one_there_it_is_not_known(tmp_path: Path) -> None:
    places = Places(tmp_path, NOWHERE, "nightly")
    tonight = night(tmp_path, "tonight", "2026-01-05T02:00:00+00:00", None)
    one = found(tonight, places, tmp_path)
    assert one.baseline is None
    assert one.unknown is not None and one.unknown.startswith("whether an earlier run passed is not known: there is")
    night(tmp_path, "before", "2026-01-04T02:00:00+00:00")
    one = found(tonight, places, tmp_path)
    assert (name_of(one), one.unknown) == ("before", None)
    assert one.notes[0].startswith(f"the last run that passed was looked for in {tmp_path} alone: MLflow at")
    with pytest.raises(TrackingError):
        found(tonight, Places(uri=NOWHERE, experiment="nightly"), tmp_path)


# --- a pinned one ---


def test_a_run_is_pinned_by_folder_by_its_name_among_the_results_or_as_mlflow_knows_it(
    tmp_path: Path, store: str
) -> None:
    here = night(tmp_path / "results", "here", "2026-01-01T02:00:00+00:00")
    logged(night(tmp_path / "elsewhere", "pinned-far", "2026-01-01T02:00:00+00:00"), store, "pins")
    places = Places(tmp_path / "results", store, "pins")
    assert json.loads(here.folder.gate.read_text())["outcome"] == "passed"
    for reference, run_id in ((str(here.folder.path), "here"), ("here", "here"), ("pinned-far", "pinned-far")):
        assert pinned_run(reference, places, tmp_path / "fetched").run_id == run_id
    with pytest.raises(DataError, match="has no run nobody"):
        pinned_run("nobody", places, tmp_path / "fetched")
