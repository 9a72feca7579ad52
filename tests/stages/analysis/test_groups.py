"""A user's slices: by field, length, or a list of ids; what groups nothing is refused."""

from __future__ import annotations

import pytest

from stages.analysis.groups import MOST_GROUPS, GroupedQuery, Slicing, group_queries
from stages.core.errors import DataError

QUERIES = [
    GroupedQuery("1", "red apple", {"language": "en"}),
    GroupedQuery("2", "红苹果 pie", {"language": "zh"}),
    GroupedQuery("3", "one two three four five six seven eight nine", {"language": "en", "topic": "numbers"}),
    GroupedQuery("4", "x", {}),
]


def grouped(slicing: Slicing, judged: tuple[str, ...] = ()) -> dict[str, str]:
    return group_queries(QUERIES, {"mine": slicing}, judged)["mine"]


def test_each_value_of_a_field_is_a_group_and_a_query_without_one_is_in_none() -> None:
    assert grouped(Slicing(field="language")) == {"1": "en", "3": "en", "2": "zh"}


def test_values_choose_groups_in_their_order() -> None:
    assert list(grouped(Slicing(field="language", values=("zh", "en"))).values()) == ["zh", "en", "en"]
    assert grouped(Slicing(field="language", values=("zh",))) == {"2": "zh"}


def test_lengths_are_groups_up_to_each_edge_and_beyond_the_last() -> None:
    """A Chinese character counts as a word."""
    found = grouped(Slicing(edges=(1, 3, 8)))
    assert found == {"4": "1 words", "1": "2-3 words", "2": "4-8 words", "3": "9+ words"}
    assert list(found) == ["4", "1", "2", "3"]
    assert grouped(Slicing(edges=(7,), unit="characters"))["2"] == "1-7 characters"


def test_listed_ids_are_a_group_also_of_judged_queries_without_candidates() -> None:
    ids = Slicing(ids=frozenset({"2", "gone", "typo"}), source="hard.txt")
    assert grouped(ids) == {"2": "listed"}
    assert grouped(ids, ("gone",)) == {"2": "listed", "gone": "listed"}


@pytest.mark.parametrize(
    ("slicing", "told"),
    [
        (Slicing(field="colour"), r"evaluate\.slices\.mine: no query has a field colour"),
        (Slicing(field="language", values=("zh", "no")), r"no query has the value 'no' in its field language"),
        (Slicing(ids=frozenset({"5"}), source="hard.txt"), r"no query has one of the ids in hard\.txt"),
    ],
)
def test_what_groups_nothing_is_refused(slicing: Slicing, told: str) -> None:
    with pytest.raises(DataError, match=told):
        grouped(slicing)


@pytest.mark.parametrize(
    ("slicing", "told"),
    [
        (
            Slicing(field="language"),
            (
                "evaluate.slices.mine: 1 of 4 queries are in none of its groups, such as '4', as they have no text in "
                "their field language (a number is none: write it as text)"
            ),
        ),
        (Slicing(ids=frozenset({"2", "typo"})), "evaluate.slices.mine: 1 of 2 ids are no query's, such as 'typo'"),
        (Slicing(field="language", values=("zh",)), None),
        (Slicing(edges=(3,)), None),
    ],
)
def test_queries_and_ids_that_are_left_out_unasked_are_told(slicing: Slicing, told: str | None) -> None:
    heard: list[str] = []
    group_queries(QUERIES, {"mine": slicing}, (), heard.append)
    assert heard == ([told] if told else [])


def test_a_field_of_as_many_values_as_queries_is_no_grouping() -> None:
    queries = [GroupedQuery(str(n), "q", {"title": f"title {n}"}) for n in range(MOST_GROUPS + 1)]
    with pytest.raises(DataError, match=r"the field title has 51 values.*Name those that matter with values"):
        group_queries(queries, {"by": Slicing(field="title")})
    assert len(group_queries(queries, {"by": Slicing(field="title", values=("title 7",))})["by"]) == 1
