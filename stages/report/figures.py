"""Numbers -> figures. Small enough for a phone, in colours that hold on light and dark ground and for the colour-blind.

Text, axes and grid are drawn in INK, which the page replaces by the reader's own text colour.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Told = ParamSpec("_Told")

WIDTH_IN, DOTS_PER_INCH = 5.0, 200
INK = "#123456"  # no data colour: it stands for the text colour of whoever looks
PAPER_INK = "#1f2328"  # what it is in a PNG, on white
# Of Okabe and Ito's palette for the colour-blind (Color Universal Design, 2008), those with contrast on both grounds.
BEFORE, AFTER, GOOD, BAD, THIRD = "#8a8f98", "#0f7fc4", "#009e73", "#d55e00", "#cc79a7"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "rerank-eval",
}


def _in_style(draw: Callable[_Told, Figure]) -> Callable[_Told, Figure]:
    """What matplotlib reads from its settings, it reads at every step of drawing."""

    @wraps(draw)
    def drawn(*told: _Told.args, **named: _Told.kwargs) -> Figure:
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*told, **named)

    return drawn


def to_svg(figure: Figure, name: str) -> str:
    """An <svg> element to stand in a page: scalable, in the page's text colour, its ids prefixed with `name`."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return re.sub(r'(<svg[^>]*?) width="([\d.]+)pt"', r'\1 class="figure"', svg, count=1)


def save_png(figure: Figure, path: Path) -> None:
    """On white, in twice the resolution of a screen."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        for part in figure.findobj(lambda one: hasattr(one, "get_color") or hasattr(one, "get_edgecolor")):
            _on_paper(part)
        figure.savefig(path, format="png", dpi=DOTS_PER_INCH, facecolor="white")


def _on_paper(part: Any) -> None:
    from matplotlib.colors import to_hex

    for kind in ("color", "edgecolor"):
        get, put = getattr(part, f"get_{kind}", None), getattr(part, f"set_{kind}", None)
        if get is None or put is None:
            continue
        value = get()
        try:
            if isinstance(value, str | tuple) and to_hex(value) == INK:
                put(PAPER_INK)
        except (ValueError, TypeError):
            continue


@_in_style
def depth_curve(points: Sequence[Mapping[str, Any]], metric: str, first_stage: float, best: int | None) -> Figure:
    """The metric had only the top d been reranked; the first stage's own value as a line."""
    figure, axes = _panel(2.6)
    depths, means = [point["depth"] for point in points], [point["means"][metric] for point in points]
    axes.axhline(first_stage, color=BEFORE, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.plot(depths, means, color=AFTER, marker="o", markersize=4, linewidth=1.6)
    _at_the_side(axes, "first\nstage", first_stage, BEFORE)
    if best is not None and best in depths:
        top = means[depths.index(best)]
        axes.plot([best], [top], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=GOOD, linewidth=0)
        axes.annotate(f"{best}: {top:.4f}", (best, top), (0, 8), textcoords="offset points", ha="center", color=GOOD)
    if depths[0] < depths[-1]:
        axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.margins(y=0.2)
    axes.set(xlabel="documents reranked per query", ylabel=metric)
    return figure


@_in_style
def forest(rows: Sequence[Mapping[str, Any]], label: str) -> Figure:
    """Differences with their intervals, one above the other, and the line of no difference.

    Each row: `name`, `difference`, `low` and `high` (None where there is no interval), `n` (a text at the side).
    """
    figure, axes = _panel(0.75 + 0.27 * len(rows))
    for place, row in enumerate(rows):
        colour = _colour(row)
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.8, solid_capstyle="round")
        axes.plot([row["difference"]], [place], marker="o", markersize=4.5, color=colour)
        _at_the_side(axes, str(row["n"]), place, INK)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(label)
    return figure


@_in_style
def sorted_differences(values: Sequence[float], metric: str) -> Figure:
    """Each query's change, the largest gain first: how many win, how many lose, by how much."""
    figure, axes = _panel(2.1)
    ordered = sorted(values, reverse=True)
    won = [max(value, 0.0) for value in ordered]
    lost = [min(value, 0.0) for value in ordered]
    places = range(len(ordered))
    axes.fill_between(places, won, step="mid", color=GOOD, alpha=0.8, linewidth=0)
    axes.fill_between(places, lost, step="mid", color=BAD, alpha=0.8, linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel="queries, from the largest gain to the largest loss", ylabel=f"change of {metric}")
    return figure


TIMELINE = (
    ("prompt_tokens_per_s", "prompt tokens/s", 1.0),
    ("queue_p95_ms", "queue p95, ms", 1.0),
    ("waiting", "pairs waiting", 1.0),
    ("prefix_hit_rate", "prefix hits, %", 100.0),
    ("kv_usage", "cache in use, %", 100.0),
)
"""Column of the timeline, what its panel is called, and what its values are multiplied by."""


