"""Columns carry a batch's scores across a process boundary, and nothing of them is lost or made up."""

from __future__ import annotations

import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stages.core.columns import DEFAULTS, KINDS, pack, unpack
from stages.core.errors import EngineDiedError, QueryTooLongError, ScoringError, TextTooLongError
from stages.core.records import Outcome, PairScore

NUMBERS = st.none() | st.floats()
COUNTS = st.integers(0, 2**40)
PAIRS = st.builds(
    PairScore,
    score=NUMBERS,
    logit=NUMBERS,
    prompt_tokens=COUNTS,
    cached_tokens=COUNTS,
    truncated=st.booleans(),
    error=st.none() | st.text(),
    stored=st.booleans(),
    passages=COUNTS,
    cut_score=NUMBERS,
    cut_logit=NUMBERS,
)
FAULTS = st.builds(
    lambda kind, reason: kind(reason),
    st.sampled_from([QueryTooLongError, TextTooLongError, EngineDiedError]),
    st.text(),
)
OUTCOMES = st.lists(st.lists(PAIRS | st.builds(PairScore, st.floats()), max_size=6) | FAULTS, max_size=5)


def told(outcomes: list[Outcome]) -> list[Any]:
    """What compares equal where NaN meets NaN, True is no 1, and errors are the same."""
    return [
        (type(one), str(one)) if isinstance(one, ScoringError) else [repr(pair) for pair in one] for one in outcomes
    ]


@given(OUTCOMES)
def test_what_was_packed_comes_out_in_its_order_on_the_other_side(outcomes: list[Outcome]) -> None:
    assert told(unpack(pickle.loads(pickle.dumps(pack(outcomes), protocol=5)))) == told(outcomes)


def test_every_part_of_a_pairs_score_travels() -> None:
    assert {*KINDS, "error"} == set(PairScore.__slots__)
    assert {name: getattr(PairScore(None), name) for name in KINDS} == DEFAULTS


def test_what_is_as_it_mostly_is_costs_nothing() -> None:
    columns = pack([[PairScore(0.5, 0.1, prompt_tokens=9)] * 50] * 8)
    assert columns.values.keys() == {"score", "logit", "prompt_tokens"}
    assert not columns.missing and not columns.errors and not columns.faults
    assert len(pickle.dumps(columns, protocol=5)) < 8 * 50 * 3 * 8 + 1000
