"""A gate holds a run against limits and a baseline; coverage, ties and canaries without being asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.runs.read import RunContent, read_run_folder
from pipelines.verdict.limits import Limits, parse_limits
from pipelines.verdict.rules import judge
from pipelines.verdict.runs import Allowed
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


@pytest.mark.parametrize(
    ("asked", "told"), [("strict", "sensibly"), ("finite", "with numbers, as model.canaries asks")]
)
def test_the_gate_says_what_was_asked_of_the_built_in_pairs(asked: str, told: str, tmp_path: Path) -> None:
    scores = {"canaries_passed": True, "canaries_asked": asked}
    (check,) = [
        one for one in judge(run_of(tmp_path / "a", scores=scores), None, NOTHING).checks if one.name == "canaries"
    ]
    assert (check.outcome, check.words) == (Ruling.PASSED, f"the engine scored the built-in pairs {told}")


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


@pytest.mark.parametrize("limit", ["queue_p95_ms=nan", "queue_p95_ms=inf", "=1", "queue_p95_ms"])
def test_a_limit_that_is_no_number_is_refused_as_everything_would_pass_it(limit: str) -> None:
    with pytest.raises(ConfigError, match="write NAME=NUMBER"):
        parse_limits([], [limit], [])


def test_a_drift_without_a_pinned_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--pin RUN"):
        judge(run_of(tmp_path / "a"), None, parse_limits([], [], [], ["ndcg_at_10=0.1"]))


# --- a baseline that moves, and a pinned one ---


def test_without_a_baseline_limits_alone_decide(tmp_path: Path) -> None:
    found = judge(run_of(tmp_path / "a"), None, parse_limits(["ndcg_at_10=0.1"], [], ["ndcg_at_10=0.99"]))
    assert (found.outcome, found.against) == (Ruling.REGRESSED, None)


def test_where_it_is_not_known_whether_there_is_a_baseline_the_gate_cannot_tell(tmp_path: Path) -> None:
    run, drop = run_of(tmp_path / "a"), parse_limits(["ndcg_at_10=0.1"], [], [])
    found = judge(run, None, drop, unknown="MLflow does not answer")
    assert (found.outcome, found.sentence()) == (Ruling.CANNOT_TELL, "cannot tell: MLflow does not answer")
    assert judge(run, None, NOTHING, unknown="MLflow does not answer").outcome == Ruling.PASSED


def test_small_drops_of_six_nights_all_pass_and_their_sum_is_a_drift_from_the_pinned_run(tmp_path: Path) -> None:
    nights = [run_of(tmp_path / f"night{n}", BEFORE - 0.008 * n) for n in range(7)]
    limits = parse_limits(["ndcg@10=0.01"], [], [], ["ndcg@10=0.02"])
    told = [judge(nights[n], nights[n - 1], limits, pinned=nights[0]) for n in range(1, 7)]
    assert [one.outcome for one in told] == [Ruling.PASSED] * 2 + [Ruling.REGRESSED] * 4
    assert told[-1].sentence().startswith("regressed: ndcg@10 since night0 fell by 0.0480")
    assert told[0].sentence().endswith("checks against night0")
    assert told[1].sentence().endswith("checks against night1 and night0")


def test_ties_that_rise_a_little_every_night_are_held_against_the_pinned_run(tmp_path: Path) -> None:
    pinned, last, run = (run_of(tmp_path / f"t{n}", scores={"tied_share": 0.04 * n}) for n in range(3))
    assert judge(run, last, NOTHING).outcome == Ruling.PASSED
    found = judge(run, last, NOTHING, pinned=pinned)
    assert found.sentence() == "regressed: scores.tied_share is 0.08, over the limit of 0.05 (0.05 above t0)"


# --- what may differ ---


def test_what_differs_and_may_is_said_in_the_sentence_and_told_in_full_in_the_notes(tmp_path: Path) -> None:
    other = {"candidates_digest": "e" * 64, "lists_digest": "f" * 64}
    run, baseline = run_of(tmp_path / "b", **other), run_of(tmp_path / "a")
    found = judge(run, baseline, parse_limits(["ndcg@10=0.01"], [], []), allowed=Allowed(candidates=True))
    assert found.sentence().endswith("checks against a (with other candidates, as allowed)")
    assert "a and b reranked different candidates: the first stage differs, too" in found.notes


def test_queries_that_only_one_of_two_runs_judged_are_counted_in_a_note(tmp_path: Path) -> None:
    run = run_of(tmp_path / "b", BEFORE[:60], judgements_digest="x")
    found = judge(
        run,
        run_of(tmp_path / "a", BEFORE[20:50], query_ids=[f"q{n:03}" for n in range(20, 50)]),
        parse_limits(["ndcg@10=0.01"], [], []),
        allowed=Allowed(judgements=True),
    )
    assert "of the 60 judged queries of b the 30 are compared that every run has" in found.notes


# --- notes ---


@pytest.mark.parametrize("limit", ["ndcg_at_10=0.1", "ndcg@10=0.1", "quality.delta.ndcg_at_10=0"])
def test_a_limit_on_the_quality_gates_the_quality(limit: str, tmp_path: Path) -> None:
    assert judge(run_of(tmp_path / "a"), None, parse_limits([], [], [limit])).notes == []


def test_a_limit_on_the_first_stage_gates_no_quality_of_the_reranker(tmp_path: Path) -> None:
    limits = parse_limits([], [], ["quality.first_stage.ndcg_at_10=0.1"])
    assert judge(run_of(tmp_path / "a"), None, limits).notes == ["quality is not gated: give --max-drop METRIC=VALUE"]


def test_a_number_that_a_run_of_before_did_not_have_cannot_be_told(tmp_path: Path) -> None:
    old = run_of(tmp_path / "a", cache={})
    del old.metrics["queue"]  # type: ignore[misc]
    found = judge(old, None, parse_limits([], ["queue_p95_ms=10"], []))
    assert "queue.time_ms.p95 was not measured in this run" in found.sentence()


def test_what_is_to_be_minded_of_the_runs_data_is_a_note_once(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / name) for name in "ab"]
    for run in runs:
        run.folder.write_json(run.folder.analysis, {"schema_version": 2, "remarks": ["3 of 76 judged queries ..."]})
    run, baseline = (read_run_folder(run.folder.path) for run in runs)
    for against in (None, baseline):
        found = judge(run, against, parse_limits(["ndcg@10=0.01"], [], []))
        assert found.notes == ["3 of 76 judged queries ..."]
