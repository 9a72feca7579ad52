"""Queries as TREC, Pyserini and MTEB hold them: `id<TAB>text`, JSON Lines, a JSON array, or one object of topics.

Sources: Pyserini 2.3.0 (`{"1": {"title": ..}}`, `{"id", "title"}`, and `qid` with `query`), TREC RAG 2024 (TSV) and
2025 (`{"id", "narrative"}`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from stages.core.prepare import Report
from stages.core.records import Location
from stages.sources.lines import JSON_ENDINGS, Record, ending, reading, unpacked
from stages.sources.texts import read_records

ID_KEYS = ("_id", "id", "query_id", "query-id", "qid", "topic_id")
TEXT_KEYS = ("text", "query", "query_text", "question", "title", "narrative")
LONGER = frozenset(TEXT_KEYS) | {"description"}
"""Of a TREC topic these tell the same at more length: no attributes, by which queries may be grouped."""


def read_topics(path: Path, set_aside: Report) -> Iterator[Record]:
    """Records of `_id` and `text`. Raises DataError where the file cannot be read or has another ending."""
    whole = _whole(path) if ending(path) in JSON_ENDINGS else None
    records = read_records(path, set_aside) if whole is None else iter(whole)
    return (Record(record.where, as_topic(record.fields)) for record in records)


def as_topic(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields, with the id as `_id` and the query as `text`, wherever they stood."""
    text_key = next((key for key in TEXT_KEYS if fields.get(key) is not None), "text")
    id_key = next((key for key in ID_KEYS if key in fields), "_id")
    rest = {key: value for key, value in fields.items() if key != id_key and key not in LONGER}
    named = {"_id": fields[id_key]} if id_key in fields else {}
    return {**rest, **named, "text": fields.get(text_key)}


def _whole(path: Path) -> list[Record] | None:
    """The records of a file that is one JSON array, or one object with topics under their ids; None: it is neither."""
    with reading(path), unpacked(path) as file:
        content = file.read()
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None  # JSON Lines, or nothing that can be read: that reader says so
    if isinstance(found, dict) and found and all(isinstance(topic, dict) for topic in found.values()):
        found = [{"_id": query_id, **topic} for query_id, topic in found.items()]
    if not isinstance(found, list) or not all(isinstance(topic, dict) for topic in found):
        return None
    return [Record(Location(str(path), number), topic) for number, topic in enumerate(found, 1)]
