"""Embedding models of all layouts score as sentence-transformers does: with Transformers for an engine, and on vLLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch

from serve_app.engine.models import describe
from serve_app.engine.procedure import load_procedure
from serve_app.settings import ModelSettings
from stages.core.records import PairScore
from tests.checkpoints.backbones import HIDDEN
from tests.checkpoints.embedding import LAYOUTS, make
from tests.checkpoints.references import similarities
from tests.checkpoints.sentence_transformers import pooling
from tests.computed import computed
from tests.engine_scores import Job, scores
from tests.texts import DOCUMENTS, QUERY


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("embedding")
    return {name: layout.make(root / str(place)) for place, (name, layout) in enumerate(LAYOUTS.items())}


@pytest.fixture(scope="module")
def on_vllm(folders: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[PairScore]]:
    jobs = [Job({"name": str(folders[name]), **layout.settings}, QUERY, DOCUMENTS) for name, layout in LAYOUTS.items()]
    return dict(zip(LAYOUTS, scores(jobs, tmp_path_factory.mktemp("scores")), strict=True))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_scored_as_sentence_transformers_scores_it(name: str, folders: Mapping[str, Path]) -> None:
    settings = ModelSettings.model_validate({"name": str(folders[name]), **LAYOUTS[name].settings})
    model = describe(settings)
    procedure = load_procedure(model, settings)
    prompts = procedure.encoder.encode(QUERY, None, DOCUMENTS)
    pairs = procedure.pairs(prompts, computed(model, procedure, prompts))
    require_same(pairs, name, folders[name], 1e-5)


@pytest.mark.heavy
@pytest.mark.thorough
@pytest.mark.parametrize("name", LAYOUTS)
def test_on_vllm_too(name: str, folders: Mapping[str, Path], on_vllm: Mapping[str, list[PairScore]]) -> None:
    require_same(on_vllm[name], name, folders[name], 1e-3)


def test_a_vector_goes_through_layer_normalization_before_it_is_cut_where_its_recipe_says_so(tmp_path: Path) -> None:
    """As the card of nomic-embed-text-v1.5 computes it."""
    from sentence_transformers import SentenceTransformer

    folder = make(tmp_path, pooling("mean", HIDDEN))
    settings = ModelSettings(name=str(folder), recipe="nomic-embed-v1.5", dimensions=16)
    model = describe(settings)
    procedure = load_procedure(model, settings)
    prompts = procedure.encoder.encode("which bird", None, ["a bird", "a fish"])
    pairs = procedure.pairs(prompts, computed(model, procedure, prompts))
    texts = ["search_query: which bird", "search_document: a bird", "search_document: a fish"]
    vectors = SentenceTransformer(str(folder), device="cpu").encode(texts, convert_to_tensor=True)
    cut = torch.nn.functional.normalize(torch.nn.functional.layer_norm(vectors, (HIDDEN,))[:, :16], dim=1)
    assert [pair.score for pair in pairs] == pytest.approx((cut[1:] @ cut[0]).tolist(), abs=1e-5)


def test_what_an_engine_does_not_give_fails_its_pairs_alone(tmp_path: Path) -> None:
    settings = ModelSettings(name=str(make(tmp_path, pooling("mean", HIDDEN))))
    model = describe(settings)
    procedure = load_procedure(model, settings)
    prompts = procedure.encoder.encode("a bird", None, ["a bird", "a fish"])
    good = computed(model, procedure, prompts)
    first, second = procedure.pairs(prompts, [*good[:2], "the engine refused the prompt"])
    assert (first.score, second.error) == (pytest.approx(1), "the engine refused the prompt")
    assert [pair.error for pair in procedure.pairs(prompts, ["refused", *good[1:]])] == ["refused"] * 2


def require_same(pairs: Sequence[PairScore], name: str, folder: Path, tolerance: float) -> None:
    layout = LAYOUTS[name]
    expected = similarities(
        folder, QUERY, DOCUMENTS, layout.prompts, layout.settings.get("dimensions"), layout.similarity
    )
    assert [pair.error for pair in pairs] == [None] * len(DOCUMENTS)
    found = [pair.score for pair in pairs if pair.score is not None]
    assert found == pytest.approx(expected, abs=tolerance, rel=tolerance)
    assert order(found) == order(expected)
    assert max(expected) - min(expected) > 20 * tolerance, "a model that tells its documents apart"


def order(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda place: -values[place])
