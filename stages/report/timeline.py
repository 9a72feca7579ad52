"""The timeline of a run -> a figure of small panels, one above the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from stages.report.drawing import AFTER, INK, MOST_STEPS, in_style, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIMELINE = (
    ("prompt_tokens_per_s", "prompt tokens/s", 1.0),
    ("queue_p95_ms", "queue p95, ms", 1.0),
    ("waiting", "pairs waiting", 1.0),
    ("prefix_hit_rate", "prefix hits, %", 100.0),
    ("kv_usage", "cache in use, %", 100.0),
)
"""Column of the timeline, what its panel is called, and what its values are multiplied by."""
RATES = ("prompt_tokens_per_s", "prefix_hit_rate")
DASHED = {"waiting": ("running", "pairs waiting; in the engine (dashed)")}
"""Column -> another one of the same unit that its panel shows where there is one, and what the panel is called then."""


def timeline_panels(points: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, float]]:
    """Those of TIMELINE that hold more than nothing."""
    return [panel for panel in TIMELINE if _any(points, panel[0]) or _beside(points, panel[0])]


@in_style
def timeline(points: Sequence[Mapping[str, Any]]) -> Figure:
    """How the system fared over the run, one panel for each thing that was measured, over the same seconds."""
    shown = timeline_panels(points)
    figure, every = panels(len(shown), 0.5 + 1.05 * len(shown))
    for axes, (column, label, factor) in zip(every, shown, strict=True):
        seconds, values = _series(points, column, factor)
        axes.fill_between(seconds, values, color=AFTER, alpha=0.2, linewidth=0)
        axes.plot(seconds, values, color=AFTER, linewidth=1.2)
        beside = _beside(points, column)
        if beside:
            axes.plot(*_series(points, beside, factor), color=INK, linewidth=1.0, linestyle=(0, (3, 2)))
        axes.set_xlim(0, points[-1]["elapsed_s"])
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="y", nbins=4)
        axes.yaxis.set_major_formatter("{x:,.12g}")
        axes.set_title(DASHED[column][1] if beside else label, loc="left", fontsize=10, pad=4)
    every[-1].set_xlabel("seconds since scoring began")
    return figure


def _any(points: Sequence[Mapping[str, Any]], column: str) -> bool:
    return any(point.get(column) for point in points)


def _beside(points: Sequence[Mapping[str, Any]], column: str) -> str | None:
    """The other column of a panel, where it holds more than nothing."""
    other = DASHED.get(column, ("", ""))[0]
    return other if _any(points, other) else None


def _series(points: Sequence[Mapping[str, Any]], column: str, factor: float) -> tuple[list[float], list[float]]:
    """Seconds and values where there is one. A long run is told in stretches: rates by their mean, what may be too much
    by its highest, so that no peak is lost.
    """
    known = [(point["elapsed_s"], point[column] * factor) for point in points if point.get(column) is not None]
    every = -(-len(known) // MOST_STEPS) or 1
    stretches = [known[start : start + every] for start in range(0, len(known), every)]
    told = fmean if column in RATES else max
    return [one[-1][0] for one in stretches], [told(value for _, value in one) for one in stretches]
