"""Runs, judgements and topics as one JSON object under query ids: of ranx, mteb, FlagEmbedding, Pyserini."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stages.sources.formats.nested import ABOUT
from stages.sources.formats.shape import Fields
from stages.sources.recognise.finding import Finding

HIGHEST_GRADE = 10


def of_object(path: Path, fields: Fields) -> Finding | None:
    """None where it is none of them."""
    if ABOUT in fields:
        finding = Finding(str(path), "a run: predictions of mteb", "run")
        finding.unsure.append("of several subsets or splits data.subset and data.split choose one (data.format mteb)")
        return finding
    if isinstance(fields.get("search_results"), dict):
        return Finding(str(path), "a run: results of FlagEmbedding's evaluation", "run")
    inner = [value for value in fields.values() if isinstance(value, dict)]
    return _by_values(path, inner) if inner and len(inner) == len(fields) else None


def _by_values(path: Path, inner: Sequence[Fields]) -> Finding | None:
    values = [value for one in inner for value in one.values()]
    if all("title" in one for one in inner):
        return Finding(str(path), "topics, an object of queries", "queries")
    if not values or not all(isinstance(value, int | float) for value in values):
        return None
    if any(
        isinstance(value, float) or abs(value) > HIGHEST_GRADE for value in values if isinstance(value, int | float)
    ):
        return Finding(str(path), "a run, an object of scores by query and document", "run")
    finding = Finding(str(path), "judgements (qrels), an object of grades by query and document", "qrels")
    finding.unsure.append("all its numbers are whole and small, so they are taken for grades, not for scores")
    return finding
