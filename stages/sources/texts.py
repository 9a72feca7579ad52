"""Files of texts under ids, JSON Lines or TSV: queries and documents of BEIR, TREC, MS MARCO, Pyserini and others."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import Location, SetAside
from stages.sources.formats.json_values import read_json
from stages.sources.lines import JSON_ENDINGS, Line, Record, ending, read_lines
from stages.sources.packed import ENDINGS
from stages.sources.text_keys import DOCUMENTS, QUERIES, TextKeys

TSV_ENDINGS = (".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class QueryText:
    """What a file says of a query; `value` may be anything that JSON can hold but null."""

    value: object
    where: Location
    instruction: object = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def query_texts(records: Iterable[Record], wanted: Container[str], set_aside: Report) -> dict[str, QueryText]:
    """The texts of the wanted queries, in memory. A record without an id, or with one that was met, is set aside, and
    one that holds two texts.

    Raises DataError where none of the wanted has a text, or each two.
    """
    texts: dict[str, QueryText] = {}
    fault: DataError | None = None
    for record in records:
        query_id = record_id(record, QUERIES, set_aside)
        if query_id in texts:
            set_aside(duplicate(record, query_id))
        elif query_id is not None and query_id in wanted:
            try:
                key = QUERIES.text_key(record.fields)
            except ValueError as error:
                fault = fault or DataError(f"{record.where}: {error}")
                set_aside(SetAside(record.where, str(error), query_id))
                continue
            fault = fault or (QUERIES.missing(record) if key is None else None)
            texts[query_id] = _query_text(record, key)
    if fault and all(one.value == "" for one in texts.values()):
        raise fault
    return texts


def read_records(path: Path, set_aside: Report) -> Iterator[Record]:
    """JSON Lines, an array or objects one after the other, or `id<TAB>text`, by the file's ending. Raises DataError for
    another one.
    """
    if ending(path) in JSON_ENDINGS:
        return read_json(path, set_aside)
    if ending(path) in TSV_ENDINGS:
        return _tsv_records(path, set_aside)
    raise DataError(
        f"{path}: unknown ending {ending(path)!r}. Choose from: {', '.join(JSON_ENDINGS + TSV_ENDINGS)}, or these + "
        f"{', '.join(ENDINGS)}"
    )


def record_id(record: Record, keys: TextKeys, set_aside: Report) -> str | None:
    """The record's id; one without, or with two, is set aside."""
    try:
        return keys.id_of(record.fields)
    except ValueError as error:
        set_aside(SetAside(record.where, str(error)))
        return None


def ids_of(records: Iterable[Record], keys: TextKeys, set_aside: Report) -> Iterator[str]:
    """The ids of records."""
    for record in records:
        if (found := record_id(record, keys, set_aside)) is not None:
            yield found


def duplicate(record: Record, found: str | None) -> SetAside:
    """The record's id was met before."""
    return SetAside(record.where, f"duplicate id {found!r:.60}: the first one counts")


def _query_text(record: Record, key: str | None) -> QueryText:
    text = None if key is None else record.fields[key]
    instruction, attributes = record.fields.get("instruction"), _attributes(record.fields, key)
    return QueryText("" if text is None else text, record.where, instruction, attributes)


def _tsv_records(path: Path, set_aside: Report) -> Iterator[Record]:
    """Two columns, or those that the first line names. Quotes are part of a text, as in MS MARCO's files."""
    names: list[str] = []
    for line in read_lines(path, set_aside):
        columns = line.by_tabs(len(names) or 2)
        if line.where.line == 1 and _is_header(columns):
            names = columns
        elif names and len(columns) == len(names):
            yield Record(line.where, {**dict(zip(names, columns, strict=True)), names[0]: columns[0].strip()})
        elif not names and len(columns) == 2:
            yield Record(line.where, {"_id": columns[0].strip(), "text": columns[1]})
        else:
            set_aside(SetAside(line.where, _other_columns(line, names)))


def _is_header(columns: list[str]) -> bool:
    """Whether the first column is called as ids are, and another one as texts are."""
    return columns[0] in {*QUERIES.ids, *DOCUMENTS.ids} and not {*QUERIES.texts, *DOCUMENTS.texts}.isdisjoint(
        columns[1:]
    )


def _other_columns(line: Line, names: list[str]) -> str:
    count = len(line.text.split("\t"))
    if names:
        return f"{count} columns, and the first line names {len(names)}"
    return f"not `id<TAB>text`: {count} columns" + (" (a first line may name them)" if count > 2 else "")


def _attributes(fields: Mapping[str, object], text_key: str | None) -> dict[str, str]:
    """Further strings of a query, such as its language; BEIR's `metadata` counts as if its entries stood beside it."""
    metadata = fields.get("metadata")
    entries = {**(metadata if isinstance(metadata, dict) else {}), **fields}
    known = {*QUERIES.ids, "text", "instruction", text_key}
    return {name: value for name, value in entries.items() if name not in known and isinstance(value, str)}
