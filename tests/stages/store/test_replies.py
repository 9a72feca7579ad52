"""Replies of a judge in a store, and what is asked for where the store does not know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from stages.core.errors import DataError, EngineError
from stages.core.grades import Reply
from stages.store.grader import StoredGrader
from stages.store.records import query_keys
from stages.store.replies import ReplyCodec, ReplyStore
from stages.store.scorer import ForgivingStore
from stages.store.store import ScoreStore

REPLIES = {
    b"a" * 16: Reply("2\n—", prompt_tokens=3, generated_tokens=2, truncated=True),
    b"b" * 16: Reply(probabilities=(0.1, 0.2, 0.30000000000000004, 0.4)),
    b"c" * 16: Reply(error="refused", withheld=True),
}


class Judge:
    """Says how long a document is; of `bad` ones that nothing came back."""

    def __init__(self, bad: str = "") -> None:
        self.bad, self.asked = bad, list[tuple[str, list[str]]]()

    async def grade(self, query: str, documents: Sequence[str]) -> list[Reply]:
        self.asked.append((query, list(documents)))
        if query == "none":
            raise EngineError("gone")
        return [Reply(error="lost") if one == self.bad else Reply(str(len(one))) for one in documents]


def forgiving(folder: Path, since_s: float = 0.0) -> ForgivingStore[Reply]:
    return ForgivingStore(ReplyStore(folder), lambda _: None, since_s)


def test_a_batch_is_read_as_it_was_written_and_not_at_all_where_a_bit_is_not() -> None:
    codec = ReplyCodec()
    packed = codec.pack(1, 2, REPLIES)
    assert codec.unpack(1, 2, packed) == REPLIES
    assert codec.unpack(1, 2, packed, {b"b" * 16}) == {b"b" * 16: REPLIES[b"b" * 16]}
    assert codec.unpack(1, 3, packed) is codec.unpack(1, 2, None) is codec.unpack(1, 2, b"") is None
    for place in range(len(packed)):
        assert codec.unpack(1, 2, packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :]) is None


def test_what_came_back_is_asked_for_once_and_what_did_not_again(tmp_path: Path) -> None:
    judge = Judge(bad="bad")
    grader = StoredGrader(judge, forgiving(tmp_path), "asking", "name")
    first = asyncio.run(grader.grade("q", ["one", "bad", "one", "three"]))
    assert [(told.reply.text, told.stored) for told in first] == [
        ("3", False),
        ("", False),
        ("3", True),
        ("5", False),
    ]
    second = asyncio.run(StoredGrader(judge, forgiving(tmp_path), "asking", "name").grade("q", ["three", "bad"]))
    assert [told.stored for told in second] == [True, False]
    assert judge.asked == [("q", ["one", "bad", "three"]), ("q", ["bad"])]


@pytest.mark.parametrize("changed", ["asking", "query", "document"])
def test_whatever_decides_a_reply_is_part_of_its_key(changed: str, tmp_path: Path) -> None:
    judge, other = Judge(), {"asking": "a", "query": "q", "document": "d", changed: "x"}
    asyncio.run(StoredGrader(judge, forgiving(tmp_path), "a", "name").grade("q", ["d"]))
    told = asyncio.run(
        StoredGrader(judge, forgiving(tmp_path), other["asking"], "name").grade(other["query"], [other["document"]])
    )
    assert not told[0].stored and len(judge.asked) == 2


def test_each_document_is_kept_as_it_comes_though_the_next_one_is_lost(tmp_path: Path) -> None:
    judge = Judge()
    asyncio.run(StoredGrader(judge, forgiving(tmp_path), "a", "name", each=True).grade("q", ["d", "e"]))
    assert sorted(judge.asked) == [("q", ["d"]), ("q", ["e"])] and len(ReplyStore(tmp_path)) == 2


def test_a_query_that_cannot_be_graded_has_that_as_the_error_of_each_pair(tmp_path: Path) -> None:
    told = asyncio.run(StoredGrader(Judge(), forgiving(tmp_path), "a", "name").grade("none", ["d", "e"]))
    assert [one.reply.error for one in told] == ["gone"] * 2 and len(ReplyStore(tmp_path)) == 0


def test_queries_with_the_same_text_at_once_are_asked_for_once(tmp_path: Path) -> None:
    judge = Judge()
    grader = StoredGrader(judge, forgiving(tmp_path), "a", "name")

    async def both() -> None:
        await asyncio.gather(grader.grade("q", ["d"]), grader.grade("q", ["d"]))

    asyncio.run(both())
    assert len(judge.asked) == 1


def test_a_reply_that_is_too_old_is_asked_for_anew(tmp_path: Path) -> None:
    judge = Judge()
    asyncio.run(StoredGrader(judge, forgiving(tmp_path), "a", "name").grade("q", ["d"]))
    asyncio.run(StoredGrader(judge, forgiving(tmp_path, since_s=2e9), "a", "name").grade("q", ["d"]))
    assert len(judge.asked) == 2


def test_scores_and_replies_may_lie_in_one_folder_and_a_fault_names_its_setting(tmp_path: Path) -> None:
    ReplyStore(tmp_path).write(1, REPLIES, "asking")
    scores = ScoreStore(tmp_path)
    assert len(scores) == 0 and len(ReplyStore(tmp_path)) == 3
    keys = query_keys("asking", None, "q", ["d"])
    assert ReplyStore(tmp_path).lookup(keys) == {}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "replies.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(DataError, match=r"judge\.store .* cannot be opened"):
        ReplyStore(tmp_path / "other")
