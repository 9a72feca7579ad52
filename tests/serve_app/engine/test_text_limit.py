"""A text of too many characters is refused with how many it has and how many it may have."""

from __future__ import annotations

import pytest

from serve_app.engine.text_limit import TextLimit
from stages.core.errors import TextTooLongError

LIMIT = TextLimit(8)


def test_a_text_of_exactly_so_many_characters_is_accepted() -> None:
    LIMIT.require("12345", ["12345678", "", "重排序模型👍🏽"], "678")


def test_the_first_document_that_is_too_long_is_named_with_its_place() -> None:
    fault = "the text has 9 characters, serve.max_text_chars allows 8: send a part of it, or raise the limit"
    with pytest.raises(TextTooLongError) as refused:
        LIMIT.require("query", ["short", "123456789", "1234567890"], None)
    assert str(refused.value) == f"document 1: {fault}"
    assert LIMIT.fault("123456789") == fault
    assert LIMIT.fault("12345678") is None


def test_a_querys_instruction_counts_as_its_own() -> None:
    with pytest.raises(
        TextTooLongError, match=r"the query has 9 characters, serve.max_text_chars allows 8: shorten it"
    ):
        LIMIT.require("12345", [], "6789")
