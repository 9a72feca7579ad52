"""A first stage is measured as it was given, whatever of it has no text; what could not be scored stands behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import load_config
from pipelines.job.console import JobConsole
from pipelines.job.dry_run import make_plan
from pipelines.job.evaluate_files import evaluate_run
from pipelines.job.run import run
from pipelines.runs.finished import open_folder
from pipelines.runs.folder import RunFolder
from pipelines.runs.report import run_report
from stages.files.rankings import read_rankings
from stages.files.tables import read_candidates
from stages.report.markdown import to_markdown
from stages.sources.trec import read_trec_run

pytestmark = pytest.mark.heavy

WriteConfig = Callable[[dict[str, Any]], Path]
DEMO = Path(__file__).parents[3] / "configs" / "demo"
METRICS = ["ndcg@10", "mrr"]


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """The demo without each fifth text, and without the text of one query."""
    folder = tmp_path / "demo"
    shutil.copytree(DEMO, folder)
    lines = (folder / "corpus.jsonl").read_text().splitlines(keepends=True)
    (folder / "corpus.jsonl").write_text("".join(line for place, line in enumerate(lines) if place % 5))
    queries = (folder / "queries.jsonl").read_text().splitlines(keepends=True)
    (folder / "queries.jsonl").write_text("".join(queries[1:]))
    return folder


def sections(folder: Path, **data: Any) -> dict[str, Any]:
    return {
        "data": {"format": "beir", "path": str(folder), "depth": 20} | data,
        "model": {"name": "overlap"},
        "evaluate": {"metrics": METRICS},
    }


def told(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.metrics.read_text())
    return content


def evaluated(run_file: Path, folder: Path) -> dict[str, float]:
    """As `rerank-eval evaluate` says, under the keys of metrics.json."""
    means: dict[str, float] = evaluate_run(run_file, folder / "qrels" / "test.tsv", METRICS).summary()["means"]
    return means


def test_the_first_stage_has_the_numbers_that_evaluate_gives_its_file(
    local_ray: None, write_config: WriteConfig, collection: Path
) -> None:
    bm25 = collection / "runs" / "bm25.trec"
    config = load_config(write_config(sections(collection, run=str(bm25))))
    folder = run(config, JobConsole(quiet=True))
    metrics, plan = told(folder), make_plan(config)
    assert metrics["quality"]["first_stage"] == pytest.approx(evaluated(bm25, collection))
    assert metrics["quality"]["reranked"] == pytest.approx(evaluated(folder.trec_run, collection)), "run.trec has all"

    coverage = metrics["coverage"]
    assert (coverage["queries"], coverage["unanswered"], coverage["failed_pairs"]) == (76, 1, 0)
    tops = {query_id: len(one.doc_ids[:20]) for query_id, one in read_trec_run(bm25, None, lambda _: None).items()}
    (silent,) = (one for one in read_candidates(folder.candidates) if not one.query)
    assert coverage["pairs"] + coverage["unasked_pairs"] == sum(tops.values())
    assert coverage["unasked_pairs"] > sum(tops.values()) // 10
    assert (plan["pairs"], plan["unasked_pairs"]) == (coverage["pairs"], coverage["unasked_pairs"])

    remarks = json.loads(folder.analysis.read_text())["remarks"]
    assert [remark.split(", such as")[0] for remark in remarks][-2:] == [
        f"{coverage['unasked_pairs'] - tops[silent.query_id]:,} of {sum(tops.values()):,} candidates had no text",
        "1 of 76 queries could not be asked",
    ]
    report = to_markdown(run_report(open_folder(folder.path).content))
    assert f"less {coverage['unasked_pairs']:,} candidates that nothing could score" in report
    assert "Nothing here speaks against the scores" not in report


def test_each_list_holds_what_it_was_given_with_the_unscored_behind_in_their_old_order(
    local_ray: None, write_config: WriteConfig, collection: Path
) -> None:
    bm25 = collection / "runs" / "bm25.trec"
    half = collection / "half.trec"
    half.write_text("".join(bm25.read_text().splitlines(keepends=True)[::2]))
    given = {"bm25": bm25, "half": half}
    job = run(
        load_config(write_config(sections(collection, runs={name: str(path) for name, path in given.items()}))),
        JobConsole(quiet=True),
    )
    for name, path in given.items():
        folder = job.child(name)
        assert told(folder)["quality"]["first_stage"] == pytest.approx(evaluated(path, collection)), name
        assert told(folder)["quality"]["reranked"] == pytest.approx(evaluated(folder.trec_run, collection)), name
        rankings = {ranking.query_id: ranking for ranking in read_rankings(folder.rankings)}
        for candidates in read_candidates(folder.candidates):
            ranking = rankings[candidates.query_id]
            behind = [doc_id for doc_id in candidates.top if doc_id not in ranking.doc_ids]
            assert ranking.ordered() == (*ranking.doc_ids, *behind, *candidates.tail)
            assert set(ranking.doc_ids) == set(candidates.doc_ids)
