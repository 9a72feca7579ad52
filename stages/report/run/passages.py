"""What cutting documents would have cost, where the run read them in passages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.core.metrics import Metrics
from stages.core.words import (
    count,
    counted,
    interval,
    is_significant,
    metric_value,
    p_value,
    percent,
    tone_of,
    wins_ties_losses,
)
from stages.report.document import Cell, Column, Section, Table, Text, change

TITLE = "What would cutting have cost?"


def passages_section(analysis: Mapping[str, Any], metrics: Metrics) -> Section | None:
    """None for a run that cuts, and for one whose documents all fit."""
    if not metrics["coverage"].get("pairs_in_passages"):
        return None
    found = analysis.get("long_documents")
    if not found:
        return Section(
            TITLE, [Text("No query with a document that was read in passages is judged, so that cannot be said.")]
        )
    tested = found["significance"]
    main = next(iter(tested.values()))
    certain = tone_of(main) if is_significant(main) else "unsure"
    columns = ["metric", "cut", "in passages", "change", f"{percent(main['confidence'])} interval", "corrected p"]
    table = Table(
        [Column(name, numeric=name != "metric") for name in (*columns, "gained / same / lost")],
        [[metric, *_row(told)] for metric, told in tested.items()],
    )
    return Section(TITLE, [Text(_verdict(main), certain), Text(_over(found)), table])


def _verdict(told: Mapping[str, Any]) -> str:
    if told["ties"] == told["n"]:
        head = "Nothing"
    elif not is_significant(told):
        head = "Not proven either way"
    else:
        head = "Reading whole documents helps" if told["difference"] > 0 else "Reading whole documents does harm"
    return f"{head}: {told['words']}."


def _over(found: Mapping[str, Any]) -> str:
    """What is compared."""
    queries, documents = counted(found["queries"], "judged query", "judged queries"), found["documents"]
    return (
        f"Over {queries} with documents that do not fit: {counted(documents, 'document')} read in "
        f"{count(found['passages'])} passages, {count(found['better'])} of which have one that scores more than the "
        "beginning, which is all that is read where documents are cut. The lists are compared with those by the scores "
        "of the beginnings; all else is the same."
    )


def _row(told: Mapping[str, Any]) -> list[Cell | str]:
    return [
        metric_value(told["mean_baseline"]),
        metric_value(told["mean_system"]),
        change(told),
        interval(told["interval"]),
        p_value(told["corrected_p"]),
        wins_ties_losses(told),
    ]
