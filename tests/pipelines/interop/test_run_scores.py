"""A finished run's scores in other harnesses: by ids, or by texts, and never a number for a pair that it has not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipelines import run
from pipelines.interop.for_mteb import MtebModel
from pipelines.interop.for_pyterrier import RerankFrames
from pipelines.interop.scores import scores_of
from pipelines.runs.finished import FinishedRun
from stages.core.errors import DataError
from stages.files.tables import read_candidates

DEMO = {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec", "depth": 5, "limit": 4}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    here = tmp_path_factory.mktemp("interop")
    sections = {
        "data": DEMO,
        "model": {"name": "overlap"},
        "rerank": {"store": None},
        "tracking": {"uri": None},
        "output": {"dir": str(here)},
    }
    return run(sections, quiet=True)


def test_a_frame_of_ids_gets_the_order_of_the_run(done: FinishedRun) -> None:
    scored = done.rankings.dropna(subset="score")
    frame = scored[["query_id", "doc_id"]].sample(frac=1, random_state=0)
    frame = frame.set_axis(["qid", "docno"], axis=1)
    with RerankFrames(scores_of(done.path, "ids", quiet=True)) as transformer:
        ranked = transformer.transform(frame)
    for query_id, rows in ranked.groupby("qid"):
        of_run = scored[scored["query_id"] == query_id]
        assert rows["docno"].tolist() == of_run["doc_id"].tolist()
        assert rows["score"].tolist() == of_run["score"].tolist()


def test_mteb_finds_a_runs_scores_by_texts(done: FinishedRun) -> None:
    candidates = list(read_candidates(done.content.folder.candidates))
    queries = [{"text": [one.query] * len(one.texts)} for one in candidates]
    documents = [{"text": list(one.texts)} for one in candidates]
    scores = done.rankings.set_index(["query_id", "doc_id"])["score"]
    wanted = [scores[one.query_id, doc_id] for one in candidates for doc_id in one.doc_ids]
    model = MtebModel(scores_of(done, "texts", quiet=True))
    assert model.predict(queries, documents).tolist() == wanted
    assert model.scores.revision == done.run_id


def test_a_pair_that_the_run_has_not_is_refused(done: FinishedRun) -> None:
    frame = pd.DataFrame({"qid": ["none"], "docno": ["d"]})
    with pytest.raises(DataError, match="has no score for query 'none', document 'd'"):
        RerankFrames(scores_of(done, "ids", quiet=True)).transform(frame)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        scores_of(tmp_path, "ids", quiet=True)
