from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.core.errors import DataError
from stages.sources import DataSettings, open_source


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query": "a", "positive": ["b"], "negative": []}, "data.format: sentence_transformers reads reranking rows"),
        ({"query": "a", "pos": ["b"], "neg": []}, "data.format: flagembedding reads training or evaluation rows"),
        (
            {"query": {"text": "a", "qid": "q"}, "candidates": [{"docid": "d", "doc": {"contents": "b"}}]},
            "data.format: rank_llm reads requests or results",
        ),
        ({"_id": "d1", "title": "", "text": "one"}, "texts of a corpus, give them as data.documents of format trec"),
        ({"docid": "d1", "contents": "one"}, "texts of a corpus, give them as data.documents of format trec"),
        ({"query-id": "q", "corpus-id": "d", "score": 1}, "If these are judgements, write them as TREC qrels"),
        ({"question": "a", "passages": ["b"]}, "under data.columns, such as {query: question, documents: passages}"),
        ({"query": "a", "candidates": ["b"]}, "under data.columns, such as {documents: candidates}"),
        ({"prompt": "a"}, "got prompt. Map them under data.columns"),
    ],
)
def test_a_table_that_lacks_a_column_is_told_with_its_path_its_columns_and_what_it_may_be(
    row: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError) as error:
        open_source(DataSettings(format="jsonl", path=str(path)))
    assert str(error.value).startswith(f"{path}: rerank needs columns")
    assert f"got {', '.join(row)}" in str(error.value)
    assert said in str(error.value)
