"""What is simulated of the gate, tests/faults/gate_nights.py, is what the command itself decides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli.app import main
from stages.quality.regression import check_drop
from stages.quality.significance import compare_values
from tests.faults.differences import populations
from tests.pipelines.finished_runs import finished_run


def test_the_command_rules_on_nights_as_the_simulation_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    baseline = finished_run(tmp_path / "baseline", [0.0] * 50)
    rng, seen = np.random.default_rng(1), set()
    for place, drop in enumerate((0.0, 0.03, 0.06)):
        (night,) = populations()[1].with_mean(-drop).nights(1, 50, rng)
        run = finished_run(tmp_path / f"night-{place}", list(night))
        with pytest.raises(SystemExit):
            main(["gate", str(run.folder.path), "--against", str(baseline.folder.path), "--max-drop", "ndcg@10=0.01"])
        expected = check_drop("ndcg@10", compare_values([0.0] * 50, night, permutations=1), 0.01)
        (check,) = [one for one in json.loads(run.folder.gate.read_text())["checks"] if one["name"] == "ndcg@10"]
        assert (check["outcome"], check["words"]) == (expected.outcome, expected.words)
        assert expected.interval is not None and check["interval"] == list(expected.interval)
        seen.add(expected.outcome)
    assert len(seen) > 1
