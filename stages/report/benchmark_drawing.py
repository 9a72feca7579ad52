"""The figure of a benchmark: how fast each contender is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.core.words import number, shortened
from stages.report.drawing import AFTER, BAD, BEFORE, INK, in_style, panel
from stages.speed.benchmark import Measurement

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

LONGEST_TITLE = 30


@in_style
def speeds(shown: Sequence[Measurement], ceiling: float | None, limit: float | None) -> Drawing:
    """A bar for each contender in the given order, ours in colour, those that compute something else in red."""
    figure, axes = panel(0.9 + 0.3 * len(shown))
    for place, one in enumerate(shown):
        rate, spread = one.pairs_per_s or 0.0, one.spread or (0.0, 0.0)
        ours = one.kind in ("job", "service")
        axes.barh(place, rate, 0.62, color=BAD if one.differs else AFTER if ours else BEFORE)
        axes.plot(spread, [place, place], color=INK, linewidth=1.0)
        axes.text(1.03, place, number(rate), transform=axes.get_yaxis_transform(), va="center")
    for value, dashes in ((ceiling, (0, (5, 3))), (limit, (0, (1, 2)))):
        if value:
            axes.axvline(value, color=INK, linewidth=1.0, linestyle=dashes)
    axes.set_yticks(range(len(shown)), [shortened(one.title, LONGEST_TITLE) for one in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1.03 * max([one.spread[1] for one in shown if one.spread] + [ceiling or 0.0, limit or 0.0]))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("pairs per second")
    axes.locator_params(axis="x", nbins=5)
    return figure
