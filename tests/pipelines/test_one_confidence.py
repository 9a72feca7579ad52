"""`evaluate.confidence` is that of every interval and every test, wherever they are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.comparing.command import as_compared
from pipelines.runs.read import RunContent
from pipelines.verdict.rules import judge, parse_limits
from pipelines.verdict.runs import compare_runs
from stages.quality.regression import Ruling
from stages.quality.significance import compare_values
from stages.report.comparison_report import comparison_document
from stages.report.markdown import to_markdown
from tests.pipelines.finished_runs import finished_run

RNG = np.random.default_rng(3)
BEFORE = RNG.uniform(0.2, 0.6, 60)
AFTER = BEFORE + RNG.normal(-0.06, 0.12, 60)
DROP = parse_limits(["ndcg@10=0.03"], [], [])


def run_of(path: Path, values: np.ndarray, confidence: float | None) -> RunContent:  # type: ignore[type-arg]
    evaluate = {} if confidence is None else {"evaluate": {"confidence": confidence}}
    return finished_run(path, list(values), config=evaluate)


def ends(confidence: float) -> str:
    interval = compare_values(BEFORE, AFTER, permutations=1, confidence=confidence).interval
    assert interval is not None
    return f"{interval.low:+.4f} to {interval.high:+.4f}"


@pytest.mark.parametrize(("confidence", "told"), [(None, 0.95), (0.9, 0.9), (0.995, 0.995)])
def test_compare_tells_intervals_and_tests_at_the_confidence_of_the_runs(
    confidence: float | None, told: float, tmp_path: Path
) -> None:
    found = compare_runs([run_of(tmp_path / "a", BEFORE, confidence), run_of(tmp_path / "b", AFTER, confidence)])
    shown = to_markdown(comparison_document(as_compared(found)))
    assert f"{100 * told:g} % interval" in shown
    assert ends(told) in shown
    assert f"at the {100 * (1 - told):g} % level" in shown
    assert found.notes == []


def test_of_runs_with_different_confidences_compare_takes_the_highest_and_says_so(tmp_path: Path) -> None:
    found = compare_runs([run_of(tmp_path / "a", BEFORE, 0.9), run_of(tmp_path / "b", AFTER, 0.99)])
    assert {one.difference.confidence for one in found.tested} == {0.99}
    assert found.notes == ["the runs have different evaluate.confidence: the highest, 0.99, is that of all here"]
    assert compare_runs([*found.runs.values()], confidence=0.9).notes == []


def test_the_gate_judges_at_the_confidence_of_the_run_that_is_judged(tmp_path: Path) -> None:
    outcomes = {}
    for confidence in (0.6, 0.999):
        run = run_of(tmp_path / f"b{confidence}", AFTER, confidence)
        found = judge(run, run_of(tmp_path / f"a{confidence}", BEFORE, 0.95), DROP)
        (check,) = [check for check in found.checks if check.name == "ndcg@10"]
        assert f"({100 * confidence:g} % interval {ends(confidence)})" in check.words
        outcomes[confidence] = check.outcome
    assert outcomes == {0.6: Ruling.REGRESSED, 0.999: Ruling.CANNOT_TELL}
