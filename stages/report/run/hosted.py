"""What asking a hosted model took and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.core.metrics import HostedPart, Metrics
from stages.core.words import count, number
from stages.report.document import Block, Column, Section, Table, Text


def hosted_rows(hosted: HostedPart) -> list[list[str]]:
    """Requests, their latency and the bill."""
    quantiles = (hosted["latency_ms"][name] for name in ("p50", "p95", "p99"))
    again = ", ".join(f"{count(times)} after {reason}" for reason, times in hosted["retried"].items())
    unit = hosted["billed_unit"].replace("_", " ")
    guessed = f", of {count(hosted['guessed_bills'])} requests guessed" if hosted["guessed_bills"] else ""
    rows = [
        ["asked", f"{hosted['url']} ({hosted['api']})"],
        ["requests, answered", f"{count(hosted['requests'])}, {count(hosted['answered_requests'])}"],
        ["sent again", again or "none"],
        ["latency of a request, p50 / p95 / p99", " / ".join(map(number, quantiles)) + " ms"],
        [f"billed {unit}", f"{number(hosted['billed_units'])}{guessed}"],
    ]
    if hosted["rechecked_pairs"]:
        moved = f"{number(hosted['largest_move'])} at most, over {count(hosted['rechecked_pairs'])} pairs"
        rows.append(["stored scores asked for again are off by", moved])
    return rows


def hosted_cost_section(title: str, analysis: Mapping[str, Any], metrics: Metrics, hosted: HostedPart) -> Section:
    """In the place of an engine's cost."""
    cost = analysis.get("cost") or {}
    rows = hosted_rows(hosted)
    blocks: list[Block] = []
    if not metrics["throughput"]["scored_pairs"]:
        blocks.append(Text("Every score came from the store: what was asked was asked to see whether scores moved."))
    if hosted["cost"] is None:
        blocks.append(Text("Set a price under hosted to see it in money."))
    else:
        rows.append(["this run", number(hosted["cost"])])
        rows.append(["1,000 queries", number(cost.get("money_per_1000_queries"))])
    return Section(title, [Table([Column("", numeric=False), Column("")], rows), *blocks])
