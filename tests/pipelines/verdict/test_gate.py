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
    """An experiment with three nights, of which the first passed its gate; a run over other data that did; one that
    started later; and the run to gate.
    """
    experiment = f"nightly-{request.node.name}"[:60]
    for day, values, drop in ((1, BEFORE, "1"), (2, NOISY, "0.01"), (3, WORSE, "0.01")):
        night = run_of(f"night-{day}", values, experiment, started=f"2026-01-0{day}T02:00:00+00:00")
        logged(night, store, experiment, 1000)
        exit_code(night.path, "--against-latest", experiment, "--max-drop", f"ndcg@10={drop}", "--uri", store)
    other = run_of("other", BEFORE, experiment, started="2026-01-04T02:00:00+00:00")
    other.write_json(other.environment, ENVIRONMENT | {"dataset": "other"})
    logged(other, store, experiment, 4000)
    exit_code(other.path, "--uri", store)
    tonight = run_of("tonight", WORSE, experiment, started="2026-01-05T02:00:00+00:00")
    logged(tonight, store, experiment, 5000)
    later = run_of("later", BEFORE, experiment, started="2026-01-06T02:00:00+00:00")
    logged(later, store, experiment, 6000)
    exit_code(later.path, "--uri", store)
    return experiment, tonight


def test_the_latest_baseline_is_the_last_night_over_the_same_data_that_passed(
    nights: tuple[str, RunFolder], store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, tonight = nights
    outcomes = [verdict(RunFolder(Path(f"night-{day}")))["outcome"] for day in (1, 2, 3)]
    assert outcomes == ["passed", "cannot tell", "regressed"]
    assert exit_code(tonight.path, "--against-latest", experiment, *DROP, "--uri", store) == 1
    assert verdict(tonight)["against"] == "night-1"
    in_folder = ["--against-latest", str(tonight.path.parent), *DROP]
    assert exit_code(tonight.path, *in_folder) == 1
    assert verdict(tonight)["against"] == "night-1"
    capsys.readouterr()
    assert exit_code(tonight.path, "--against-latest", experiment, "--max-drop", "ndcg@10=0.5", "--uri", store) == 0
    assert "small drops of several nights are not added up: give --pin and --max-drift" in capsys.readouterr().out
    told = MlflowClient(store).search_runs(
        [MlflowClient(store).get_experiment_by_name(experiment).experiment_id], "tags.gate = 'passed'"
    )
    assert {run.data.tags["gate.against"] for run in told if "gate.against" in run.data.tags} == {"night-1"}


def test_in_the_first_night_limits_alone_decide_and_what_passes_is_the_next_night_s_baseline(
    here: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run_of("first", BEFORE, "first night", started="2026-01-01T02:00:00+00:00")
    logged(first, store, "first night", 1000)
    rules = ["--against-latest", "first night", *DROP, "--uri", store]
    assert exit_code(first.path, *rules, "--min", "ndcg@10=0.9") == 1
    assert exit_code(first.path, *rules, "--min", "ndcg@10=0.3") == 0
    assert "note    no earlier run over small passed its gate in first night at sqlite" in capsys.readouterr().out
    second = run_of("second", WORSE, "first night", started="2026-01-02T02:00:00+00:00")
    logged(second, store, "first night", 2000)
    assert exit_code(second.path, *rules) == 1
    assert verdict(second)["against"] == "first"
    assert exit_code(second.path, "--against-latest", "frist night", *DROP, "--uri", store) == 2
    assert "no finished run of such an experiment" in capsys.readouterr().err


def test_a_pinned_run_is_the_baseline_and_with_a_drift_beside_another_one_of_drift_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned, last, tonight = (run_of(name, [one - 0.008 * n for one in BEFORE]) for n, name in enumerate("abc"))
    assert exit_code(tonight.path, "--pin", pinned.path, *DROP) == 1
    assert (verdict(tonight)["against"], verdict(tonight)["pinned"]) == ("a", "a")
    drift = ["--against", last.path, *DROP, "--pin", "a", "--max-drift"]
    assert exit_code(tonight.path, *drift, "ndcg@10=0.02") == 0
    assert exit_code(tonight.path, *drift, "ndcg@10=0.01") == 1
    assert verdict(tonight)["sentence"].startswith("regressed: ndcg@10 since a fell by 0.0160")


# --- by the run's own config ---


def of_config(name: str, values: list[float], started: str, **gate: Any) -> RunFolder:
    sections = {"tracking": {"uri": None, "experiment": "gated"}, "gate": gate}
    return finished_run(Path(name).resolve(), values, config=sections, started=started).folder


def test_without_rules_the_run_s_own_are_obeyed(here: Path) -> None:
    first = of_config("first", BEFORE, "2026-01-01T02:00:00+00:00", max_drop={"ndcg@10": 0.01})
    second = of_config("second", WORSE, "2026-01-02T02:00:00+00:00", max_drop={"ndcg@10": 0.01})
    assert (exit_code(first.path), exit_code(second.path)) == (0, 1)
    assert (verdict(first)["against"], verdict(second)["against"]) == (None, "first")
    assert exit_code(second.path, "--against", first.path, "--max-drop", "ndcg@10=0.5") == 0


def test_the_config_s_pin_is_the_baseline_or_with_a_drift_that_rule_s_alone(here: Path) -> None:
    nights = {
        name: [one - 0.008 * number for one in BEFORE] for number, name in enumerate(("first", "second", "third"))
    }
    limits = {"pin": "first", "max_drop": {"ndcg@10": 0.01}}
    made = {
        name: of_config(
            name, values, f"2026-01-0{day}T02:00:00+00:00", **(limits if day > 1 else {"max": {"pairs": 99}})
        )
        for day, (name, values) in enumerate(nights.items(), 1)
    }
    assert [exit_code(folder.path) for folder in made.values()] == [0, 0, 1]
    assert verdict(made["third"])["against"] == "first"
    drifting = of_config(
        "drifting", nights["third"], "2026-01-04T02:00:00+00:00", **limits, max_drift={"ndcg@10": 0.015}
    )
    assert exit_code(drifting.path) == 1
    assert (verdict(drifting)["against"], verdict(drifting)["pinned"]) == ("second", "first")
    assert verdict(drifting)["sentence"].startswith("regressed: ndcg@10 fell by 0.0080") is False
    assert "ndcg@10 since first fell by 0.0160" in verdict(drifting)["sentence"]


def test_a_night_is_accepted_by_gating_it_by_limits_alone_wherever_that_is_said(
    here: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag goes to the run's own MLflow, where the next night looks: here is no mlflow.db, nor is one made."""
    sections = {"tracking": {"uri": store, "experiment": "accepted"}, "gate": {"max_drop": {"ndcg@10": 0.01}}}
    nights = [
        finished_run(here / f"n{day}", values, config=sections, started=f"2026-01-0{day}T02:00:00+00:00").folder
        for day, values in ((1, BEFORE), (2, WORSE), (3, WORSE))
    ]
    for night in nights:
        logged(night, store, "accepted", 1000)
    assert [exit_code(night.path) for night in nights] == [0, 1, 1]
    assert exit_code(nights[1].path, "--min", "ndcg@10=0.3") == 0
    assert exit_code(nights[2].path) == 0
    assert verdict(nights[2])["against"] == "n2"
    assert not (here / "mlflow.db").exists()


def test_what_the_config_allows_to_differ_may_and_is_said(here: Path) -> None:
    first = of_config("first", BEFORE, "2026-01-01T02:00:00+00:00", max_drop={"ndcg@10": 0.01})
    assert exit_code(first.path) == 0
    for name, allow, code in (("refused", [], 2), ("allowed", ["candidates"], 0)):
        sections = {
            "tracking": {"uri": None, "experiment": "gated"},
            "gate": {"max_drop": {"ndcg@10": 0.01}, "allow": allow},
        }
        other = {"candidates_digest": "e" * 64, "lists_digest": "f" * 64, "started": "2026-01-02T02:00:00+00:00"}
        folder = finished_run(Path(name).resolve(), BEFORE, config=sections, **other).folder
        assert exit_code(folder.path) == code
    assert verdict(folder)["sentence"].endswith("against first (with other candidates, as allowed)")


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--against", "old", "--against-latest", "nightly"], "--against and --against-latest name two baselines"),
        (DROP, "--max-drop needs a run to drop from"),
        (["--against-latest", "nightly", *DROP], "say where that is with --uri"),
        (["--pin", "old", "--slice", "language=zh", *DROP], "none has a field language"),
        (["--max-drift", "ndcg_at_10=0.01"], "--max-drift needs a pinned run"),
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
