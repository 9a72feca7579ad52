"""The user's slices in a report: tested ones with their p, small ones said to be too few."""

from __future__ import annotations

from typing import Any

from stages.report.document import Details, Table, Text, cell
from stages.report.slices import of_run, slices_blocks, slices_line

Json = dict[str, Any]
METRICS = ["ndcg@10", "mrr"]


def changed(p: float) -> Json:
    told = {"difference": -0.05, "interval": [-0.08, -0.02], "confidence": 0.95, "corrected_p": p}
    return dict.fromkeys(METRICS, told | {"wins": 3, "ties": 10, "losses": 27})


def one(name: str, queries: int, told: Json | None) -> Json:
    means = dict.fromkeys(METRICS, 0.5) if queries else None
    return {"name": name, "queries": queries, "needed": 20, "first_stage": means, "reranked": means, "tested": told}


SLICES = [one("language=zh", 40, changed(0.004)), one("language=en", 60, changed(0.4)), one("hard=listed", 7, None)]


def test_each_slice_is_a_row_and_the_other_metrics_are_folded() -> None:
    text, table, folded = slices_blocks(of_run(SLICES, METRICS), "ndcg@10", "first stage", "reranked")
    assert isinstance(text, Text)
    assert "corrected by Holm over the 4 tests of slices" in text.text
    assert "fewer than 20 judged queries is not tested" in text.text
    assert isinstance(table, Table)
    assert [[cell(value).text for value in row] for row in table.rows] == [
        ["language=zh", "40", "0.5000", "0.5000", "-0.0500", "-0.0800 to -0.0200", "0.004", "3 / 10 / 27"],
        ["language=en", "60", "0.5000", "0.5000", "-0.0500", "-0.0800 to -0.0200", "0.400", "3 / 10 / 27"],
        ["hard=listed", "7", "0.5000", "0.5000", "too few", "", "", ""],
    ]
    assert cell(table.rows[0][4]).tone == "bad"
    assert isinstance(folded, Details)


def test_slices_that_are_all_too_small_have_no_columns_of_tests() -> None:
    (_, table) = slices_blocks(of_run([one("a=b", 0, None)], ["mrr"]), "mrr", "first stage", "reranked")
    assert isinstance(table, Table)
    assert [[cell(value).text for value in row] for row in table.rows] == [["a=b", "0", "–", "–", "too few"]]


def test_the_line_on_the_terminal_counts_what_changed_and_what_is_too_small() -> None:
    assert slices_line(of_run(SLICES, METRICS)) == (
        "1 of 3 slices changed significantly, corrected for their number (ndcg@10 falls in language=zh; 1 "
        "change in other metrics); 1 with too few queries to tell (under 20)"
    )


def test_without_slices_nothing_is_said() -> None:
    assert slices_blocks([], "mrr", "first stage", "reranked") == []
    assert slices_line([]) is None
