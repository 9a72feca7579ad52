"""What is not judged stands in the report where it matters, folded where it always is so, and is else left out."""

from __future__ import annotations

from typing import Any

import pytest

from stages.report.document import Details, Table, Text, cell
from stages.report.unjudged import OpenRow, doubts, unjudged_blocks, unjudged_line

Json = dict[str, Any]


def found(**changed: Any) -> Json:
    side = {"judged": 0.75, "low": 0.25, "high": 0.5, "condensed": 0.4}
    return {
        "documents": 1200,
        "cutoff": 10,
        "highest": 3,
        "relevant_only": False,
        "share": 0.25,
        "first": side,
        "second": side,
        "difference": {"judged": None, "low": -0.02, "high": 0.3, "condensed": 0.05},
    } | changed


def test_the_table_has_shares_bounds_and_the_condensed_change() -> None:
    text, table = unjudged_blocks([OpenRow("", "ndcg@10", found())], "first stage", "reranked")
    assert isinstance(text, Text)
    assert text.text.startswith("Not judged are 25.0% of the top 10: 1,200 documents, which count as not relevant.")
    assert "grades from 0 to 3" in text.text
    assert isinstance(table, Table)
    assert [column.heading for column in table.columns][2:4] == ["first stage between", "reranked between"]
    assert [cell(one).text for one in table.rows[0]] == [
        *("ndcg@10", "75.0% / 75.0%", "0.2500 to 0.5000", "0.2500 to 0.5000", "-0.0200 to +0.3000", "+0.0500")
    ]


def test_several_runs_are_named() -> None:
    _, table = unjudged_blocks([OpenRow("A", "mrr", found()), OpenRow("B", "mrr", found())], "baseline", "run")
    assert isinstance(table, Table)
    assert [cell(row[0]).text for row in table.rows] == ["A", "B"]


def test_where_all_is_judged_nothing_is_shown() -> None:
    whole = found(documents=0, share=0.0)
    assert unjudged_blocks([OpenRow("", "ndcg@10", whole)], "first stage", "reranked") == []
    assert unjudged_line("ndcg@10", whole) is None


def test_qrels_of_relevant_documents_alone_are_no_alarm() -> None:
    (folded,) = unjudged_blocks([OpenRow("", "ndcg@10", found(relevant_only=True))], "first stage", "reranked")
    assert isinstance(folded, Details)
    assert folded.title == "What is not judged: 25.0% of the top 10"
    assert unjudged_line("ndcg@10", found(relevant_only=True)) == (
        "75.0% of the top 10; the rest counts as not relevant, as the qrels name relevant documents alone"
    )


def test_the_line_on_the_terminal_has_bounds_and_the_condensed_change() -> None:
    assert unjudged_line("ndcg@10", found()) == (
        "75.0% of the top 10; ndcg@10 changes by -0.0200 to +0.3000 whatever grades the rest has, +0.0500 without it "
        "(condensed lists)"
    )
    without = {"judged": None, "low": None, "high": None, "condensed": 0.05}
    assert unjudged_line("bpref", found(cutoff=0, difference=without)) == (
        "75.0% of the lists; bpref changes by +0.0500 without it (condensed lists)"
    )


@pytest.mark.parametrize(
    ("changed", "doubted"),
    [
        ({}, True),
        ({"relevant_only": True}, False),
        ({"difference": {"low": 0.01, "high": 0.3}}, False),
        ({"difference": {"low": None, "high": None}}, False),
    ],
)
def test_a_verdict_is_in_doubt_where_the_bounds_hold_0(changed: Json, doubted: bool) -> None:
    assert doubts(found(**changed)) is doubted
    assert not doubts(None)
