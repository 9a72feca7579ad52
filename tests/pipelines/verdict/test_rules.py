"""A gate holds a run against limits and a baseline; coverage, ties and canaries without being asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.runs.read import RunContent
from pipelines.verdict.rules import Limits, judge, parse_limits
from stages.core.errors import ConfigError
from stages.quality.regression import Ruling
from tests.pipelines.finished_runs import finished_run

NOTHING = Limits({}, {}, {})
RNG = np.random.default_rng(2)
BEFORE = RNG.uniform(0.3, 0.7, 100)


def run_of(path: Path, values: Any = BEFORE, **changed: Any) -> RunContent:
    return finished_run(path, list(values), **changed)


def test_an_unchanged_run_passes_everything(tmp_path: Path) -> None:
    found = judge(
        run_of(tmp_path / "b"), run_of(tmp_path / "a"), parse_limits(["ndcg_at_10=0"], ["queue_p95_ms=200"], [])
    )
    assert (found.outcome, found.exit_code) == (Ruling.PASSED, 0)
    assert {check.name for check in found.checks} >= {"canaries", "ndcg@10", "queue.time_ms.p95", "scores.tied_share"}
    assert found.sentence() == f"passed: {len(found.checks)} checks against a"


def test_a_clear_drop_fails_with_the_sentence_that_says_so(tmp_path: Path) -> None:
    worse = run_of(tmp_path / "b", BEFORE - 0.1 + RNG.normal(0, 0.02, 100))
    found = judge(worse, run_of(tmp_path / "a"), parse_limits(["ndcg@10=0.01"], [], []))
    assert (found.outcome, found.exit_code) == (Ruling.REGRESSED, 1)
    assert found.sentence().startswith("regressed: ndcg@10 fell by 0.")


def test_an_interval_that_holds_the_limit_is_an_outcome_of_its_own(tmp_path: Path) -> None:
    noisy = run_of(tmp_path / "b", BEFORE + RNG.normal(-0.01, 0.3, 100))
    found = judge(noisy, run_of(tmp_path / "a"), parse_limits(["ndcg_at_10=0.01"], [], []))
    assert (found.outcome, found.exit_code) == (Ruling.CANNOT_TELL, 5)
    assert "queries like these 100 would tell" in found.sentence()


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"coverage": {"unanswered": 1}}, "coverage.unanswered"),
        ({"coverage": {"failed_pairs": 2}}, "coverage.failed_pairs"),
        ({"coverage": {"set_aside_rows": 3}}, "coverage.set_aside_rows"),
        ({"scores": {"tied_share": 0.2}}, "scores.tied_share"),
    ],
)
def test_coverage_and_ties_are_held_against_the_baseline_unasked(
    changed: dict[str, Any], name: str, tmp_path: Path
) -> None:
    run, baseline = run_of(tmp_path / "b", **changed), run_of(tmp_path / "a")
    found = judge(run, baseline, NOTHING)
    assert [check.name for check in found.checks if check.outcome == Ruling.REGRESSED] == [name]
    asked = judge(run, baseline, Limits({}, {name.rpartition(".")[2]: 10.0}, {}))
    assert asked.outcome == Ruling.PASSED


def test_a_run_of_before_the_canaries_were_recorded_cannot_tell(tmp_path: Path) -> None:
    found = judge(run_of(tmp_path / "a", scores={"canaries_passed": None}), None, NOTHING)
    assert [check.name for check in found.checks if check.outcome == Ruling.CANNOT_TELL] == ["canaries"]


def test_without_a_drop_the_gate_says_that_quality_is_not_gated(tmp_path: Path) -> None:
    assert judge(run_of(tmp_path / "a"), None, NOTHING).notes == ["quality is not gated: give --max-drop METRIC=VALUE"]


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        ((["queue_p95_ms=149"], []), Ruling.REGRESSED),
        ((["queue/time_ms/p95=150"], []), Ruling.PASSED),
        (([], ["pairs_per_s=17"]), Ruling.REGRESSED),
        (([], ["ndcg_at_10=0.1"]), Ruling.PASSED),
        (([], ["quality.first_stage.ndcg_at_10=0.6"]), Ruling.REGRESSED),
        ((["score_store_hits=3"], []), Ruling.CANNOT_TELL),
    ],
)
def test_any_number_of_metrics_json_can_be_limited(
    limits: tuple[list[str], list[str]], outcome: Ruling, tmp_path: Path
) -> None:
    assert judge(run_of(tmp_path / "a"), None, parse_limits([], *limits)).outcome == outcome


def test_a_rate_of_a_run_that_scored_nothing_does_not_apply_and_is_noted(tmp_path: Path) -> None:
    stored = run_of(tmp_path / "a", throughput={"scored_pairs": 0, "pairs_per_s": None})
    found = judge(stored, None, parse_limits([], [], ["pairs_per_s=100"]))
    assert found.outcome == Ruling.PASSED
    assert "throughput.pairs_per_s is not gated: the engine scored nothing" in found.notes[-1]


@pytest.mark.parametrize(
    ("drops", "most", "least", "told"),
    [
        (["ndcg_at_10"], [], [], "write NAME=NUMBER"),
        (["ndcg_at_10=-0.1"], [], [], "write NAME=NUMBER"),
        ([], ["queue_p95_ms=fast"], [], "write NAME=NUMBER"),
        ([], ["queue_p95=200"], [], "did you mean"),
        ([], ["p95=200"], [], None),
        (["mrr=0.1"], [], [], "this run has ndcg_at_10"),
    ],
)
def test_a_malformed_or_unknown_limit_is_refused(
    drops: list[str], most: list[str], least: list[str], told: str | None, tmp_path: Path
) -> None:
    run, baseline = run_of(tmp_path / "b"), run_of(tmp_path / "a")
    if told is None:
        assert judge(run, baseline, parse_limits(drops, most, least)).outcome == Ruling.PASSED
        return
    with pytest.raises(ConfigError, match=told):
        judge(run, baseline, parse_limits(drops, most, least))


def test_a_drop_without_a_baseline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--against"):
        judge(run_of(tmp_path / "a"), None, parse_limits(["ndcg_at_10=0.1"], [], []))
