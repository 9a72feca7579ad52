"""The judge's report says how far to believe it before any number of its own, and hides nothing that is missing."""

from __future__ import annotations

from typing import Any

import pytest

from stages.report.document import Block, Details, Document, Items, Table, Text, cell
from stages.report.html import to_html
from stages.report.judge_report import NO_PEOPLE, judge_report
from stages.report.latex import to_latex
from stages.report.markdown import to_markdown
from tests.judge_inputs import judged

NOTHING: dict[str, Any] = {
    "agreement": None,
    "repeatability": None,
    "planted": None,
    "verdicts": [],
    "missing": {},
    "notes": [],
}


def blocks(document: Document) -> list[Block]:
    return [block for section in document.sections for block in section.blocks]


def texts(document: Document) -> list[str]:
    found = [one.text for one in document.lead]
    for block in blocks(document):
        found += [block.text] if isinstance(block, Text) else []
        found += [*block.items] if isinstance(block, Items) else []
    return found


def table(document: Document, heading: str) -> list[list[str]]:
    (found,) = [block for block in blocks(document) if isinstance(block, Table) and block.columns[0].heading == heading]
    return [[cell(one).text for one in row] for row in found.rows]


def test_the_verdict_comes_first_with_what_makes_it_doubtful_and_then_the_agreement() -> None:
    lead = judge_report(judged()).lead
    assert lead[0].text.startswith("ndcg@10 changes by +0.031") and lead[0].tone == "unsure"
    assert lead[1].text.startswith("By the model's own grades it would be +0.120")
    assert lead[2].text.startswith("It agrees badly with people: Cohen's kappa is 0.18") and lead[2].tone == "bad"
    assert Text("Mind: 7 pairs have no text in any run.", "unsure") in lead
    assert Text("7 pairs of 307 got no grade: missing, and not 0.", "unsure") in lead


def test_a_judge_that_agrees_is_told_in_another_tone() -> None:
    lead = judge_report(judged(quality=0.9)).lead
    assert lead[2].text.startswith("It agrees with people as published judges do, or better") and lead[2].tone == "good"


def test_without_people_it_says_that_nothing_tells_how_far_to_believe_it() -> None:
    document = judge_report(judged(people=False))
    assert Text(f"{NO_PEOPLE}.", "bad") in document.lead
    assert any("plan-judging" in text for text in texts(document))


def test_the_tables_hold_what_judge_json_does() -> None:
    content = judged()
    document = judge_report(content)
    confusion = table(document, "judge")
    for grade, row in enumerate(confusion):
        assert row[:6] == [
            str(grade),
            *map(str, content["agreement"]["confusion"][grade]),
            str(sum(content["agreement"]["confusion"][grade])),
        ]
    assert [row[0] for row in table(document, "slice")] == ["language=zh", "language=en"]
    assert [row[1] for row in table(document, "grade")] == [str(pairs) for pairs in content["grades"]]
    assert [int(row[1]) for row in table(document, "no grade, because")] == [5, 2]
    assert sum(int(row[3]) for row in table(document, "text")) == 10
    (change,) = table(document, "change")
    assert change[2:] == ["+0.0310", "-0.0120 to +0.0740", "ppi++"]


def test_a_number_that_is_not_defined_stands_there_with_its_reason() -> None:
    content = judged()
    content["agreement"]["kappa"] = {"value": None, "interval": None, "reason": "people gave one grade"}
    (numbers,) = [
        block
        for block in blocks(judge_report(content))
        if isinstance(block, Table) and block.rows and cell(block.rows[0][0]).text.startswith("Cohen's kappa")
    ]
    assert [cell(one).text for one in numbers.rows[0]][1:] == ["–", "–", "people gave one grade"]


def test_a_value_by_the_model_alone_has_no_interval_and_no_tone() -> None:
    content = judged()
    content["verdicts"][0] |= {"method": None, "interval": None, "tone": "good"}
    document = judge_report(content)
    assert table(document, "change")[0][3:] == ["–", "none: by model judgement alone"]


@pytest.mark.parametrize("changed", [{}, NOTHING, {"repeatability": None}, {"planted": None}, {"grades": [0, 0, 0, 0]}])
def test_it_is_written_in_every_form_and_escapes_what_it_is_told(changed: dict[str, Any]) -> None:
    document = judge_report(judged() | changed)
    page = to_html(document)
    assert "main<b>" not in page and "main&lt;b&gt;" in page
    assert to_markdown(document).startswith("# Grades by HuggingFaceTB/SmolLM2-135M-Instruct")
    assert "Grades by" in to_latex(document)


def test_what_decides_a_grade_is_folded_away() -> None:
    folded = [block.title for block in blocks(judge_report(judged())) if isinstance(block, Details)]
    assert "All that decides a grade" in folded
