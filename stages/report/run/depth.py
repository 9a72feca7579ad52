"""How deep to rerank, what was to be had at all, and whether a mix with the first stage does better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.core.words import Tone, count, metric_value, p_value, share, signed
from stages.report import figures
from stages.report.document import Block, Cell, Column, Figure, Section, Table, Text


def depth_section(analysis: Mapping[str, Any], metric: str | None) -> Section | None:
    if metric is None:
        return None
    blocks = [*_depth(analysis, metric), *_oracle(analysis, metric), *_fusion(analysis, metric)]
    return Section("How deep, and how much more could there be?", blocks) if blocks else None


def _depth(analysis: Mapping[str, Any], metric: str) -> Iterator[Block]:
    depth = analysis.get("depth")
    if not depth:
        return
    if not depth["points"]:
        yield from (Text(words) for name, words in depth["words"].items() if name == metric)
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
    columns = [
        Column("depth"),
        Column("pairs"),
        Column(metric),
        Column("change"),
        Column("corrected p"),
        *map(Column, others),
    ]
    rows = [
        [
            *_depth_row(point, metric, best, "good" if significant else "unsure"),
            *(metric_value(point["means"][name]) for name in others),
        ]
        for point in depth["points"]
    ]
    yield Table(columns, rows)


def _depth_row(point: Mapping[str, Any], metric: str, best: int | None, tone: Tone) -> list[Cell | str]:
    return [
        Cell(str(point["depth"]), tone if point["depth"] == best else "plain"),
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
    best, room = metric_value(oracle["means"][metric]), metric_value(oracle["headroom"][metric])
    ceiling, taken = share(oracle["recall_ceiling"]), _taken(oracle["gained"][metric])
    yield Text(
        f"The best order of these candidates would have {metric} {best}, {room} above the first stage; {taken}. "
        f"{ceiling} of the relevant documents are among the candidates: no reranker brings back the others."
    )


def _taken(gained: float | None) -> str:
    if gained is None:
        return "there was nothing to gain"
    if gained < 0:
        return f"the reranker took none of that room, and lost {share(-gained)} of as much"
    return f"of that room the reranker took {share(gained)}"


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
    yield Text("What if the first stage's scores and the reranker's were mixed? These means are not tested for chance.")
    yield Table([Column("order by", numeric=False), Column(metric)], rows)
    if mixed:
        weights = ", ".join(f"{weight:g}" for weight in sorted(set(mixed["weights"])))
        sweep, first_stage = mixed["sweep"], told["mean_baseline"]
        yield Figure(
            "fusion",
            f"{metric} by the weight of the reranker's score",
            lambda: figures.fusion_sweep(sweep, metric, mixed["weights"], first_stage),
            "At weight 0 the first stage orders alone, at 1 the reranker. Shaded are the weights that cross-validation "
            f"chose, by {mixed['chosen_by']}: {weights}. The value in the table is over queries that did not take part "
            "in choosing.",
        )
