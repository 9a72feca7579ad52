"""The scores of a batch of queries as columns: what crosses a process boundary, where an object a pair is dear."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from stages.core.errors import ScoringError
from stages.core.records import Outcome, PairScore

# The numbers of a PairScore, by the type of their column; `error`, which few pairs have, travels apart.
KINDS = {
    "score": "d",
    "logit": "d",
    "prompt_tokens": "q",
    "cached_tokens": "q",
    "truncated": "b",
    "stored": "b",
    "passages": "q",
    "cut_score": "d",
    "cut_logit": "d",
}
DEFAULTS: dict[str, Any] = {
    "score": None,
    "logit": None,
    "prompt_tokens": 0,
    "cached_tokens": 0,
    "truncated": False,
    "stored": False,
    "passages": 1,
    "cut_score": None,
    "cut_logit": None,
}
FLAGS = ("truncated", "stored")


@dataclass(frozen=True, slots=True)
class Columns:
    """`unpack` makes of it the outcomes that `pack` was given.

    `sizes` are the pairs of each query, None for one that failed as a whole, whose reason is in `faults`, by its place.
    `values` hold a number for each pair, in order; a column is left out where each has the default, and the places of
    `missing` are None. `errors` are by the pair's place.
    """

    sizes: tuple[int | None, ...]
    faults: dict[int, ScoringError]
    values: dict[str, array[Any]]
    missing: dict[str, tuple[int, ...]]
    errors: dict[int, str]


def pack(outcomes: Sequence[Outcome]) -> Columns:
    """The outcomes of a batch, in its order."""
    sizes = tuple(None if isinstance(one, ScoringError) else len(one) for one in outcomes)
    faults = {place: one for place, one in enumerate(outcomes) if isinstance(one, ScoringError)}
    pairs = [pair for one in outcomes if not isinstance(one, ScoringError) for pair in one]
    values: dict[str, array[Any]] = {}
    missing: dict[str, tuple[int, ...]] = {}
    for name, kind in KINDS.items():
        column = [getattr(pair, name) for pair in pairs]
        if column.count(DEFAULTS[name]) == len(column):
            continue
        if None in column:
            missing[name] = tuple(place for place, value in enumerate(column) if value is None)
            column = [0 if value is None else value for value in column]
        values[name] = array(kind, column)
    errors = {place: pair.error for place, pair in enumerate(pairs) if pair.error is not None}
    return Columns(sizes, faults, values, missing, errors)


def unpack(columns: Columns) -> list[Outcome]:
    """What `pack` was given."""
    pairs = iter(_pairs(columns))
    return [
        columns.faults[place] if size is None else [next(pairs) for _ in range(size)]
        for place, size in enumerate(columns.sizes)
    ]


def _pairs(columns: Columns) -> Iterator[PairScore]:
    lists = {name: _column(columns, name) for name in KINDS}
    count = sum(size or 0 for size in columns.sizes)
    errors = [columns.errors.get(place) for place in range(count)] if columns.errors else repeat(None, count)
    return map(
        PairScore,
        *(lists[name] for name in ("score", "logit", "prompt_tokens", "cached_tokens", "truncated")),
        errors,
        *(lists[name] for name in ("stored", "passages", "cut_score", "cut_logit")),
    )


def _column(columns: Columns, name: str) -> Any:
    if name not in columns.values:
        return repeat(DEFAULTS[name])
    column: list[Any] = columns.values[name].tolist()
    for place in columns.missing.get(name, ()):
        column[place] = None
    return list(map(bool, column)) if name in FLAGS else column
