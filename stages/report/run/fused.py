"""Of a run over several first stages: does reranking beat their fusion?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stages.core.judges import BY_MODEL
from stages.core.words import (
    interval,
    is_significant,
    key_name,
    metric_value,
    p_value,
    percent,
    tone_of,
    wins_ties_losses,
    written_name,
)
from stages.report.document import Block, Column, Table, Text, change


def fused_lead(analysis: Mapping[str, Any]) -> Text | None:
    """The verdict, by the main metric; None where nothing was fused."""
    if not (fused := analysis.get("first_stages")):
        return None
    told = next(iter(fused["significance"].values()))
    if not is_significant(told):
        head = "Not proven to beat the fusion of the first stages, nor to fall behind it"
    elif told["difference"] > 0:
        head = "Reranking beats the fusion of the first stages"
    else:
        head = "The fusion of the first stages beats reranking"
    by = f", {BY_MODEL}" if BY_MODEL in told["words"] else ""
    return Text(f"{head}{by}: {told['words']}.", tone_of(told) if is_significant(told) else "unsure")


def fused_blocks(analysis: Mapping[str, Any]) -> Iterator[Block]:
    """The fusion beside what reranking made of the same candidates."""
    if not (fused := analysis.get("first_stages")):
        return
    tested = fused["significance"]
    sure = f"{percent(next(iter(tested.values()))['confidence'])} interval"
    names = (
        "metric",
        *fused["alone"],
        "tuned fusion",
        "reranked",
        "change",
        sure,
        "corrected p",
        "gained / same / lost",
    )
    rows = [
        [
            metric,
            *(metric_value(means.get(key_name(metric))) for means in fused["alone"].values()),
            metric_value(told["mean_baseline"]),
            metric_value(told["mean_system"]),
            change(told),
            interval(told["interval"]),
            p_value(told["corrected_p"]),
            wins_ties_losses(told),
        ]
        for metric, told in tested.items()
    ]
    yield Table([Column(name, numeric=name != "metric") for name in names], rows)
    yield Text(
        f"The fusion is what a search without a reranker could have: of {_listed([*fused['alone']])}, by whatever was "
        f"best in {fused['chosen_by']} on the queries of the other folds ({_chosen(fused)}). Reciprocal rank fusion, "
        f"which is not tuned: {_means(fused['reciprocal_rank'])}. Each first stage by itself has its own report, under "
        "runs/."
    )


def _chosen(fused: Mapping[str, Any]) -> str:
    """What each fold took, and how often."""
    ways = Counter(_way(chosen) for chosen in fused["chosen"])
    return "; ".join(f"{way} in {folds} of {len(fused['chosen'])}" for way, folds in ways.most_common())


def _way(weights: Mapping[str, float] | None) -> str:
    if weights is None:
        return "reciprocal rank fusion"
    if max(weights.values()) == 1:
        return f"{max(weights, key=weights.__getitem__)} alone"
    return " + ".join(f"{weight:g} {name}" for name, weight in weights.items() if weight)


def _means(means: Mapping[str, float]) -> str:
    return ", ".join(f"{written_name(name)} {metric_value(value)}" for name, value in means.items())


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
