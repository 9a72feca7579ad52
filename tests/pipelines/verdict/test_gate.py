"""`rerank-eval gate` as a pipeline runs it: its exit code, its sentence, and where the verdict is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from pipelines.base.sections import TrackingSettings
from pipelines.cli.app import main
from pipelines.runs.folder import RunFolder
from pipelines.tracking.client import track
from tests.pipelines.finished_runs import ENVIRONMENT, finished_run

RNG = np.random.default_rng(5)
BEFORE = [float(value) for value in RNG.uniform(0.3, 0.7, 60)]
WORSE = [value - 0.1 + float(noise) for value, noise in zip(BEFORE, RNG.normal(0, 0.02, 60), strict=True)]
NOISY = [value - 0.01 + float(noise) for value, noise in zip(BEFORE, RNG.normal(0, 0.3, 60), strict=True)]
DROP = ["--max-drop", "ndcg_at_10=0.01"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in, where no MLflow is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def run_of(name: str, values: list[float], experiment: str = "gated", **changed: Any) -> RunFolder:
    tracking = {"tracking": {"experiment": experiment}}
    return finished_run(Path(name).resolve(), values, config=tracking, **changed).folder


def logged(folder: RunFolder, store: str, experiment: str, started_s: int) -> str:
    """Log a run as one that started at this Unix second; returns MLflow's id."""
    os.utime(folder.config, (started_s, started_s))
    mlflow_id = track(folder, TrackingSettings(uri=store, experiment=experiment))
    assert mlflow_id is not None
    return mlflow_id


def exit_code(*arguments: object) -> int:
    """The command's, 0 where it ends without one."""
    with pytest.raises(SystemExit) as ended:
        main(["gate", *(str(argument) for argument in arguments)])
    return int(ended.value.code or 0)


def verdict(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.gate.read_text(encoding="utf-8"))
    return content


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    shown, told = capsys.readouterr()
    assert shown == ""
    (line,) = told.splitlines()
    assert line.startswith("rerank-eval: ")
    return line


# --- verdicts ---


