"""What a service is checked with: the user's pairs or built-in ones, and always a text too long to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.service.verify.sample_pairs import LONG_QUERY, LONGEST_CHARS, make_sample
from stages.core.errors import ConfigError, DataError
from stages.sources import DataSettings

Rows = Callable[[list[dict[str, Any]]], dict[str, Any]]


def words(text: str) -> int:
    return len(text.split())


def read(section: dict[str, Any]) -> DataSettings:
    return DataSettings.model_validate(section)


@pytest.mark.parametrize("pairs", [4, 12, 30, 75])
def test_as_many_pairs_are_taken_as_are_asked_for(pairs: int) -> None:
    sample = make_sample(None, pairs, 100, words)
    assert sample.size == pairs == sum(len(query.pairs) for query in sample.queries)


def test_built_in_pairs_are_in_several_scripts_with_their_own_texts_first_and_no_text_twice() -> None:
    sample = make_sample(None, 200, 100, words)
    queries = [query.query for query in sample.queries]
    assert len(queries) == 9
    for letters in ("一龠", "ぁん", "ء ي", "ऀ ॿ", "а я"):
        low, high = letters[0], letters[-1]
        assert any(low <= letter <= high for query in queries for letter in query), letters
    for query in sample.queries:
        assert len(set(query.texts)) == len(query.texts) == len(set(query.doc_ids))


@pytest.mark.parametrize("max_length", [64, 400, 5000])
def test_one_text_is_longer_than_the_model_reads_and_one_is_half_as_long(max_length: int) -> None:
    (long,) = [query for query in make_sample(None, 10, max_length, words).queries if query.query_id == LONG_QUERY]
    too_long, half, short = (words(text) for text in long.texts)
    assert max_length < too_long < 2 * max_length
    assert max_length // 2 <= half < max_length
    assert short < 20


def test_of_the_users_data_each_query_gives_documents_from_all_over_its_list(write_rows: Rows) -> None:
    documents = [f"document {number}" for number in range(50)]
    rows = [{"query_id": name, "query": f"query {name}", "documents": documents} for name in ("a", "b", "c")]
    sample = make_sample(read(write_rows(rows)), 23, 100, words)
    first, second, long = sample.queries
    assert first.texts[0] == "document 0" and first.texts[-1] == "document 49"
    assert (len(first.texts), len(second.texts), long.query_id) == (10, 10, LONG_QUERY)
    assert "the config's data" in sample.origin


def test_a_text_that_takes_too_long_to_be_read_whole_is_left_out(write_rows: Rows) -> None:
    long, longest = "x" * (LONGEST_CHARS + 1), "x" * LONGEST_CHARS
    rows = [
        {"query_id": name, "query": "q", "documents": texts}
        for name, texts in (("a", [long, longest, "y", long]), ("b", [long]))
    ]
    first, last = make_sample(read(write_rows(rows)), 20, 100, words).queries
    assert first.texts == (longest, "y")
    assert last.query_id == LONG_QUERY


def test_too_few_pairs_and_data_without_candidates_are_refused(write_rows: Rows) -> None:
    with pytest.raises(ConfigError, match="--pairs 3: at least 4"):
        make_sample(None, 3, 100, words)
    rows = [{"query_id": "q", "query": "a query", "documents": [""]}]
    with pytest.raises(DataError):
        make_sample(read(write_rows(rows)), 10, 100, words)
