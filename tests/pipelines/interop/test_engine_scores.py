"""A harness's pairs, scored by what a config describes: the store knows them the second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.base.given_config import config_with
from pipelines.interop.engine_scores import EngineScores
from pipelines.interop.for_mteb import MtebModel
from pipelines.interop.for_pyterrier import RerankFrames
from stages.core.errors import ConfigError, DataError, ScoringError
from stages.core.records import PairScore
from stages.core.scoring import OverlapScorer

FRAME = pd.DataFrame(
    {
        "qid": ["1", "1", "1", "2"],
        "query": ["red fox", "red fox", "red fox", "a dog"],
        "docno": ["a", "b", "c", "a"],
        "text": ["nothing", "the red fox", "one fox", "a dog"],
        "score": [9.0, 8.0, 7.0, 6.0],
        "rank": [0, 1, 2, 0],
        "mine": [1, 2, 3, 4],
    }
)
QUERIES = [{"text": ["red fox", "red fox"]}, {"text": ["red fox", "a dog"]}]
DOCUMENTS = [{"text": ["nothing", "the red fox", "one fox", "a dog"], "title": [""] * 4}]


def sections(tmp_path: Path) -> dict[str, Any]:
    """All that a config needs: what is scored a harness says."""
    return {
        "data": {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec"},
        "model": {"name": "overlap"},
        "rerank": {"store": str(tmp_path / "store")},
    }


@pytest.fixture
def scores(tmp_path: Path) -> EngineScores:
    return EngineScores(config_with(sections(tmp_path), {}), quiet=True)


def refuse_to_score(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> list[PairScore]:
        raise AssertionError("scored again")

    monkeypatch.setattr(OverlapScorer, "score", refuse)


def test_a_frame_is_reranked_and_keeps_its_other_columns(scores: EngineScores) -> None:
    with RerankFrames(scores) as transformer:
        ranked = transformer.transform(FRAME)
    assert ranked["docno"].tolist() == ["b", "c", "a", "a"]
    assert ranked["score"].tolist() == [1.0, 0.5, 0.0, 1.0]
    assert ranked["rank"].tolist() == [0, 1, 2, 0]
    assert ranked["mine"].tolist() == [2, 3, 1, 4]
    assert list(FRAME["rank"]) == [0, 1, 2, 0], "the frame that was given stays as it was"


def test_equal_scores_stand_as_trec_eval_has_them(scores: EngineScores) -> None:
    frame = FRAME.assign(text="the red fox", query="red fox")
    with RerankFrames(scores) as transformer:
        assert transformer.transform(frame.iloc[:3])["docno"].tolist() == ["c", "b", "a"]


def test_an_empty_frame_gives_the_columns_and_starts_nothing(scores: EngineScores) -> None:
    ranked = RerankFrames(scores).transform(FRAME.iloc[:0])
    assert {"score", "rank"} <= set(ranked.columns) and ranked.empty
    assert scores._engine is None


def test_mteb_gets_a_score_for_each_pair_in_their_order(scores: EngineScores) -> None:
    with MtebModel(scores) as model:
        predicted = model.predict(QUERIES, DOCUMENTS, task_metadata=None, hf_split="test", hf_subset="default")
    assert predicted.tolist() == [0.0, 1.0, 0.5, 1.0]


def test_the_second_evaluation_scores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever harness had it scored, as the store is the same."""
    with RerankFrames(EngineScores(config_with(sections(tmp_path), {}), quiet=True)) as transformer:
        first = transformer.transform(FRAME)
    refuse_to_score(monkeypatch)
    again = EngineScores(config_with(sections(tmp_path), {}), quiet=True)
    with RerankFrames(again) as transformer, MtebModel(again) as model:
        pd.testing.assert_frame_equal(transformer.transform(FRAME), first)
        assert model.predict(QUERIES, DOCUMENTS).tolist() == [0.0, 1.0, 0.5, 1.0]
        with pytest.raises(AssertionError, match="scored again"):
            model.predict([{"text": ["a new query"]}], [{"text": ["a text"]}])


def test_closed_it_may_be_asked_again(scores: EngineScores) -> None:
    model = MtebModel(scores)
    for _ in range(2):
        assert model.predict(QUERIES, DOCUMENTS).tolist() == [0.0, 1.0, 0.5, 1.0]
        model.close()


def test_a_pair_that_fails_is_an_error_not_a_number(scores: EngineScores, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_self: object, _query: str, documents: list[str], _instruction: object = None) -> list[PairScore]:
        return [PairScore(None, error="it broke")] * len(documents)

    monkeypatch.setattr(OverlapScorer, "score", fail)
    with MtebModel(scores) as model, pytest.raises(ScoringError, match="document 'nothing' has no score: it broke"):
        model.predict(QUERIES, DOCUMENTS)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (FRAME.drop(columns="text"), "has no column text; it has qid, query, docno, .*get_text"),
        (FRAME.assign(text=[None, "a", "b", "c"]), "query '1': column text holds (nan|None), which is no text"),
        (FRAME.assign(query=["a", "b", "c", "d"]), "query '1' has several texts in column query"),
    ],
)
def test_a_frame_that_lacks_something_is_refused(scores: EngineScores, frame: pd.DataFrame, told: str) -> None:
    with pytest.raises(DataError, match=told):
        RerankFrames(scores).transform(frame)


@pytest.mark.parametrize(
    ("documents", "told"),
    [([{"image": [b""]}], "gave image, and no texts"), ([{"text": ["a"]}], "4 queries for 1 documents")],
)
def test_batches_that_are_no_pairs_of_texts_are_refused(scores: EngineScores, documents: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        MtebModel(scores).predict(QUERIES, documents)


def test_the_revision_differs_where_a_score_may(tmp_path: Path) -> None:
    """MTEB keeps results under it, and would give those of another prompt else."""

    def revision(**model: Any) -> str:
        return EngineScores(config_with({**sections(tmp_path), "model": model}, {}), quiet=True).revision

    assert revision(max_length=64) == revision(max_length=64) != revision(max_length=32)


def test_a_model_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        EngineScores(config_with({**sections(tmp_path), "model": {"name": str(tmp_path / "none")}}, {}), quiet=True)
