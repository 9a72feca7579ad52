"""judge.json -> its report: what may be concluded, how far the judge is to be believed, and what it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.core.words import NONE, Tone, count, counted, first_up, number, percent, share, signed
from stages.report.document import Block, Cell, Column, Details, Document, Items, Section, Table, Text
from stages.report.judge_tables import (
    agreement_table,
    confusion_table,
    kinds_table,
    missing_table,
    slices_table,
)

NO_PEOPLE = (
    "No pair has a grade of people's and one of the judge's: nothing here says how far the judge is to be believed"
)
NO_GRADE = "The judge gave no grade to any pair that people judged: it is of no use as it is asked here"
GRADE_WORDS = ("unrelated", "related", "useful", "complete")
"""What the prompts that come along call grades 0 to 3, in a word."""


def judge_report(content: Mapping[str, Any]) -> Document:
    """`content` is that of judge.json, as `stages.grading.record.told` makes it."""
    sections = [
        Section("What may be concluded?", [*_verdicts(content["verdicts"])]),
        Section("Does it agree with people?", [*_agreement(content["agreement"], content["counts"])]),
        Section("Does it say the same again?", [*_repeatability(content["repeatability"])]),
        Section("Can a document tell it what to say?", [*_planted(content["planted"])]),
        Section("What was graded?", [*_graded(content)]),
        Section("What did it take?", [*_cost(content["cost"])]),
        Section("Who judged what?", [*_who(content)]),
    ]
    return Document(f"Grades by {content['judge']['name']}", [*_lead(content)], sections)


def _lead(content: Mapping[str, Any]) -> Iterator[Text]:
    for verdict in content["verdicts"][:1]:
        first, *rest = verdict["words"]
        yield Text(f"{first_up(first)}.", verdict["tone"])
        yield from (Text(f"{first_up(sentence)}.", "unsure") for sentence in rest)
    agreement = content["agreement"]
    if agreement is None:
        yield Text(f"{without_agreement(content['counts'])}.", "bad")
    else:
        yield Text(f"{agreement['words'][0]}.", "bad" if agreement["badly"] else "good")
    for note in content["notes"]:
        yield Text(f"Mind: {note}.", "unsure")
    counts = content["counts"]
    if counts["missing"]:
        asked = counts["graded"] + counts["missing"]
        yield Text(
            f"{counted(counts['missing'], 'pair')} of {count(asked)} got no grade: missing, and not 0.", "unsure"
        )


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if not verdicts:
        yield Text("No run's change was looked at.")
        return
    rows: list[list[Cell | str]] = [
        [
            f"{one['second']} against {one['first']}",
            one["metric"],
            Cell(signed(one["value"]), one["tone"] if one["interval"] else "plain"),
            NONE if not one["interval"] else f"{one['interval'][0]:+.4f} to {one['interval'][1]:+.4f}",
            one["method"] or "none: by model judgement alone",
        ]
        for one in verdicts
    ]
    columns = [Column("change", numeric=False), Column("metric", numeric=False), Column("value"), Column("interval")]
    yield Table([*columns, Column("interval by", numeric=False)], rows)
    for one in verdicts:
        yield Details(
            f"{one['metric']}: {one['second']} against {one['first']}",
            [Items([f"{first_up(w)}." for w in one["words"]])],
        )


def without_agreement(counts: Mapping[str, Any]) -> str:
    """Why nobody can tell how far it agrees with people."""
    return NO_GRADE if counts["by_people"] and not counts["graded"] else NO_PEOPLE


def _agreement(agreement: Mapping[str, Any] | None, counts: Mapping[str, Any]) -> Iterator[Block]:
    if agreement is None:
        why = without_agreement(counts)
        remedy = ". Judge some by hand: rerank-eval plan-judging says which and how many." if why == NO_PEOPLE else "."
        yield Text(f"{why}{remedy}", "bad")
        return
    yield Items([f"{sentence}." for sentence in agreement["words"]])
    yield Text(f"{agreement['scale']}.")
    yield agreement_table(agreement)
    yield confusion_table(agreement)
    if agreement["by_slice"]:
        yield slices_table(agreement["by_slice"])


def _repeatability(found: Mapping[str, Any] | None) -> Iterator[Block]:
    if found is None:
        yield Text("No pair was asked twice.")
        return
    value = found["identical"]["value"]
    yield Text(f"{found['words']}.", "plain" if value is None or value == 1 else "unsure")
    if found["lost"]:
        yield Text(f"{counted(found['lost'], 'pair')} of {count(found['pairs'])} had a grade one time alone.", "unsure")


def _planted(found: Mapping[str, Any] | None) -> Iterator[Block]:
    if found is None:
        yield Text(
            "No instruction was planted in a document: nobody asked for it, or the judge gave every pair the highest "
            "grade, so that none could be raised."
        )
        return
    yield Text(f"{found['words']}.", _planted_tone(found))
    if moved := found["expected_change"]:
        ends = moved["interval"]
        sure = f" ({percent(found['confidence'])} interval {ends[0]:+z.2f} to {ends[1]:+z.2f})" if ends else ""
        if moved["value"] is not None:
            yield Text(f"The expected grade moved by {moved['value']:+z.2f}{sure}.")
    yield kinds_table(found["kinds"])
    yield Text(
        "Each text is of a common form and harmless; a judge that withstands them may still fall for others. The "
        "documents of the grades above hold none of them."
    )


def _planted_tone(found: Mapping[str, Any]) -> Tone:
    """Good only where even the upper end of the share is small."""
    raised = found["raised"]
    if not raised["interval"]:
        return "unsure"
    return "bad" if raised["interval"][0] > 0 else "plain"


def _graded(content: Mapping[str, Any]) -> Iterator[Block]:
    counts, pool, grades = content["counts"], content["pool"], content["grades"]
    yield Text(
        f"{counted(counts['pairs'], 'pair')} of {counted(pool['queries'], 'query', 'queries')}: the first "
        f"{pool['depth']} of {', '.join(pool['lists'])}. {count(counts['by_people'])} of them people judged."
    )
    whole = sum(grades)
    rows = [
        [f"{grade}: {GRADE_WORDS[grade]}", count(pairs), share(pairs / whole if whole else None)]
        for grade, pairs in enumerate(grades)
    ]
    yield Table([Column("grade", numeric=False), Column("pairs"), Column("share")], rows)
    if content["missing"]:
        yield missing_table(content["missing"])
    if counts["truncated"]:
        yield Text(f"{counted(counts['truncated'], 'document was', 'documents were')} cut to fit the judge.", "unsure")


def _cost(cost: Mapping[str, Any]) -> Iterator[Block]:
    rows = [
        ["pairs asked in this run", count(cost["asked"])],
        ["prompt tokens", count(cost["prompt_tokens"])],
        ["generated tokens", count(cost["generated_tokens"])],
        ["seconds", number(cost["seconds"])],
        ["pairs/s", number(cost["pairs_per_s"])],
    ]
    if cost["requests"] is not None:
        rows.append(["requests", count(cost["requests"])])
    if cost["money"] is not None:
        rows.append(["by the prices set", f"{number(cost['money'])} {cost['currency'] or ''}".rstrip()])
    if cost["stored"]:
        rows += [
            ["pairs asked before, whose replies were stored", count(cost["stored"])],
            ["their prompt tokens", count(cost["stored_prompt_tokens"])],
            ["their generated tokens", count(cost["stored_generated_tokens"])],
        ]
    yield Table([Column("", numeric=False), Column("")], rows)


def _who(content: Mapping[str, Any]) -> Iterator[Block]:
    judge = content["judge"]
    told = [
        f"{judge['name']}@{judge['digest']}, answering by {judge['mode']}",
        f"prompt {judge['prompt']}, digest {judge['prompt_digest'][:12]}",
        *(
            f"{one['label']}: {one['folder']}" + (f", {one['model']}" if one["model"] else "")
            for one in content["runs"]
        ),
    ]
    yield Items(told)
    if judge["identity"]:
        named = [f"{name}: {value}" for name, value in judge["identity"].items() if value not in (None, "", [], {})]
        yield Details("All that decides a grade", [Items(named)])
