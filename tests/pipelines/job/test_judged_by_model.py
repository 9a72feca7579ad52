"""A whole job whose qrels say who judged: what it leaves on disk, and on the terminal, says so too."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.judging.existing import existing_judgements
from pipelines.runs.read import read_run_folder, verdict
from serve_app.settings import OVERLAP
from stages.files.judgements import read_judgements

ROOT = Path(__file__).parents[3]
JUDGE = "Qwen/Qwen3-8B@0123456789ab"
QUERIES, BY_PEOPLE = 40, 25


def data(folder: Path) -> dict[str, Any]:
    """Of each query one document has its word; the judge errs in a fifth of the pairs."""
    rng, rows, qrels = random.Random(3), [], ["query-id\tcorpus-id\tscore\tjudged-by\tby-model"]
    for number in range(QUERIES):
        query_id, right = f"q{number:02}", rng.randrange(6)
        documents = [
            {"doc_id": f"d{place}", "text": f"word{number} it is" if place == right else f"nothing {place}"}
            for place in range(6)
        ]
        rows.append(json.dumps({"query_id": query_id, "query": f"word{number}", "documents": documents}))
        for place in range(6):
            truth = 3 if place == right and rng.random() < 0.9 else rng.randrange(2)
            said = truth if rng.random() < 0.8 else rng.randrange(4)
            whose = f"{truth}\tpeople" if number < BY_PEOPLE else f"{said}\tmodel:{JUDGE}"
            qrels.append(f"{query_id}\td{place}\t{whose}\t{said}")
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "qrels.tsv").write_text("\n".join(qrels) + "\n", encoding="utf-8")
    return {"format": "jsonl", "path": str(folder / "rows.jsonl"), "qrels": str(folder / "qrels.tsv")}


@pytest.mark.heavy
def test_a_run_that_a_model_judged_says_so_wherever_its_numbers_are(tmp_path: Path) -> None:
    config = {
        "data": data(tmp_path),
        "model": {"name": OVERLAP},
        "evaluate": {"metrics": ["ndcg@5", "mrr"]},
        "tracking": {"uri": None},
        "output": {"dir": str(tmp_path / "results")},
    }
    (tmp_path / "run.yaml").write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", "--config", str(tmp_path / "run.yaml")],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "quality, by model judgement" in done.stdout
    run = read_run_folder(tmp_path / "results" / "latest")
    judged = run.metrics["judgements"]
    assert (judged["by"], judged["judge"]) == ("both", JUDGE)
    assert (judged["queries_by_people"], judged["queries_by_model"]) == (BY_PEOPLE, QUERIES - BY_PEOPLE)
    change = run.metrics["inference"]["ndcg_at_5"]["delta"]
    assert change["low"] is not None and change["mean"] is not None and change["high"] is not None
    assert change["low"] < change["mean"] < change["high"]
    assert change["low"] > 0
    assert (verdict(run.analysis) or "").startswith("ndcg@5 rises by")
    assert "By people's grades of" in (verdict(run.analysis) or "")
    assert read_judgements(run.folder.judgements).judge == JUDGE
    page = run.folder.report.read_text(encoding="utf-8")
    assert "How far to believe the judge?" in page
    assert page.count("By model judgement") >= 5
    people = existing_judgements([run], None)
    assert len(people.grades) == BY_PEOPLE
    assert "that Qwen/Qwen3-8B@0123456789ab judged, not people, are not used" in people.remarks[-1]


def test_a_plan_takes_people_s_grades_of_a_file_and_no_others(tmp_path: Path) -> None:
    data(tmp_path)
    found = existing_judgements([], tmp_path / "qrels.tsv")
    assert len(found.grades) == BY_PEOPLE
    assert found.remarks[-1].startswith(f"{tmp_path / 'qrels.tsv'}: 90 pairs that {JUDGE} judged")
