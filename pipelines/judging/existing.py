"""Judgements that people have given already: of the runs' own data, or of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.judging.population import Population
from pipelines.runs.config import section
from pipelines.runs.read import RunContent
from pipelines.verdict.runs import kind_of
from stages.core.errors import InputError, first_line
from stages.core.judges import judged_by
from stages.core.records import Judgements, SetAside
from stages.core.words import counted
from stages.files.judgements import read_judgements
from stages.judging.number import LEAST
from stages.quality.evaluate import evaluate
from stages.sources import DataSettings, open_source
from stages.sources.formats.nested import read_any_qrels


@dataclass(frozen=True, slots=True)
class Existing:
    """`grades`: query id -> document id -> grade; `name` says whose; `remarks` what of the runs' own is not used."""

    grades: Mapping[str, Mapping[str, int]]
    name: str
    remarks: tuple[str, ...] = ()

    @property
    def largest(self) -> int:
        """The largest grade, 0 where there is none."""
        return max((grade for grades in self.grades.values() for grade in grades.values()), default=0)


def existing_judgements(runs: Sequence[RunContent], qrels: Path | None) -> Existing:
    """Those of `qrels`; without it, what the first run with some was evaluated with, as it kept them. Raises DataError
    for a file that cannot be read.
    """
    if qrels is not None:
        set_aside: list[SetAside] = []
        given = read_any_qrels(qrels, set_aside.append)
        told = [f"{counted(len(set_aside), 'line')} of {qrels} set aside: {one.reason}" for one in set_aside[:1]]
        return _of_people(given, str(qrels), told)
    judged = [run for run in runs if run.reranked.query_ids]
    if by_answers := [run.run_id for run in judged if kind_of(run) == "answers"]:
        remark = f"{by_answers[0]} was judged by answers, not by people: that is not used, and all is to be judged"
        return Existing({}, "nobody", (remark,))
    if not judged:
        return Existing({}, "nobody")
    try:
        found = _judgements(judged[0])
    except (InputError, OSError, ValueError, KeyError) as error:
        return Existing({}, "nobody", (_unread(judged[0], first_line(error)),))
    if found.digest != judged[0].metrics.get("judgements_digest"):
        return Existing({}, "nobody", (_unread(judged[0], "other judgements are there now"),))
    return _of_people(found, f"the data of {judged[0].run_id}")


def _of_people(found: Judgements, name: str, told: Sequence[str] = ()) -> Existing:
    """What people judged of them: a model's grades are no judgements here, also of what it alone judged."""
    judged = judged_by(found)
    if judged.judge is None:
        return Existing(found.grades, name, tuple(told))
    remark = (
        f"{name}: {counted(judged.pairs_by_model, 'pair')} that {judged.judge} judged, not people, are not used; "
        f"{counted(judged.pairs_by_people, 'pair')} by people are"
    )
    whose = f"{name} (by people)" if found.by_people else "nobody"
    return Existing(found.by_people, whose, (*told, remark))


def _judgements(run: RunContent) -> Judgements:
    """Of a run of before they were kept, those of its data."""
    if run.folder.judgements.is_file():
        return read_judgements(run.folder.judgements)
    return open_source(DataSettings.model_validate(dict(section(run.config, "data")))).judgements(lambda _: None)


def existing_spread(population: Population, existing: Existing, metric: str) -> float | None:
    """The standard deviation of the change over the queries that are judged; None of fewer than LEAST, or where none
    changed.
    """
    grades = {query_id: grades for query_id, grades in existing.grades.items() if query_id in population.queries}
    if len(grades) < LEAST:
        return None
    changes = changes_of(population.before, population.after, grades, metric)
    spread = float(np.std([*changes.values()], ddof=1))
    return spread or None


def changes_of(
    before: Mapping[str, Sequence[str]],
    after: Mapping[str, Sequence[str]],
    grades: Mapping[str, Mapping[str, int]],
    metric: str,
) -> dict[str, float]:
    """Query id -> the metric's value in `after` less that in `before`, of every query that has `grades`."""
    judgements = Judgements(grades)
    values = [evaluate({one: lists[one] for one in grades}, judgements, [metric]) for lists in (before, after)]
    pairs = zip(values[0].query_ids, values[0].values[metric], values[1].values[metric], strict=True)
    return {query_id: second - first for query_id, first, second in pairs}


def _unread(run: RunContent, why: str) -> str:
    return (
        f"{run.run_id} was evaluated with judgements that cannot be read again ({why}): give them with --qrels, or "
        "their pairs are judged once more"
    )
