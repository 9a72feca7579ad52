"""What is scored on vLLM is scored alike with `engine.backend: transformers`: each layout of each kind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import describe
from serve_app.engine.transformers_engine import TransformersEngine
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore
from tests.checkpoints import cross_encoders, embedding
from tests.checkpoints.backbones import HIDDEN
from tests.checkpoints.references import pair_scores, similarities
from tests.checkpoints.sentence_transformers import IDENTITY, dense, normalize, pooling
from tests.checkpoints.transformers_only import make_t5_encoder
from tests.texts import DOCUMENTS, QUERY

pytestmark = pytest.mark.thorough

SETTINGS = EngineSettings(backend="transformers", dtype="float32")


def scored(folder: Path, **settings: Any) -> list[PairScore]:
    model = ModelSettings.model_validate({"name": str(folder), **settings})
    engine = TransformersEngine(describe(model, SETTINGS.backend), model, SETTINGS, "replica", 1_000_000)
    try:
        return asyncio.run(asyncio.wait_for(engine.score(QUERY, DOCUMENTS), 240))
    finally:
        engine.shutdown()


@pytest.mark.parametrize("name", embedding.LAYOUTS)
def test_an_embedding_model(name: str, tmp_path: Path) -> None:
    layout = embedding.LAYOUTS[name]
    folder = layout.make(tmp_path / "model")
    pairs = scored(folder, **layout.settings)
    dimensions = layout.settings.get("dimensions")
    expected = similarities(folder, QUERY, DOCUMENTS, layout.prompts, dimensions, layout.similarity)
    assert [pair.error for pair in pairs] == [None] * len(DOCUMENTS)
    assert [pair.score for pair in pairs] == pytest.approx(expected, abs=1e-4, rel=1e-4)


def test_an_encoder_of_t5_as_sentence_t5(tmp_path: Path) -> None:
    modules = pooling("mean", HIDDEN), dense(HIDDEN, 48, IDENTITY, bias=False), normalize()
    folder = embedding.make(tmp_path / "model", *modules, backbone=make_t5_encoder)
    pairs = scored(folder)
    assert [pair.score for pair in pairs] == pytest.approx(similarities(folder, QUERY, DOCUMENTS), abs=1e-4)


@pytest.mark.parametrize("name", cross_encoders.LAYOUTS)
def test_a_cross_encoder(name: str, tmp_path: Path) -> None:
    folder = cross_encoders.LAYOUTS[name](tmp_path / "model")
    pairs = scored(folder)
    assert [pair.error for pair in pairs] == [None] * len(DOCUMENTS)
    assert [pair.logit for pair in pairs] == pytest.approx(
        pair_scores(folder, QUERY, DOCUMENTS, raw=True), abs=1e-4, rel=1e-4
    )
