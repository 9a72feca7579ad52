"""Keys differ where anything that decides a score differs; scores are read back as they were, or not at all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.records import PairScore
from stages.core.scoring import sigmoid
from stages.store.records import pack, query_keys, scores_in, unpack

PARTS = st.tuples(st.text(max_size=6), st.none() | st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
Parts = tuple[str, str | None, str, str]


def pair_key(parts: Parts) -> bytes:
    scoring, instruction, query, document = parts
    (key,) = query_keys(scoring, instruction, query, [document]).pairs
    return key


@st.composite
def pairs(draw: st.DrawFn) -> PairScore:
    """What an engine gives: single precision, and a score that follows from the logit where there is one, by the
    sigmoid or otherwise. Some are of documents that were read in passages.
    """
    number, cut, truncated = draw(FLOATS), draw(FLOATS), draw(st.booleans())
    passages = draw(st.just(1) | st.integers(2, 0xFFFF))
    tokens = draw(st.integers(0, 0xFFFF if passages == 1 else 0xFFFFFFFF))
    if not draw(st.booleans()):
        of_cut = {} if passages == 1 else {"passages": passages, "cut_score": cut}
        return PairScore(number, None, tokens, truncated=truncated, stored=True, **of_cut)
    score = draw(st.sampled_from((sigmoid, lambda logit: sigmoid(logit / 5 - 1), lambda logit: logit)))
    of_cut = {} if passages == 1 else {"passages": passages, "cut_score": score(cut), "cut_logit": cut}
    return PairScore(score(number), number, tokens, truncated=truncated, stored=True, **of_cut)


SCORES = st.dictionaries(st.binary(min_size=16, max_size=16), pairs(), max_size=8)


@given(PARTS, PARTS)
def test_two_pairs_share_a_key_only_when_everything_is_equal(one: Parts, other: Parts) -> None:
    assert (pair_key(one) == pair_key(other)) == (one == other)
    assert len(pair_key(one)) == 16


LISTS = st.lists(st.text(max_size=3), max_size=4)


@given(LISTS, LISTS)
def test_two_lists_share_keys_only_when_they_are_equal_and_no_list_shares_one_with_pairs(
    one: list[str], other: list[str]
) -> None:
    ours, theirs = (query_keys("m", None, "q", texts, listwise=True).pairs for texts in (one, other))
    assert len(set(ours)) == len(one), "equal texts at two places have a score each"
    assert ours == theirs if one == other else not set(ours) & set(theirs)
    assert not set(ours) & set(query_keys("m", None, "q", one).pairs)


def test_parts_do_not_run_into_each_other() -> None:
    keys = {pair_key(("s", *parts)) for parts in itertools.product((None, "", "a"), ("", "a", "ab"), ("b", "ab", ""))}
    assert len(keys) == 27


@pytest.mark.parametrize("other", [("n", None, "q"), ("m", "now this", "q"), ("m", None, "q "), ("m", "", "q")])
def test_another_scoring_instruction_or_query_shares_no_key(other: tuple[str, str | None, str]) -> None:
    mine, others = query_keys("m", None, "q", ["a", "b"]), query_keys(*other, ["a", "b"])
    assert mine.query != others.query
    assert not set(mine.pairs) & set(others.pairs)


def test_a_pairs_key_does_not_depend_on_the_documents_beside_it() -> None:
    assert query_keys("m", None, "q", ["a", "b"]).pairs[::-1] == query_keys("m", None, "q", ["b", "a"]).pairs


@given(st.integers(-(2**63), 2**63 - 1), SCORES)
def test_a_batch_comes_back_to_the_last_bit(query: int, scores: dict[bytes, PairScore]) -> None:
    records = unpack(query, 1, pack(query, 1, scores))
    assert records is not None
    assert scores_in(records) == scores
    assert scores_in(records, wanted=frozenset()) == {}


def test_a_batch_of_before_there_were_passages_is_read() -> None:
    batch = bytes.fromhex(
        "9cd5c4d66b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b0000c03f2c01036c6c6c6c6c6c6c6c6c6c6c6c6c6c6c6c0000803e090000"
    )
    records = unpack(5, 1, batch)
    assert records is not None
    assert scores_in(records) == {
        b"k" * 16: PairScore(sigmoid(1.5), 1.5, 300, truncated=True, stored=True),
        b"l" * 16: PairScore(0.25, None, 9, stored=True),
    }


def test_a_batch_without_passages_is_as_it_was_before_there_were_any() -> None:
    batch = pack(5, 1, {b"k" * 16: PairScore(sigmoid(1.5), 1.5, 300)})
    assert len(batch) == 4 + 23
    in_passages = PairScore(sigmoid(1.5), 1.5, 70_000, passages=3, cut_score=0.5, cut_logit=0.0)
    for longer in (in_passages, PairScore(0.25, 1.5, 300)):
        assert len(pack(5, 1, {b"k" * 16: longer})) == 4 + 47


@given(SCORES.filter(bool), st.data())
def test_a_batch_with_a_changed_byte_is_not_read(scores: dict[bytes, PairScore], data: st.DataObject) -> None:
    batch = bytearray(pack(5, 1, scores))
    batch[data.draw(st.integers(0, len(batch) - 1))] ^= data.draw(st.integers(1, 255))
    assert unpack(5, 1, bytes(batch)) is None


@pytest.mark.parametrize(("query", "scoring_id"), [(6, 1), (5, 2)])
def test_a_batch_is_not_read_as_another_querys_or_models(query: int, scoring_id: int) -> None:
    batch = pack(5, 1, {b"k" * 16: PairScore(0.5)})
    assert unpack(5, 1, batch) is not None
    assert unpack(query, scoring_id, batch) is None


@pytest.mark.parametrize("batch", [None, 7, "text", b"", b"abc", b"\0" * 26])
def test_what_is_no_batch_is_not_read(batch: object) -> None:
    assert unpack(5, 1, batch) is None
