"""Which of a user's slices a query belongs to: by a field of its own, its length, or a list of ids."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from stages.analysis.outcome import text_length
from stages.core.errors import DataError
from stages.core.words import counted

MOST_GROUPS = 50
LISTED = "listed"
"""The group of the queries that a list of ids names; the others are in none."""


class GroupedQuery(NamedTuple):
    """What decides on a query's groups."""

    query_id: str
    query: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Slicing:
    """One way to group queries: by a `field`, of which `values` are wanted (none: all); by the number of words or
    characters, up to each of the `edges` and beyond the last; or by `ids`, which `source` holds.
    """

    field: str | None = None
    values: tuple[str, ...] = ()
    edges: tuple[int, ...] = ()
    unit: str = "words"
    ids: frozenset[str] | None = None
    source: str = ""


def group_queries(
    queries: Iterable[GroupedQuery],
    slicings: Mapping[str, Slicing],
    judged: Collection[str] = (),
    tell: Callable[[str], None] | None = None,
) -> dict[str, dict[str, str]]:
    """Name -> query id -> group, groups in their order. `judged` queries without candidates are looked for among ids
    alone. `tell` hears, a sentence each without its full stop, of queries without the field, and of ids that are none.

    Raises DataError for a slicing that groups nothing: a field or a value that no query has, a field with more than
    MOST_GROUPS values of which none are named, ids of which none is a query's.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in slicings}
    met, asked = set(judged), set(judged)
    for one in queries:
        met.add(one.query_id)
        for name, slicing in slicings.items():
            if (group := _group(one, slicing)) is not None:
                found[name][one.query_id] = group
    for name, slicing in slicings.items():
        if slicing.ids is not None:
            found[name] = dict.fromkeys(sorted(met & slicing.ids), LISTED)
        _require(name, slicing, found[name])
        if tell and (told := _left_out(name, slicing, found[name], met, asked or met)):
            tell(told)
        found[name] = dict(sorted(found[name].items(), key=lambda item: _order(slicing)(item[1])))
    return found


def _group(query: GroupedQuery, slicing: Slicing) -> str | None:
    if slicing.field is not None:
        value = query.attributes.get(slicing.field)
        return value if value and (not slicing.values or value in slicing.values) else None
    if slicing.edges:
        length = text_length(query.query) if slicing.unit == "words" else len(query.query)
        return _labels(slicing)[bisect_left(slicing.edges, length)]
    return None


def _labels(slicing: Slicing) -> list[str]:
    """`1-8 words`, `9-16 words`, `17+ words`."""
    starts = [1, *(edge + 1 for edge in slicing.edges)]
    inner = [f"{low}-{high}" if low < high else f"{high}" for low, high in zip(starts, slicing.edges, strict=False)]
    return [f"{label} {slicing.unit}" for label in (*inner, f"{starts[-1]}+")]


def _order(slicing: Slicing) -> Callable[[str], tuple[int, str]]:
    known: Sequence[str] = _labels(slicing) if slicing.edges else slicing.values
    return lambda group: (known.index(group) if group in known else len(known), group)


def _left_out(name: str, slicing: Slicing, group_of: Mapping[str, str], met: Set[str], asked: Set[str]) -> str | None:
    """None where no query was left out, or those that were were left out by name."""
    told = f"evaluate.slices.{name}"
    if slicing.ids is not None and (unknown := sorted(slicing.ids - met)):
        return f"{told}: {len(unknown):,} of {len(slicing.ids):,} ids are no query's, such as {unknown[0]!r:.60}"
    if slicing.field is None or slicing.values or not (without := sorted(asked - group_of.keys())):
        return None
    return (
        f"{told}: {len(without):,} of {counted(len(asked), 'query', 'queries')} are in none of its groups, such as "
        f"{without[0]!r:.60}, as they have no text in their field {slicing.field} (a number is none: write it as text)"
    )


def _require(name: str, slicing: Slicing, group_of: Mapping[str, str]) -> None:
    told, groups = f"evaluate.slices.{name}", set(group_of.values())
    if slicing.ids is not None and not group_of:
        raise DataError(f"{told}: no query has one of the ids in {slicing.source}. Write ids as the data has them")
    if slicing.field is None:
        return
    if not groups and not slicing.values:
        raise DataError(
            f"{told}: no query has a field {slicing.field}. Fields are the further texts of a query's row, and "
            "numbers are none: write them as text"
        )
    if missing := [value for value in slicing.values if value not in groups]:
        raise DataError(f"{told}: no query has the value {missing[0]!r:.60} in its field {slicing.field}")
    if len(groups) > MOST_GROUPS:
        raise DataError(
            f"{told}: the field {slicing.field} has {len(groups):,} values, more than the {MOST_GROUPS} groups that "
            "can be told apart. Name those that matter with values"
        )
