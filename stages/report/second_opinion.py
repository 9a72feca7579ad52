"""Where a model judged: the verdict that people's grades allow, or why there is none, and how far the judge is off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.core.words import NONE, Tone, count, first_up, interval, metric_value, number, signed
from stages.report.document import Column, Section, Table, Text

TITLE = "How far to believe the judge?"


def inference_lead(found: Mapping[str, Any]) -> Iterator[Text]:
    """The sentences of one metric, as analysis.json has them."""
    first, *others = found["words"]
    yield Text(f"{first_up(first)}.", inferred_tone(found))
    yield from (Text(f"{first_up(one)}.", "unsure") for one in others)


def inferred_tone(found: Mapping[str, Any]) -> Tone:
    """Good or bad where the interval says that there is a change, which takes people's grades."""
    if not (ends := found["change"]["interval"]) or ends[0] <= 0 <= ends[1]:
        return "unsure"
    return "good" if ends[0] > 0 else "bad"


def inference_section(analysis: Mapping[str, Any]) -> Section | None:
    """A row for each metric; None where people judged all."""
    if not (inferred := analysis.get("inference")):
        return None
    return _section([(metric, found) for metric, found in inferred.items()], ("first stage", "reranked"))


def beside_inferences(content: Mapping[str, Any]) -> Iterator[Section]:
    """Of each run against the baseline, from comparison.json."""
    several = len(content["runs"]) > 2
    rows = [
        (f"{one['system']} {one['metric']}" if several else one["metric"], one)
        for one in content.get("inference") or ()
    ]
    if rows:
        yield _section(rows, ("baseline", "run"))


def inferred_tone_of(content: Mapping[str, Any], told: Mapping[str, Any]) -> Tone:
    """Of one tested difference of a comparison in which a model judged."""
    wanted = (told["system"], told["metric"])
    found = [one for one in content.get("inference") or () if (one["system"], one["metric"]) == wanted]
    return inferred_tone(found[0]) if found else "unsure"


def _section(rows: Sequence[tuple[str, Mapping[str, Any]]], sides: tuple[str, str]) -> Section:
    names = ["metric", "change", "its interval", "by", "people's queries", "rho", "change by model judgement"]
    names += ["the judge's error", "its interval", *sides]
    told = [_row(name, found) for name, found in rows]
    return Section(TITLE, [Text(_explained(rows[0][1])), Table([*map(_column, names)], told)])


def _column(name: str) -> Column:
    return Column(name, numeric=name not in ("metric", "by"))


def _row(name: str, found: Mapping[str, Any]) -> Sequence[str]:
    change, error = found["change"], found["error"] or {"error": None, "interval": None}
    return [
        name,
        signed(change["mean"]),
        interval(change["interval"]),
        str(change["method"] or NONE),
        f"{count(change['n'])} of {count(change['population'])}",
        number(change["rho"]),
        signed(found["by_model"]),
        signed(error["error"]),
        interval(error["interval"]),
        metric_value(found["first"]["mean"]),
        metric_value(found["second"]["mean"]),
    ]


def _explained(found: Mapping[str, Any]) -> str:
    return (
        "The change, its interval and the two means are what people would say of all queries: by their grades of the "
        f"queries that they judged (people), together with those of {found['judge']} of all (ppi, ppi++), by a rule "
        "that was fixed before anything was seen. The change by model judgement is what its grades say, and people's "
        "of pairs that it gave none, which no interval covers; the judge's error is how much larger it makes the "
        "change over all, as the queries that both judged tell it. A dash: people judged too few queries."
    )