@pytest.mark.parametrize(
    ("values", "code", "outcome", "mark"),
    [
        pytest.param(BEFORE, 0, "passed", "ok", id="unchanged"),
        pytest.param(WORSE, 1, "regressed", "FAILED", id="worse"),
        pytest.param(NOISY, 5, "cannot tell", "?", id="noisy"),
    ],
)
def test_each_outcome_has_its_exit_code_and_the_last_line_is_the_sentence_that_is_kept(
    values: list[float], code: int, outcome: str, mark: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, baseline = run_of("new", values), run_of("old", BEFORE)
    assert exit_code(run.path, "--against", baseline.path, *DROP) == code
    shown, told = capsys.readouterr()
    kept = verdict(run)
    assert (kept["run"], kept["against"], kept["outcome"], told) == ("new", "old", outcome, "")
    *checks, sentence = shown.splitlines()
    assert sentence == kept["sentence"]
    assert sentence.startswith(f"{outcome}: ")
    assert [line.split(maxsplit=1)[1] for line in checks] == [check["words"] for check in kept["checks"]]
    (quality,) = [line for line in checks if "ndcg@10" in line]
    assert quality.split()[0] == mark
    assert not baseline.gate.exists()
    assert sorted(path.name for path in here.iterdir()) == ["new", "old"]


def test_without_a_baseline_limits_alone_decide_and_the_note_says_what_is_not_gated(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("new", BEFORE)
    assert exit_code(run.path, "--max", "queue_p95_ms=200", "--min", "pairs_per_s=10") == 0
    assert "note    quality is not gated: give --max-drop METRIC=VALUE" in capsys.readouterr().out.splitlines()
    assert exit_code(run.path, "--max", "queue_p95_ms=100") == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("regressed: queue.time_ms.p95 is 150")
    assert (verdict(run)["outcome"], verdict(run)["against"]) == ("regressed", None)


@pytest.mark.parametrize(("values", "code"), [(BEFORE, 0), (WORSE, 1)])
def test_with_json_the_verdict_is_printed_alone(
    values: list[float], code: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, baseline = run_of("new", values), run_of("old", BEFORE)
    assert exit_code(run.path, "--against", baseline.path, *DROP, "--json") == code
    shown, told = capsys.readouterr()
    assert json.loads(shown) == verdict(run)
    assert told == ""


# --- MLflow ---


def test_the_verdict_is_a_tag_of_the_run_in_mlflow_and_gating_again_replaces_it(here: Path, store: str) -> None:
    run, baseline = run_of("20260102-000000-tagged", WORSE), run_of("20260101-000000-before", BEFORE)
    mlflow_id = logged(run, store, "gated", 2000)
    for drop, outcome in (("0.01", "regressed"), ("0.5", "passed")):
        exit_code(run.path, "--against", baseline.path, "--max-drop", f"ndcg@10={drop}", "--uri", store)
        tags = MlflowClient(store).get_run(mlflow_id).data.tags
        assert (tags["gate"], tags["gate.sentence"]) == (outcome, verdict(run)["sentence"])


def test_runs_in_mlflow_are_gated_by_name_and_id(here: Path, store: str, capfd: pytest.CaptureFixture[str]) -> None:
    run, baseline = run_of("20260102-000000-new", WORSE), run_of("20260101-000000-old", BEFORE)
    run_id = logged(run, store, "gated", 2000)
    logged(baseline, store, "gated", 1000)
    capfd.readouterr()
    assert exit_code(run_id, "--against", "20260101-000000-old", *DROP, "--uri", store) == 1
    shown, told = capfd.readouterr()
    assert shown.splitlines()[-1].startswith("regressed: ndcg@10 fell by 0.")
    assert told == ""
    assert MlflowClient(store).get_run(run_id).data.tags["gate"] == "regressed"


def test_a_run_that_mlflow_does_not_know_is_gated_all_the_same(here: Path, store: str) -> None:
    run = run_of("unknown", BEFORE)
    assert exit_code(run.path, "--uri", store) == 0
    assert verdict(run)["outcome"] == "passed"


@pytest.fixture
def nights(here: Path, store: str, request: pytest.FixtureRequest) -> tuple[str, RunFolder]:
    """An experiment with three nights, a run over other data, and one that started later; and the run to gate.

    The second night is good, the third is worse.
    """
    experiment = f"nightly-{request.node.name}"[:60]
    for night, values in ((1, WORSE), (2, BEFORE), (3, WORSE)):
        logged(run_of(f"2026010{night}-000000-small", values, experiment), store, experiment, night * 1000)
    other = run_of("20260104-000000-other", BEFORE, experiment)
    other.write_json(other.environment, ENVIRONMENT | {"dataset": "other"})
    logged(other, store, experiment, 4000)
    tonight = run_of("20260105-000000-small", WORSE, experiment)
    logged(tonight, store, experiment, 5000)
    logged(run_of("20260106-000000-small", BEFORE, experiment), store, experiment, 6000)
    return experiment, tonight


def test_the_latest_baseline_is_the_last_night_over_the_same_data_that_did_not_fail_its_gate(
    nights: tuple[str, RunFolder], store: str
) -> None:
    experiment, tonight = nights
    latest = ["--against-latest", experiment, *DROP, "--uri", store]
    assert exit_code(tonight.path, *latest) == 0  # nobody gated the third night
    assert verdict(tonight)["against"] == "20260103-000000-small"
    assert exit_code("20260103-000000-small", *latest) == 1
    assert exit_code(tonight.path, *latest) == 1
    assert verdict(tonight)["against"] == "20260102-000000-small"


def test_in_the_first_night_there_is_no_latest_baseline_and_the_line_says_what_to_do(
    here: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("20260101-000000-small", BEFORE, "first night")
    logged(run, store, "first night", 1000)
    for experiment in ("first night", "no such experiment"):
        assert exit_code(run.path, "--against-latest", experiment, *DROP, "--uri", store) == 2
        line = one_line(capsys)
        assert f"--against-latest {experiment}: no earlier run over small" in line and "--against, or" in line
    assert not run.gate.exists()


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--against", "old", "--against-latest", "nightly"], "--against and --against-latest name two baselines"),
        (DROP, "--max-drop needs a run to drop from"),
        (["--against-latest", "nightly", *DROP], "say where that is with --uri"),
        (["--against", "old", "--max-drop", "ndcg_at_10=little"], "write NAME=NUMBER"),
        (["--max", "queue_p95=200"], "did you mean queue_p95_ms?"),
        (["--against", "none/here", *DROP], "none/here: no such run folder"),
        (["--against", "new", *DROP], "given twice: new"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_exit_code_2_one_line_and_no_verdict(
    arguments: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("new", BEFORE)
    run_of("old", BEFORE)
    assert exit_code(run.path, *arguments) == 2
    assert told in one_line(capsys)
    assert not run.gate.exists()
    assert sorted(path.name for path in here.iterdir()) == ["new", "old"]


def test_other_candidates_than_the_baseline_s_are_refused_until_they_are_allowed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("new", BEFORE, candidates_digest="e" * 64, lists_digest="f" * 64)
    arguments = [run.path, "--against", run_of("old", BEFORE).path, *DROP]
    assert exit_code(*arguments) == 2
    assert "--different-candidates" in one_line(capsys)
    assert exit_code(*arguments, "--different-candidates") == 0
    assert "new reranked different candidates" in " ".join(verdict(run)["notes"])
