"""Files of texts under ids, JSON Lines or TSV, as BEIR and TREC collections hold their queries and documents."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stages.core.errors import DataError
from stages.core.prepare import Report, as_id
from stages.core.records import Location, SetAside
from stages.sources.lines import JSON_ENDINGS, Record, ending, read_lines, read_objects

TSV_ENDINGS = (".tsv", ".txt")
QUERY_IDS = ("_id", "id", "query_id")


@dataclass(frozen=True, slots=True)
class QueryText:
    """What a file says of a query; `value` may be anything that JSON can hold but null."""

    value: object
    where: Location
    instruction: object = None
    attributes: Mapping[str, str] = field(default_factory=dict)


def query_texts(records: Iterable[Record], wanted: Container[str], set_aside: Report) -> dict[str, QueryText]:
    """The texts of the wanted queries, in memory. A record without an id, or with one that was met, is set aside."""
    texts: dict[str, QueryText] = {}
    for record in records:
        query_id = record_id(record, QUERY_IDS, set_aside)
        if query_id in texts:
            set_aside(duplicate(record, query_id))
        elif query_id is not None and query_id in wanted:
            text = record.fields.get("text")
            attributes = _attributes(record.fields)
            texts[query_id] = QueryText(
                "" if text is None else text, record.where, record.fields.get("instruction"), attributes
            )
    return texts


def document_text(title: object, text: object) -> object:
    """`title + " " + text` as BEIR's own evaluation joins them; a text that is no string is given back as it is."""
    if text is None:
        text = ""
    if not isinstance(text, str) or not isinstance(title, str) or not title:
        return text
    return f"{title} {text}".strip()


def read_records(path: Path, set_aside: Report) -> Iterator[Record]:
    """JSON Lines, or `id<TAB>text`, by the file's ending. Raises DataError for another one."""
    if ending(path) in JSON_ENDINGS:
        return read_objects(path, set_aside)
    if ending(path) in TSV_ENDINGS:
        return _tsv_records(path, set_aside)
    raise DataError(
        f"{path}: unknown ending {ending(path)!r}. Choose from: {', '.join(JSON_ENDINGS + TSV_ENDINGS)}, or these + .gz"
    )


def record_id(record: Record, names: tuple[str, ...], set_aside: Report) -> str | None:
    """What stands under the first of `names`; a record without an id is set aside."""
    given = [record.fields[name] for name in names if name in record.fields]
    found = as_id(given[0]) if given else None
    if found is None:
        set_aside(SetAside(record.where, f"no id; it stands under {', '.join(names)}"))
    return found


def ids_of(records: Iterable[Record], names: tuple[str, ...]) -> Iterator[str]:
    """The ids of records; what is wrong with one is for whoever reads the texts to report."""
    for record in records:
        if (found := record_id(record, names, _reported_with_texts)) is not None:
            yield found


def duplicate(record: Record, found: str | None) -> SetAside:
    """The record's id was met before."""
    return SetAside(record.where, f"duplicate id {found!r:.60}: the first one counts")


def _tsv_records(path: Path, set_aside: Report) -> Iterator[Record]:
    for line in read_lines(path, set_aside):
        columns = line.text.split("\t")
        if len(columns) == 2:
            yield Record(line.where, {"_id": columns[0].strip(), "text": columns[1]})
        else:
            set_aside(SetAside(line.where, f"not `id<TAB>text`: {len(columns)} columns"))


def _attributes(fields: Mapping[str, object]) -> dict[str, str]:
    """Further strings of a query, such as its language; BEIR's `metadata` counts as if its entries stood beside it."""
    metadata = fields.get("metadata")
    entries = {**(metadata if isinstance(metadata, dict) else {}), **fields}
    known = {*QUERY_IDS, "text", "instruction"}
    return {name: value for name, value in entries.items() if name not in known and isinstance(value, str)}


def _reported_with_texts(_: SetAside) -> None:
    """Ids alone are read a second time."""
