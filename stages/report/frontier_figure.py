"""Quality against cost: the frontier's points with their intervals, and all that were looked at behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.core.words import shortened
from stages.report.drawing import AFTER, BAD, BEFORE, GOOD, INK, in_style, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_NAME = 16
# By how many times the dearest point costs more than the cheapest, from which on costs are drawn by their logarithm.
SPREAD = 12


@in_style
def frontier_figure(content: Mapping[str, Any]) -> Figure:
    """`content` is that of frontier.json. Points stand at their mean over the queries that tell, their interval is that
    of the difference to the reference.
    """
    figure, axes = panel(3.4)
    points = [point for point in content["points"] if point["steps"]]
    first = next(point["mean"] for point in content["points"] if not point["steps"])
    cloud = [one for one in content["cloud"] if one[0] > 0]
    axes.scatter([x for x, _ in cloud], [y for _, y in cloud], 5, color=BEFORE, alpha=0.3, linewidths=0)
    axes.axhline(first, color=BEFORE, linewidth=1.2, linestyle=(0, (4, 3)))
    on_front = sorted((point for point in points if point["on_front"]), key=lambda point: point["cost"])
    axes.plot([one["cost"] for one in on_front], [one["mean"] for one in on_front], color=INK, linewidth=0.8, alpha=0.5)
    seen: set[str] = set()
    for point in points:
        _draw(axes, point, content, seen)
    costs = [point["cost"] for point in points if point["cost"] > 0]
    if costs and max(costs) > SPREAD * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(_plain)
        axes.minorticks_off()
    axes.margins(x=0.1, y=0.14)
    axes.set(xlabel=f"{content['unit']} for all queries", ylabel=content["metric"])
    axes.annotate(
        "first stage",
        (1.0, first),
        (-2, -11),
        ha="right",
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
    )
    axes.legend(loc="upper left", fontsize=8, handletextpad=0.3, borderaxespad=0.2)
    return figure


def _draw(axes: Axes, point: Mapping[str, Any], content: Mapping[str, Any], seen: set[str]) -> None:
    kind, colour, marker = _kind(point)
    label = None if kind in seen else kind
    seen.add(kind)
    if point["interval"]:
        reference = point["mean"] - point["difference"]
        ends = [reference + end for end in point["interval"]]
        axes.plot([point["cost"]] * 2, ends, color=colour, linewidth=1.4, alpha=0.6, solid_capstyle="round")
    axes.plot([point["cost"]], [point["mean"]], marker=marker, markersize=5, color=colour, linewidth=0, label=label)
    if point["id"] in (content["chosen"], content["reference"]):
        axes.plot(
            [point["cost"]],
            [point["mean"]],
            marker="o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=INK,
            linewidth=0,
        )
        right = point["id"] == content["reference"]
        # Below the line of the first stage is that one's own name: where nothing is gained, the two stand together.
        below = right and content["chosen"] is not None
        axes.annotate(
            shortened(point["id"], LONGEST_NAME),
            (point["cost"], point["mean"]),
            (0, -15 if below else 10),
            textcoords="offset points",
            ha="right" if right else "center",
        )


def _kind(point: Mapping[str, Any]) -> tuple[str, str, str]:
    if point["skipped"] is not None:
        return "some queries skipped", BAD, "v"
    if len(point["steps"]) > 1:
        return "cascade", GOOD, "s"
    return "one reranker", AFTER, "o"


def _plain(value: float, _: float = 0.0) -> str:
    return f"{value:,.4g}"
