"""What analysis.json says of changes, harm and useless orders -> its part of metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.core.metrics import HarmPart, Metrics


def with_harm(metrics: Metrics, analysis: Mapping[str, Any]) -> Metrics:
    """Of each share those that a run is judged by: of what changed, at all the places that prompts have; of what was
    pushed out and brought up, at the first one and at those that the deciding metric looks at.
    """
    changes, harm = analysis.get("changes"), analysis.get("harm")
    told: HarmPart = {
        "lists": changes and changes["lists"],
        "set_changed_share": changes and _of_lists(changes, "sets"),
        "order_changed_share": changes and _of_lists(changes, "orders"),
        "first_lost_share": harm and _shares(harm, "first_lost", 1, harm["top"]),
        "pushed_out_share": harm and _shares(harm, "pushed_out", harm["top"]),
        "rescued_share": harm and _shares(harm, "rescued", harm["top"]),
        "useless": analysis["useless"]["name"],
    }
    metrics["harm"] = told
    return metrics


def _of_lists(changes: Mapping[str, Any], kind: str) -> dict[str, float] | None:
    """None where there is no list."""
    lists = changes["lists"]
    return {f"at_{top['k']}": top[kind] / lists for top in changes["at"]} if lists else None


def _shares(harm: Mapping[str, Any], kind: str, *tops: int) -> dict[str, float | None]:
    return {f"at_{one['k']}": one[kind]["share"] for one in harm["at"] if one["k"] in tops}
