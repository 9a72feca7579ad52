"""Numbers -> figures: small enough for a phone, in colours that hold on light and dark ground and for the colour-blind.

Each function takes plain numbers, as analysis.json and comparison.json hold them, and returns a matplotlib figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stages.core.words import shortened
from stages.report.drawing import AFTER, BAD, BEFORE, GOOD, INK, MOST_STEPS, in_style, panel, save_png, to_svg
from stages.report.timeline import timeline, timeline_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "INK",
    "calibration",
    "cost_quality",
    "depth_curve",
    "forest",
    "fusion_sweep",
    "save_png",
    "sorted_differences",
    "timeline",
    "timeline_panels",
    "to_svg",
]

# In letters: names at both sides leave the middle to the numbers.
LONGEST_NAME, LONGEST_ASIDE = 22, 10


@in_style
def depth_curve(points: Sequence[Mapping[str, Any]], metric: str, first_stage: float, best: int | None) -> Figure:
    """The metric had only the top d been reranked; the first stage's own value as a line."""
    figure, axes = panel(2.6)
    depths, means = [point["depth"] for point in points], [point["means"][metric] for point in points]
    _first_stage(axes, first_stage)
    axes.plot(depths, means, color=AFTER, marker="o", markersize=4, linewidth=1.6)
    if best is not None and best in depths:
        top = means[depths.index(best)]
        axes.plot([best], [top], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=INK, linewidth=0)
        axes.annotate(f"{best}: {top:.4f}", (best, top), (0, 9), textcoords="offset points", ha="center")
    if depths[0] < depths[-1]:
        axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.margins(y=0.2)
    axes.set(xlabel="documents reranked per query", ylabel=metric)
    return figure


@in_style
def forest(rows: Sequence[Mapping[str, Any]], label: str) -> Figure:
    """Differences with their intervals, one above the other, and the line of no difference.

    Each row: `name`, `difference`, `low` and `high` (None where there is no interval), `n` (a text at the side),
    `group` where rows stand in groups, whose names then head them, and `significant` where that was tested.
    """
    lines = list(_forest_lines(rows))
    figure, axes = panel(0.8 + 0.27 * len(lines))
    for place, (name, row) in enumerate(lines):
        if row is None:
            _left_of(axes, name, place, weight="bold")
            continue
        colour = _colour(row)
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.8, solid_capstyle="round")
        axes.plot([row["difference"]], [place], marker="o", markersize=4.5, color=colour)
        _at_the_side(axes, shortened(str(row["n"]), LONGEST_ASIDE), place)
    axes.axvline(0, color=INK, linewidth=0.8)
    named = [(place, shortened(name, LONGEST_NAME)) for place, (name, row) in enumerate(lines) if row is not None]
    axes.set_yticks([place for place, _ in named], [name for _, name in named])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
    axes.locator_params(axis="x", nbins=6)
    return figure


@in_style
def sorted_differences(values: Sequence[float], metric: str) -> Figure:
    """Each query's change, the largest gain first: how many win, how many lose, by how much."""
    figure, axes = panel(2.2)
    ordered, edges = _steps(sorted(values, reverse=True))
    axes.stairs([max(value, 0.0) for value in ordered], edges, fill=True, color=GOOD, alpha=0.85, linewidth=0)
    axes.stairs([min(value, 0.0) for value in ordered], edges, fill=True, color=BAD, alpha=0.85, linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlim(0, len(values))
    axes.set(xlabel="queries, from the largest gain to the largest loss", ylabel=f"change of {metric}")
    return figure


@in_style
def calibration(bins: Sequence[Mapping[str, Any]]) -> Figure:
    """How many of the pairs scored p were relevant; on the diagonal a probability means what it says."""
    figure, axes = panel(2.9)
    known = [one for one in bins if one["pairs"]]
    most = max(one["pairs"] for one in known)
    axes.plot([0, 1], [0, 1], color=BEFORE, linewidth=1.2, linestyle=(0, (4, 3)))
    predicted, seen = [one["mean_probability"] for one in known], [one["relevant_share"] for one in known]
    sizes = [15 + 120 * one["pairs"] / most for one in known]
    axes.plot(predicted, seen, color=AFTER, linewidth=1.2)
    axes.scatter(predicted, seen, sizes, color=AFTER, alpha=0.8, linewidths=0)
    axes.set(xlabel="probability the model gave", ylabel="share that was relevant")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.05, 1.05))
    return figure


