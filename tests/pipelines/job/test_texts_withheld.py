"""`output.texts: false`: no word of a query or document is in anything that a job leaves; the numbers are the same.

Every text holds a word that begins with MARK. The job is a sweep of one point over two first stages, so that all kinds
of folders are there: the sweep's, the run's, those of its first stages, the score store, a copy, MLflow, a comparison.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.base.config import load_config
from pipelines.comparing.command import Wanted, print_comparison
from pipelines.job.console import JobConsole
from pipelines.job.dry_run import make_plan
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_run_folder
from pipelines.runs.report import FORMS, print_report
from pipelines.sweep.sweep import Sweep, SweepOrder, run_sweep
from pipelines.verdict.runs import Allowed
from stages.core.errors import DataError
from stages.core.withheld import text_digest
from stages.files.tables import read_candidates

MARK = "quokka"
QUERIES, DOCUMENTS, DEPTH = 12, 5, 4

pytestmark = pytest.mark.usefixtures("local_ray")


def collection(folder: Path) -> dict[str, Any]:
    """A BEIR folder in which the first stages find the relevant document last; some lines are broken, with a text."""
    queries = [
        {
            "_id": f"q{number}",
            "text": f"red {MARK}query {number}",
            "instruction": f"find {MARK}instruction",
            "metadata": {
                "narrative": f"a {MARK}narrative",
                "topic": f"{MARK}{number}",
                "language": "zh" if number % 2 else "en",
            },
        }
        for number in range(QUERIES)
    ]
    documents = [
        {"_id": f"d{place}", "title": f"{MARK}title", "text": "red " * (place == DEPTH - 1) + f"{MARK}text{place}"}
        for place in range(DOCUMENTS)
    ]
    lists = [f"q{number} Q0 d{place} 1 {-place} x" for number in range(QUERIES) for place in range(DOCUMENTS)]
    broken = [
        f"q0 Q0 d9 1 {MARK}score x",
        "q0 Q0 missing 1 9 x",
        f"{MARK} {MARK}line",
        f"{MARK}a {MARK}b {MARK}c {MARK}d {MARK}e {MARK}f",
        "q99 Q0 d0 1 1 x",
    ]
    files = {
        "queries.jsonl": [*map(json.dumps, queries), json.dumps({"_id": "q99", "text": [f"{MARK}list"]}), f"{{{MARK}"],
        "corpus.jsonl": [*map(json.dumps, documents), f'{{"_id": "d7", "text": {MARK}}}'],
        "qrels/test.tsv": [
            *(f"q{number}\td{DEPTH - 1}\t1" for number in range(QUERIES)),
            f"{MARK} {MARK}a {MARK}grade",
        ],
        "one.trec": [*lists, *broken],
        "other.trec": [line for line in lists if " d1 " not in line],
    }
    (folder / "qrels").mkdir(parents=True)
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    runs = {name: str(folder / f"{name}.trec") for name in ("one", "other")}
    return {"format": "beir", "path": str(folder), "runs": runs}


@dataclass(frozen=True, slots=True)
class Left:
    """A sweep, and every folder that something of it went to."""

    sweep: Sweep
    config: Path
    folders: tuple[Path, ...]
    private: Path

    @property
    def run(self) -> RunFolder:
        return self.sweep.folder.run_folder(self.sweep.state.points[0])

    def marked(self) -> list[str]:
        """The files, and the places in them, that hold MARK."""
        return sorted({found for folder in self.folders for file in _files(folder) for found in _marked_in(file)})


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _marked_in(file: Path) -> Iterator[str]:
    """By its bytes; a Parquet file, which is compressed, by what its columns say as well."""
    if MARK in str(file) or MARK.encode() in file.read_bytes():
        yield file.name
    if file.suffix == ".parquet":
        table = pq.read_table(file, partitioning=None)
        yield from (
            f"{file.parent.name}/*.parquet {name}"
            for name in table.column_names
            if MARK in str(table.column(name).to_pylist())
        )


def leave(folder: Path, store: str, *, texts: bool) -> Left:
    """Do all that leaves something, in `folder` and in MLflow, whose folder is the current one."""
    (private := folder / "tmp").mkdir(parents=True)
    data = collection(folder / "data")
    sections = {
        "data": data,
        "model": {"name": "overlap"},
        "evaluate": {"metrics": ["ndcg@10", "mrr"]},
        "tracking": {"uri": store, "experiment": f"texts-{texts}"},
        "output": {"dir": str(folder / "results"), "copy_to": str(folder / "copies"), "texts": texts},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(sections))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(private))
        sweep = run_sweep(
            SweepOrder(folder / "config.yaml", [f"data.depth=[{DEPTH}]"], name="mine"), JobConsole(quiet=True)
        )
    run = sweep.folder.run_folder(sweep.state.points[0])
    for child in run.children():
        for form in FORMS:
            out = folder / "reports" / f"{child.path.name}.{form}"
            print_report(read_run_folder(child.path), form, out, out)
    runs = [str(child.path) for child in run.children()]
    print_comparison(runs, [], Allowed(candidates=True), Wanted(folder / "comparisons", "md", store, True))
    mlflow = Path(store.removeprefix("sqlite:///")).parent
    with sqlite3.connect(mlflow / "mlflow.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    written = tuple(folder / name for name in ("results", "copies", "reports", "comparisons"))
    return Left(sweep, folder / "config.yaml", (*written, mlflow), private)


@pytest.fixture(scope="module")
def withheld(store: str, tmp_path_factory: pytest.TempPathFactory) -> Left:
    return leave(tmp_path_factory.mktemp("withheld"), store, texts=False)


@pytest.fixture(scope="module")
def told(withheld: Left, store: str, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """After `withheld`, whose MLflow is looked at first."""
    assert withheld.marked() == []
    return leave(tmp_path_factory.mktemp("told"), store, texts=True)


def test_no_word_of_a_text_is_left_anywhere(withheld: Left) -> None:
    assert withheld.sweep.exit_code == 0
    names = {path.name for folder in withheld.folders for path in _files(folder)}
    assert {"analysis.json", "report.html", "failures.parquet", "scores.sqlite", "mlflow.db", "sweep.json"} <= names
    assert withheld.marked() == []


def test_nothing_is_left_where_the_texts_were_meanwhile(withheld: Left) -> None:
    assert list(withheld.private.rglob("*")) == []


def test_the_search_finds_texts_where_they_are_kept(told: Left) -> None:
    marked = told.marked()
    for place in ("analysis.json", "report.html", "candidates/*.parquet query", "candidates/*.parquet texts"):
        assert place in marked
    assert "scores.sqlite" not in marked


def test_the_numbers_are_those_of_a_run_that_keeps_its_texts(withheld: Left, told: Left) -> None:
    for one, other in zip((withheld.run, *withheld.run.children()), (told.run, *told.run.children()), strict=True):
        ours, theirs = (json.loads(folder.metrics.read_text()) for folder in (one, other))
        for key in ("quality", "coverage", "candidates_digest", "lists_digest"):
            assert ours[key] == theirs[key]
        assert one.trec_run.read_bytes() == other.trec_run.read_bytes()


def test_ids_and_digests_stand_for_texts(withheld: Left, told: Left) -> None:
    whole = {one.query_id: one for one in read_candidates(told.run.candidates)}
    rows = pq.read_table(withheld.run.candidates, partitioning=None).to_pylist()
    assert len(rows) == len(whole) == QUERIES + 1, "one cannot be asked, and its list is kept"
    for row in rows:
        one = whole[row["query_id"]]
        assert (tuple(row["doc_ids"]), tuple(row["scores"])) == (one.doc_ids, one.scores)
        assert row["query_digest"] == text_digest(one.query)
        assert row["text_digests"] == [text_digest(text) for text in one.texts]
        assert dict(row["attributes"]) == {name: one.attributes[name] for name in ("language",) if one.query}
        assert (tuple(row["listed"]), tuple(row["tail"])) == (one.listed, one.tail)
    strata = {row["column"] for row in json.loads(withheld.run.children()[0].analysis.read_text())["strata"]}
    assert "language" in strata and not {"narrative", "topic"} & strata


def test_reasons_are_told_without_what_they_quote(withheld: Left) -> None:
    reasons = set(pq.read_table(withheld.run.failures)["reason"].to_pylist())
    assert reasons >= {
        "score is not a finite number",
        "document missing is not in the corpus",
        "query is not a string but list",
        "judgement is not an integer",
        "not JSON",
    }


def test_the_report_says_why_no_text_is_shown(withheld: Left) -> None:
    page = withheld.run.children()[0].report.read_text(encoding="utf-8")
    assert "Ids stand for their texts (output.texts: false)." in page


def test_who_needs_the_texts_later_is_told_where_they_are(withheld: Left) -> None:
    with pytest.raises(
        DataError, match=r"holds ids and digests, no texts: the job ran with output\.texts: false"
    ) as raised:
        list(read_candidates(withheld.run.candidates))
    assert "\n" not in str(raised.value)


def test_the_plan_of_a_dry_run_quotes_no_text_either(withheld: Left) -> None:
    assert MARK not in json.dumps(make_plan(load_config(withheld.config)))
