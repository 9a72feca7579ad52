from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.core.order import trec_positions
from stages.core.prepare import as_id, id_fault, prepare, prepare_all
from stages.core.records import Candidates, Location, RawDocument, RawQuery, SetAside

HERE = Location("data.jsonl", 3)


def document(doc_id: object, score: object = None, text: object = "some text") -> RawDocument:
    return RawDocument(doc_id, text, score, HERE)


def raw_query(*documents: RawDocument, query: object = "why", query_id: object = "q", **more: object) -> RawQuery:
    return RawQuery(query_id, query, documents, HERE, **more)  # type: ignore[arg-type]


def prepared(raw: RawQuery, depth: int | None = None) -> tuple[Candidates | None, list[SetAside]]:
    aside: list[SetAside] = []
    return prepare(raw, depth, aside.append), aside


def reasons(aside: list[SetAside]) -> list[str]:
    return [row.reason for row in aside]


def test_equal_scores_are_ordered_by_document_id_descending() -> None:
    assert trec_positions(["a", "c", "b", "z"], [1.0, 1.0, 1.0, 0.5]) == (1, 2, 0, 3)


def test_scores_that_are_equal_in_single_precision_tie_as_in_trec_eval() -> None:
    assert trec_positions(["a", "b"], [1.00000001, 1.0]) == (1, 0)


def test_ids_are_compared_as_utf8_bytes() -> None:
    ids = ["z", "é", "\U0001f600", "\uffee"]
    by_bytes = sorted(ids, key=lambda doc_id: doc_id.encode("utf-8"), reverse=True)
    assert [ids[i] for i in trec_positions(ids, [0.0] * 4)] == by_bytes


def test_a_score_too_large_for_single_precision_still_ranks_first() -> None:
    assert trec_positions(["a", "b"], [1.0, 1e300]) == (1, 0)


@given(st.lists(st.tuples(st.text(max_size=3), st.floats(allow_nan=False, width=32)), max_size=20))
def test_the_order_is_that_of_a_stable_sort_on_score_and_bytes(rows: list[tuple[str, float]]) -> None:
    def key(i: int) -> tuple[float, bytes, int]:
        return rows[i][1], rows[i][0].encode("utf-8"), -i

    expected = sorted(range(len(rows)), key=key, reverse=True)
    assert list(trec_positions([r[0] for r in rows], [r[1] for r in rows])) == expected


def test_ids_become_strings_and_missing_ones_none() -> None:
    given_ids = ["a", 7, 7.0, 7.5, True, None, "", " ", ["a"], math.inf]
    assert [as_id(value) for value in given_ids] == ["a", "7", "7", None, None, None, None, None, None, None]


def test_numbers_of_numpy_and_decimals_are_ids_where_they_are_whole() -> None:
    whole = [np.int64(7), np.uint8(7), np.float32(7), np.float64(7), Decimal("7.00"), Decimal(10**30)]
    assert [as_id(value) for value in whole] == ["7"] * 5 + [str(10**30)]
    none = [np.float32(7.5), np.bool_(True), Decimal("7.5"), Decimal("NaN"), Decimal("Infinity"), 2.0**53, 1e300]
    assert [as_id(value) for value in none] == [None] * len(none)


@given(st.integers() | st.floats() | st.decimals() | st.uuids() | st.dates() | st.datetimes() | st.text())
def test_what_is_no_id_has_a_reason_and_what_is_one_is_told_from_every_other(value: object) -> None:
    found = as_id(value)
    if found is None:
        assert id_fault("query id", value).startswith("query id ")
    elif isinstance(value, int | float | Decimal):
        assert int(found) == value
    else:
        assert type(value)(found) == value if isinstance(value, str | UUID) else date.fromisoformat(found) == value


def test_documents_come_in_trec_positions_and_the_rest_is_the_tail() -> None:
    candidates, aside = prepared(raw_query(document("a", 1), document(2, 3.5), document("c", 2)), depth=2)
    assert candidates == Candidates("q", "why", ("2", "c"), ("some text",) * 2, (3.5, 2.0), tail=("a",))
    assert aside == []