def timeline_panels(points: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float]]:
    """Those of TIMELINE that hold more than nothing."""
    return [panel for panel in TIMELINE if any(point.get(panel[0]) for point in points)]


@_in_style
def timeline(points: Sequence[Mapping[str, Any]]) -> Figure:
    """How the system fared over the run, one panel for each thing that was measured, over the same seconds."""
    panels = timeline_panels(points)
    figure, every = _panels(len(panels), 0.5 + 1.0 * len(panels))
    for axes, (column, label, factor) in zip(every, panels, strict=True):
        known = [(point["elapsed_s"], point[column] * factor) for point in points if point.get(column) is not None]
        seconds, values = zip(*known, strict=True)
        axes.fill_between(seconds, values, color=AFTER, alpha=0.15, linewidth=0)
        axes.plot(seconds, values, color=AFTER, linewidth=1.2)
        axes.set_ylim(bottom=0)
        axes.set_title(label, loc="left", fontsize=9, pad=3)
    every[-1].set_xlabel("seconds since scoring began")
    return figure


@_in_style
def calibration(bins: Sequence[Mapping[str, Any]]) -> Figure:
    """How many of the pairs scored p were relevant; on the diagonal a probability means what it says."""
    figure, axes = _panel(2.9)
    known = [one for one in bins if one["pairs"]]
    most = max(one["pairs"] for one in known)
    axes.plot([0, 1], [0, 1], color=BEFORE, linewidth=1.2, linestyle=(0, (4, 3)))
    predicted, seen = [one["mean_probability"] for one in known], [one["relevant_share"] for one in known]
    axes.plot(predicted, seen, color=AFTER, linewidth=1.2)
    axes.scatter(
        predicted, seen, [15 + 120 * one["pairs"] / most for one in known], color=AFTER, alpha=0.8, linewidths=0
    )
    axes.set(
        xlabel="probability the model gave", ylabel="share that was relevant", xlim=(-0.03, 1.03), ylim=(-0.05, 1.05)
    )
    return figure


@_in_style
def fusion_sweep(
    sweep: Sequence[Mapping[str, Any]], metric: str, chosen: Sequence[float], first_stage: float
) -> Figure:
    """The metric at each fixed weight, and the weights that cross-validation chose."""
    figure, axes = _panel(2.4)
    axes.axhline(first_stage, color=BEFORE, linewidth=1.2, linestyle=(0, (4, 3)))
    _at_the_side(axes, "first\nstage", first_stage, BEFORE)
    for weight in sorted(set(chosen)):
        axes.axvline(weight, color=GOOD, linewidth=5, alpha=0.25)
    axes.plot(
        [one["weight"] for one in sweep], [one["means"][metric] for one in sweep], color=AFTER, marker="o", markersize=4
    )
    axes.set(xlabel="weight of the reranker (0: first stage alone, 1: reranker alone)", ylabel=metric)
    return figure


@_in_style
def cost_quality(systems: Sequence[Mapping[str, Any]], metric: str, cost: str) -> Figure:
    """Quality against cost, a point for each system: up and to the left is better.

    Each system: `name`, `quality`, `cost`.
    """
    figure, axes = _panel(2.8)
    for place, system in enumerate(systems):
        colour = BEFORE if place == 0 else AFTER
        axes.plot([system["cost"]], [system["quality"]], marker="o", markersize=7, color=colour, linewidth=0)
        axes.annotate(system["name"], (system["cost"], system["quality"]), (7, 4), textcoords="offset points")
    axes.margins(x=0.25, y=0.25)
    axes.set(xlabel=cost, ylabel=metric)
    return figure


def _at_the_side(axes: Axes, text: str, height: float, colour: str) -> None:
    """A word to the right of the axes, at a height that is told in their unit."""
    axes.annotate(
        text,
        (1.0, height),
        (4, 0),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        color=colour,
    )


def _colour(row: Mapping[str, Any]) -> str:
    """Only what is told apart from 0 has a colour."""
    if row["low"] is None or row["low"] <= 0 <= row["high"]:
        return BEFORE
    return GOOD if row["difference"] > 0 else BAD


def _panel(height_in: float) -> tuple[Figure, Axes]:
    figure, (axes,) = _panels(1, height_in)
    return figure, axes


def _panels(number: int, height_in: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(WIDTH_IN, height_in), layout="constrained")
    every = figure.subplots(number, 1, sharex=True, squeeze=False)[:, 0]
    for axes in every:
        axes.grid(visible=True)
        axes.set_axisbelow(True)
    return figure, list(every)
