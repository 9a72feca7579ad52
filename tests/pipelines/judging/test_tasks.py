"""A filled file is taken whole or not at all, and a line that cannot be used is named by its number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.judging.campaign import Campaign
from pipelines.judging.folder import PlanFolder
from pipelines.judging.plan import PlanOrder, make_plan
from pipelines.judging.tasks import read_tasks, write_tasks
from stages.core.errors import DataError
from tests.pipelines.unjudged_runs import unjudged_run

Row = dict[str, Any]


@pytest.fixture
def plan(tmp_path: Path) -> PlanFolder:
    unjudged_run(tmp_path / "run", 30, documents=4, same=0)
    return make_plan(PlanOrder([tmp_path / "run"], tmp_path / "plan", "ndcg@3", 0.1, pilot=20))


@pytest.fixture
def campaign(plan: PlanFolder) -> Campaign:
    made = Campaign(plan)
    write_tasks(made)
    return made


def rows(plan: PlanFolder) -> list[Row]:
    return [json.loads(line) for line in plan.tasks.read_text("utf-8").splitlines()]


def filled(plan: PlanFolder, change: Callable[[list[Row]], list[object]]) -> Path:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in change(rows(plan))]
    path = plan.path / "filled.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def with_grades(*grades: object) -> Callable[[list[Row]], list[object]]:
    return lambda given: [row | {"grade": grade} for row, grade in zip(given, grades, strict=False)]


def test_grades_are_taken_and_null_says_nothing(plan: PlanFolder, campaign: Campaign) -> None:
    taken = read_tasks(filled(plan, with_grades(2, None, 0)), campaign, overwrite=False)
    assert [(one.place, one.document, one.grade) for one in taken] == [(0, 0, 2), (0, 2, 0)]
    campaign.record(taken)
    assert len(rows(plan)) - write_tasks(campaign) == 2
    assert Campaign(plan).grades(0) == {0: 2, 2: 0}


@pytest.mark.parametrize(
    ("grade", "told"),
    [
        (4, "grade is 4, not a whole number from 0 to 3, or null"),
        (-1, "grade is -1"),
        (1.0, "grade is 1.0"),
        (1.5, "grade is 1.5"),
        ("2", "grade is '2'"),
        (True, "grade is True"),
        ([], r"grade is \[\]"),
    ],
)
def test_what_is_no_grade_is_refused_with_its_line(
    grade: object, told: str, plan: PlanFolder, campaign: Campaign
) -> None:
    with pytest.raises(DataError, match=rf"filled\.jsonl: line 2: {told}.*Nothing of the file was taken"):
        read_tasks(filled(plan, with_grades(1, grade, 2)), campaign, overwrite=False)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "it is no JSON object"),
        ("[1]", "it is no JSON object"),
        ('{"query_id": "q", "grade": 1}', "it has no doc_id"),
        ('{"query_id": "q", "doc_id": "d", "grade": 1}', "document 'd' of query 'q' is not among those"),
        ("[" * 100_000, "it is no JSON object"),
    ],
)
def test_a_line_that_is_none_of_the_plan_is_refused(line: str, told: str, plan: PlanFolder, campaign: Campaign) -> None:
    with pytest.raises(DataError, match=f"line 1: {told}"):
        read_tasks(filled(plan, lambda _: [line]), campaign, overwrite=False)


def test_queries_that_are_not_drawn_yet_are_none_of_those_to_judge(plan: PlanFolder, campaign: Campaign) -> None:
    later = campaign.queries[25]
    line = {"query_id": later.query_id, "doc_id": later.doc_ids[0], "grade": 1}
    with pytest.raises(DataError, match="not among those"):
        read_tasks(filled(plan, lambda _: [line]), campaign, overwrite=False)


def test_several_faults_are_told_together_and_how_many_more_there_are(plan: PlanFolder, campaign: Campaign) -> None:
    with pytest.raises(DataError, match=r"line 1: .*; line 2: .*; line 3: .*; and 2 more lines. Nothing"):
        read_tasks(filled(plan, with_grades(9, 9, 9, 9, 9)), campaign, overwrite=False)


def test_a_grade_that_differs_from_a_saved_one_is_refused_unless_it_may(plan: PlanFolder, campaign: Campaign) -> None:
    file = filled(plan, with_grades(2))
    campaign.record(read_tasks(file, campaign, overwrite=False))
    assert read_tasks(file, campaign, overwrite=False) == []
    file = filled(plan, with_grades(1))
    with pytest.raises(DataError, match="line 1: judged 2 before and 1 here; --overwrite takes the file's"):
        read_tasks(file, campaign, overwrite=False)
    campaign.record(read_tasks(file, campaign, overwrite=True))
    assert campaign.grades(0) == {0: 1}


def test_a_document_that_is_judged_twice_in_one_file_is_refused_unless_alike(
    plan: PlanFolder, campaign: Campaign
) -> None:
    twice = filled(plan, lambda given: [given[0] | {"grade": 1}, given[0] | {"grade": 2}])
    with pytest.raises(DataError, match="line 2: judged 1 in line 1 and 2 here"):
        read_tasks(twice, campaign, overwrite=False)
    alike = filled(plan, lambda given: [given[0] | {"grade": 1}, given[0] | {"grade": 1}])
    assert len(read_tasks(alike, campaign, overwrite=False)) == 1


def test_line_separators_within_a_text_are_no_line_ends(tmp_path: Path) -> None:
    unjudged_run(tmp_path / "run", 30, documents=4, same=0, text="one\u2028two\u0085three {}")
    folder = make_plan(PlanOrder([tmp_path / "run"], tmp_path / "plan", "ndcg@3", 0.1, pilot=20))
    made = Campaign(folder)
    count = write_tasks(made)
    text = folder.tasks.read_text("utf-8").replace('"grade": null', '"grade": 1')
    (tmp_path / "filled.jsonl").write_text("\ufeff" + text, encoding="utf-8")
    assert len(read_tasks(tmp_path / "filled.jsonl", made, overwrite=False)) == count
