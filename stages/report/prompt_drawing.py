"""The recall of answers by the tokens of a prompt, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stages.report.drawing import AFTER, BEFORE, INK, in_style, panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@in_style
def recall_by_tokens(curve: Sequence[Mapping[str, float]], budgets: Sequence[int]) -> Figure:
    """`curve` has rows of `tokens`, `first_stage` and `reranked`; the named budgets stand as lines."""
    figure, axes = panel(2.6)
    tokens = [row["tokens"] for row in curve]
    for budget in budgets:
        axes.axvline(budget, color=INK, linewidth=0.6, linestyle=(0, (2, 3)))
    axes.plot(tokens, [row["first_stage"] for row in curve], color=BEFORE, linewidth=1.6, label="first stage")
    axes.plot(tokens, [row["reranked"] for row in curve], color=AFTER, linewidth=1.6, label="reranked")
    if tokens[0] < tokens[-1]:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="lower right")
    axes.set(xlabel="tokens in the prompt", ylabel="queries with an answer")
    return figure
