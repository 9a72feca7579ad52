"""Slices of the queries, as those of one language: each held against the baseline by itself.

What passes passes at the confidence of the run; that all of several do needs no correction, as one that does not fails
the gate. That any of several fell would be found by chance more often than in one, so a regression is one after Holm's
correction for the number of slices and metrics (see `stages.quality.significance.holm`): the confidence of its interval
rises with the number of those that are left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_fields
from pipelines.verdict.runs import same_lists, settings_of
from stages.core.errors import ConfigError, DataError
from stages.quality.regression import Check, Ruling, check_drop
from stages.quality.significance import compare_values

Slices = Mapping[str, Sequence[str]]
"""Field of the queries -> the values, each of which is a slice."""
Fields = Mapping[str, Mapping[str, str]]
"""Field -> query id -> value."""


@dataclass(frozen=True, slots=True)
class _Slice:
    """One metric of one slice, over the queries that both runs judged; `allowed` is its drop."""

    name: str
    query_ids: Sequence[str]
    before: Sequence[float]
    after: Sequence[float]
    allowed: float


def parse_slices(given: Iterable[str]) -> dict[str, list[str]]:
    """`FIELD=VALUE` each. Raises ConfigError."""
    slices: dict[str, list[str]] = {}
    for one in given:
        field, equals, value = one.partition("=")
        if not (equals and field.strip() and value.strip()):
            raise ConfigError(f"--slice {one}: write FIELD=VALUE, as in --slice language=zh")
        slices.setdefault(field.strip(), []).append(value.strip())
    return slices


def refuse_unknown(slices: Slices, values: Mapping[str, Collection[str]]) -> None:
    """Raises DataError for a slice without a query; `values` are those that the queries have, by field."""
    for field, wanted in slices.items():
        known = sorted(values.get(field, ()))
        for value in wanted:
            if value not in known:
                there = f"it is {', '.join(known[:10])}{' ...' if len(known) > 10 else ''}"
                raise DataError(
                    f"gate.slices {field}: no query has the value {value!r:.60}; "
                    + (there if known else f"none has a field {field}. Fields are the further texts of a query's row")
                )


def check_slices_there(folder: RunFolder, slices: Slices, own: Fields = MappingProxyType({})) -> None:
    """Raises DataError for a slice of which the folder's candidates hold no query, before any is scored. `own` are the
    groups of `evaluate.slices`, which a gate may name as it does fields.
    """
    if slices:
        found = read_fields(folder, slices) | {name: of_query for name, of_query in own.items() if name in slices}
        refuse_unknown(slices, {field: set(of_query.values()) for field, of_query in found.items()})


def check_slices(
    run: RunContent, baseline: RunContent, slices: Slices, drops: Mapping[str, float], min_queries: int
) -> list[Check]:
    """One check for each slice and metric (`ndcg@10` -> allowed drop). Raises DataError for a slice without a query."""
    own, earlier = read_fields(run.folder, slices), read_fields(baseline.folder, slices)
    # A query that has no candidates tonight has no fields either, where it had some before.
    fields = {field: {**earlier[field], **own[field]} for field in slices}
    refuse_unknown(slices, {field: set(of_query.values()) for field, of_query in fields.items()})
    cells = list(_cells(run, baseline, slices, fields, drops))
    confidence, left, found = settings_of([run]).confidence, cells, dict[str, Check]()
    while left:
        corrected = 1 - (1 - confidence) / len(left)
        checks = {cell.name: _check(run, baseline, cell, corrected, min_queries) for cell in left}
        worse = {name: check for name, check in checks.items() if check.outcome == Ruling.REGRESSED}
        if not worse:
            break
        found |= worse
        left = [cell for cell in left if cell.name not in worse]
    for cell in left:
        found[cell.name] = _not_by_chance(_check(run, baseline, cell, confidence, min_queries), len(cells))
    return [found[cell.name] for cell in cells]


def _cells(
    run: RunContent, baseline: RunContent, slices: Slices, fields: Fields, drops: Mapping[str, float]
) -> Iterator[_Slice]:
    places = {query_id: place for place, query_id in enumerate(baseline.reranked.query_ids)}
    for field, values in slices.items():
        for value in values:
            pairs = [
                (place, places[query_id])
                for place, query_id in enumerate(run.reranked.query_ids)
                if query_id in places and fields[field].get(query_id) == value
            ]
            for metric, allowed in drops.items():
                after, before = run.reranked.values[metric], baseline.reranked.values[metric]
                yield _Slice(
                    name=f"{metric} of {field}={value}",
                    query_ids=[run.reranked.query_ids[own] for own, _ in pairs],
                    before=[before[other] for _, other in pairs],
                    after=[after[own] for own, _ in pairs],
                    allowed=allowed,
                )


def _check(run: RunContent, baseline: RunContent, cell: _Slice, confidence: float, min_queries: int) -> Check:
    if not cell.query_ids:
        return Check(cell.name, Ruling.CANNOT_TELL, f"{cell.name}: none of its queries is judged in both runs")
    seed = settings_of([run]).seed
    found = compare_values(cell.before, cell.after, seed=seed, permutations=1, confidence=confidence)
    same = found.ties == found.n and same_lists(run, baseline, among=cell.query_ids)
    return check_drop(cell.name, found, cell.allowed, min_queries=min_queries, same_lists=same)


def _not_by_chance(check: Check, slices: int) -> Check:
    """What is a regression by itself, but not among so many."""
    if check.outcome != Ruling.REGRESSED:
        return check
    return Check(check.name, Ruling.CANNOT_TELL, f"{check.words}; but one of {slices} may by chance (Holm)")
