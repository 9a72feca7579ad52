"""Strata put every judged query into one group of each column."""

from __future__ import annotations

from itertools import groupby
from statistics import stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.analysis.outcome import outcome_of
from stages.analysis.strata import (
    DOCUMENT_LENGTH,
    NO_CANDIDATES,
    NO_VALUE,
    OTHER,
    QUERY_LENGTH,
    SCRIPT,
    TRUNCATED,
    Stratum,
    strata,
)
from stages.core.records import QueryMetrics
from stages.core.rerank import rank
from stages.quality.significance import difference_interval
from tests.analysis_inputs import one_query
from tests.examples import examples


def metrics(values: list[float]) -> QueryMetrics:
    ids = tuple(f"q{number:03}" for number in range(len(values)))
    return QueryMetrics(ids, {"mrr": tuple(values)}, (True,) * len(ids))


def groups(lengths: list[int], languages: list[str], first: list[float], after: list[float]) -> list[Stratum]:
    """Strata of queries of so many words each; there may be more values than queries."""
    made = [
        one_query(f"q{n:03}", {"a": 1.0}, query="word " * length, attributes={"language": language} if language else {})
        for n, (length, language) in enumerate(zip(lengths, languages, strict=True))
    ]
    known = [outcome_of(candidates, rank(candidates, scores)) for candidates, scores in made]
    return strata(known, metrics(first), metrics(after), "mrr")


@examples(40)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["de", "en", "zh", ""])), min_size=1, max_size=60), st.data()
)
def test_strata_partition_the_judged_queries(queries: list[tuple[int, str]], data: st.DataObject) -> None:
    without = data.draw(st.integers(0, 3))
    first, after = (
        data.draw(st.lists(st.floats(0, 1), min_size=len(queries) + without, max_size=len(queries) + without))
        for _ in range(2)
    )
    found = groups([length for length, _ in queries], [language for _, language in queries], first, after)
    for _, of_column in groupby(found, key=lambda stratum: stratum.column):
        column = list(of_column)
        assert len({stratum.group for stratum in column}) == len(column)
        assert sum(stratum.queries for stratum in column) == len(first)
        assert sum(s.wins + s.ties + s.losses for s in column) == len(first)
        assert sum(s.first_stage * s.queries for s in column) == pytest.approx(sum(first))
        assert sum(s.difference * s.queries for s in column) == pytest.approx(sum(after) - sum(first))
        assert sum(s.queries for s in column if s.group == NO_CANDIDATES) == without


def test_a_stratum_counts_wins_ties_and_losses() -> None:
    first, after = [0.5, 0.5, 0.5, 0.5, 1.0], [1.0, 0.5, 0.25, 1.0, 0.5]
    [query_length, document_length, truncated, _] = groups([2] * 5, [""] * 5, first, after)
    assert (query_length.column, query_length.group) == (QUERY_LENGTH, "2")
    assert (document_length.column, document_length.group) == (DOCUMENT_LENGTH, "3")
    assert (truncated.column, truncated.group) == (TRUNCATED, "no")
    assert (truncated.queries, truncated.wins, truncated.ties, truncated.losses) == (5, 2, 1, 2)
    assert truncated.first_stage == pytest.approx(0.6)
    assert truncated.reranked == pytest.approx(0.65)
    assert truncated.difference == pytest.approx(0.05)
    assert truncated.sd == pytest.approx(stdev([0.5, 0.0, -0.25, 0.5, -0.5]))


def test_a_stratum_of_five_queries_or_more_has_the_interval_of_its_difference() -> None:
    differences = [0.0, 0.2, 0.3, 0.0, 0.9, -0.1, 0.4, 0.1]
    before, after = metrics([0.1] * 8), metrics([0.1 + one for one in differences])
    (eight,) = strata([], before, after, "mrr", 0.9)[:1]
    assert eight.interval == pytest.approx(difference_interval(np.array(differences), 0.9))
    (four,) = strata([], metrics([0.1] * 4), metrics([0.2, 0.3, 0.1, 0.1]), "mrr")[:1]
    assert four.interval is None


def test_lengths_fall_into_quartiles_by_rising_length() -> None:
    found = groups([10 + n for n in range(40)], [""] * 40, [0.0] * 40, [0.0] * 40)
    lengths = [(stratum.group, stratum.queries) for stratum in found if stratum.column == QUERY_LENGTH]
    assert lengths == [("10-19", 10), ("20-29", 10), ("30-39", 10), ("40-49", 10)]


def test_small_groups_are_put_together_and_a_missing_value_has_its_own() -> None:
    languages = ["zh"] * 2 + ["en"] * 6 + ["de"] * 3 + [""] * 5
    found = groups([3] * 16, languages, [0.0] * 16, [1.0] * 16)
    of_language = {stratum.group: stratum.queries for stratum in found if stratum.column == "language"}
    assert list(of_language.items()) == [(NO_VALUE, 5), ("en", 6), (OTHER, 5)]


def test_a_single_small_group_keeps_its_name_and_has_no_deviation() -> None:
    found = groups([3] * 7, ["en"] * 6 + ["de"], [0.0] * 7, [1.0] * 7)
    of_language = {stratum.group: (stratum.queries, stratum.sd) for stratum in found if stratum.column == "language"}
    assert of_language == {"de": (1, None), "en": (6, 0.0)}


def test_the_script_of_the_query_is_a_column() -> None:
    queries = ["red apple", "红苹果", "rote Äpfel", "1 + 1", "أحمر", "赤いりんご"]
    made = [one_query(f"q{n:03}", {"a": 1.0}, query=query) for n, query in enumerate(queries * 5)]
    known = [outcome_of(candidates, rank(candidates, scores)) for candidates, scores in made]
    values = [0.0, 0.5, 1.0, 0.0, 0.0, 0.0] * 5
    found = strata(known, metrics([0.0] * 30), metrics(values), "mrr")
    of_script = {stratum.group: (stratum.queries, stratum.reranked) for stratum in found if stratum.column == SCRIPT}
    assert of_script == {
        "Arabic": (5, 0.0),
        "Han": (5, 0.5),
        "Japanese": (5, 0.0),
        "Latin": (10, 0.5),
        "none": (5, 0.0),
    }
