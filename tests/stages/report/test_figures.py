"""Figures show the numbers they were given, in a page's colours, whatever the labels hold."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from stages.report import figures
from stages.report.drawing import AFTER, BAD, BEFORE, GOOD, INK, PAPER_INK, save_png, to_svg
from tests.examples import examples

POINTS = [{"depth": depth, "means": {"mrr": mean}} for depth, mean in ((1, 0.5), (10, 0.7), (100, 0.6))]
BINS = [
    {"pairs": 30, "mean_probability": 0.1, "relevant_share": 0.2},
    {"pairs": 0, "mean_probability": None, "relevant_share": None},
    {"pairs": 10, "mean_probability": 0.9, "relevant_share": 0.8},
]
SWEEP = [{"weight": weight, "means": {"mrr": weight}} for weight in (0.0, 0.5, 1.0)]


def row(difference: float, low: float | None = None, high: float | None = None, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"name": "a group", "difference": difference, "low": low, "high": high, "n": "7"}
    return told | more


def moment(second: float, **values: float | None) -> dict[str, float | None]:
    nothing = dict.fromkeys(
        ("prompt_tokens_per_s", "queue_p95_ms", "waiting", "running", "prefix_hit_rate", "kv_usage")
    )
    return {"elapsed_s": second} | nothing | values


def lines(axes: Axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_the_depth_curve_shows_each_mean_the_first_stage_and_the_best_depth() -> None:
    (axes,) = figures.depth_curve(POINTS, "mrr", 0.5, 10).axes
    first_stage, curve, best = lines(axes)
    assert first_stage[1] == [0.5, 0.5]
    assert curve == ([1, 10, 100], [0.5, 0.7, 0.6])
    assert best == ([10], [0.7])
    assert "10: 0.7000" in [text.get_text() for text in axes.texts]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "10", "100"]


def test_a_curve_of_one_depth_that_gains_nothing_is_drawn() -> None:
    assert "<path" in to_svg(figures.depth_curve(POINTS[:1], "mrr", 0.5, None), "depth")


@pytest.mark.parametrize(
    ("told", "colour"),
    [
        (row(0.1, 0.05, 0.15), GOOD),
        (row(-0.1, -0.15, -0.05), BAD),
        (row(0.1, -0.05, 0.25), BEFORE),
        (row(0.1), BEFORE),
        (row(0.1, 0.05, 0.15, significant=False), BEFORE),
        (row(0.1, -0.05, 0.25, significant=True), GOOD),
    ],
)
def test_only_a_difference_told_apart_from_0_has_a_colour(told: dict[str, Any], colour: str) -> None:
    (axes,) = figures.forest([told], "change").axes
    dot = next(line for line in axes.get_lines() if line.get_marker() == "o")
    assert list(dot.get_xdata()) == [told["difference"]]
    assert dot.get_color() == colour


def test_rows_of_a_forest_stand_below_their_group_with_their_size_at_the_side() -> None:
    rows = [
        row(0.1, name="4-9", group="words"),
        row(0.2, name="10-12", group="words"),
        row(0.3, name="de", group="tongue"),
    ]
    (axes,) = figures.forest(rows, "change").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["4-9", "10-12", "de"]
    assert list(axes.get_yticks()) == [1, 2, 4]
    assert [(text.get_text(), text.xy[1]) for text in axes.texts if text.get_weight() == "bold"] == [
        ("words", 0),
        ("tongue", 3),
    ]
    assert [text.get_text() for text in axes.texts].count("7") == 3


def test_the_change_of_a_single_query_is_seen() -> None:
    (axes,) = figures.sorted_differences([0.5], "mrr").axes
    won, lost = [patch.get_data() for patch in axes.patches]
    assert (list(won.values), list(won.edges)) == ([0.5], [0, 1])
    assert list(lost.values) == [0]


@examples(30)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=3000))
def test_sorted_changes_fall_from_left_to_right_over_all_queries(changes: list[float]) -> None:
    (axes,) = figures.sorted_differences(changes, "mrr").axes
    won, lost = [patch.get_data() for patch in axes.patches]
    heights = won.values + lost.values
    assert len(heights) == min(len(changes), figures.MOST_STEPS)
    assert set(heights) <= {change + 0.0 for change in changes}
    assert np.all(np.diff(heights) <= 0)
    assert won.edges[0] == 0
    assert won.edges[-1] == pytest.approx(len(changes))


def test_the_timeline_leaves_out_what_was_not_measured() -> None:
    points = [
        moment(1.0, waiting=4, queue_p95_ms=2.0),
        moment(2.0, waiting=0, queue_p95_ms=None),
        moment(3.0, waiting=1),
    ]
    figure = figures.timeline(points)
    assert titles(figure) == ["queue p95, ms", "pairs waiting"]
    assert lines(figure.axes[0]) == [([1.0], [2.0])]
    assert lines(figure.axes[1]) == [([1.0, 2.0, 3.0], [4, 0, 1])]


def test_pairs_in_the_engine_stand_beside_those_that_wait() -> None:
    figure = figures.timeline([moment(1.0, waiting=0, running=8), moment(2.0, waiting=0, running=6)])
    assert titles(figure) == ["pairs waiting; in the engine (dashed)"]
    assert [values for _, values in lines(figure.axes[0])] == [[0, 0], [8, 6]]


def test_a_share_is_shown_in_percent() -> None:
    figure = figures.timeline([moment(1.0, prefix_hit_rate=0.25), moment(2.0, prefix_hit_rate=0.5)])
    assert titles(figure) == ["prefix hits, %"]
    assert lines(figure.axes[0])[0][1] == [25.0, 50.0]


def test_a_long_run_keeps_its_peaks_and_its_mean_rate_in_a_light_page() -> None:
    points = [moment(float(second), queue_p95_ms=1.0, prompt_tokens_per_s=100.0) for second in range(30_000)]
    points[12_345] |= {"queue_p95_ms": 900.0, "prompt_tokens_per_s": 5000.0}
    figure = figures.timeline(points)
    (_, rates), (seconds, queue) = lines(figure.axes[0])[0], lines(figure.axes[1])[0]
    assert max(queue) == 900.0
    assert max(rates) == pytest.approx(100 + 4900 / 50)
    assert seconds[-1] == 29_999
    assert len(to_svg(figure, "timeline")) < 200_000


def test_the_reliability_curve_leaves_out_empty_bins_and_sizes_dots_by_their_pairs() -> None:
    (axes,) = figures.calibration(BINS).axes
    assert lines(axes)[1] == ([0.1, 0.9], [0.2, 0.8])
    large, small = axes.collections[0].get_sizes()
    assert large > small


def test_the_sweep_shows_every_weight_and_marks_the_chosen() -> None:
    (axes,) = figures.fusion_sweep(SWEEP, "mrr", [0.5, 0.5, 1.0], 0.1).axes
    *chosen, curve = lines(axes)[1:]
    assert [xs for xs, _ in chosen] == [[0.5, 0.5], [1.0, 1.0]]
    assert curve == ([0.0, 0.5, 1.0], [0.0, 0.5, 1.0])


def test_systems_stand_at_their_cost_and_quality_with_their_names() -> None:
    systems = [{"name": "small", "quality": 0.5, "cost": 1.0}, {"name": "large", "quality": 0.7, "cost": 9.0}]
    (axes,) = figures.cost_quality(systems, "mrr", "seconds").axes
    assert lines(axes) == [([1.0], [0.5]), ([9.0], [0.7])]
    assert [text.get_text() for text in axes.texts] == ["small", "large"]


def test_what_is_told_under_a_systems_name_is_there_however_long_the_name_is() -> None:
    systems = [{"name": "n" * 99, "told": "p95 9 ms", "quality": 0.5, "cost": float(place)} for place in range(2)]
    (axes,) = figures.cost_quality(systems, "mrr", "seconds").axes
    assert [text.get_text().splitlines()[1] for text in axes.texts] == ["p95 9 ms"] * 2


@pytest.mark.filterwarnings("ignore:Glyph")  # no matter here whether the machine has a font for them
def test_long_names_are_cut_so_that_the_numbers_have_room() -> None:
    long = row(0.1, 0.05, 0.15, name="n" * 99, group="語" * 99) | {"n": "s" * 99}
    figure = figures.forest([long], "change")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_yticklabels()[0].get_text() == "n" * 21 + "…"
    assert {text.get_text() for text in axes.texts} == {"語" * 10 + "…", "s" * 9 + "…"}
    assert axes.get_position().width > 0.25


@pytest.mark.parametrize(
    "label", [r"$\frac$", "from $5 to $9", "語言: 日本語", 'id="x" #123456 url(#y)', "<b>&amp;", "--> <!--"]
)
def test_a_label_is_shown_as_it_is_without_a_warning(label: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = to_svg(figures.forest([row(0.1, name=label)], "change"), "one")
        save_png(figures.forest([row(0.1, name=label)], "change"), tmp_path / "one.png")
    shown = label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f">{shown}</text>" in svg


def test_a_page_gives_a_figure_its_own_ink_and_a_png_has_dark_ink_on_white(tmp_path: Path) -> None:
    def drawn() -> Figure:
        return figures.depth_curve(POINTS, "mrr", 0.5, 10)

    svg = to_svg(drawn(), "depth")
    assert "currentColor" in svg
    assert INK not in svg
    assert AFTER in svg
    assert re.findall(r'\bid="(?!depth-)', svg) == []
    save_png(drawn(), tmp_path / "depth.png")
    pixels = {
        tuple(pixel) for pixel in (imread(tmp_path / "depth.png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
    }
    assert _rgb("#ffffff") in pixels
    assert _rgb(PAPER_INK) in pixels
    assert _rgb(INK) not in pixels


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
