"""The figures of a load test, from plain numbers: each point is a row of steps.csv (COLUMNS of `load_table`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stages.report.drawing import AFTER, BAD, BEFORE, GOOD, INK, in_style, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENTILES = (
    ("p50_ms", "p50", GOOD, "o"),
    ("p90_ms", "p90", BEFORE, "s"),
    ("p95_ms", "p95", AFTER, "D"),
    ("p99_ms", "p99", BAD, "^"),
)
"""Column, its name in the figure, its colour and its mark."""
# From here on the small latencies would be one line at the bottom.
WIDE = 5.0


def answered(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that have a latency: the others cannot be drawn."""
    return [point for point in points if point["mean_ms"] is not None]


@in_style
def throughput_latency(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Latency over throughput, step by step, each with its level; the knee is ringed."""
    figure, axes = panel(2.9)
    shown = answered(points)
    rates = [point["pairs_per_s"] for point in shown]
    for column, name, colour, mark in (("mean_ms", "mean", BEFORE, "s"), ("p95_ms", "p95", AFTER, "o")):
        values = [point[column] for point in shown]
        axes.plot(rates, values, color=colour, marker=mark, markersize=4, linewidth=1.6, label=name)
    for point in shown:
        place = (point["pairs_per_s"], point["p95_ms"])
        if point["knee"]:
            axes.plot(*place, marker="o", markersize=10, markerfacecolor="none", markeredgecolor=INK, linewidth=0)
        told = f"{point['level']:,.4g}{' (knee)' if point['knee'] else ''}"
        axes.annotate(told, place, (-6, 7), textcoords="offset points", ha="right")
    _latencies(axes, [point[column] for point in shown for column in ("mean_ms", "p95_ms")])
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.12g}")
    axes.set_xlabel(f"pairs answered per second (beside: {'clients' if _closed(shown) else 'requests/s offered'})")
    return figure


@in_style
def latency_percentiles(points: Sequence[Mapping[str, Any]]) -> Figure:
    """How the spread of latencies grows with the level."""
    figure, axes = panel(2.6)
    shown = answered(points)
    places = list(range(len(shown)))
    for column, name, colour, mark in PERCENTILES:
        values = [point[column] for point in shown]
        axes.plot(places, values, color=colour, marker=mark, markersize=4, linewidth=1.6, label=name)
    _latencies(axes, [point[column] for point in shown for column, *_ in PERCENTILES])
    axes.set_xticks(places, [f"{point['level']:,.4g}" for point in shown])
    axes.set_xlabel("clients" if _closed(shown) else "requests offered per second")
    return figure


def _closed(points: Sequence[Mapping[str, Any]]) -> bool:
    return bool(points[0]["mode"] == "closed")


def _latencies(axes: Axes, values: Sequence[float]) -> None:
    """The axis of latencies, and the names of the lines above it, where no point can be."""
    if max(values) > WIDE * min(values):
        from matplotlib.ticker import LogLocator

        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,.12g}")
        axes.minorticks_off()  # within one decade they would be labelled too, as formulas
    else:
        axes.set_ylim(bottom=0)
    axes.margins(y=0.2)
    axes.set_ylabel("latency, ms")
    axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
