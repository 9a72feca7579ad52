"""A source tells how far its candidates, judgements, queries and corpus are about the same, whatever `data.limit`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stages.core.errors import DataError
from stages.core.meeting import Meeting
from stages.sources import FIRST_STAGE, DataSettings, open_source

Row = Mapping[str, Any]


def collection(folder: Path, **changed: str) -> DataSettings:
    """Three queries of two documents each; q3 is retrieved and not judged, q4 judged and not retrieved."""
    files = {
        "documents.tsv": "".join(f"d{n}\ttext {n}\n" for n in range(1, 7)),
        "queries.tsv": "".join(f"q{n}\tquery {n}\n" for n in range(1, 5)),
        "run.trec": "".join(f"q{n} Q0 d{2 * n - 1 + m} 1 {9 - m} x\n" for n in range(1, 4) for m in range(2)),
        "qrels.txt": "q1 0 d1 1\nq2 0 d4 1\nq4 0 d6 1\n",
    }
    names = {name.partition(".")[0]: name for name in files}
    for name, text in files.items():
        (folder / name).write_text(changed.get(name.partition(".")[0], text))
    places = {name: folder / file for name, file in names.items()}
    return DataSettings.model_validate({"format": "trec", **places})


def rows(folder: Path, rows: Sequence[Row], qrels: str | None = None) -> DataSettings:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given: dict[str, Any] = {"format": "jsonl", "path": str(path)}
    if qrels is not None:
        (folder / "qrels.txt").write_text(qrels)
        given["qrels"] = folder / "qrels.txt"
    return DataSettings.model_validate(given)


def refusal(settings: DataSettings) -> str:
    with pytest.raises(DataError) as raised:
        open_source(settings).meetings()
    told = str(raised.value)
    assert "\n" not in told
    return told


@pytest.mark.parametrize("limit", [None, 1])
def test_a_collection_that_meets_in_part_is_counted_whole_whatever_the_limit(limit: int | None, tmp_path: Path) -> None:
    settings = collection(tmp_path).model_copy(update={"limit": limit})
    assert open_source(settings).meetings() == {FIRST_STAGE: Meeting(3, 3, 2, "q4", "q3")}


@pytest.mark.parametrize(
    ("qrels", "told"),
    [
        ("test1 0 d1 1\n", "have no query in common: the one has 'q1', the other 'test1'. Give"),
        ("1 0 d1 1\n2 0 d4 1\n", "the one has 'q1', the other '1', which is the same id in another form"),
        ("q1 0 1 1\n", "'d1' is a candidate, '1' is judged, and none of those judged is in"),
        ("q1 0 msmarco-77 1\n", "'d1' is a candidate, 'msmarco-77' is judged, and none of those judged is in"),
    ],
)
def test_judgements_of_other_queries_or_documents_are_refused_with_an_id_of_each_side(
    qrels: str, told: str, tmp_path: Path
) -> None:
    said = refusal(collection(tmp_path, qrels=qrels))
    assert told in said
    assert str(tmp_path / "run.trec") in said and str(tmp_path / "qrels.txt") in said


def test_judged_documents_of_the_collection_that_were_not_retrieved_are_told_and_not_refused(tmp_path: Path) -> None:
    [meeting] = open_source(collection(tmp_path, qrels="q1 0 d6 1\n")).meetings().values()
    assert meeting.documents is not None and (meeting.documents.candidate, meeting.documents.judged) == ("d1", "d6")
    assert "every value is 0" in list(meeting.remarks())[-1]


def test_of_several_first_stages_each_must_meet_the_judgements(tmp_path: Path) -> None:
    settings = collection(tmp_path)
    other = tmp_path / "other.trec"
    runs = {"one": settings.run, "other": other}
    settings = DataSettings.model_validate(settings.model_dump(exclude={"run"}) | {"runs": runs})
    other.write_text("q1 Q0 d1 1 1 x\n")
    assert open_source(settings).meetings()["other"] == Meeting(1, 3, 1, "q2")
    other.write_text("Q-1 Q0 d1 1 1 x\n")
    assert str(other) in refusal(settings)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"documents": "doc1\ttext\n"}, "has no document that"),
        ({"documents": "doc1\ttext\n"}, "there it is 'doc1', here 'd1'"),
        ({"queries": "1\ttext\n"}, "has no query that"),
        ({"queries": "1\ttext\n"}, "there it is '1', here 'q1'"),
    ],
)
def test_a_corpus_or_a_file_of_queries_that_has_nothing_of_the_run_is_refused(
    changed: dict[str, str], told: str, tmp_path: Path
) -> None:
    settings = collection(tmp_path, **changed)
    with pytest.raises(DataError) as raised:
        list(open_source(settings).queries(lambda _: None))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("limit", [None, 1])
def test_rows_judged_by_a_file_of_other_queries_or_documents_are_refused(limit: int | None, tmp_path: Path) -> None:
    given = [{"query_id": 1, "query": "a", "documents": [{"id": "d1", "text": "x"}]}]
    others = rows(tmp_path, given, "q1 0 d1 1\n").model_copy(update={"limit": limit})
    assert "the one has '1', the other 'q1', which is the same id in another form" in refusal(others)
    others = rows(tmp_path, given, "1 0 1 1\n").model_copy(update={"limit": limit})
    assert "'d1' is a candidate, '1' is judged, the same id in another form" in refusal(others)


def test_a_blank_at_the_end_of_an_id_is_seen(tmp_path: Path) -> None:
    given = [{"query_id": "q1 ", "query": "a", "documents": [{"id": "d1", "text": "x"}]}]
    assert "the one has 'q1 ', the other 'q1', which is the same id in another form" in refusal(
        rows(tmp_path, given, "q1 0 d1 1\n")
    )


def test_rows_that_judge_themselves_tell_the_queries_that_they_do_not_judge(tmp_path: Path) -> None:
    given = [
        {"query_id": "a", "query": "a", "documents": [{"id": "d1", "text": "x", "relevance": 1}]},
        {"query_id": "b", "query": "b", "documents": [{"id": "d1", "text": "x"}]},
    ]
    assert open_source(rows(tmp_path, given)).meetings() == {FIRST_STAGE: Meeting(2, 1, 1, without_judgements="b")}
    assert open_source(rows(tmp_path, given[1:])).meetings() == {}
