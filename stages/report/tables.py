"""Numbers -> tables for people, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from stages.report.wording import written_name


def quality_table(metrics: dict[str, Any], runs: Mapping[str, dict[str, Any]] | None = None) -> Table:
    """First stage against reranked, one row per metric, from the content of metrics.json.

    With several first stages, `runs` holds each one's own metrics, `metrics` those of all candidates together.
    """
    table = Table(title_justify="left", header_style="bold")
    table.add_column("quality")
    for heading in ("first stage", "reranked", "change"):
        table.add_column(heading, justify="right")
    for name, of_run in (runs or {"": metrics}).items():
        _add_quality(table, of_run["quality"], name)
    if runs:
        _add_quality(table, metrics["quality"], "all together")
    if not metrics["quality"]["reranked"]:
        table.add_row("no judgements", "-", "-", "-")
    return table


def _add_quality(table: Table, quality: dict[str, Any], run: str) -> None:
    for name, after in (quality["reranked"] or {}).items():
        cells = ["", f"{after:.4f}", ""]
        if quality["first_stage"]:
            change = quality["delta"][name]
            colour = "green" if change > 0 else "red" if change < 0 else "default"
            cells = [f"{quality['first_stage'][name]:.4f}", f"{after:.4f}", f"[{colour}]{change:+.4f}[/]"]
        table.add_row(f"{run} {written_name(name)}".strip(), *cells)
    table.add_section()


def cost_table(metrics: dict[str, Any]) -> Table:
    """What was reranked, how fast, and how the engine fared."""
    coverage, throughput = metrics["coverage"], metrics["throughput"]
    rows = {
        "queries": f"{coverage['answered']:,} of {coverage['queries']:,} answered",
        "pairs": f"{coverage['pairs']:,}{_scored(throughput)}",
        "pairs/s": _number(throughput["pairs_per_s"]),
        "prompt tokens/s": _number(throughput["prompt_tokens_per_s"]),
        "queue p95": _number(metrics["queue"]["time_ms"]["p95"], " ms"),
        "prefix hit rate": _share(metrics["cache"]["prefix_hit_rate"]),
        "documents cut": f"{coverage['truncated_pairs']:,}",
        "tied neighbours": _share(metrics["scores"]["tied_share"]),
        "failed pairs": f"{coverage['failed_pairs']:,}",
        "rows set aside": _count(coverage["set_aside_rows"]),
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _scored(throughput: Mapping[str, Any]) -> str:
    """Nothing for one first stage of several, whose pairs were scored with the others'."""
    if throughput["wall_s"] is None:
        return ""
    return f", {throughput['scored_pairs']:,} scored in {throughput['wall_s']:.1f} s"


def _count(value: int | None) -> str:
    return "does not apply" if value is None else f"{value:,}"


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "does not apply"
    return f"{value:,.0f}{unit}" if abs(value) >= 100 else f"{value:,.1f}{unit}"


def _share(value: float | None) -> str:
    return "does not apply" if value is None else f"{value:.1%}"