@in_style
def fusion_sweep(
    sweep: Sequence[Mapping[str, Any]], metric: str, chosen: Sequence[float], first_stage: float
) -> Figure:
    """The metric at each fixed weight, and the weights that cross-validation chose."""
    figure, axes = panel(2.4)
    _first_stage(axes, first_stage)
    for weight in sorted(set(chosen)):
        axes.axvline(weight, color=GOOD, linewidth=6, alpha=0.35)
    weights, means = [one["weight"] for one in sweep], [one["means"][metric] for one in sweep]
    axes.plot(weights, means, color=AFTER, marker="o", markersize=4)
    axes.set(xlabel="weight of the reranker's score", ylabel=metric)
    return figure


@in_style
def cost_quality(systems: Sequence[Mapping[str, Any]], metric: str, cost: str) -> Figure:
    """Quality against cost, a point for each system: up and to the left is better.

    Each system: `name`, `quality`, `cost`, where its quality has an interval `low` and `high`, and a line `told` under
    the name where there is more to say; the first is the baseline.
    """
    figure, axes = panel(2.8)
    middle = (min(one["cost"] for one in systems) + max(one["cost"] for one in systems)) / 2
    for place, system in enumerate(systems):
        colour, right = BEFORE if place == 0 else AFTER, system["cost"] > middle
        axes.plot([system["cost"]], [system["quality"]], marker="o", markersize=7, color=colour, linewidth=0)
        if "low" in system:
            axes.plot([system["cost"]] * 2, [system["low"], system["high"]], color=colour, linewidth=1.8)
        axes.annotate(
            "\n".join([shortened(system["name"], LONGEST_NAME), *([system["told"]] if "told" in system else [])]),
            (system["cost"], system["quality"]),
            (-7 if right else 7, 5),
            textcoords="offset points",
            ha="right" if right else "left",
        )
    axes.margins(x=0.12, y=0.25)
    axes.set(xlabel=cost, ylabel=metric)
    return figure


def _first_stage(axes: Axes, value: float) -> None:
    """What there was without reranking, as a line that says so."""
    axes.axhline(value, color=BEFORE, linewidth=1.2, linestyle=(0, (4, 3)))
    _at_the_side(axes, "first\nstage", value)


def _at_the_side(axes: Axes, text: str, height: float) -> None:
    """A word to the right of the axes, at a height that is told in their unit."""
    where = axes.get_yaxis_transform()
    axes.annotate(text, (1.0, height), (4, 0), xycoords=where, textcoords="offset points", va="center")


def _left_of(axes: Axes, text: str, height: float, weight: str) -> None:
    """Where the names of the rows are."""
    where = axes.get_yaxis_transform()
    axes.annotate(
        text, (0.0, height), (-5, 0), xycoords=where, textcoords="offset points", va="center", ha="right", weight=weight
    )


def _forest_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Each row with its name, and before the first of a group a line with the group's."""
    last = None
    for row in rows:
        group = row.get("group")
        if group and group != last:
            yield shortened(str(group), LONGEST_NAME), None
        last = group
        yield str(row["name"]), row


def _steps(ordered: Sequence[float]) -> tuple[list[float], list[float]]:
    """The heights of up to MOST_STEPS equal steps, each of the value in its middle, and the edges between them."""
    steps = min(len(ordered), MOST_STEPS)
    width = len(ordered) / steps
    return [ordered[int((step + 0.5) * width)] for step in range(steps)], [step * width for step in range(steps + 1)]


def _colour(row: Mapping[str, Any]) -> str:
    """Only what is told apart from 0 has a colour: by its test, or where there was none by its interval."""
    apart = row["low"] is not None and not row["low"] <= 0 <= row["high"]
    if not row.get("significant", apart):
        return BEFORE
    return GOOD if row["difference"] > 0 else BAD
