"""The same change of the same run has one interval, wherever it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.runs.read import read_metrics
from pipelines.runs.report import run_report
from pipelines.tracking.values import run_metrics
from pipelines.verdict.rules import judge, parse_limits
from pipelines.verdict.runs import Allowed, compare_runs
from stages.report.markdown import to_markdown
from tests.pipelines.finished_runs import finished_run, write_analysis

RNG = np.random.default_rng(0)
BEFORE = RNG.uniform(0.2, 0.6, 60)
AFTER = BEFORE + RNG.normal(0.05, 0.2, 60)


def test_report_compare_gate_and_mlflow_tell_the_same_interval(tmp_path: Path) -> None:
    first_stage = finished_run(tmp_path / "a", list(BEFORE))
    run = write_analysis(finished_run(tmp_path / "b", list(AFTER), first=list(BEFORE)))
    low, high = run.analysis["significance"]["ndcg@10"]["interval"]
    assert low < high

    (compared,) = compare_runs([first_stage, run], allowed=Allowed()).tested
    assert compared.difference.interval == pytest.approx((low, high))
    logged = run_metrics(read_metrics(run.folder), run.analysis)
    ends = [logged[f"significance/ndcg_at_10_ci_{end}"] for end in ("low", "high")]
    assert ends == [low, high]
    judged = judge(run, first_stage, parse_limits(["ndcg@10=0.01"], [], []))
    assert f"{low:+.4f} to {high:+.4f}" in next(check.words for check in judged.checks if check.name == "ndcg@10")
    assert f"{low:+.4f} to {high:+.4f}" in to_markdown(run_report(run))
