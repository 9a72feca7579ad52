"""What a layout of another tool is: how its records are recognised, and how each becomes a row of ours."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from stages.core.prepare import Report
from stages.core.records import SetAside
from stages.sources.lines import Record
from stages.sources.row_files import RowTable

Fields = Mapping[str, object]

LABELS_APART = "relevant documents stand apart from the others"
"""Why such lists have no order that could be measured."""


LARGEST_SCORE = 3e38  # of single precision
QUERY_IDS = ("query_id", "qid", "_id", "id")


class UnfitRecordError(Exception):
    """A record is not of its shape, and why; it never leaves this room: the record is set aside."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`told`: what its records are, and of which tool. `marks`: whether a record is one, by its keys.

    `translate` takes a record and `data.columns`, and gives a row with our names, `row_columns`; it raises
    UnfitRecordError. `unranked` says why the order of its documents is no first stage, where it is none.
    """

    format: str
    told: str
    marks: Callable[[Fields], bool]
    translate: Callable[[Fields, Mapping[str, str]], dict[str, object]]
    row_columns: tuple[str, ...] = ("query", "documents")
    unranked: str | None = None


class TranslatedTable:
    """Another table's records as rows of ours."""

    def __init__(self, table: RowTable, shape: Shape, mapping: Mapping[str, str], *, has_query_ids: bool) -> None:
        """`mapping` is `data.columns`. Of records without query ids each query gets one by its place."""
        self.name = table.name
        self.columns = (*(("query_id",) if has_query_ids else ()), *shape.row_columns)
        self.unranked = shape.unranked
        self._table, self._shape, self._mapping = table, shape, mapping

    def records(self, set_aside: Report) -> Iterator[Record]:
        for record in self._table.records(set_aside):
            try:
                yield Record(record.where, self._shape.translate(record.fields, self._mapping))
            except UnfitRecordError as error:
                set_aside(SetAside(record.where, str(error)))


def listed(fields: Fields, name: str) -> list[object]:
    """The list under `name`. Raises UnfitRecordError where there is none."""
    if name not in fields:
        raise UnfitRecordError(f"no {name}")
    if not isinstance(value := fields[name], list):
        raise UnfitRecordError(f"{name} is not a list but {type(value).__name__}")
    return value


def query_id_of(fields: Fields) -> dict[str, object]:
    """As a row's `query_id`; empty where the record has none."""
    found = next((fields[name] for name in QUERY_IDS if fields.get(name) is not None), None)
    return {} if found is None else {"query_id": found}


def others(fields: Fields, *known: str) -> dict[str, object]:
    """What a record says of its query besides what is `known`."""
    left = {*known, *QUERY_IDS}
    return {name: value for name, value in fields.items() if name not in left and isinstance(value, str)}


def scores_in_order(scores: Sequence[object]) -> Sequence[object]:
    """The scores where they fall with each place, as trec_eval compares them; else none: then the order alone counts.

    A list's order is its ranking, and its scores may say otherwise: reranking by lists leaves the old score on each
    place, stores give distances, and scores that are equal say nothing.
    """
    singles = array("f", [score for score in scores if _is_number(score)])
    falling = len(singles) == len(scores) and all(above > below for above, below in pairwise(singles))
    return scores if falling else [None] * len(scores)


def _is_number(score: object) -> TypeGuard[float]:
    if isinstance(score, bool) or not isinstance(score, int | float):
        return False
    return abs(score) < LARGEST_SCORE