def test_without_scores_the_given_order_counts() -> None:
    candidates, _ = prepared(raw_query(document("a"), document("z"), document("b")), depth=2)
    assert candidates == Candidates("q", "why", ("a", "z"), ("some text",) * 2, (-1.0, -2.0), tail=("b",))
    assert candidates.order_only


def test_instruction_and_attributes_are_kept_and_a_blank_instruction_is_none() -> None:
    kept, _ = prepared(raw_query(document("a"), instruction="find it", attributes={"language": "de"}))
    blank, _ = prepared(raw_query(document("a"), instruction=" "))
    assert kept and (kept.instruction, kept.attributes) == ("find it", {"language": "de"})
    assert blank and blank.instruction is None


def test_each_unusable_document_is_set_aside_with_its_reason() -> None:
    raw = raw_query(
        document("good", 9),
        document("good", 8),
        document(None, 7),
        document("nan", math.nan),
        document("text", "high"),
        document("bool", True),
        document("huge", 10**400),
        document("unscored"),
        document("lost", 6, None),
        document("number", 5, 12),
        document("blank", 4, " \n"),
        document("broken", 3, "\ud800"),
        document("bad \ud800", 2),
    )
    candidates, aside = prepared(raw)
    assert candidates and candidates.doc_ids == ("good",)
    assert {(row.doc_id, row.reason) for row in aside} == {
        ("nan", "score is not a finite number: nan"),
        ("text", "score is not a finite number: 'high'"),
        ("bool", "score is not a finite number: True"),
        ("huge", "score is not a finite number: 1000000000000000000000000000000000000000"),
        ("unscored", "no score"),
        ("good", "duplicate document id within the query"),
        (None, "document id missing"),
        ("lost", "document lost is not in the corpus"),
        ("number", "text is not a string but int"),
        ("blank", "no text"),
        ("broken", "text cannot be encoded as UTF-8"),
        ("bad \ud800", "document id cannot be encoded as UTF-8"),
    }
    assert all(row.where == HERE and row.query_id == "q" for row in aside)


def test_a_duplicate_keeps_the_first_by_score_not_by_position() -> None:
    candidates, _ = prepared(raw_query(document("a", 1, "worse"), document("a", 2, "better")))
    assert candidates and candidates.texts == ("better",)


def test_nothing_is_pulled_up_from_below_the_depth() -> None:
    raw = raw_query(document("a", 5), document("b", 4, ""), document("c", 3), document("d", 2))
    candidates, aside = prepared(raw, depth=2)
    assert candidates and (candidates.doc_ids, candidates.tail) == (("a",), ("c", "d"))
    assert reasons(aside) == ["no text"]


def test_a_document_without_a_text_keeps_its_place_in_the_list() -> None:
    raw = raw_query(document("a", 5, None), document("b", 4), document("c", 3, 12), document("d", 2, None))
    candidates, aside = prepared(raw, depth=3)
    assert candidates and candidates.doc_ids == ("b",)
    assert (candidates.top, candidates.first_stage()) == (("a", "b", "c"), ("a", "b", "c", "d"))
    assert reasons(aside) == ["document a is not in the corpus", "text is not a string but int"]


def test_an_order_that_is_told_counts_whatever_the_scores_say() -> None:
    documents = [document("a", 0), document("z", 0), document("b", 1)]
    candidates, _ = prepared(raw_query(*documents, order_only=True))
    assert candidates and (candidates.doc_ids, candidates.scores) == (("a", "z", "b"), (-1.0, -2.0, -3.0))
    by_score, _ = prepared(raw_query(*documents))
    assert by_score and (by_score.doc_ids, by_score.order_only) == (("b", "z", "a"), False)


