"""The report of a load test: what it says first, its tables and figures, and what failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stages.report import load_figures
from stages.report.document import Document, Table, Text, cell, figures
from stages.report.drawing import save_png
from stages.report.html import to_html
from stages.report.load_report import load_blocks, load_document
from stages.telemetry.load import Latency, LoadResult, LoadStep, knee
from stages.telemetry.load_table import step_row


def step(level: float, per_s: float, mean_ms: float) -> LoadStep:
    latency = Latency(mean_ms, mean_ms * 0.9, mean_ms * 1.2, mean_ms * 1.5, mean_ms * 2, mean_ms * 3)
    answered = round(per_s * 10)
    return LoadStep("closed", level, 10.0, answered, answered * 100, answered * 20_000, {}, latency)


STEPS = (step(1, 2, 500), step(2, 4, 520), step(4, 5, 800), step(8, 5.1, 1570))
FAILING = replace(STEPS[3], errors={"HTTP 503": 30, "timeout": 2})
NOTHING = LoadStep("closed", 1, 10.0, 0, 0, None, {"connection refused": 40}, None)


def result(*steps: LoadStep, saturated: bool = True, notes: tuple[str, ...] = ()) -> LoadResult:
    return LoadResult(
        url="http://127.0.0.1:8000",
        model="tiny<b>",
        payload="1 query and 100 documents a request",
        mode=steps[0].mode,
        steps=steps,
        knee=knee(steps),
        saturated=saturated,
        ended="8 clients bring 2% more throughput than 4 clients",
        started="2026-01-01T00:00:00+00:00",
        notes=notes,
    )


def lead(document: Document) -> list[tuple[str, str]]:
    return [(text.tone, text.text) for text in document.lead]


def tables(document: Document, section: int) -> list[Table]:
    return [block for block in document.sections[section].blocks if isinstance(block, Table)]


def test_it_says_first_where_the_service_works_best_and_why_the_test_ended() -> None:
    best = (
        "It works best with 2 clients: 4.00 requests/s, 400 pairs/s, answered in 520 ms on average and within 780 ms "
        "for 95 %."
    )
    assert lead(load_document(result(*STEPS))) == [
        ("good", best),
        ("plain", "Why the test ended: 8 clients bring 2% more throughput than 4 clients."),
    ]


def test_it_warns_where_the_service_was_not_saturated_and_passes_notes_on() -> None:
    told = lead(load_document(result(*STEPS, saturated=False, notes=("the client was busy.",))))
    assert told[2:] == [
        ("unsure", "The service was not saturated: it may bear more."),
        ("bad", "Mind: the client was busy."),
    ]


def test_the_knee_is_marked_in_the_table() -> None:
    first = [cell(row[0]).text for row in tables(load_document(result(*STEPS)), 0)[0].rows]
    assert first == ["1", "* 2", "4", "8"]


def test_failures_are_told_by_kind() -> None:
    document = load_document(result(*STEPS[:3], FAILING))
    assert [[cell(one).text for one in row] for row in tables(document, 2)[0].rows] == [
        ["8", "HTTP 503", "30"],
        ["8", "timeout", "2"],
    ]
    calm = load_document(result(*STEPS)).sections[2].blocks[0]
    assert isinstance(calm, Text) and calm.tone == "good"


def test_where_nothing_was_answered_there_is_no_figure_and_no_zero_for_a_latency() -> None:
    document = load_document(result(NOTHING))
    assert lead(document)[0] == ("bad", "No step was answered well enough to work at.")
    assert figures(document) == []
    assert [cell(one).text for one in tables(document, 1)[0].rows[0]] == ["1", "0", "–", "–", "–", "–", "–"]


@pytest.mark.parametrize("steps", [STEPS[:1], STEPS, (*STEPS[:3], NOTHING)])
def test_the_page_holds_both_figures(steps: tuple[LoadStep, ...], tmp_path: Path) -> None:
    page = to_html(load_document(result(*steps)), tmp_path)
    assert page.count("<svg") == 2 and "tiny&lt;b&gt;" in page
    assert {path.name for path in tmp_path.iterdir()} == {"throughput-latency.png", "latency-percentiles.png"}


def test_the_figure_rings_the_knee_and_names_every_level(tmp_path: Path) -> None:
    found = result(*STEPS)
    drawn = load_figures.throughput_latency([step_row(found, index) for index in range(len(STEPS))])
    axes = drawn.axes[0]
    assert [text.get_text() for text in axes.texts] == ["1", "2 (knee)", "4", "8"]
    ring = axes.lines[-1]
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([400.0], [780.0])
    save_png(drawn, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_percentiles_are_drawn_over_the_levels() -> None:
    found = result(*STEPS)
    axes = load_figures.latency_percentiles([step_row(found, index) for index in range(len(STEPS))]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4", "8"]
    assert {str(line.get_label()): list(line.get_ydata()) for line in axes.lines}["p99"] == [1000, 1040, 1600, 3140]


def test_another_report_can_take_it_over() -> None:
    kinds = [type(block).__name__ for block in load_blocks(result(*STEPS))]
    assert kinds == ["Text", "Table", "Figure", "Table", "Figure"]


@pytest.mark.parametrize("slowest", [700, 4_000, 40_000], ids=["half a decade", "a decade", "two decades"])
def test_latencies_of_any_range_have_ticks_that_are_plain_numbers(slowest: float) -> None:
    page = to_html(load_document(result(step(1, 2, 250), step(8, 5, slowest))))
    assert "mathdefault" not in page
    for figure in figures(load_document(result(step(1, 2, 250), step(8, 5, slowest)))):
        drawn = figure.draw()
        drawn.canvas.draw()
        low, high = drawn.axes[0].get_ylim()
        ticks = drawn.axes[0].yaxis.get_ticklabels()
        assert sum(low <= one.get_position()[1] <= high and one.get_text() != "" for one in ticks) >= 2
