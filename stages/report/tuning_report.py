"""What a search for faster settings found, in words: a table of its trials, and one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stages.core.words import NONE, Tone, count, number
from stages.report.document import Block, Cell, Column, Document, Items, Section, Table, Text
from stages.speed.tuning import MARGIN, Change, Compiling, Trial, Tuned

COLUMNS = (
    Column("", numeric=True),
    Column("setting changed", numeric=False),
    Column("pairs/s"),
    Column("start-up s"),
    Column("verdict", numeric=False),
)
TONES: dict[str, Tone] = {"faster": "good", "failed": "bad"}
ON_OFF = {True: "true", False: "false"}
SWITCHES = ("engine.compile", "engine.prefix_caching")


def tuning_document(tuned: Tuned, title: str, measured: str, sentence: str) -> Document:
    """`title` says what was tuned, `measured` with which pairs; `sentence` is the outcome."""
    rows = [_row(place, one, tuned) for place, one in enumerate(tuned.trials, 1)]
    failed = [f"{place}: {one.result.error}" for place, one in enumerate(tuned.trials, 1) if one.result.error]
    told = [Text(one) for one in (sentence, compiling_told(tuned.compiling)) if one]
    blocks: list[Block] = [Table(COLUMNS, rows), *([Items(failed)] if failed else []), *told]
    return Document(title, [Text(measured)], [Section("Trials", blocks)])


def sentence(tuned: Tuned, minutes: float) -> str:
    """What to change and what it brings, or why nothing is changed; and what there was no time for."""
    told = _outcome(tuned)
    if tuned.not_tried:
        told += f" The {minutes:g} minutes left no time to try {joined(tuned.not_tried)}."
    return told


def _outcome(tuned: Tuned) -> str:
    if tuned.changes and tuned.before and tuned.after:
        gain = f"{number(tuned.before)} -> {number(tuned.after)} pairs/s ({tuned.after / tuned.before - 1:+.0%})"
        return f"{written(tuned.changes)}: {gain}, when both were measured again."
    if len(tuned.trials) == 1:
        return f"Only the config's own settings were measured: {number(tuned.before)} pairs/s. It stays as it is."
    if tuned.seeming:
        if tuned.before is None or tuned.after is None or not _measured_again(tuned):
            found = "could not be measured again"
        else:
            again = f"{number(tuned.before)} -> {number(tuned.after)} pairs/s"
            found = f"was not by more than {MARGIN:.0%} when both were measured again ({again})"
        return f"{written(tuned.seeming)} seemed faster, and {found}: the config stays as it is."
    return f"Nothing that was tried is faster by more than {MARGIN:.0%}, the noise of it: the config stays as it is."


def compiling_told(found: Compiling | None) -> str:
    """What compiling costs at the start and when it has paid off; empty where nothing is known of it."""
    if found is None:
        return ""
    start = f"Compiled, the first pair comes after {found.start_up_s:.0f} s, else after {found.eager_start_up_s:.0f} s"
    rates = f"{number(found.pairs_per_s)} and {number(found.eager_pairs_per_s)} pairs/s"
    after = found.pays_off_after
    return f"{start}; then {rates}. " + (
        "Compiling never pays off." if after is None else f"Compiling pays off after {after:,} pairs."
    )


def tuning_content(tuned: Tuned) -> dict[str, Any]:
    """The same as JSON: `trials` in order; pairs/s before and after; `changes` as key -> {before, after}."""
    found = tuned.compiling
    return {
        "margin": MARGIN,
        "trials": [_trial(one) for one in tuned.trials],
        "changes": _changed(tuned.changes),
        "seeming": _changed(tuned.seeming),
        "confirmed": tuned.confirmed,
        "pairs_per_s_before": tuned.before,
        "pairs_per_s_after": tuned.after,
        "not_tried": list(tuned.not_tried),
        "compiling": found
        and {
            "start_up_s": found.start_up_s,
            "eager_start_up_s": found.eager_start_up_s,
            "pairs_per_s": found.pairs_per_s,
            "eager_pairs_per_s": found.eager_pairs_per_s,
            "pays_off_after_pairs": found.pays_off_after,
        },
    }


def written(changes: Sequence[Change]) -> str:
    """`engine.max_num_seqs 256 -> 512 and engine.compile true -> false`."""
    return joined([f"{one.key} {value(one.key, one.before)} -> {value(one.key, one.after)}" for one in changes])


def value(key: str, told: int) -> str:
    """A setting's value as YAML has it."""
    return ON_OFF[bool(told)] if key in SWITCHES else str(told)


def joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _row(place: int, one: Trial, tuned: Tuned) -> list[Cell | str]:
    again = "the config's own settings" if one.point == tuned.trials[0].point else "the fastest settings"
    return [
        count(place),
        written(one.changes) or again,
        number(one.result.pairs_per_s),
        NONE if one.result.start_up_s is None else f"{one.result.start_up_s:.0f}",
        Cell(one.verdict, TONES.get(one.verdict, "plain")),
    ]


def _trial(one: Trial) -> dict[str, Any]:
    return {
        "settings": dict(one.point),
        "changes": _changed(one.changes),
        "pairs_per_s": one.result.pairs_per_s,
        "start_up_s": one.result.start_up_s,
        "seconds": one.seconds,
        "verdict": one.verdict,
        "error": one.result.error,
    }


def _changed(changes: Sequence[Change]) -> dict[str, Any]:
    return {one.key: {"before": one.before, "after": one.after} for one in changes}


def _measured_again(tuned: Tuned) -> bool:
    return sum(one.verdict == "again" for one in tuned.trials) == 2
