"""The user's slices of the queries, each with its own change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from stages.core.words import count, counted, interval, is_significant, metric_value, p_value, percent, wins_ties_losses
from stages.report.document import Block, Cell, Column, Details, Table, Text, change

TOO_FEW = "too few"
NAMED = 5  # slices in a line


class SliceRow(NamedTuple):
    """One metric of one slice: the means of both sides, None where no query of it is judged; `told` is the tested
    change, None under `needed` queries. `run` is empty where there is one alone.
    """

    name: str
    queries: int
    metric: str
    before: float | None
    after: float | None
    told: Mapping[str, Any] | None
    needed: int
    run: str = ""


def of_run(slices: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> list[SliceRow]:
    """From analysis.json's `slices`."""
    return [
        SliceRow(
            one["name"],
            one["queries"],
            metric,
            (one["first_stage"] or {}).get(metric),
            (one["reranked"] or {}).get(metric),
            (one["tested"] or {}).get(metric),
            one["needed"],
        )
        for metric in metrics
        for one in slices
    ]


def slices_blocks(rows: Sequence[SliceRow], main: str, first: str, second: str) -> list[Block]:
    """The main metric's rows, the other metrics' folded; nothing where there is no slice."""
    if not rows:
        return []
    shown, others = ([row for row in rows if (row.metric == main) is wanted] for wanted in (True, False))
    tested = [row for row in rows if row.told is not None]
    blocks: list[Block] = [Text(_explained(tested, main, rows[0].needed)), _table(shown, first, second)]
    if others:
        blocks.append(Details("The slices in the other metrics", [_table(others, first, second)]))
    return blocks


def slices_line(rows: Sequence[SliceRow]) -> str | None:
    """For the terminal: how many changed, of how many that could be told; None where there is no slice."""
    if not rows:
        return None
    slices = {row.name for row in rows}
    few = {row.name for row in rows if row.told is None}
    telling = [row for row in rows if row.told is not None and is_significant(row.told)]
    changed = len({row.name for row in telling})
    told = f"{changed} of {counted(len(slices), 'slice')} changed significantly, corrected for their number"
    told += f" ({'; '.join(_named(telling, rows[0].metric))})" if telling else ""
    return told + (f"; {len(few)} with too few queries to tell (under {rows[0].needed})" if few else "")


def _named(telling: Sequence[SliceRow], main: str) -> Iterator[str]:
    """By the main metric which slices, at most NAMED; of the others how many changes there are."""
    for way, sign in (("falls", -1), ("rises", 1)):
        names = [row.name for row in telling if row.metric == main and row.told and row.told["difference"] * sign > 0]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        if names:
            yield f"{main} {way} in {', '.join(names[:NAMED])}{more}"
    if others := sum(row.metric != main for row in telling):
        yield f"{counted(others, 'change')} in other metrics"


def _explained(tested: Sequence[SliceRow], main: str, needed: int) -> str:
    told = f"Your slices (evaluate.slices), by {main}."
    if tested:
        tests = f"the {len(tested)} tests of slices" if len(tested) > 1 else "one test"
        told += f" p is corrected by Holm over {tests}; the intervals are not corrected."
    return f"{told} A slice of fewer than {needed} judged queries is not tested."


def _table(rows: Sequence[SliceRow], first: str, second: str) -> Table:
    confidence = next((percent(row.told["confidence"]) for row in rows if row.told), None)
    names = ["slice", *(["run"] if any(row.run for row in rows) else [])]
    names += ["metric"] if len({row.metric for row in rows}) > 1 else []
    columns = ["queries", first, second, "change"]
    columns += [f"{confidence} interval", "corrected p", "gained / same / lost"] if confidence else []
    return Table(
        [Column(name, numeric=name not in names) for name in (*names, *columns)],
        [_row(row, names, tested=confidence is not None) for row in rows],
    )


def _row(row: SliceRow, names: Sequence[str], *, tested: bool) -> list[Cell | str]:
    named = {"slice": row.name, "run": row.run, "metric": row.metric}
    cells: list[Cell | str] = [*(named[name] for name in names), count(row.queries)]
    cells += [metric_value(row.before), metric_value(row.after)]
    if row.told is not None:
        return [
            *cells,
            change(row.told),
            interval(row.told["interval"]),
            p_value(row.told["corrected_p"]),
            wins_ties_losses(row.told),
        ]
    return [*cells, Cell(TOO_FEW, "unsure"), *([""] * 3 if tested else [])]
