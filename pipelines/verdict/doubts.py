"""Checks of a gate that documents nobody judged could turn round: judged ones decide, and the sentence says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipelines.base.limits import GAINED, RERANKED
from pipelines.runs.read import RunContent
from stages.core.words import written_name
from stages.quality.regression import Check, Ruling, check_limit
from stages.quality.unjudged import Side, Unjudged, reservation


def doubted_drop(check: Check, found: Unjudged | None, allowed: float) -> Check:
    """`found` is of the two runs' lists, None where that is not known."""
    if found is None or check.outcome == Ruling.CANNOT_TELL:
        return check
    return _with(check, found, reservation(found, -allowed, above=check.outcome == Ruling.PASSED))


def held_limit(run: RunContent, name: str, value: float | None, most: float | None, least: float | None) -> Check:
    """`check_limit` of a number of metrics.json, by its place; that of the reranked quality, or of its gain, with what
    the run's own lists leave open.
    """
    check = check_limit(name, value, most=most, least=least)
    found, side = _open(run, name)
    if value is None or found is None or side is None:
        return check
    told = (reservation(found, limit, above=above, side=side) for limit, above in _decided(check, value, most, least))
    return _with(check, found, next(filter(None, told), ""))


def _open(run: RunContent, name: str) -> tuple[Unjudged | None, Side | None]:
    contents = run.analysis.get("unjudged") or {}
    for prefix in (RERANKED, GAINED):
        if name.startswith(prefix) and (content := contents.get(written_name(name.removeprefix(prefix)))):
            found = Unjudged.of(content)
            return found, found.second if prefix == RERANKED else found.difference
    return None, None


def _decided(check: Check, value: float, most: float | None, least: float | None) -> Iterator[tuple[float, bool]]:
    """The limits that the ruling is about, and whether it says that the value is above."""
    passed = check.outcome == Ruling.PASSED
    if least is not None and (passed or value < least):
        yield least, passed
    if most is not None and (passed or value > most):
        yield most, not passed


def _with(check: Check, found: Unjudged, told: str) -> Check:
    return replace(check, words=check.words + told, doubt="" if found.relevant_only else told)
