"""A job whose data have answers instead of qrels: what it counts is what is counted by hand, and says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from pipelines.base.config import RunConfig
from pipelines.job.console import JobConsole
from pipelines.job.dry_run import make_plan
from pipelines.job.prompt_tokens import token_counter
from pipelines.job.run import run
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_run_folder
from pipelines.runs.report import run_report
from pipelines.tracking.content import run_tags
from pipelines.tracking.values import run_metrics
from pipelines.verdict.runs import Allowed, compare_runs
from serve_app.engine.models import ModelInfo
from stages.core.errors import ConfigError, DataError
from stages.files.rankings import read_rankings
from stages.report.markdown import to_markdown

BUDGET = 40
METRICS = ["answer_recall@1", f"answer_recall@tokens={BUDGET}", "ndcg@10"]
ROWS: list[dict[str, Any]] = [
    {
        "query_id": "rome",
        "query": "the capital city of italy",
        "documents": ["Milan is a large town of Italy, and no more than that.", "Rome is the capital city of Italy."],
        "answers": ["ROME", "Roma"],
    },
    {
        "query_id": "zh",
        "query": "北京 是 什么",
        "documents": ["上海是一座城市。" * 9, "中国的首都是北京。", "北京 是 什么 都"],
        "answers": "首都是北京",
    },
    {"query_id": "none", "query": "a word", "documents": ["a word of it", "another"], "answers": ["Genoa"]},
    {"query_id": "all", "query": "an ox", "documents": ["an ox", "an oxen"], "answers": ["an"]},
    {"query_id": "unjudged", "query": "nobody knows", "documents": ["nobody", "knows"], "answers": None},
]


def config(folder: Path, tokenizer: Path | None, **changed: Any) -> RunConfig:
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    sections: dict[str, Any] = {
        "data": {"format": "jsonl", "path": str(rows), "columns": {"answers": "answers"}},
        "model": {"name": "overlap"},
        "evaluate": {"metrics": METRICS},
        "answers": {"tokenizer": tokenizer and str(tokenizer)},
        "tracking": {"uri": None},
        "output": {"dir": str(folder / "results")},
    }
    return RunConfig.model_validate(sections | changed)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_qwen3: Path) -> RunContent:
    folder = run(config(tmp_path_factory.mktemp("answers"), tiny_qwen3), JobConsole(quiet=True))
    return read_run_folder(folder.path)


def holds(row: dict[str, Any], text: str) -> bool:
    answers = row["answers"] if isinstance(row["answers"], list) else [row["answers"]]
    words = f" {text.lower().replace('.', ' ')} "
    return any(f" {one.lower()} " in words or (not one.isascii() and one in text) for one in answers)


def test_values_are_those_of_a_slow_count_by_hand(done: RunContent, tiny_qwen3: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen3)
    lists = {ranking.query_id: ranking.ordered() for ranking in read_rankings(done.folder.rankings)}
    judged = [row for row in ROWS if row["answers"]]
    assert done.reranked.query_ids == tuple(sorted(row["query_id"] for row in judged))
    for side, values in (("first", done.first_stage), ("reranked", done.reranked)):
        for row in judged:
            texts = {f"d{place}": text for place, text in enumerate(row["documents"], 1)}
            order = list(texts) if side == "first" else list(lists[row["query_id"]])
            within, room = False, BUDGET
            for doc_id in order:
                room -= len(tokenizer(texts[doc_id], add_special_tokens=False)["input_ids"])
                if room < 0:
                    break
                within = within or holds(row, texts[doc_id])
            place = values.query_ids.index(row["query_id"])
            assert values.values[METRICS[1]][place] == within, (side, row["query_id"])
            assert values.values[METRICS[0]][place] == holds(row, texts[order[0]]), (side, row["query_id"])


def test_what_judged_is_told_everywhere(done: RunContent) -> None:
    assert done.metrics["judgements"] == {
        "kind": "answers",
        "match": "tokens",
        "answers": 5,
        "short_answers": 1,
        "queries_in_none": 1,
        "queries_in_all": 1,
    }
    assert run_tags(done)["judgements"] == "answers"
    logged = run_metrics(done.metrics, done.analysis)
    assert logged["judgements/queries_in_none"] == 1
    assert {f"answer_recall_at_tokens_{BUDGET}", f"prompt/saved_tokens_at_{BUDGET}"} <= set(logged)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzS0123456789_/-.") for name in logged)
    told = to_markdown(run_report(done))
    assert "judged by answers (data.columns.answers, matched by tokens), not by qrels" in told
    assert "1 of 4 queries have their answer in none of their candidates, such as 'none' ('Genoa')" in told
    assert "What fits in a prompt?" in told and f"With {BUDGET} tokens the first stage has an answer" in told
    assert done.analysis["prompt"]["tokenizer"] and (done.folder.figures / "prompt.png").is_file()


def test_a_run_by_answers_and_one_by_qrels_are_not_compared_unnoticed(
    done: RunContent, tmp_path: Path, tiny_qwen3: Path
) -> None:
    labelled = [
        {name: row[name] for name in ("query_id", "query", "documents")}
        | {"relevances": [int(bool(row["answers"]) and holds(row, text)) for text in row["documents"]]}
        for row in ROWS
    ]
    rows = tmp_path / "labelled.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in labelled), encoding="utf-8")
    by_qrels = config(
        tmp_path, None, data={"format": "jsonl", "path": str(rows)}, evaluate={"metrics": ["ndcg@10"]}, answers={}
    )
    other = read_run_folder(run(by_qrels, JobConsole(quiet=True)).path)
    assert other.metrics["judgements"] == {"kind": "qrels", "by": "people"}
    with pytest.raises(DataError, match=r"different judgements \(the one by answers, the other by qrels\)"):
        compare_runs([done, other])
    notes = compare_runs([done, other], allowed=Allowed(judgements=True, candidates=True)).notes
    assert any("(the one by answers, the other by qrels)" in note for note in notes)


def test_a_dry_run_judges_as_the_run_does_and_quotes_no_answer_where_texts_are_withheld(
    done: RunContent, tmp_path: Path, tiny_qwen3: Path
) -> None:
    plan = make_plan(config(tmp_path, tiny_qwen3))
    assert (plan["judged_queries"], plan["judged_queries_with_candidates"]) == (4, 4)
    assert plan["remarks"] == done.analysis["remarks"]
    quiet = make_plan(config(tmp_path, tiny_qwen3, output={"dir": str(tmp_path), "texts": False}))
    assert "Genoa" not in str(quiet["remarks"]) and "'none'" in str(quiet["remarks"])


@pytest.mark.parametrize(("api", "whose"), [("cohere", "a hosted model"), (None, "overlap")])
def test_a_budget_of_tokens_needs_a_tokenizer(api: str | None, whose: str, tmp_path: Path, tiny_qwen3: Path) -> None:
    model = ModelInfo("somebody's", "http://there", None, None, 0, None, api=api)
    told = f"answer_recall@tokens={BUDGET} counts tokens, and {whose} has no tokenizer"
    with pytest.raises(ConfigError, match=told):
        token_counter(config(tmp_path, None), model)
    assert token_counter(config(tmp_path, tiny_qwen3), model) is not None
    assert token_counter(config(tmp_path, None, evaluate={"metrics": ["answer_recall@5"]}), model) is None
    with pytest.raises(ConfigError, match=r"^answers.tokenizer: "):
        token_counter(config(tmp_path, tmp_path / "nowhere"), model)


def test_a_run_without_texts_has_no_answer_in_its_folder(tmp_path: Path, tiny_qwen3: Path) -> None:
    made = config(tmp_path, tiny_qwen3, output={"dir": str(tmp_path / "results"), "texts": False})
    folder: RunFolder = run(made, JobConsole(quiet=True))
    for path in folder.path.rglob("*"):
        assert path.is_dir() or b"Genoa" not in path.read_bytes(), path
    assert read_run_folder(folder.path).metrics["judgements"]["queries_in_none"] == 1
