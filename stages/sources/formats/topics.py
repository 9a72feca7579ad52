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

LONGER = ("description", "narrative")
"""What a TREC topic with a title tells at more length: no attributes, by which queries may be grouped."""


def read_topics(path: Path, set_aside: Report) -> Iterator[Record]:
    """Records as `query_texts` knows them. Raises DataError where the file cannot be read or has another ending."""
    whole = _whole(path) if ending(path) in JSON_ENDINGS else None
    return read_records(path, set_aside) if whole is None else iter(whole)


def _whole(path: Path) -> list[Record] | None:
    """The records of a file that is one JSON array, or one object with topics under their ids; None: it is neither."""
    with reading(path), unpacked(path) as file:
        content = file.read()
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None  # JSON Lines, or nothing that can be read: that reader says so
    if isinstance(found, dict) and found and all(isinstance(topic, dict) for topic in found.values()):
        found = [{"query_id": query_id, **_without_longer(topic)} for query_id, topic in found.items()]
    if not isinstance(found, list) or not all(isinstance(topic, dict) for topic in found):
        return None
    return [Record(Location(str(path), number), topic) for number, topic in enumerate(found, 1)]


def _without_longer(topic: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in topic.items() if "title" not in topic or name not in LONGER}