def test_a_document_without_id_takes_its_place_before_it_is_set_aside() -> None:
    candidates, _ = prepared(raw_query(document("a"), document(None), document("c")), depth=2)
    assert candidates and (candidates.doc_ids, candidates.tail) == (("a",), ("c",))


def test_the_tail_of_a_source_follows_and_needs_no_text() -> None:
    raw = raw_query(document("a", 5), document("b", 4), tail=(document("c", 3, None), document("a", 2, None)))
    candidates, aside = prepared(raw, depth=1)
    assert candidates and (candidates.doc_ids, candidates.tail) == (("a",), ("b", "c"))
    assert reasons(aside) == ["duplicate document id within the query"]


def test_no_depth_never_reranks_the_tail_of_a_source() -> None:
    candidates, aside = prepared(raw_query(document("a", 5), tail=(document("c", 3, None),)), depth=None)
    assert candidates and (candidates.doc_ids, candidates.tail, aside) == (("a",), ("c",), [])


def test_a_query_without_an_id_or_a_list_is_set_aside_as_a_whole() -> None:
    cases = {
        "query id missing": raw_query(document("a"), query_id=None),
        "query id cannot be encoded as UTF-8": raw_query(document("a"), query_id="\udfff"),
        "no usable document among its candidates": raw_query(),
    }
    for reason, raw in cases.items():
        candidates, aside = prepared(raw)
        assert candidates is None
        assert reasons(aside) == [reason]


def test_of_a_query_that_cannot_be_asked_the_list_stays_and_nothing_is_to_be_scored() -> None:
    cases = {
        "unknown query: no text for this id": raw_query(document("a"), query=None),
        "query is not a string but list": raw_query(document("a"), query=["why"]),
        "empty query": raw_query(document("a"), query=" "),
        "instruction is not a string but int": raw_query(document("a"), instruction=5),
        "query, instruction or attribute cannot be encoded as UTF-8": raw_query(document("a"), query="\udfff"),
    }
    for reason, raw in cases.items():
        candidates, aside = prepared(raw)
        assert candidates and (candidates.query, candidates.doc_ids, candidates.listed) == ("", (), ("a",))
        assert reasons(aside) == [reason]


def test_a_query_id_that_was_met_before_is_set_aside() -> None:
    aside: list[SetAside] = []
    raws = [raw_query(document("a"), query_id=1), raw_query(document("b"), query_id="1")]
    assert [c.doc_ids for c in prepare_all(raws, None, aside.append)] == [("a",)]
    assert reasons(aside) == ["duplicate query id"]


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.lists(st.none())
)
OF_QUERIES = {"empty query", "unknown query: no text for this id"}
documents = st.builds(RawDocument, anything, anything, anything, st.just(HERE))


@given(
    st.builds(RawQuery, anything, anything, st.lists(documents, max_size=6).map(tuple), st.just(HERE), anything),
    st.none() | st.integers(1, 4),
)
def test_whatever_a_source_reads_candidates_are_valid_or_a_reason_is_given(raw: RawQuery, depth: int | None) -> None:
    candidates, aside = prepared(raw, depth)
    if candidates is None:
        assert aside
        return
    ids = candidates.first_stage()
    assert len(ids) > 0
    assert len(candidates.top) <= (depth or 6)
    assert len(candidates.doc_ids) == len(candidates.texts) == len(candidates.scores)
    assert [doc_id for doc_id in candidates.top if doc_id in candidates.doc_ids] == list(candidates.doc_ids)
    assert len(set(ids)) == len(ids)
    lost = [
        row
        for row in aside
        if row.reason not in OF_QUERIES and (row.doc_id not in candidates.top or row.reason.startswith("duplicate"))
    ]
    assert len(ids) + len(lost) >= len(raw.documents)
    assert all(map(math.isfinite, candidates.scores))
    assert trec_positions(candidates.doc_ids, candidates.scores) == tuple(range(len(candidates.doc_ids)))
    "".join((candidates.query_id, candidates.query, *ids, *candidates.texts)).encode("utf-8")
