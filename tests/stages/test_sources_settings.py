from __future__ import annotations

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


def test_unknown_keys_and_impossible_numbers_are_refused() -> None:
    for wrong in ({"dpth": 3}, {"depth": 0}, {"limit": 0}, {"format": "csv"}, {"path": ""}):
        with pytest.raises(ValidationError):
            DataSettings.model_validate({"format": "jsonl", "path": "x", **wrong})


def test_settings_survive_being_written_and_read_with_every_default_spelled_out() -> None:
    settings = DataSettings(format="jsonl", path="x", columns={"query": "question"}, depth=None)
    assert DataSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_every_field_has_a_description_for_the_reference() -> None:
    assert [name for name, field in DataSettings.model_fields.items() if not field.description] == []
