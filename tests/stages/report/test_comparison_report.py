"""The report of a comparison: what differs, whether that is proven, and what each run costs."""

from __future__ import annotations

from typing import Any

import pytest

from stages.report.comparison_report import Compared, comparison_document
from stages.report.document import Document, Table, cell, figures
from stages.report.html import to_html

Json = dict[str, Any]


def outcome(system: str, metric: str, difference: float, corrected_p: float, **more: Any) -> Json:
    told = {
        "system": system,
        "metric": metric,
        "n": 4,
        "mean_baseline": 0.5,
        "mean_system": 0.5 + difference,
        "difference": difference,
        "interval": [0.01, 0.2],
        "confidence": 0.95,
        "wins": 3,
        "ties": 0,
        "losses": 1,
        "minimum_detectable": 0.07,
        "corrected_p": corrected_p,
        "words": f"{metric} changes by {difference}",
    }
    return told | more


def compared(costs: tuple[float | None, ...] = (1.0, 2.0, 3.0), **changed: Any) -> Compared:
    names = ("base", "small", "large")
    content: Json = {
        "baseline": "base",
        "runs": {name: f"run-{name}" for name in names},
        "queries": 4,
        "metrics": ["mrr"],
        "differing": {"model.name": ["a", "b", "c"]},
        "notes": [],
        "tested": [outcome("small", "mrr", 0.1, 0.2), outcome("large", "mrr", 0.2, 0.001)],
    }
    of_run = {
        "coverage": {"pairs": 40},
        "throughput": {"scored_pairs": 40, "pairs_per_s": 16.0},
        "queue": {"time_ms": {"p95": 150.0}},
    }
    told = {
        name: {} if cost is None else {"engine_s_per_query": cost, "money_per_1000_queries": None}
        for name, cost in zip(names, costs, strict=True)
    }
    return Compared(content=content | changed, run_metrics=dict.fromkeys(names, of_run), costs=told)


def table(document: Document, section: int) -> Table:
    return next(block for block in document.sections[section].blocks if isinstance(block, Table))


def rows(shown: Table) -> list[list[str]]:
    return [[cell(one).text for one in row] for row in shown.rows]


def test_each_run_has_its_sentence_in_the_tone_of_its_test() -> None:
    document = comparison_document(compared())
    assert document.title == "small, large against base"
    assert [(text.text, text.tone) for text in document.lead][:2] == [
        ("small: mrr changes by 0.1.", "unsure"),
        ("large: mrr changes by 0.2.", "good"),
    ]
    assert "corrected by Holm over all 2 comparisons" in document.lead[2].text


def test_what_makes_runs_hard_to_compare_is_said_at_the_top() -> None:
    lead = comparison_document(compared(notes=["the judgements differ"])).lead
    assert (lead[-1].text, lead[-1].tone) == ("Mind: the judgements differ.", "bad")


def test_the_baseline_stands_above_the_runs_with_their_tests() -> None:
    shown = table(comparison_document(compared()), 0)
    assert shown.columns[4].heading == "95 % interval"
    assert rows(shown) == [
        ["mrr", "base", "0.5000", "", "", "", "", ""],
        ["", "small", "0.6000", "+0.1000", "+0.0100 to +0.2000", "0.200", "3 / 0 / 1", "± 0.070"],
        ["", "large", "0.7000", "+0.2000", "+0.0100 to +0.2000", "0.001", "3 / 0 / 1", ""],
    ]
    assert [cell(row[3]).tone for row in shown.rows] == ["plain", "plain", "good"]


def test_a_figure_colours_only_what_its_corrected_test_proves() -> None:
    forest = figures(comparison_document(compared()))[0]
    (axes,) = forest.draw().axes
    dots = [line.get_color() for line in axes.get_lines() if line.get_marker() == "o"]
    assert len(set(dots)) == 2
    assert [text.get_text() for text in axes.texts] == ["p 0.200", "p 0.001"]


@pytest.mark.parametrize(
    ("costs", "drawn"), [((1.0, 2.0, None), True), ((1.0, None, None), False), ((None, None, None), False)]
)
def test_quality_against_cost_is_drawn_where_two_costs_are_known(costs: tuple[float | None, ...], drawn: bool) -> None:
    document = comparison_document(compared(costs))
    assert ("cost" in [figure.name for figure in figures(document)]) == drawn
    assert rows(table(document, 1))[2] == ["large", "40", "40", "16.0", "150", "–", "–"]
    assert "measured no cost" in to_html(document)


def test_the_settings_in_which_runs_differ_are_listed_or_said_to_be_none() -> None:
    assert rows(table(comparison_document(compared()), 2)) == [["model.name", "a", "b", "c"]]
    assert "configs are the same" in to_html(comparison_document(compared(differing={})))
