"""However narrow the terminal, no number is cut and no line runs over its edge."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from stages.report.document import Cell, Column, Document, Section, Table
from stages.report.terminal import forecast_words, print_document
from tests.examples import examples


def sureness(n: int) -> list[str]:
    return [f"-0.043{n} to +0.026{n}", f"0.98{n}", f"70 / 17{n} / 60", f"± 0.05{n}"]


METRICS = ["ndcg@10", "mrr", "map", "recall@20"]
QUALITY = Table(
    [Column("metric", numeric=False)]
    + [Column(name) for name in ("first stage", "reranked", "change", "95 % interval", "corrected p")]
    + [Column("gained / same / lost"), Column("detectable from")],
    [[metric, f"0.677{n}", f"0.669{n}", Cell(f"-0.008{n}", "bad"), *sureness(n)] for n, metric in enumerate(METRICS)],
    "All metrics",
)


def printed(table: Table, width: int, **colours: Any) -> str:
    stream = io.StringIO()
    document = Document("t", [], [Section("s", [table])])
    print_document(document, Console(file=stream, width=width, highlight=False, **colours))
    return stream.getvalue()


def texts(table: Table) -> list[str]:
    return [one.text if isinstance(one, Cell) else one for row in table.rows for one in row]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_wide_table_keeps_every_number_in_one_piece(width: int) -> None:
    told = printed(QUALITY, width)
    assert [text for text in texts(QUALITY) if text not in told] == []
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= width


def test_a_table_that_does_not_fit_goes_on_below_with_what_its_rows_are_about() -> None:
    told = printed(QUALITY, 60)
    assert told.count("┏") == told.count("recall@20") == 3
    assert told.count("All metrics") == 1
    assert told.index("0.6770") < told.index("-0.0430 to") < told.index("± 0.050")


def test_a_table_that_fits_stays_one() -> None:
    assert printed(QUALITY, 120).count("┏") == 1


def test_a_tone_is_a_colour_in_every_part() -> None:
    assert printed(QUALITY, 60, color_system="standard", force_terminal=True).count("\x1b[31m") == len(METRICS)


def test_a_long_text_is_broken_and_not_cut() -> None:
    rows = [["x" * 100, "1.25"], ["change of a score when candidates are shuffled", "at most 0.05 over 1,000 pairs"]]
    told = printed(Table([Column("", numeric=False), Column("")], rows), 50)
    assert told.count("x") == 100
    assert "1.25" in told and "1,000 pairs" in told and "…" not in told
    assert max(map(len, told.splitlines())) <= 50


@pytest.mark.parametrize("rows", [[], [["only"]]])
def test_a_table_of_one_column_is_shown_with_and_without_rows(rows: list[list[str]]) -> None:
    told = printed(Table([Column("reason", numeric=False)], rows), 60)
    assert "reason" in told and ("only" in told) == bool(rows)


numbers = st.integers(-(10**9), 10**9).map("{:,}".format) | st.floats(-1, 1).map("{:+.4f}".format)


@examples(100)
@given(st.data(), st.integers(50, 120), st.integers(1, 9))
def test_any_table_of_numbers_is_told_whole(data: st.DataObject, width: int, columns: int) -> None:
    rows = data.draw(st.lists(st.lists(numbers, min_size=columns, max_size=columns), max_size=4))
    table = Table(
        [Column("", numeric=False), *(Column(f"a heading {place}") for place in range(columns))],
        [[f"row {place}", *row] for place, row in enumerate(rows)],
    )
    told = printed(table, width)
    assert max(map(len, told.splitlines())) <= width
    words = [part.strip() for line in told.splitlines() for part in line.strip("│").split("│")]
    assert all(words.count(text) >= texts(table).count(text) for text in texts(table))


def test_how_far_off_the_rates_before_were_is_told_where_there_were_any() -> None:
    forecast = {"run": "run-1", "scoring_s": 25.0, "error": -0.08}
    metrics: Any = {"throughput": {"wall_s": 23.0}, "forecast": forecast}
    assert forecast_words(metrics) == "25.0 s of scoring by the rates of run run-1, took 23.0 s (-8%)"
    assert forecast_words({**metrics, "forecast": {"run": None, "scoring_s": None, "error": None}}) is None
    assert forecast_words({"throughput": {"wall_s": 23.0}}) is None  # type: ignore[typeddict-item]
