from __future__ import annotations

import pytest

from stages.core.records import Location, Ranking, SetAside
from stages.core.withheld import label_columns, text_digest, told_ranking, told_row, without_quotes


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("no text", "no text"),
        ("document d7 is not in the corpus", "document d7 is not in the corpus"),
        ("score is not a finite number: 'a text'", "score is not a finite number"),
        ("duplicate id 'a text' or \"another\" here", "duplicate id … or … here"),
        ("the engine refused the prompt: a text", "the engine refused the prompt"),
        ("it failed\na text", "it failed"),
        ("", ""),
    ],
)
def test_a_reason_keeps_what_went_wrong_and_loses_what_with(reason: str, told: str) -> None:
    assert without_quotes(reason) == told


def test_rows_and_rankings_keep_their_ids() -> None:
    row = SetAside(Location("f", 3), "refused: a text", "q", "d")
    assert told_row(row) == SetAside(Location("f", 3), "refused", "q", "d")
    ranking = Ranking("q", ("a",), (1.0,), (None,), failed={"b": "refused: a text"})
    assert told_ranking(ranking).failed == {"b": "refused"}


@pytest.mark.parametrize("what", ["judgement is not an integer", "score is not a finite number"])
def test_of_a_line_that_may_be_any_text_not_even_the_ids_are_told(what: str) -> None:
    row = told_row(SetAside(Location("f", 3), f"{what}: 'words'", "some", "other"))
    assert row == SetAside(Location("f", 3), what)


def test_the_same_text_has_the_same_digest() -> None:
    assert text_digest("中文") == text_digest("中文") != text_digest("中文 ")
    assert len(text_digest("\ud800")) == 32


@pytest.mark.parametrize(
    ("values", "are_labels"),
    [
        (["zh", "en", "zh", "en"], True),
        (["a/b-c_1.2+x"] * 2, True),
        (["zh", "en", "de", "fr"], False),
        (["two words"] * 4, False),
        (["胃不舒服"] * 4, False),
        (["x" * 33] * 4, False),
        (["zh", "zh", "zh", "it is a text"], False),
        (["", ""], False),
    ],
)
def test_a_column_of_labels_is_one_of_short_words_that_queries_share(values: list[str], are_labels: bool) -> None:
    found = label_columns({"column": value, "language": "zh"} for value in values)
    assert found == ({"column", "language"} if are_labels else {"language"})
