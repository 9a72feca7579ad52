"""What a sweep found -> a table: a row for each point, the best of each metric marked."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pipelines.sweep.folder import PointResult, SweepFolder, SweepState
from pipelines.sweep.grid import shown
from stages.core.judges import MODEL_PREFIX, shown_name
from stages.core.words import count, metric_value, number
from stages.report.document import Cell, Column, Document, Section, Table, Text

OUTCOMES = {None: "not run yet", 0: "done", 3: "too many pairs failed", 4: "not copied"}


def sweep_document(state: SweepState) -> Document:
    """Of what is there by now."""
    ended = sum(point.finished for point in state.points)
    lead = [Text(f"{ended:,} of {len(state.points):,} points have results.")]
    table = Table(_columns(state), [_row(state, point) for point in state.points], "* the best of its metric")
    return Document(f"Sweep {state.name}", lead, [Section("Points", [table])])


def best(state: SweepState) -> dict[str, float]:
    """The highest mean of each metric."""
    keys = dict.fromkeys(key for point in state.points for key in point.metrics)
    return {key: max(point.metrics[key] for point in state.points if key in point.metrics) for key in keys}


def compare_command(folder: SweepFolder, state: SweepState) -> str | None:
    """The command that tells which differences are real; None where there is nothing to compare."""
    runs = [str(folder.run_folder(point).path) for point in state.points if point.finished]
    return shlex.join(["rerank-eval", "compare", *runs]) if len(runs) > 1 else None


def _columns(state: SweepState) -> list[Column]:
    return [
        *(Column(key, numeric=False) for key in state.grid),
        *(Column(shown_name(key)) for key in best(state)),
        Column("pairs scored"),
        Column("pairs/s"),
        Column("outcome", numeric=False),
    ]


def _row(state: SweepState, point: PointResult) -> list[Cell | str]:
    return [
        *(shown(value) for value in point.values.values()),
        *_metrics(state, point),
        count(point.scored_pairs),
        number(point.pairs_per_s),
        Cell(OUTCOMES.get(point.exit_code, "failed"), "bad" if point.exit_code else "plain"),
    ]


def _metrics(state: SweepState, point: PointResult) -> Iterator[Cell]:
    """Where all points are equal none is the best."""
    for key, highest in best(state).items():
        value = point.metrics.get(key)
        others = {one.metrics[key] for one in state.points if key in one.metrics}
        if value == highest and len(others) > 1:
            yield Cell(f"{metric_value(value)} *", "unsure" if key.startswith(MODEL_PREFIX) else "good")
        else:
            yield Cell(metric_value(value))
