"""Several runs against a baseline -> their report: how they differ, whether that is real, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.core.metrics import Metrics
from stages.core.words import (
    count,
    interval,
    is_significant,
    metric_value,
    number,
    p_value,
    percent,
    tone_of,
    wins_ties_losses,
)
from stages.report import figures
from stages.report.beside_harms import beside_harms, named_useless
from stages.report.beside_hosted import beside_hosted
from stages.report.document import Block, Cell, Column, Document, Figure, Section, Table, Text, change
from stages.report.second_opinion import TITLE as INFERRED
from stages.report.second_opinion import beside_inferences, inferred_tone_of
from stages.report.slices import SliceRow, slices_blocks
from stages.report.unjudged import OpenRow, doubts, unjudged_blocks

COSTS, DIFFERING = "What does each cost?", "In what do they differ?"
OF_NO_JUDGEMENT = (DIFFERING, INFERRED)
"""Sections without a number that comes of judgements; and the one that tells such numbers apart by itself."""


@dataclass(frozen=True, slots=True)
class Compared:
    """`content` is that of comparison.json. By the label of each run, `run_metrics` are its metrics.json, and `costs`
    the cost in its analysis.json (empty where it has none), `harms` what that says of changes, harm and useless orders.
    """

    content: Mapping[str, Any]
    run_metrics: Mapping[str, Metrics]
    costs: Mapping[str, Mapping[str, Any]]
    harms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def main(self) -> str:
        return str(self.content["metrics"][0])

    def tested(self, metric: str) -> list[Mapping[str, Any]]:
        return [one for one in self.content["tested"] if one["metric"] == metric]


def comparison_document(compared: Compared) -> Document:
    content = compared.content
    title = (
        f"{', '.join(label for label in content['runs'] if label != content['baseline'])} against {content['baseline']}"
    )
    sections = [
        Section("Is the difference real?", [*_quality(compared)]),
        *beside_inferences(content),
        *beside_harms(compared.harms),
        *_slices(compared),
        Section(COSTS, [*_costs(compared)]),
        Section(DIFFERING, [*_differing(content)]),
    ]
    return Document(title, [*_lead(compared)], sections)


def _lead(compared: Compared) -> Iterator[Text]:
    for told in compared.tested(compared.main):
        sure = is_significant(told) and not doubts(_open(compared.content, told))
        tone = tone_of(told) if sure else "unsure"
        if compared.content.get("mark"):
            tone = inferred_tone_of(compared.content, told)
        yield Text(f"{told['system']}: {told['words']}.", tone)
    yield Text(f"Over {count(compared.content['queries'])} judged queries. {_corrected(compared.content)}")
    yield from named_useless(compared.harms)
    for note in compared.content["notes"]:
        yield Text(f"Mind: {note}.", "bad")


def _corrected(content: Mapping[str, Any]) -> str:
    tests = len(content["tested"])
    if content.get("mark"):
        return f"Values are {content['mark']}, and p is of them."
    if tests == 1:
        return "p is of the paired randomization test."
    return f"p is of the paired randomization test, corrected by Holm over all {tests} comparisons on this page."


def _quality(compared: Compared) -> Iterator[Block]:
    sure = f"{percent(compared.content['tested'][0]['confidence'])} interval"
    columns = ["metric", "run", "mean", "change", sure, "corrected p", "gained / same / lost", "detectable from"]
    rows: list[list[Cell | str]] = []
    for metric in compared.content["metrics"]:
        several = compared.tested(metric)
        baseline = str(compared.content["baseline"])
        rows.append([metric, baseline, metric_value(several[0]["mean_baseline"]), "", "", "", "", ""])
        rows += [_tested_row(told) for told in several]
    yield Table([Column(name, numeric=name not in columns[:2]) for name in columns], rows)
    yield from _unjudged(compared.content)
    for metric in compared.content["metrics"][:4]:
        yield _forest(metric, compared.tested(metric))


def _open(content: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What of these two lists is not judged; None where that is not known."""
    wanted = (told["system"], told["metric"])
    return next((one for one in content.get("unjudged") or [] if (one["system"], one["metric"]) == wanted), None)


def _unjudged(content: Mapping[str, Any]) -> list[Block]:
    several = len(content["runs"]) > 2
    rows = [OpenRow(one["system"] if several else "", one["metric"], one) for one in content.get("unjudged") or []]
    return unjudged_blocks(rows, "baseline", "run" if several else "the other")


