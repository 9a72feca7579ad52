"""Who judged: people, or a model, whose grades are nowhere taken for people's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stages.core.records import Judgements
from stages.core.words import counted

BY_MODEL = "by model judgement"
"""Marks a number that comes of a model's grades, in any of its queries."""
MODEL_PREFIX = "by_model/"
"""The same in the names of metrics, so that no table puts them beside people's."""
UNNAMED = "unnamed"
"""A judge whose grades are there, where every pair was judged by people, so that no row names it."""
NO_INTERVAL = "no interval covers the judge's own error"

By = Literal["people", "model", "both"]


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


def judge_of(metrics: Mapping[str, Any]) -> str | None:
    """The judge whose grades the values of a metrics.json come of; None where people judged, as in runs of before."""
    told = metrics.get("judgements") or {}
    return str(told.get("judge") or UNNAMED) if told.get("by", "people") != "people" else None


def mark_of(metrics: Mapping[str, Any]) -> str | None:
    """What stands beside every value of a metrics.json: `by model judgement (NAME)`, and of how many queries where
    people judged the others; None where people judged all.
    """
    if (judge := judge_of(metrics)) is None:
        return None
    told = metrics["judgements"]
    if told["by"] == "model":
        return f"{BY_MODEL} ({judge})"
    queries = counted(told["queries_by_model"] + told["queries_by_people"], "query", "queries")
    return f"{BY_MODEL} ({judge}) of {told['queries_by_model']:,} of {queries}"
