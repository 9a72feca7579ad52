"""What each stage of a cascade was given, made of it, and cost."""

from __future__ import annotations

from collections.abc import Sequence

from stages.core.metrics import Metrics, StagePart
from stages.core.words import count, metric_value, number, signed, written_name
from stages.report.document import Block, Column, Section, Table, Text

KEPT = (
    "Each stage reranks the top of the list that the one before left; what lies below keeps its order. A document that "
    "a stage could not score stands right behind those that it scored, in the order that it was given. Scores are "
    "those of the last stage; below its documents they fall by 1 with each place, as scores of several models are of "
    "no one scale."
)


def stages_section(metrics: Metrics) -> Section | None:
    """None of one model."""
    if not (stages := metrics.get("stages")):
        return None
    blocks: list[Block] = [stages_table(stages), Text(KEPT)]
    blocks.append(Text("Each has its own report, scores and rankings, in stages/1, stages/2 and so on."))
    return Section("What did each stage do?", blocks)


def stages_table(stages: Sequence[StagePart]) -> Table:
    """A row for each, with the main metric of what it was given and of what it left."""
    main = next((name for one in stages for name in one["quality"]["reranked"] or {}), None)
    columns = [Column("stage", numeric=False), Column("top"), Column("pairs"), Column("scored")]
    columns += [Column("failed")] if any(one["coverage"]["failed_pairs"] for one in stages) else []
    columns += [Column("seconds"), Column("engine s / query")]
    columns += [Column("money")] if any(one["cost"]["money"] is not None for one in stages) else []
    columns += [Column(written_name(main)), Column("change")] if main else []
    rows = [_row(place, one, main, {column.heading for column in columns}) for place, one in enumerate(stages, 1)]
    return Table(columns, rows)


def _row(place: int, stage: StagePart, main: str | None, shown: set[str]) -> list[str]:
    coverage, throughput, cost = stage["coverage"], stage["throughput"], stage["cost"]
    row = [
        f"{place}: {short_model(stage['model']['name'])}",
        "all" if stage["depth"] is None else count(stage["depth"]),
        count(coverage["pairs"]),
        count(throughput["scored_pairs"]),
    ]
    row += [count(coverage["failed_pairs"])] if "failed" in shown else []
    row += [number(throughput["wall_s"]), number(cost["engine_s_per_query"])]
    row += [number(cost["money"])] if "money" in shown else []
    if main:
        quality = stage["quality"]
        row += [metric_value((quality["reranked"] or {}).get(main)), signed((quality["delta"] or {}).get(main))]
    return row


def short_model(name: str) -> str:
    """Without the folders that it lies in."""
    return name.rstrip("/").rpartition("/")[2]
