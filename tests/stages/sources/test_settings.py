from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from stages.sources import DataSettings

NEEDED: list[tuple[dict[str, object], str]] = [
    ({"format": "beir", "path": "x"}, "data.format beir needs data.path and data.run; data.run not given"),
    ({"format": "trec", "run": "x"}, "data.qrels, data.queries and data.documents not given"),
    ({"format": "jsonl"}, "data.format jsonl needs data.path; data.path not given"),
    ({"format": "parquet"}, "data.format parquet needs data.path"),
    ({"format": "huggingface"}, "data.format huggingface needs data.path"),
    ({"format": "mteb"}, "data.format mteb needs data.path"),
    ({"format": "msmarco"}, "data.format msmarco needs data.path"),
    ({"format": "ir_datasets"}, "data.format ir_datasets needs data.path"),
]


@pytest.mark.parametrize(("given", "said"), NEEDED)
def test_each_format_says_what_it_needs_and_lacks(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DataSettings.model_validate(given)


def test_a_setting_that_the_format_would_ignore_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"data.format jsonl does not use data.run and data.subset; remove it"):
        DataSettings.model_validate({"format": "jsonl", "path": "x", "run": "r", "subset": "s"})


def test_an_unknown_column_of_ours_is_refused_with_the_choices() -> None:
    with pytest.raises(ValidationError, match=r"data.columns: unknown question. Choose from: query_id, query, "):
        DataSettings(format="jsonl", path="x", columns={"question": "query"})


@pytest.mark.parametrize("form", ["langchain", "llamaindex", "haystack"])
def test_of_a_tools_dumps_only_what_is_looked_up_can_be_mapped(form: str) -> None:
    DataSettings.model_validate({"format": form, "path": "x", "columns": {"doc_id": "source", "query": "ask"}})
    with pytest.raises(ValidationError, match=r"data.columns: unknown relevance. Choose from: query_id, query, "):
        DataSettings.model_validate({"format": form, "path": "x", "columns": {"relevance": "grade"}})


def test_columns_of_a_collection_are_the_keys_of_its_texts_and_those_of_its_runs() -> None:
    given = {"format": "beir", "path": "x", "run": "r"}
    columns = {"doc_id": "docid", "text": "body"}
    settings = DataSettings.model_validate({**given, "columns": columns, "run_columns": ["query_id", "doc_id", "rank"]})
    assert DataSettings.model_validate(settings.model_dump(mode="json")) == settings
    with pytest.raises(
        ValidationError, match=r"data.columns: unknown score. Choose from: query_id, query, instruction"
    ):
        DataSettings.model_validate({**given, "columns": {"score": "s"}})
    with pytest.raises(ValidationError, match=r"'docid' is no column of a run; choose from query_id, doc_id, score"):
        DataSettings.model_validate({**given, "run_columns": ["query_id", "docid", "rank"]})
    with pytest.raises(ValidationError, match=r"data.format jsonl does not use data.run_columns; remove it"):
        DataSettings.model_validate({"format": "jsonl", "path": "x", "run_columns": ["query_id", "doc_id"]})


def test_several_runs_take_the_place_of_one() -> None:
    runs = {"bm25": Path("a.trec"), "dense-v1.5_x": Path("b.trec")}
    assert DataSettings.model_validate({"format": "beir", "path": "x", "runs": runs}).runs == runs
    with pytest.raises(ValidationError, match=r"data.run not given \(nor data.runs, for several\)"):
        DataSettings.model_validate({"format": "beir", "path": "x"})
    with pytest.raises(ValidationError, match=r"data.run and data.runs are both given; keep data.run for one"):
        DataSettings.model_validate({"format": "beir", "path": "x", "run": "a.trec", "runs": runs})
    with pytest.raises(ValidationError, match=r"data.format jsonl does not use data.runs; remove it"):
        DataSettings.model_validate({"format": "jsonl", "path": "x", "runs": runs})


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a b", "é", "a\n", "x" * 65])
def test_a_runs_name_that_cannot_be_a_folders_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"data.runs: .* cannot name a folder; use up to 64 of"):
        DataSettings.model_validate({"format": "beir", "path": "x", "runs": {name: "a.trec"}})


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        DataSettings.model_validate({"format": "beir", "path": "x", "runs": {}})


def test_unknown_keys_and_impossible_numbers_are_refused() -> None:
    for wrong in ({"dpth": 3}, {"depth": 0}, {"limit": 0}, {"format": "xlsx"}, {"path": ""}):
        with pytest.raises(ValidationError):
            DataSettings.model_validate({"format": "jsonl", "path": "x", **wrong})


def test_settings_survive_being_written_and_read_with_every_default_spelled_out() -> None:
    settings = DataSettings(format="jsonl", path="x", columns={"query": "question"}, depth=None)
    assert DataSettings.model_validate(settings.model_dump(mode="json")) == settings
    several = DataSettings(format="beir", path="x", runs={"bm25": Path("a.trec")})
    assert DataSettings.model_validate(several.model_dump(mode="json")) == several


def test_every_field_has_a_description_for_the_reference() -> None:
    assert [name for name, field in DataSettings.model_fields.items() if not field.description] == []


def test_a_first_stage_that_is_made_stands_alone_or_beside_several() -> None:
    beir = {"format": "beir", "path": "x", "first_stage": "bm25"}
    assert DataSettings.model_validate(beir).bm25.k1 == 0.9
    DataSettings.model_validate(beir | {"runs": {"dense": "a.trec"}})
    refused = [
        (
            {"run": "a.trec"},
            r"data.run and data.first_stage are both given; keep one of them, or give the run as data.runs",
        ),
        ({"runs": {"bm25": "a.trec"}}, r"data.runs: bm25 is the name of the one that data.first_stage makes"),
        ({"depth": None}, r"data.first_stage needs data.depth"),
        ({"bm25": {"top": 50}}, r"data.bm25.top at least as large"),
        ({"bm25": {"k1": -1}}, r"greater than or equal to 0"),
        ({"bm25": {"language": "klingon"}}, r"'english'"),
        ({"format": "jsonl"}, r"data.format jsonl does not use data.first_stage; remove it"),
    ]
    for changed, said in refused:
        with pytest.raises(ValidationError, match=said):
            DataSettings.model_validate(beir | changed)
    with pytest.raises(ValidationError, match=r"data.bm25 is about data.first_stage: bm25; set that, or remove it"):
        DataSettings.model_validate({"format": "beir", "path": "x", "run": "r", "bm25": {"k1": 1.2}})
