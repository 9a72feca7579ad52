"""Where relevant documents stand apart from others, their order is no first stage, and tells nothing of the labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.prepare import prepare_all
from stages.core.records import Candidates, SetAside
from stages.sources import DataSettings, Source, open_source
from tests.examples import examples

TEXTS = st.lists(st.text("abc ", min_size=1, max_size=6).filter(str.strip), min_size=2, max_size=6, unique=True)


def source_of(folder: Path, form: str, *rows: object, **more: object) -> Source:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_source(DataSettings.model_validate({"format": form, "path": str(path), **more}))


def prepared(source: Source) -> list[Candidates]:
    aside: list[SetAside] = []
    found = list(prepare_all(source.queries(aside.append), None, aside.append))
    assert aside == []
    return found


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, data=st.data())
def test_the_order_is_the_same_whichever_texts_are_relevant(
    texts: list[str], data: st.DataObject, tmp_path: Path
) -> None:
    cut = data.draw(st.integers(1, len(texts) - 1))
    mixed = data.draw(st.permutations(texts))
    orders = []
    for some in (texts, mixed):
        source = source_of(tmp_path, "flagembedding", {"query": "q", "pos": some[:cut], "neg": some[cut:]})
        (one,) = prepared(source)
        orders.append(one.texts)
        grades = source.judgements(lambda _: None).grades["q1"]
        assert {doc_id for doc_id, grade in grades.items() if grade} == {
            doc_id for doc_id, text in zip(one.doc_ids, one.texts, strict=True) if text in some[:cut]
        }
    assert orders[0] == orders[1]


def test_a_teachers_scores_are_no_first_stage(tmp_path: Path) -> None:
    row = {"query": "why", "pos": ["Clouds."], "neg": ["Sun.", "Moon."], "pos_scores": [0.9], "neg_scores": [0.1, 0.2]}
    source = source_of(tmp_path, "flagembedding", row)
    assert prepared(source)[0].scores == (-1.0, -2.0, -3.0)
    (meeting,) = source.meetings().values()
    (remark,) = meeting.remarks()
    assert remark.startswith("the first stage has no order (relevant documents stand apart from the others)")


def test_a_depth_that_would_choose_by_chance_is_refused(tmp_path: Path) -> None:
    source = source_of(tmp_path, "flagembedding", {"query": "why", "pos": ["a"], "neg": ["b", "c"]}, depth=2)
    with pytest.raises(DataError, match=r"rows.jsonl:1: 3 candidates in no order .*Set data.depth to null"):
        source.meetings()


def test_tevatrons_training_rows_keep_their_ids_and_titles(tmp_path: Path) -> None:
    row = {
        "query_id": "1",
        "query": "why",
        "positive_passages": [{"docid": "2", "title": "T", "text": "x", "score": 9.0}],
        "negative_passages": [{"docid": "3", "title": "", "text": "y"}],
    }
    source = source_of(tmp_path, "tevatron", row)
    (one,) = prepared(source)
    assert dict(zip(one.doc_ids, one.texts, strict=True)) == {"2": "T x", "3": "y"}
    assert source.judgements(lambda _: None).grades == {"1": {"2": 1, "3": 0}}


def test_ranked_rows_of_sentence_transformers_keep_their_order_and_count_what_was_not_retrieved(tmp_path: Path) -> None:
    row = {"query": "why", "positive": ["A", "C"], "documents": ["B", "A"]}
    source = source_of(tmp_path, "sentence_transformers", row)
    (one,) = prepared(source)
    assert (one.texts, one.scores) == (("B", "A"), (-1.0, -2.0))
    grades = source.judgements(lambda _: None).grades["q1"]
    assert sorted(grades.values()) == [0, 1, 1]
    assert [grades[doc_id] for doc_id in one.doc_ids] == [0, 1]
    assert list(source.meetings()["first_stage"].remarks()) == []


@pytest.mark.parametrize("positive", ["A", ["A"]])
def test_one_positive_may_stand_alone(positive: object, tmp_path: Path) -> None:
    source = source_of(tmp_path, "sentence_transformers", {"query": "why", "positive": positive, "negative": ["B"]})
    grades = source.judgements(lambda _: None).grades["q1"]
    assert {
        text: grades[doc_id] for one in prepared(source) for doc_id, text in zip(one.doc_ids, one.texts, strict=True)
    } == {
        "A": 1,
        "B": 0,
    }


def test_mteb_says_as_well_that_it_has_no_first_stage(tmp_path: Path) -> None:
    source = source_of(tmp_path, "mteb", {"query": "why", "positive": ["A"], "negative": ["B"]})
    assert "no order" in next(source.meetings()["first_stage"].remarks())
