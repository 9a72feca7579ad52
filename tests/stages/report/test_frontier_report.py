"""The report of a frontier says what to take, on which queries that is told, and what cannot be certified."""

from __future__ import annotations

import re
from typing import Any

import pytest
from matplotlib.text import Annotation

from stages.frontier.assemble import Wanted, frontier
from stages.report.document import Document, Figure, Table, Text, cell
from stages.report.frontier_figure import frontier_figure
from stages.report.frontier_report import MOST_ROWS, frontier_document, point_words
from stages.report.html import to_html
from stages.report.markdown import to_markdown
from tests.frontier_inputs import drawn


def content(queries: int = 60, depth: int = 20, **changed: Any) -> dict[str, Any]:
    """As `rerank-eval frontier` makes it, of two drawn rerankers."""
    made = drawn(queries, depth)
    told = frontier(made.study(), made.judgements, Wanted(("ndcg@10", "mrr@10"), (3, 5, 10), (0.01, 0.2), 0.95, 0))
    runs = [
        {"letter": letter, "run_id": f"run-{letter}", "model": f"models/{letter}<b>", "depth": depth, "failed_pairs": 0}
        | {"cost": "12 processor seconds for 480 tokens"}
        for letter in "AB"
    ]
    return {"frontier_id": "frontier-1", "unit": "processor seconds", "runs": runs, **told, "notes": []} | changed


def tables(document: Document) -> list[Table]:
    return [block for section in document.sections for block in section.blocks if isinstance(block, Table)]


def test_the_lead_names_the_point_to_take_its_cost_and_its_difference_on_other_queries() -> None:
    told = content()
    document = frontier_document(told)
    chosen = next(point for point in told["points"] if point["id"] == told["chosen"])
    lead = document.lead[0].text
    assert lead.startswith(f"{chosen['id']} ({point_words(chosen['steps'], chosen['skipped'])}) is the cheapest")
    assert f"{chosen['difference']:+.4f} of ndcg@10 (95 % interval {chosen['interval'][0]:+.4f} to" in lead
    assert "chosen on 30 queries and told on the other 30 of 60" in document.lead[1].text


def test_where_the_full_rerank_gains_nothing_there_is_nothing_to_take() -> None:
    document = frontier_document(content(chosen=None))
    assert document.lead[0].text.startswith("The full rerank gains nothing") and document.lead[0].tone == "unsure"


def test_what_is_to_be_minded_stands_in_the_lead() -> None:
    assert Text("Mind: 3 pairs of A failed.", "bad") in frontier_document(content(notes=["3 pairs of A failed"])).lead


def test_the_table_has_the_named_points_and_a_part_of_very_many() -> None:
    told = content()
    one = next(point for point in told["points"] if point["on_front"] and point["steps"])
    many = [one | {"id": f"A{number}", "cost": float(number)} for number in range(1000, 1200)]
    table, *_ = tables(frontier_document(told | {"points": [*told["points"], *many]}))
    names = [cell(row[0]).text.removesuffix(" *") for row in table.rows]
    assert {told["reference"], told["chosen"], "first"} <= set(names)
    assert len(names) <= MOST_ROWS + 2 * len(told["points"])


def test_a_depth_that_cannot_be_certified_says_so() -> None:
    document = frontier_document(content())
    rows = [[cell(one).text for one in row] for row in tables(document)[1].rows]
    assert {row[2] for row in rows if row[1] == "0.01"} == {"cannot certify"}
    assert all(re.match(r"\d+", row[2]) for row in rows if row[1] == "0.2")
    assert "B after A20" in {row[0] for row in rows}


def test_a_metric_that_certifies_nothing_says_so() -> None:
    assert "No depth is certified of ndcg@10" in to_markdown(frontier_document(content(certified=[])))


@pytest.mark.parametrize("unit", ["processor seconds", "GPU seconds", "money", "pairs"])
def test_the_page_holds_the_figure_and_every_text_as_it_is(unit: str) -> None:
    page = to_html(frontier_document(content(unit=unit)))
    assert page.count("<svg") == 1 and "<b>" not in page
    assert f"{unit} for all queries" in page


def test_the_figure_is_drawn_whatever_the_costs_and_without_an_interval() -> None:
    told = content()
    for point in told["points"]:
        point["interval"] = None
    for factor in (1.0, 1e-7, 1e7):
        points = [point | {"cost": point["cost"] * factor} for point in told["points"]]
        cloud = [[cost * factor, quality] for cost, quality in told["cloud"]]
        figures = [
            block
            for section in frontier_document(told | {"points": points, "cloud": cloud}).sections
            for block in section.blocks
            if isinstance(block, Figure)
        ]
        assert figures[0].draw() is not None


def test_where_nothing_is_gained_the_full_depths_name_keeps_clear_of_the_first_stages() -> None:
    axes = frontier_figure(content(chosen=None)).axes[0]
    offsets = {one.get_text(): one.xyann[1] for one in axes.texts if isinstance(one, Annotation)}
    assert offsets.pop("first stage") < 0 and len(offsets) == 1 and min(offsets.values()) > 0


@pytest.mark.parametrize(
    ("steps", "skipped", "words"),
    [
        ([], None, "the first stage as it is"),
        ([{"run": "A", "depth": 50}], None, "A to depth 50"),
        ([{"run": "A", "depth": 50}, {"run": "B", "depth": 10}], None, "A to depth 50, then B to depth 10"),
        ([{"run": "A", "depth": 50}], 30, "A to depth 50, for 70 of 100 queries"),
    ],
)
def test_a_point_in_words(steps: list[dict[str, Any]], skipped: int | None, words: str) -> None:
    assert point_words(steps, skipped) == words
