"""The shapes that are known, those that are read and those that are not, and how a file of one is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from stages.core.errors import DataError
from stages.core.records import SetAside
from stages.sources.formats import dumped, labelled, rank_llm
from stages.sources.formats.dumped import haystack_document, langchain_document, llamaindex_node
from stages.sources.formats.shape import Fields, Shape, TranslatedTable, UnfitRecordError
from stages.sources.formats.tables import open_rows
from stages.sources.hub import is_hub_name, open_hub
from stages.sources.row_files import RowTable
from stages.sources.settings import DataSettings

SHAPES: tuple[Shape, ...] = (*rank_llm.SHAPES, *labelled.SHAPES, *dumped.SHAPES)
SHAPED = frozenset(shape.format for shape in SHAPES)
RECORDS_SEEN = 20  # at the start of a file: the first of them that is of a known shape tells


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Records that hold no candidates of a query, or not all of them: what they are, and what to give instead."""

    told: str
    marks: Callable[[Fields], bool]
    remedy: str


def _has(*names: str) -> Callable[[Fields], bool]:
    return lambda fields: all(name in fields for name in names)


_WITH_ITS_QUERY = 'put each query\'s list on a line as {"query": "...", "documents": [...]}'
NEIGHBOURS = (
    Neighbour("LangChain documents without their query", lambda one: bool(langchain_document(one)), _WITH_ITS_QUERY),
    Neighbour("LlamaIndex nodes without their query", lambda one: bool(llamaindex_node(one)), _WITH_ITS_QUERY),
    Neighbour("Haystack documents without their query", lambda one: bool(haystack_document(one)), _WITH_ITS_QUERY),
    Neighbour(
        "rank_llm's history of invocations, which has prompts and no candidates",
        lambda one: (
            "query" in one
            and not {"invocations_history", "ranking_exec_summary"}.isdisjoint(one)
            and "candidates" not in one
        ),
        "give the file of requests or results beside it",
    ),
    Neighbour(
        "training rows of Tevatron that name documents by their ids alone",
        _has("query_id", "positive_document_ids"),
        "give Tevatron's input of rerankers, or the run, queries, corpus and qrels (data.format trec)",
    ),
    Neighbour("a LlamaIndex store of documents, which has no queries", _has("__data__", "__type__"), _WITH_ITS_QUERY),
)


def shapes_of(fields: Fields) -> tuple[Shape, ...]:
    """The shapes that a record is of."""
    return tuple(shape for shape in SHAPES if shape.marks(fields))


def neighbour_of(fields: Fields) -> Neighbour | None:
    return next((neighbour for neighbour in NEIGHBOURS if neighbour.marks(fields)), None)


def open_shaped(settings: DataSettings) -> RowTable:
    """The records under `data.path` as rows of ours. Raises DataError where their shape is not that of the format."""
    table = open_hub(settings) if is_hub_name(settings.path) else open_rows(settings)
    seen = list(islice(_first_records(table), RECORDS_SEEN))
    found = [shape for record in seen for shape in shapes_of(record) if shape.format == settings.format]
    if not found:
        raise DataError(_refusal(table, settings, seen))
    shape = found[0]
    return TranslatedTable(table, shape, settings.columns, has_query_ids=_with_ids(shape, seen, settings))


def _first_records(table: RowTable) -> Iterator[Fields]:
    return (record.fields for record in table.records(_ignore))


def _with_ids(shape: Shape, seen: list[Fields], settings: DataSettings) -> bool:
    """Whether one of the records that were seen has a query id; else each gets one by its place."""
    for fields in seen:
        try:
            if "query_id" in shape.translate(fields, settings.columns):
                return True
        except UnfitRecordError:
            continue
    return False


def _refusal(table: RowTable, settings: DataSettings, seen: list[Fields]) -> str:
    wanted = " or ".join(shape.told for shape in SHAPES if shape.format == settings.format)
    begins = f"data.path: {table.name} holds no {wanted}"
    if not seen:
        return f"{begins}: no record in it can be read"
    if others := [shape for fields in seen for shape in shapes_of(fields)]:
        return f"{begins}, but {others[0].told}: set data.format to {others[0].format}"
    if neighbour := next(filter(None, map(neighbour_of, seen)), None):
        return f"{begins}, but {neighbour.told}: {neighbour.remedy}"
    return f"{begins}: its records have the keys {', '.join(map(str, seen[0])):.200}"


def _ignore(_: SetAside) -> None:
    """For a first look: the records are read again, and reported then."""
