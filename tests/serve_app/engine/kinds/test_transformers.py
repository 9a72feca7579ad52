"""With Transformers for a backend, embedding models and chains of modules score as sentence-transformers does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from serve_app.engine.models import describe
from serve_app.engine.procedure import load_procedure
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.engine.transformers_compute import load_compute
from serve_app.settings import ModelSettings
from stages.core.records import PairScore
from tests.checkpoints import backbones, cross_encoders, embedding
from tests.checkpoints.backbones import HIDDEN
from tests.checkpoints.references import pair_scores, similarities
from tests.checkpoints.sentence_transformers import IDENTITY, dense, pooling
from tests.texts import DOCUMENTS, QUERY


def scored(folder: Path) -> list[PairScore]:
    settings = ModelSettings(name=str(folder))
    model = describe(settings, "transformers")
    procedure = load_procedure(model, settings)
    prompts = procedure.encoder.encode(QUERY, None, DOCUMENTS)
    return procedure.pairs(prompts, load_compute(model, load_tokenizer(model), "float32", "cpu")(prompts))


@pytest.mark.parametrize(
    "name", ["two poolings", "no modules at all, as contriever", "texts in lower case, and a limit"]
)
def test_an_embedding_model(tmp_path: Path, name: str) -> None:
    folder = embedding.LAYOUTS[name].make(tmp_path)
    assert [pair.score for pair in scored(folder)] == pytest.approx(similarities(folder, QUERY, DOCUMENTS), abs=1e-5)


def modules_over_token_types(folder: Path) -> Path:
    """Which vLLM does not read where it pools."""
    return cross_encoders.modular(
        folder,
        pooling(("mean", "max"), HIDDEN),
        dense(2 * HIDDEN, 1, IDENTITY, module_output_name="scores"),
        backbone=backbones.bert,
    )


@pytest.mark.parametrize("make", [cross_encoders.ettin, modules_over_token_types])
def test_a_cross_encoder_of_modules(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)
    found = [pair.logit for pair in scored(folder)]
    assert found == pytest.approx(pair_scores(folder, QUERY, DOCUMENTS, raw=True), abs=1e-4)
