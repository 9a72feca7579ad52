"""How deep to rerank, what was to be had at all, and whether a mix with the first stage does better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.report import figures
from stages.report.document import Block, Cell, Column, Figure, Section, Table, Text
from stages.report.wording import count, metric_value, p_value, share, signed


def depth_section(analysis: Mapping[str, Any], metric: str | None) -> Section | None:
    if metric is None or not analysis.get("depth"):
        return None
    blocks = [*_depth(analysis, metric), *_oracle(analysis, metric), *_fusion(analysis, metric)]
    return Section("How deep, and how much more could there be?", blocks)


def _depth(analysis: Mapping[str, Any], metric: str) -> Iterator[Block]:
    depth = analysis["depth"]
    if not depth["points"]:
        return
    told, first_stage = analysis["significance"][metric], analysis["significance"][metric]["mean_baseline"]
    best = depth["best"][metric]
    significant = best is not None and _p_at(depth, best, metric) < 1 - told["confidence"]
    yield Text(depth["words"][metric], "good" if significant else "unsure")
    yield Figure(
        "depth",
        f"{metric} by the number of documents reranked",
        lambda: figures.depth_curve(depth["points"], metric, first_stage, best),
        "As if only so many documents of each query had been reranked, and the rest had kept the first stage's order.",
    )
    others = [name for name in depth["words"] if name != metric]
    columns = [Column("depth"), Column("pairs"), Column(metric), Column("change"), Column("p"), *map(Column, others)]
    rows = [
        [*_depth_row(point, metric, best), *(metric_value(point["means"][name]) for name in others)]
        for point in depth["points"]
    ]
    yield Table(columns, rows)


def _depth_row(point: Mapping[str, Any], metric: str, best: int | None) -> list[Cell | str]:
    return [
        Cell(str(point["depth"]), "good" if point["depth"] == best else "plain"),
        count(point["pairs"]),
        metric_value(point["means"][metric]),
        signed(point["gains"][metric]),
        p_value(point["corrected_p"][metric]),
    ]


def _p_at(depth: Mapping[str, Any], wanted: int, metric: str) -> float:
    return float(next(point["corrected_p"][metric] for point in depth["points"] if point["depth"] == wanted))


def _oracle(analysis: Mapping[str, Any], metric: str) -> Iterator[Block]:
    oracle = analysis.get("oracle")
    if not oracle:
        return
    best, gained = oracle["means"][metric], oracle["gained"][metric]
    taken = "there was nothing to gain" if gained is None else f"of that room the reranker took {share(gained)}"
    ceiling, room = share(oracle["recall_ceiling"]), signed(oracle["headroom"][metric])
    yield Text(
        f"The best order of these candidates would have {metric} {metric_value(best)}, {room} above the first stage; "
        f"{taken}. {ceiling} of the relevant documents are among the candidates: no reranker brings back the others."
    )


def _fusion(analysis: Mapping[str, Any], metric: str) -> Iterator[Block]:
    fusion = analysis.get("fusion")
    if not fusion:
        return
    told, mixed = analysis["significance"][metric], fusion["interpolation"]
    rows = [
        ["first stage alone", metric_value(told["mean_baseline"])],
        ["reranker alone", metric_value(told["mean_system"])],
        ["both, by reciprocal rank", metric_value(fusion["reciprocal_rank"][metric])],
    ]
    if mixed:
        rows.append(["both, scores weighted", metric_value(mixed["means"][metric])])
    yield Table([Column("order by", numeric=False), Column(metric)], rows, "Both together instead of one of them")
    if mixed:
        weights = ", ".join(f"{weight:g}" for weight in sorted(set(mixed["weights"])))
        sweep, first_stage = mixed["sweep"], told["mean_baseline"]
        yield Figure(
            "fusion",
            f"{metric} by the weight of the reranker's score",
            lambda: figures.fusion_sweep(sweep, metric, mixed["weights"], first_stage),
            f"The weights that cross-validation chose, by {mixed['chosen_by']}: {weights} (shaded). The value in the "
            "table is over queries that did not take part in choosing.",
        )
