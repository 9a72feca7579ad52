"""Two finished runs whose lists hold documents that nobody judged: a verdict that these could reverse says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.comparing.command import as_compared, numbers
from pipelines.runs.read import RunContent
from pipelines.verdict.rules import judge, parse_limits
from pipelines.verdict.runs import compare_runs
from stages.core.records import Judgements, Ranking
from stages.files.judgements import write_judgements
from stages.files.rankings import rankings_table
from stages.quality.evaluate import evaluate
from stages.quality.regression import Ruling
from stages.report.comparison_report import comparison_document
from stages.report.markdown import to_markdown
from tests.pipelines.finished_runs import finished_run

IDS = [f"q{number:03}" for number in range(40)]
METRIC = "ndcg@10"
# a is relevant, b is not, x is open.
BASELINE, BETTER = "bax", "abx"
JUDGED = Judgements({query_id: {"a": 1, "b": 0} for query_id in IDS})
WHOLE = Judgements({query_id: {"a": 1, "b": 0, "x": 0} for query_id in IDS})


def run_of(path: Path, ranking: str, judgements: Judgements | None = JUDGED) -> RunContent:
    values = evaluate(dict.fromkeys(IDS, tuple(ranking)), judgements or JUDGED, [METRIC]).values[METRIC]
    run = finished_run(path, list(values), query_ids=IDS)
    run.folder.rankings.mkdir()
    made = [Ranking(one, tuple(ranking), (0.5,) * len(ranking), (None,) * len(ranking)) for one in IDS]
    pq.write_table(rankings_table(made), run.folder.rankings / "part-00000.parquet")
    if judgements is not None:
        write_judgements(judgements, run.folder.judgements)
    return run


def words(*runs: RunContent) -> str:
    (tested,) = compare_runs(runs, metrics=[METRIC]).tested
    return tested.words


def test_what_nobody_judged_is_bounded_between_two_runs(tmp_path: Path) -> None:
    found = compare_runs([run_of(tmp_path / "a", BASELINE), run_of(tmp_path / "b", BETTER)])
    ((_, told),) = found.unjudged.items()
    assert (told.documents, told.cutoff) == (len(IDS), 10)
    assert told.difference.low is not None
    # x has the same rank in both: it cannot turn the order of a and b round.
    assert 0 < told.difference.low < found.tested[0].difference.difference
    assert found.tested[0].words.endswith("significant at the 5 % level")
    assert numbers(found)["unjudged"][0]["share"] == pytest.approx(1 / 3)


def test_a_difference_that_unjudged_documents_could_reverse_says_so(tmp_path: Path) -> None:
    """Were x relevant, the baseline would be perfect."""
    told = words(run_of(tmp_path / "a", "xab"), run_of(tmp_path / "b", "abx"))
    assert ", by what is judged; the 33.3% of the top 10 that is not could at worst reverse it (between -0." in told


def test_where_all_is_judged_nothing_more_is_said(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "a", "xab", WHOLE), run_of(tmp_path / "b", "abx", WHOLE)]
    assert words(*runs).endswith("statistically significant at the 5 % level")
    shown = to_markdown(comparison_document(as_compared(compare_runs(runs))))
    assert "Not judged" not in shown


def test_the_report_of_a_comparison_shows_bounds_and_condensed_lists(tmp_path: Path) -> None:
    found = compare_runs([run_of(tmp_path / "a", "xab"), run_of(tmp_path / "b", "abx")])
    shown = to_markdown(comparison_document(as_compared(found)))
    assert "Not judged are 33.3% of the top 10: 40 documents, which count as not relevant." in shown
    assert "change, condensed" in shown


@pytest.mark.parametrize(("before", "after"), [(None, JUDGED), (JUDGED, None)])
def test_runs_of_before_judgements_were_kept_are_compared_without(
    before: Judgements | None, after: Judgements | None, tmp_path: Path
) -> None:
    first, second = run_of(tmp_path / "a", "xab", before), run_of(tmp_path / "b", "abx", after)
    (second.folder.rankings / "part-00000.parquet").unlink()
    assert compare_runs([first, second]).unjudged == {}


def test_a_gate_that_passes_says_what_unjudged_documents_could_make_of_the_drop(tmp_path: Path) -> None:
    limits = parse_limits(["ndcg@10=0.05"], [], [])
    found = judge(run_of(tmp_path / "b", "abx"), run_of(tmp_path / "a", "xab"), limits)
    (check,) = [check for check in found.checks if check.name == METRIC]
    assert check.outcome == Ruling.PASSED
    assert "a drop of 0.05 is allowed, by what is judged; the 33.3% of the top 10 that is not could" in check.words
    other = judge(run_of(tmp_path / "d", "xab"), run_of(tmp_path / "c", "abx"), limits)
    assert other.outcome == Ruling.REGRESSED
    assert "could at worst reverse it" in other.sentence()


def test_a_gate_over_the_same_lists_has_no_reservation(tmp_path: Path) -> None:
    found = judge(run_of(tmp_path / "b", "xab"), run_of(tmp_path / "a", "xab"), parse_limits(["ndcg@10=0"], [], []))
    (check,) = [check for check in found.checks if check.name == METRIC]
    assert check.words == "ndcg@10 did not move: every list is the baseline's"


def told_of_own_lists(low: float, high: float, *, relevant_only: bool = False) -> dict[str, Any]:
    side = {"judged": 0.8, "low": low, "high": high, "condensed": 0.5}
    difference = {"judged": None, "low": low - 0.5, "high": high - 0.5, "condensed": 0.0}
    told = {"documents": 20, "cutoff": 10, "highest": 1, "relevant_only": relevant_only}
    return {METRIC: told | {"share": 0.2, "first": side, "second": side, "difference": difference}}


@pytest.mark.parametrize(
    ("limits", "outcome", "doubted"),
    [
        ((["ndcg_at_10=0.4"], []), Ruling.PASSED, False),
        ((["ndcg_at_10=0.5"], []), Ruling.PASSED, True),
        ((["ndcg_at_10=0.65"], []), Ruling.REGRESSED, True),
        ((["ndcg_at_10=0.9"], []), Ruling.REGRESSED, False),
        (([], ["ndcg_at_10=0.65"]), Ruling.PASSED, True),
        (([], ["ndcg_at_10=0.5"]), Ruling.REGRESSED, True),
        ((["quality.delta.ndcg_at_10=0.05"], []), Ruling.PASSED, True),
        ((["pairs_per_s=1"], []), Ruling.PASSED, False),
    ],
)
def test_limits_of_quality_have_the_same_reservation(
    limits: tuple[list[str], list[str]], outcome: Ruling, doubted: bool, tmp_path: Path
) -> None:
    run = finished_run(tmp_path / "a", [0.6] * 40)
    run = replace(run, analysis=run.analysis | {"unjudged": told_of_own_lists(0.45, 0.7)})
    least, most = limits
    found = judge(run, None, parse_limits([], most, least))
    assert found.outcome == outcome
    assert ("could at worst reverse it" in found.sentence()) is doubted


def test_qrels_of_relevant_documents_alone_leave_the_sentence_of_a_passed_gate_as_it_was(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "a", [0.6] * 40)
    run = replace(run, analysis=run.analysis | {"unjudged": told_of_own_lists(0.45, 0.7, relevant_only=True)})
    found = judge(run, None, parse_limits([], [], ["ndcg_at_10=0.5"]))
    assert found.sentence() == f"passed: {len(found.checks)} checks"
    assert any("that are not judged taken as not relevant" in check.words for check in found.checks)
