"""`rerank-eval data` says what files are, and its section is pasted and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pipelines.base.config import load_config
from pipelines.job.describe_data import print_description
from pipelines.job.dry_run import make_plan
from stages.core.errors import DataError

REQUEST = {
    "query": {"text": "why does it rain", "qid": 7},
    "candidates": [{"docid": "d1", "score": 2.0, "doc": {"contents": "Clouds.", "title": "Rain"}}],
}
LABELLED = {"query": "why", "pos": ["a"], "neg": [f"text {number}" for number in range(150)]}


def pasted(folder: Path, printed: str) -> Path:
    """What was printed from `data:` on, in a config."""
    path = folder / "pasted.yaml"
    path.write_text(printed[printed.index("data:\n") :] + "model:\n  name: overlap\n")
    return path


@pytest.mark.parametrize("row", [REQUEST, LABELLED, {"question": "why", "contexts": ["a", "b"]}])
def test_the_section_it_prints_is_pasted_and_dry_run(
    row: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some rows: '#1'.jsonl"
    path.write_text(json.dumps(row) + "\n")
    print_description([path], as_json=False)
    plan = make_plan(load_config(pasted(tmp_path, capsys.readouterr().out)))
    assert (plan["queries"], plan["set_aside_rows"]) == (1, 0)


def test_the_demos_folder_is_told_with_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_description([Path("configs/demo").resolve()], as_json=False)
    printed = capsys.readouterr().out
    assert "a BEIR collection\n  holds     76 queries, 868 documents, 76 judged queries, 617 judgements\n" in printed
    assert make_plan(load_config(pasted(tmp_path, printed)))["pairs"] == 3224


def test_json_has_the_same_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.trec"
    path.write_text("q1 Q0 a 1 2 x\nq1 Q0 a one two x\n")
    print_description([path], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["files"][0]["counts"] == {"queries": 1, "candidates": 1, "longest list": 1}
    assert told["files"][0]["set_aside"] == {"score is not a finite number": 1}
    assert told["section"]["missing"] == ["queries", "documents", "qrels"]


def test_what_is_missing_stands_above_the_section_as_a_comment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.trec"
    path.write_text("q1 Q0 a 1 2 x\n")
    print_description([path], as_json=False)
    printed = capsys.readouterr().out
    assert "# Not whole yet: give the files of data.queries, data.documents, data.qrels as well" in printed
    assert yaml.safe_load(printed[printed.index("# Not") :]) == {"data": {"format": "trec", "run": str(path)}}


def test_where_nothing_can_be_read_one_line_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "picture.jsonl"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"picture.jsonl.*PNG"):
        print_description([path], as_json=False)
    assert capsys.readouterr().out == ""
