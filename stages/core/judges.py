"""Who judged: people, or a model, whose grades are nowhere taken for people's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stages.core.records import Judgements
from stages.core.words import counted, written_name

BY_MODEL = "by model judgement"
"""Marks a number that comes of a model's grades, in any of its queries."""
MODEL_PREFIX = "by_model/"
"""The same in the names of metrics, so that no table puts them beside people's."""
UNNAMED = "unnamed"
"""A judge whose grades are there, where every pair was judged by people, so that no row names it."""
NO_INTERVAL = "no interval covers the judge's own error"

By = Literal["people", "model", "both"]


def by_query(judgements: Judgements) -> dict[str, By]:
    """Whose grades each query's value comes of; empty without a judge."""
    if judgements.judge is None:
        return {}
    return {
        query_id: "model" if grades.keys() - judgements.by_people.get(query_id, {}).keys() else "people"
        for query_id, grades in judgements.grades.items()
    }


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """`queries_by_model` have a grade that a model gave, and their values come of it; of the others people gave all.
    `pairs` are those that count, `pairs_graded` all that the model graded, those that people judged too among them.
    """

    by: By
    judge: str | None
    queries_by_people: int
    queries_by_model: int
    pairs_by_people: int
    pairs_by_model: int
    pairs_graded: int


PEOPLE = JudgedBy("people", None, 0, 0, 0, 0, 0)
"""Before anything is counted."""


def judged_by(judgements: Judgements) -> JudgedBy:
    """Without a judge all is people's."""
    pairs = sum(map(len, judgements.grades.values()))
    if judgements.judge is None:
        return JudgedBy("people", None, len(judgements), 0, pairs, 0, 0)
    people = judgements.by_people
    by_model = [len(grades.keys() - people.get(query_id, {}).keys()) for query_id, grades in judgements.grades.items()]
    queries, of_model = sum(number > 0 for number in by_model), sum(by_model)
    by: By = "people" if not queries else "model" if of_model == pairs else "both"
    graded = sum(map(len, judgements.by_model.values()))
    return JudgedBy(by, judgements.judge, len(judgements) - queries, queries, pairs - of_model, of_model, graded)


def shown_name(key: str) -> str:
    """The key of a metric as people read it: `ndcg@10`, and `ndcg@10, by model judgement` of one with MODEL_PREFIX."""
    name = written_name(key.removeprefix(MODEL_PREFIX))
    return f"{name}, {BY_MODEL}" if key.startswith(MODEL_PREFIX) else name


def judge_of(metrics: Mapping[str, Any]) -> str | None:
    """The judge whose grades the values of a metrics.json come of; None where people judged, as in runs of before."""
    told = metrics.get("judgements") or {}
    return str(told.get("judge") or UNNAMED) if told.get("by", "people") != "people" else None


def mark_of(metrics: Mapping[str, Any]) -> str | None:
    """The mark of every value of a metrics.json that comes of its judgements; None where people judged all."""
    if (judge := judge_of(metrics)) is None:
        return None
    told = metrics["judgements"]
    return _mark(told["by"], judge, told.get("queries_by_model", 0), told.get("queries_by_people", 0))


def mark_of_judgements(judgements: Judgements) -> str | None:
    """As `mark_of`, before there are metrics."""
    found = judged_by(judgements)
    if found.by == "people":
        return None
    return _mark(found.by, found.judge or UNNAMED, found.queries_by_model, found.queries_by_people)


def _mark(by: str, judge: str, by_model: int, by_people: int) -> str:
    """`by model judgement (NAME)`, and of how many queries where people judged the others."""
    some = "" if by == "model" else f" of {by_model:,} of {counted(by_model + by_people, 'query', 'queries')}"
    return f"{BY_MODEL} ({judge}){some}"