def _slices(compared: Compared) -> Iterator[Section]:
    """Of the runs' evaluate.slices, where they have any."""
    content, several = compared.content, len(compared.content["runs"]) > 2
    rows = [
        SliceRow(
            one["name"],
            one["queries"],
            metric,
            one["means"].get("", {}).get(metric),
            one["means"].get(system, {}).get(metric),
            next((told for told in one["tested"] if (told["system"], told["metric"]) == (system, metric)), None),
            one["needed"],
            system if several else "",
        )
        for metric in content["metrics"]
        for one in content.get("slices") or []
        for system in content["runs"]
        if system != content["baseline"]
    ]
    if blocks := slices_blocks(rows, compared.main, "baseline", "run"):
        yield Section("In which slices?", blocks)


def _tested_row(told: Mapping[str, Any]) -> list[Cell | str]:
    smallest = told["minimum_detectable"]
    return [
        "",
        told["system"],
        metric_value(told["mean_system"]),
        change(told),
        interval(told["interval"]),
        p_value(told["corrected_p"]),
        wins_ties_losses(told),
        "" if is_significant(told) or smallest is None else f"± {smallest:.3f}",
    ]


def _forest(metric: str, several: Sequence[Mapping[str, Any]]) -> Figure:
    rows = [
        {
            "name": told["system"],
            "difference": told["difference"],
            "low": told["interval"][0] if told["interval"] else None,
            "high": told["interval"][1] if told["interval"] else None,
            "significant": is_significant(told),
            "n": f"p {p_value(told['corrected_p'])}",
        }
        for told in several
    ]
    name = "".join(letter if letter.isalnum() else "-" for letter in metric)
    label = f"change of {metric} against the baseline"
    return Figure(f"difference-{name}", f"Change of {metric} of each run", lambda: figures.forest(rows, label))


def _costs(compared: Compared) -> Iterator[Block]:
    columns = [
        "run",
        "pairs",
        "pairs scored",
        "pairs/s",
        "queue p95, ms",
        "engine s per query",
        "money per 1,000 queries",
    ]
    yield from beside_hosted(compared.main, compared.tested(compared.main), compared.run_metrics, compared.costs)
    rows = [_cost_row(label, metrics, compared.costs[label]) for label, metrics in compared.run_metrics.items()]
    yield Table([Column(name, numeric=name != "run") for name in columns], rows)
    quality = {told["system"]: told["mean_system"] for told in compared.tested(compared.main)}
    quality[compared.content["baseline"]] = compared.tested(compared.main)[0]["mean_baseline"]
    priced = [
        {"name": label, "quality": quality[label], "cost": seconds}
        for label in compared.run_metrics
        if (seconds := compared.costs[label].get("engine_s_per_query")) is not None
    ]
    if len(priced) > 1:
        main = compared.main
        yield Figure(
            "cost",
            f"{main} of each run by its engine seconds per query",
            lambda: figures.cost_quality(priced, main, "engine seconds per query"),
            "Up is better, left is cheaper.",
        )
    if len(priced) < len(rows):
        yield Text("A run whose scores all came from the store measured no cost of its own.")


def _cost_row(label: str, metrics: Metrics, cost: Mapping[str, Any]) -> list[Cell | str]:
    throughput, queue = metrics["throughput"], metrics["queue"]["time_ms"]
    return [
        label,
        count(metrics["coverage"]["pairs"]),
        count(throughput["scored_pairs"]),
        number(throughput["pairs_per_s"]),
        number(queue["p95"]),
        number(cost.get("engine_s_per_query")),
        number(cost.get("money_per_1000_queries")),
    ]


def _differing(content: Mapping[str, Any]) -> Iterator[Block]:
    if not content["differing"]:
        yield Text("Their configs are the same, but for where they were written and logged.")
    else:
        columns = [Column("setting", numeric=False), *(Column(label, numeric=False) for label in content["runs"])]
        rows = [[name, *(str(value) for value in values)] for name, values in content["differing"].items()]
        yield Table(columns, rows)
    pairs = [[label, run_id] for label, run_id in content["runs"].items()]
    yield Table([Column("run", numeric=False), Column("id", numeric=False)], pairs)
