"""frontier.json -> its report: what to take, what it gives and costs, and which depths are certified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.core.words import NONE, Tone, count, counted, interval, metric_value, number, percent, share, signed
from stages.report.document import Block, Cell, Column, Details, Document, Figure, Items, Section, Table, Text
from stages.report.frontier_figure import frontier_figure

# A table that is read holds so many rows; the others are in frontier.json.
MOST_ROWS = 16
MONEY, PAIRS = "money", "pairs"


def frontier_document(content: Mapping[str, Any]) -> Document:
    """The report of one frontier."""
    letters = ", ".join(f"{run['letter']} = {run['model'].rstrip('/').rpartition('/')[2]}" for run in content["runs"])
    sections = [
        Section("Quality against cost", [*_frontier(content)]),
        Section("How deep is certified?", [*_certified(content)]),
        Section("Which runs?", [*_runs(content)]),
        Section("How to read this", [_reading(content)]),
    ]
    return Document(f"{content['metric']} against {content['unit']}: {letters}", [*_lead(content)], sections)


def point_words(steps: Sequence[Mapping[str, Any]], skipped: int | None = None) -> str:
    """What a point does, in a few words."""
    if not steps:
        return "the first stage as it is"
    told = f"{steps[0]['run']} to depth {steps[0]['depth']}"
    told += "".join(f", then {step['run']} to depth {step['depth']}" for step in steps[1:])
    return told if skipped is None else f"{told}, for {100 - skipped} of 100 queries"


def _lead(content: Mapping[str, Any]) -> Iterator[Text]:
    points = {point["id"]: point for point in content["points"]}
    full = points[content["reference"]]
    if content["chosen"] is None:
        yield Text(
            f"The full rerank gains nothing in {content['metric']} over the first stage on the queries that choose: "
            "there is no point to take.",
            "unsure",
        )
    else:
        yield _taken(points[content["chosen"]], full, content)
    queries = content["queries"]
    yield Text(
        f"Out of {count(content['computed'])} points, chosen on {counted(queries['choose'], 'query', 'queries')} and "
        f"told on the other {queries['tell']} of {queries['judged']} judged ones (seed {queries['seed']}). No "
        "engine was asked."
    )
    for note in content["notes"]:
        yield Text(f"Mind: {note}.", "bad")


def _taken(point: Mapping[str, Any], full: Mapping[str, Any], content: Mapping[str, Any]) -> Text:
    words = point_words(point["steps"], point["skipped"])
    told = f"{point['id']} ({words}) is the cheapest with 95 % of what {full['id']} gains"
    if point["id"] == full["id"]:
        return Text(f"{told}: nothing cheaper does as well.", "plain")
    sure = f"{percent(content['confidence'])} interval {interval(point['interval'])}"
    away = f"on the other queries {signed(point['difference'])} of {content['metric']} ({sure})"
    return Text(f"{told}: {share(point['cost_share'], 0)} of its {content['unit']}, and {away}.", _tone(point))


def _tone(point: Mapping[str, Any]) -> Tone:
    """What is told of the difference to the full rerank."""
    if not point["interval"] or point["interval"][0] <= 0 <= point["interval"][1]:
        return "unsure" if point["interval"] else "plain"
    return "good" if point["difference"] > 0 else "bad"


def _frontier(content: Mapping[str, Any]) -> Iterator[Block]:
    metric, unit = content["metric"], content["unit"]
    yield Figure(
        "frontier",
        f"{metric} of the points on the frontier by their {unit}, with intervals",
        lambda: frontier_figure(content),
        "Up is better, left is cheaper. Bars: interval of the difference to the full rerank; grey: all points.",
    )
    shown = _shown(content)
    sure = f"{percent(content['confidence'])} interval"
    against = f"against {content['reference']}"
    names = [
        "point",
        "pairs",
        *([] if unit == PAIRS else [unit]),
        "of full",
        f"{metric}, all",
        "on the others",
        against,
        sure,
    ]
    columns = [Column(name, numeric=place > 0) for place, name in enumerate(names)]
    yield Table(columns, [_row(point, content) for point in shown])
    left = len(content["points"]) - len(shown)
    if left:
        yield Text(f"{left} further points are in frontier.json.")
    others = [name for name in content["metrics"] if name != metric]
    if others:
        heads = [Column("point", numeric=False), *(Column(name) for name in others)]
        rows = [[point["id"], *(metric_value(point["quality"][name]) for name in others)] for point in shown]
        yield Details("The other metrics, over all judged queries", [Table(heads, rows)])


def _shown(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All of few; of many those that are named, and evenly many of the others."""
    points = content["points"]
    named = {content["reference"], content["chosen"], "first"}
    named |= {point["id"] for point in points if not point["on_front"]}
    others = [point for point in points if point["id"] not in named]
    every = max(-(-len(others) // max(MOST_ROWS - len(named), 1)), 1)
    kept = {point["id"] for point in others[::every]} | named
    return [point for point in points if point["id"] in kept]


def _row(point: Mapping[str, Any], content: Mapping[str, Any]) -> list[Cell | str]:
    mark = " *" if point["id"] == content["chosen"] else ""
    pairs = " + ".join(count(step["pairs"]) for step in point["steps"]) or "0"
    return [
        f"{point['id']}{mark}",
        pairs,
        *([] if content["unit"] == PAIRS else [number(point["cost"]) if point["cost"] else "0"]),
        NONE if point["cost_share"] is None else share(point["cost_share"], 0),
        metric_value(point["quality"][content["metric"]]),
        metric_value(point["mean"]),
        Cell(signed(point["difference"]), _tone(point) if _tone(point) in ("good", "bad") else "plain"),
        NONE if point["id"] == content["reference"] else interval(point["interval"]),
    ]


def _certified(content: Mapping[str, Any]) -> Iterator[Block]:
    if not content["certified"]:
        yield Text(f"No depth is certified of {content['metric']}: its loss is not between 0 and 1.")
        return
    n = content["certified"][0]["n"]
    yield Text(
        f"The least depth whose expected loss of {content['metric']}, against the full depth, is at most alpha: by "
        f"conformal risk control over {counted(n, 'query', 'queries')}, which cannot certify less than 1/(n+1) = "
        f"{content['certified'][0]['floor']:.4f}. What it lost is of the other {content['queries']['tell']}."
    )
    lost, unit = "lost on the others", content["unit"]
    names = ["reranker", "alpha", "certified depth", "full depth", "bound", lost, unit, "point"]
    yield Table(
        [Column(name, numeric=0 < place < 7) for place, name in enumerate(names)],
        [_certified_row(one) for one in content["certified"]],
    )


def _certified_row(one: Mapping[str, Any]) -> list[Cell | str]:
    name = one["run"] if one["after"] is None else f"{one['run']} after {one['after']}"
    if one["depth"] is None:
        return [name, f"{one['alpha']:g}", Cell("cannot certify", "unsure"), str(one["full"]), NONE, NONE, NONE, NONE]
    return [
        name,
        f"{one['alpha']:g}",
        str(one["depth"]) if one["depth"] < one["full"] else Cell(f"{one['depth']}: no less", "unsure"),
        str(one["full"]),
        f"{one['bound']:.4f}",
        metric_value(one["lost"]),
        number(one["told"]["cost"]),
        one["told"]["id"],
    ]


def _runs(content: Mapping[str, Any]) -> Iterator[Block]:
    columns = [Column(name, numeric=name == "depth") for name in ("run", "model", "id", "depth", "its cost")]
    yield Table(
        columns,
        [[run["letter"], run["model"], run["run_id"], str(run["depth"]), run["cost"]] for run in content["runs"]],
    )


def _reading(content: Mapping[str, Any]) -> Items:
    metric, unit = content["metric"], content["unit"]
    names = (
        "A50: the top 50 reranked by A, the rest behind as it was. A100-B20: then B's order of the top 20 of that. "
        "A50-skip30: A50, but the 30 of 100 queries whose first and third first-stage score lie farthest apart stay as "
        "they are."
    )
    quality = (
        f"{metric}, all: the mean over all judged queries, exactly what a job of that point measures. On the others: "
        "over the queries that chose nothing; the differences and intervals are of those, not corrected for how many "
        "points stand here."
    )
    cost = f"{unit}: for all queries of the run"
    if unit not in (MONEY, PAIRS):
        cost += ", from what each run measured for the tokens that its engine computed; an engine's start is not in it"
    blind = "Where the first stage or the judgements miss what is relevant, no cut can show what it loses."
    config = "rerank-eval frontier RUN ... --write FILE --point ID writes the config of a depth or a cascade."
    return Items([names, quality, f"{cost}.", blind, config])
