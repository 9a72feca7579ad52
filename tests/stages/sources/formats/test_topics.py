"""Queries in the files that TREC and Pyserini have them in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.core.records import SetAside
from stages.sources.formats.topics import read_topics
from stages.sources.texts import query_texts

# Name, content -> id and text. Pyserini 2.3.0's `topics.*`, and TREC RAG's of 2024 and 2025.
FILES = [
    ("topics.tsv", "007\twhy rain\n", "007", "why rain"),
    ("topics.rag24.test.txt", "2024-1\twhy rain\n", "2024-1", "why rain"),
    ("topics.json", json.dumps({"1": {"title": "why rain", "description": "Longer."}}, indent=1), "1", "why rain"),
    ("topics.jsonl", '{"id": "1", "title": "why rain"}\n', "1", "why rain"),
    ("raw.jsonl", '{"qid": 7, "query": "why rain"}\n', "7", "why rain"),
    ("rag25.jsonl", '{"id": "1", "narrative": "Why rain."}\n', "1", "Why rain."),
    ("rag25.json", json.dumps([{"id": "1", "narrative": "Why rain."}], indent=1), "1", "Why rain."),
    ("beir.jsonl", '{"_id": "1", "text": "why", "metadata": {}}\n', "1", "why"),
]


@pytest.mark.parametrize(("name", "content", "query_id", "text"), FILES, ids=[file[0] for file in FILES])
def test_each_file_gives_its_query_under_its_id(
    tmp_path: Path, name: str, content: str, query_id: str, text: str
) -> None:
    (tmp_path / name).write_text(content)
    found = query_texts(read_topics(tmp_path / name, pytest.fail), {query_id}, pytest.fail)
    assert {key: query.value for key, query in found.items()} == {query_id: text}
    assert found[query_id].attributes == {}


def test_what_is_no_topic_is_set_aside_as_before(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"id": "1", "title": "a"}\nnonsense\n{"title": "b"}\n')
    aside: list[SetAside] = []
    assert list(query_texts(read_topics(tmp_path / "q.jsonl", aside.append), {"1"}, aside.append)) == ["1"]
    assert [(row.where.line, row.reason.split(":")[0].split(";")[0]) for row in aside] == [
        (2, "not JSON"),
        (3, "no id"),
    ]
