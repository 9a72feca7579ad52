"""A plan under way: every grade is kept whatever ends the process, skipped queries are missing, one process has it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.judging.campaign import Campaign, Grade
from pipelines.judging.folder import PlanFolder
from pipelines.judging.journal import Journal, alone_with
from pipelines.judging.plan import PlanOrder, make_plan
from stages.core.errors import DataError
from stages.sources.formats.nested import read_any_qrels
from tests.pipelines.unjudged_runs import grade_of, unjudged_run


@pytest.fixture
def plan(tmp_path: Path) -> PlanFolder:
    unjudged_run(tmp_path / "run", 60, documents=4, same=0)
    return make_plan(PlanOrder([tmp_path / "run"], tmp_path / "plan", "ndcg@3", 0.2, pilot=20))


def judge(campaign: Campaign, place: int) -> None:
    query = campaign.queries[place]
    grades = [grade_of(query.query_id, doc_id) for doc_id in query.doc_ids]
    campaign.record(Grade(place, document, grade) for document, grade in enumerate(grades))


def judge_all(campaign: Campaign) -> None:
    for place in range(60):
        if place < campaign.number and not campaign.is_done(place):
            judge(campaign, place)


def test_what_was_graded_is_there_when_the_plan_is_opened_again(plan: PlanFolder) -> None:
    campaign = Campaign(plan)
    campaign.record([Grade(0, 0, 3), Grade(0, 1, 1)])
    campaign.record([Grade(0, 1, 2), Grade(0, 0, None)])
    again = Campaign(plan)
    assert again.grades(0) == {1: 2}
    query = again.queries[0]
    assert read_any_qrels(plan.qrels, lambda _: None).grades == {query.query_id: {query.doc_ids[1]: 2}}


def test_a_line_that_a_kill_cut_in_two_is_dropped_and_the_rest_stays(plan: PlanFolder) -> None:
    Campaign(plan).record([Grade(0, 0, 3)])
    whole = plan.journal.read_bytes()
    for cut in range(1, len(whole)):
        plan.journal.write_bytes(whole + whole[:cut].rstrip(b"\n"))
        assert Campaign(plan).grades(0) == {0: 3}
        assert plan.journal.read_bytes() == whole


def test_a_process_that_is_killed_between_two_grades_has_lost_neither(plan: PlanFolder) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from pipelines.judging.campaign import Campaign, Grade; from pipelines.judging.folder import PlanFolder\n"
        "import pipelines.judging.campaign as c\n"
        "made = Campaign(PlanFolder(Path(sys.argv[1]))); made.record([Grade(0, 0, 3)])\n"
        "c.write_whole = lambda *_: os.kill(os.getpid(), 9)\n"  # the journal has it, qrels.tsv not yet
        "made.record([Grade(0, 1, 2)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(plan.path)], check=False, timeout=120)
    assert done.returncode == -9
    again = Campaign(plan)
    assert again.grades(0) == {0: 3, 1: 2}
    (grades,) = read_any_qrels(plan.qrels, lambda _: None).grades.values()
    assert sorted(grades.values()) == [2, 3]


def test_a_journal_that_somebody_edited_is_refused(plan: PlanFolder) -> None:
    Campaign(plan).record([Grade(0, 0, 3)])
    good = plan.journal.read_text()
    for bad in ("nonsense\n", '{"query_id": "q"}\n', "[]\n"):
        plan.journal.write_text(good + (bad if bad != '{"query_id": "q"}\n' else '{"no": 1}\n'))
        with pytest.raises(DataError, match="entry"):
            Campaign(plan)


@given(said=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.none() | st.integers(0, 3)), max_size=12))
def test_the_qrels_are_what_was_said_last_of_each_document(
    said: list[tuple[int, int, int | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("said")
    unjudged_run(folder / "run", 24, documents=4, same=0)
    made = make_plan(PlanOrder([folder / "run"], folder / "plan", "ndcg@4", 0.2, pilot=20))
    campaign, last = Campaign(made), {}
    for place, document, grade in said:
        campaign.record([Grade(place, document, grade)])
        query = campaign.queries[place]
        last[query.query_id, query.doc_ids[document]] = grade
    expected = {key: grade for key, grade in last.items() if grade is not None}
    for one in (campaign, Campaign(made)):
        lines = [line.split("\t") for line in one.folder.qrels.read_text().splitlines()[1:]]
        assert {(query_id, doc_id): int(grade) for query_id, doc_id, grade in lines} == expected


def test_a_number_that_is_reached_rises_by_the_rule_and_is_never_taken_back(plan: PlanFolder) -> None:
    campaign = Campaign(plan)
    for place in range(19):
        judge(campaign, place)
    assert campaign.number == 20
    judge(campaign, 19)
    raised = campaign.number
    assert raised > 20 or campaign.progress().complete
    campaign.record([Grade(0, 0, None)])
    assert campaign.number == raised == Campaign(plan).number


def test_a_skipped_query_is_missing_and_the_verdict_says_so(plan: PlanFolder) -> None:
    campaign = Campaign(plan)
    campaign.record([Grade(3, 0, 2)])
    campaign.skip(3, skipped=True)
    assert campaign.queries[3].query_id not in plan.qrels.read_text()
    judge_all(campaign)
    assert campaign.progress().complete and campaign.progress().skipped == 1
    verdict = campaign.finish()
    low, high = verdict["bounds"]
    assert low < verdict["low"] < verdict["high"] < high
    assert verdict["broken"][0].startswith(f"1 query was skipped of {campaign.number}")
    assert Campaign(plan).verdict == json.loads(plan.verdict.read_text()) == json.loads(json.dumps(verdict))


def test_a_skipped_query_comes_back_with_the_grades_that_it_had(plan: PlanFolder) -> None:
    campaign = Campaign(plan)
    campaign.record([Grade(3, 0, 2)])
    campaign.skip(3, skipped=True)
    campaign.skip(3, skipped=False)
    assert Campaign(plan).grades(3) == {0: 2} and not Campaign(plan).skipped


def test_there_is_no_verdict_before_all_is_judged_and_no_grade_after_it(plan: PlanFolder) -> None:
    campaign = Campaign(plan)
    with pytest.raises(DataError, match="not all of the 20 queries are judged yet"):
        campaign.finish()
    judge_all(campaign)
    campaign.finish()
    for again in (campaign, Campaign(plan)):
        with pytest.raises(DataError, match="the verdict is made"):
            again.record([Grade(0, 0, 1)])
        with pytest.raises(DataError, match="the verdict is made"):
            again.skip(0, skipped=True)


@pytest.mark.parametrize("one", [Grade(20, 0, 1), Grade(-1, 0, 1), Grade(0, 9, 1), Grade(0, -1, 1), Grade(0, 0, 4)])
def test_a_grade_of_nothing_is_refused_and_nothing_beside_it_is_saved(plan: PlanFolder, one: Grade) -> None:
    campaign = Campaign(plan)
    with pytest.raises(DataError):
        campaign.record([Grade(0, 1, 1), one])
    assert not campaign.grades(0) and not plan.journal.exists()


def test_a_plan_is_open_in_one_process_at_a_time(plan: PlanFolder) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pipelines.judging.journal import alone_with\n"
        "with alone_with(Path(sys.argv[1])): print('mine')\n"
    )
    with alone_with(plan.path):
        with pytest.raises(DataError, match="open in another process"), alone_with(plan.path):
            pass
        done = subprocess.run(
            [sys.executable, "-c", code, str(plan.path)], check=False, timeout=120, capture_output=True, text=True
        )
        assert done.returncode != 0 and "open in another process" in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", code, str(plan.path)], check=False, timeout=120, capture_output=True, text=True
    )
    assert done.stdout == "mine\n", done.stderr


def test_entries_of_any_text_come_back_as_they_were(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    entries = [{"query_id": "q\u2028\u0085\n\t", "doc_id": "漢字 \U0001f600", "grade": 1}, {"skipped": True}]
    journal.append(*entries)
    assert [*Journal(tmp_path / "journal.jsonl").entries()] == entries
