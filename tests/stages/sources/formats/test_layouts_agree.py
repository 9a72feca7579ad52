"""One real collection in each layout: the same candidates, texts and judgements, and so the same first stage."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import ir_datasets
import pytest
from ir_datasets.formats import TrecQrels, TrecScoredDocs, TsvDocs, TsvQueries
from ir_datasets.util import LocalDownload
from ranx.io import save_json

from stages.core.records import Judgements
from stages.quality.evaluate import evaluate
from stages.sources.trec import read_qrels, read_trec_run
from tests.prepared import Taken, taken

SCIFACT = Path(__file__).parents[5] / "shared" / "data" / "scifact"
NDCG = 0.6777  # trec_eval's ndcg_cut_10 of this run
pytestmark = pytest.mark.skipif(not SCIFACT.is_dir(), reason=f"{SCIFACT} is not here")

Given = dict[str, Any]


def records(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SCIFACT / name).read_text("utf-8").splitlines()]


def text(document: dict[str, Any]) -> str:
    return f"{document['title']} {document['text']}".strip()


def run() -> dict[str, dict[str, float]]:
    lists = read_trec_run(SCIFACT / "runs" / "bm25.trec", None, pytest.fail)
    return {query_id: dict(zip(one.doc_ids, one.scores, strict=True)) for query_id, one in lists.items()}


def tsv(folder: Path) -> Path:
    folder.mkdir()
    (folder / "collection.tsv").write_text("".join(f"{one['_id']}\t{text(one)}\n" for one in records("corpus.jsonl")))
    (folder / "queries.tsv").write_text("".join(f"{one['_id']}\t{one['text']}\n" for one in records("queries.jsonl")))
    grades = read_qrels(SCIFACT / "qrels" / "test.tsv", pytest.fail).grades
    rows = [(query_id, "0", doc_id, grade) for query_id, docs in grades.items() for doc_id, grade in docs.items()]
    with (folder / "qrels.tsv").open("w") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)
    return folder


def beir(_: Path) -> Given:
    return {"format": "beir", "path": str(SCIFACT), "run": SCIFACT / "runs" / "bm25.trec"}


def ranx_json(folder: Path) -> Given:
    save_json(run(), folder / "run.json")
    return {**beir(folder), "run": folder / "run.json"}


def msmarco(folder: Path) -> Given:
    return {"format": "msmarco", "path": str(tsv(folder / "ms")), "run": SCIFACT / "runs" / "bm25.trec"}


def mteb(folder: Path) -> Given:
    grades = read_qrels(SCIFACT / "qrels" / "test.tsv", pytest.fail).grades
    tables = {
        "corpus": records("corpus.jsonl"),
        "queries": records("queries.jsonl"),
        "default": [
            {"query-id": query_id, "corpus-id": doc_id, "score": grade}
            for query_id, docs in grades.items()
            for doc_id, grade in docs.items()
        ],
        "top_ranked": [{"query-id": query_id, "corpus-ids": list(scores)} for query_id, scores in run().items()],
    }
    for config, rows in tables.items():
        kept = [{key: value for key, value in row.items() if key != "metadata"} for row in rows]
        datasets.DatasetDict({"test": datasets.Dataset.from_list(kept)}).save_to_disk(folder / config)
    return {"format": "mteb", "path": str(folder)}


def irds(folder: Path) -> Given:
    files = tsv(folder / "irds")
    parts = TsvDocs(LocalDownload(files / "collection.tsv")), TsvQueries(LocalDownload(files / "queries.tsv"))
    scored = TrecScoredDocs(LocalDownload(SCIFACT / "runs" / "bm25.trec", mkdir=False))
    qrels = TrecQrels(LocalDownload(files / "qrels.tsv"), {})
    ir_datasets.registry.register("local/scifact", ir_datasets.Dataset(*parts, qrels, scored))
    return {"format": "ir_datasets", "path": "local/scifact"}


@pytest.fixture(scope="module")
def expected() -> Taken:
    return taken(**beir(Path()))


@pytest.fixture(autouse=True)
def _unregistered() -> Iterator[None]:
    yield
    ir_datasets.registry._registered.pop("local/scifact", None)


@pytest.mark.parametrize("layout", [beir, ranx_json, msmarco, mteb, irds])
def test_a_collection_is_the_same_in_each_layout(
    tmp_path: Path, expected: Taken, layout: Callable[[Path], Given]
) -> None:
    found = taken(**layout(tmp_path))
    assert found.set_aside == found.remarks == []
    assert (found.lists(), found.texts(), found.grades) == (expected.lists(), expected.texts(), expected.grades)
    assert {one.query_id: one.query for one in found.candidates.values()} == {
        one.query_id: one.query for one in expected.candidates.values()
    }
    lists = {query_id: tuple(doc_ids) for query_id, doc_ids in found.lists().items()}
    assert round(evaluate(lists, Judgements(found.grades), ("ndcg@10",)).mean("ndcg@10"), 4) == NDCG
