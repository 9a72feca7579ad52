"""Runs that a model judged: compared with its mark, never called really different from what people judged, and gated
only where that is allowed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.base.config import RunConfig
from pipelines.comparing.command import as_compared, numbers
from pipelines.comparing.table import ComparedRuns
from pipelines.runs.read import RunContent
from pipelines.verdict.gate import check_judge_of
from pipelines.verdict.limits import Limits
from pipelines.verdict.rules import judge
from pipelines.verdict.runs import Allowed, compare_runs
from stages.core.errors import DataError
from stages.core.records import Judgements, Ranking
from stages.files.judgements import write_judgements
from stages.files.rankings import rankings_table
from stages.quality.regression import Ruling
from stages.report.by_model import marked
from stages.report.comparison_report import OF_NO_JUDGEMENT, comparison_document
from stages.report.markdown import to_markdown
from tests.pipelines.finished_runs import finished_run

ALL = Allowed(judgements=True, candidates=True)
ALLOWED = Allowed(judgements=True, model_judgements=True)
BETTER = [0.6 + 0.01 * (number % 7) for number in range(40)]
MARK = "by model judgement (tiny@0123456789ab)"


def told(by: str = "model", judge: str = "tiny@0123456789ab") -> dict[str, Any]:
    people = 10 if by == "both" else 0
    return {"kind": "qrels", "by": by, "judge": judge, "queries_by_people": people, "queries_by_model": 40 - people}


def by_people(path: Path, values: list[float] | None = None) -> RunContent:
    return finished_run(path, values or [0.5] * 40)


def by_model(path: Path, values: list[float] | None = None, **given: str) -> RunContent:
    return finished_run(path, values or BETTER, judgements=told(**given), judgements_digest=str(given))


def limits(**given: Any) -> Limits:
    return Limits(**{"drops": {}, "most": {}, "least": {}} | given)


def test_runs_of_people_and_of_a_model_are_refused_and_say_who_judged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a is by people's judgement, b by model judgement"):
        compare_runs([by_people(tmp_path / "a"), by_model(tmp_path / "b")])


@pytest.mark.parametrize("other", [{}, {"by": "both"}])
def test_where_that_is_allowed_no_difference_between_them_is_real(tmp_path: Path, other: dict[str, str]) -> None:
    found = compare_runs([by_people(tmp_path / "a"), by_model(tmp_path / "b", **other)], allowed=ALL)
    (tested,) = found.tested
    assert tested.difference.difference > 0.1
    assert not tested.significant() and not found.sure(tested)
    assert tested.words.endswith("they differ in their judges, so no difference is told to be real")
    assert found.mark is not None and found.mark.endswith(f" in {tested.system}")
    assert not ComparedRuns(found).table["significant"].any()


def test_neither_is_one_between_two_models_or_between_some_by_people_and_none(tmp_path: Path) -> None:
    model = by_model(tmp_path / "a")
    for name, given in {"b": {"judge": "other@ba9876543210"}, "c": {"by": "both"}}.items():
        found = compare_runs([model, by_model(tmp_path / name, [0.9] * 40, **given)], allowed=ALL)
        assert found.tested[0].corrected_p == 1


def test_runs_of_one_model_carry_its_mark_wherever_the_comparison_goes(tmp_path: Path) -> None:
    found = compare_runs([by_model(tmp_path / "a"), by_model(tmp_path / "b", [0.9] * 40)])
    (tested,) = found.tested
    assert found.mark == MARK
    assert tested.words.endswith(f"; {MARK}: no interval covers the judge's own error")
    assert not found.sure(tested)
    content = numbers(found)
    assert content["mark"] == MARK and set(content["marks"].values()) == {MARK}
    page = to_markdown(marked(comparison_document(as_compared(found)), found.mark, plain=OF_NO_JUDGEMENT))
    assert page.count("By model judgement") >= 2
    assert "## In what do they differ?\n" in page
    assert MARK in repr(ComparedRuns(found))


def test_what_people_judged_of_them_makes_the_interval_of_two_runs(tmp_path: Path) -> None:
    runs = [by_model(tmp_path / name, by="both") for name in ("a", "b")]
    grades = {f"q{number:03}": {"d1": number % 3, "d2": 3} for number in range(40)}
    people = {query_id: grades[query_id] for query_id in list(grades)[:25]}
    judged = Judgements(grades, judge="tiny@0123456789ab", by_model=grades, by_people=people)
    for run, order in zip(runs, (("d1", "d2"), ("d2", "d1")), strict=True):
        write_judgements(judged, run.folder.judgements)
        _write_rankings(run, order, list(grades))
    found = compare_runs(runs)
    (tested,) = found.tested
    opinion = found.inference[tested.system, "ndcg@10"]
    assert (opinion.change.n, opinion.change.population) == (25, 40)
    assert tested.words.startswith("ndcg@10 rises by")
    assert "people's grades of" in tested.words
    assert found.sure(tested)
    assert numbers(found)["inference"][0]["metric"] == "ndcg@10"


def _write_rankings(run: RunContent, order: tuple[str, ...], query_ids: list[str]) -> None:
    run.folder.rankings.mkdir()
    rankings = [Ranking(one, order, (2.0, 1.0), (None, None)) for one in query_ids]
    pq.write_table(rankings_table(rankings), run.folder.rankings / "part-00000.parquet")


@pytest.mark.parametrize(
    "asked",
    [
        {"least": {"ndcg@10": 0.1}},
        {"most": {"quality.delta.ndcg_at_10": 1.0}},
        {"least": {"unjudged.ndcg_at_10.delta.low": 0.0}},
        {"least": {"inference.ndcg_at_10.by_model": 0.0}},
    ],
)
def test_a_gate_on_what_a_model_judged_is_refused_in_one_line_until_it_is_allowed(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    open_ = {"ndcg_at_10": {"delta": {"low": 0.5}}}
    alone = {"ndcg_at_10": {"by_model": 0.1}}
    run = finished_run(tmp_path / "a", BETTER, judgements=told(), unjudged=open_, inference=alone)
    with pytest.raises(DataError, match="--model-judgements") as refused:
        judge(run, None, limits(**asked), allowed=Allowed(judgements=True, candidates=True))
    assert "\n" not in str(refused.value)
    found = judge(run, None, limits(**asked), allowed=ALLOWED)
    assert found.outcome == Ruling.PASSED
    assert found.mark == MARK and MARK in found.sentence()


def test_a_gate_on_cost_takes_no_heed_of_who_judged(tmp_path: Path) -> None:
    found = judge(by_model(tmp_path / "a"), None, limits(most={"queue_p95_ms": 1000.0}))
    assert (found.outcome, found.mark) == (Ruling.PASSED, None)


def test_the_interval_that_people_s_grades_give_may_be_gated(tmp_path: Path) -> None:
    inferred = {"ndcg_at_10": {"delta": {"mean": 0.1, "low": 0.05, "high": 0.2}}}
    run = finished_run(tmp_path / "a", BETTER, judgements=told("both"), inference=inferred)
    found = judge(run, None, limits(least={"inference.ndcg_at_10.delta.low": 0.0}))
    assert (found.outcome, found.mark) == (Ruling.PASSED, None)


@pytest.mark.parametrize(("mine", "its"), [({}, None), (None, {}), ({}, {"judge": "other@ba9876543210"})])
def test_a_baseline_of_another_judge_is_never_compared_whatever_is_allowed(
    tmp_path: Path, mine: dict[str, str] | None, its: dict[str, str] | None
) -> None:
    run, baseline = (
        by_people(tmp_path / name) if given is None else by_model(tmp_path / name, **given)
        for name, given in (("a", mine), ("b", its))
    )
    with pytest.raises(DataError, match="no gate compares these"):
        judge(run, baseline, limits(drops={"ndcg@10": 0.5}), allowed=ALLOWED)


def test_a_baseline_of_the_same_judge_is(tmp_path: Path) -> None:
    found = judge(by_model(tmp_path / "a"), by_model(tmp_path / "b"), limits(drops={"ndcg@10": 0.1}), allowed=ALLOWED)
    assert found.outcome == Ruling.PASSED
    assert found.sentence().endswith(f"; quality is {MARK}")


@pytest.mark.parametrize(
    ("gate", "refused"),
    [
        ({"min": {"ndcg@10": 0.1}}, True),
        ({"max_drop": {"ndcg@10": 0.1}}, True),
        ({"min": {"ndcg@10": 0.1}, "allow": ["model_judgements"]}, False),
        ({"min": {"inference.ndcg_at_10.delta.low": 0}}, False),
        ({"max": {"queue_p95_ms": 100}}, False),
    ],
)
def test_a_run_refuses_such_a_gate_before_anything_is_scored(gate: dict[str, Any], refused: bool) -> None:
    config = RunConfig.model_validate(
        {"data": {"format": "jsonl", "path": "rows.jsonl"}, "evaluate": {"metrics": ["ndcg@10"]}, "gate": gate}
    )
    judged = Judgements({"q": {"d": 1}}, judge="tiny", by_model={"q": {"d": 1}})
    check_judge_of(config, Judgements({"q": {"d": 1}}))
    if not refused:
        check_judge_of(config, judged)
        return
    with pytest.raises(DataError, match="passes no gate"):
        check_judge_of(config, judged)
