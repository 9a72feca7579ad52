"""Numbers as people read them: short, and a dash where there is none."""

from __future__ import annotations

import math
import re
from typing import Any
from unicodedata import east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from stages.core.words import (
    NONE,
    count,
    did_you_mean,
    distinct,
    first_up,
    interval,
    is_significant,
    metric_value,
    nearest,
    number,
    p_value,
    share,
    shortened,
    signed,
    slug,
    tone_of,
    wins_ties_losses,
    written_name,
)
from stages.quality.evaluate import metric_key
from stages.quality.measures import SUPPORTED
from stages.report.document import Cell, change

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.00123, "0.0012"),
        (-0.00009, "-9e-05"),
        (0.01, "0.010"),
        (0.1234, "0.123"),
        (1.0, "1.00"),
        (9.99, "9.99"),
        (10.0, "10.0"),
        (99.94, "99.9"),
        (100.0, "100"),
        (12345.6, "12,346"),
        (-12.34, "-12.3"),
    ],
)
def test_a_number_has_the_digits_that_tell(value: float, text: str) -> None:
    assert number(value) == text
    assert number(value, " ms") == f"{text} ms"


@given(finite)
def test_a_number_reads_back_as_nearly_itself(value: float) -> None:
    assert math.isclose(float(number(value).replace(",", "")), value, rel_tol=0.051)


@pytest.mark.parametrize(("text", "expected"), [("My Data (v2)", "my-data-v2"), ("--a__b--", "a-b"), ("夜", "")])
def test_a_slug_is_ascii_in_lower_case_with_hyphens(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_a_name_that_lost_something_of_its_text_is_marked_so_that_no_two_texts_have_one() -> None:
    assert distinct("nightly-1", slug("nightly-1")) == "nightly-1"
    names = [distinct(text, slug(text)) for text in ("夜", "昼", "My Data", "my data", "my-data")]
    assert len(set(names)) == 5
    assert all(re.fullmatch(r"[0-9a-f]{8}", name) for name in names[:2])
    assert names[2].startswith("my-data-")
    assert distinct("long" * 20, "long") != distinct("long" * 21, "long")


def test_what_is_not_known_is_a_dash_and_what_is_zero_is_a_zero() -> None:
    known = [number, count, share, metric_value, signed, interval, p_value]
    assert [told(None) for told in known] == [NONE] * len(known)
    assert number(None, " ms") == NONE
    assert [number(0), count(0), share(0), metric_value(0), signed(0)] == ["0", "0", "0.0%", "0.0000", "+0.0000"]
    assert p_value(0.0) == "< 0.001"


@given(finite)
def test_a_change_always_has_its_sign(value: float) -> None:
    told = signed(value)
    assert told[0] == ("-" if math.copysign(1, value) < 0 else "+")
    assert math.isclose(float(told), value, abs_tol=0.00005)


@pytest.mark.parametrize(
    ("p", "text"), [(0.0009999, "< 0.001"), (0.001, "0.001"), (0.0494, "0.049"), (0.5, "0.500"), (1.0, "1.000")]
)
def test_p_is_never_said_to_be_zero(p: float, text: str) -> None:
    assert p_value(p) == text


@pytest.mark.parametrize(("value", "text"), [(0.12345, "12.3%"), (1.0, "100.0%"), (-0.034, "-3.4%")])
def test_a_share_is_in_per_cent(value: float, text: str) -> None:
    assert share(value) == text
    assert share(value, digits=0) == f"{value:.0%}"


def test_an_interval_has_both_its_ends_with_their_signs() -> None:
    assert interval([-0.0434153, 0.0261]) == "-0.0434 to +0.0261"


@given(st.sampled_from(sorted(SUPPORTED)), st.integers(1, 1000), st.integers(1, 9))
def test_a_name_is_written_as_the_metric_was_asked_for(measure: str, cutoff: int, level: int) -> None:
    takes = SUPPORTED[measure]
    asked = measure + (".95" if takes.persistence else "") + (f"@{cutoff}" if takes.cutoff else "")
    asked += f"-l{level}" if takes.level else ""
    assert written_name(metric_key(asked)) == asked


def told(p: float, difference: float = 0.1) -> dict[str, Any]:
    return {
        "corrected_p": p,
        "confidence": 0.95,
        "difference": difference,
        "wins": 1234,
        "ties": 5,
        "losses": 0,
    }


@pytest.mark.parametrize(
    ("p", "difference", "tone"),
    [(0.049, 0.1, "good"), (0.049, -0.1, "bad"), (0.051, 0.1, "plain"), (0.051, -0.1, "plain"), (1.0, 0.0, "plain")],
)
def test_only_what_is_told_apart_from_chance_is_good_or_bad(p: float, difference: float, tone: str) -> None:
    assert is_significant(told(p, difference)) == (tone != "plain")
    assert tone_of(told(p, difference)) == tone
    assert change(told(p, difference)) == Cell(signed(difference), tone_of(told(p, difference)))


@given(st.text(max_size=30), st.integers(2, 40))
def test_a_name_is_cut_only_where_it_has_no_room(name: str, most: int) -> None:
    told = shortened(name, most)
    assert cell_len(told) <= most
    if told != name:
        assert told.endswith("…") and name.startswith(told[:-1])
        assert sum(2 if east_asian_width(letter) in "WF" else 1 for letter in name) > most


@pytest.mark.parametrize(
    ("name", "shown"), [("0123456789", "0123456789"), ("0123456789a", "012345678…"), ("日本語日本語", "日本語日…")]
)
def test_a_name_that_is_cut_fills_the_room_it_has(name: str, shown: str) -> None:
    assert shortened(name, 10) == shown


def test_how_queries_fared_is_wins_ties_and_losses() -> None:
    assert wins_ties_losses(told(0.5)) == "1,234 / 5 / 0"


@pytest.mark.parametrize(
    ("sentence", "shown"), [("ndcg@10 rises", "ndcg@10 rises"), ("the same", "The same"), ("", "")]
)
def test_a_sentence_begins_with_a_capital_but_for_a_metric(sentence: str, shown: str) -> None:
    assert first_up(sentence) == shown


@pytest.mark.parametrize(
    ("written", "meant"), [("dpth", "depth"), ("ndgc", "ndcg"), ("depth", "depth"), ("top_k", "k")]
)
def test_the_nearest_name_is_the_one_that_is_most_like_what_was_written(written: str, meant: str) -> None:
    assert nearest(written, ["ndcg", "depth", "k"]) == meant


@given(st.text(max_size=12), st.lists(st.text(max_size=12), min_size=1, max_size=5))
def test_the_nearest_name_is_a_known_one_and_a_known_one_is_nearest_to_itself(name: str, known: list[str]) -> None:
    assert nearest(name, known) in known
    assert nearest(known[-1], known) == known[-1]


def test_a_message_about_an_unknown_name_tells_the_nearest_and_then_all_in_their_own_order() -> None:
    assert did_you_mean("formt", {"path": 1, "format": 2}) == "; did you mean format? Known: path, format"


def test_where_no_name_is_known_none_is_meant() -> None:
    assert did_you_mean("format", []) == ""
