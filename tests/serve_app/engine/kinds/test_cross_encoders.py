"""Cross-encoders of all layouts score as sentence-transformers does: with Transformers for an engine, and on vLLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from serve_app.engine.models import describe
from serve_app.engine.procedure import load_procedure
from serve_app.settings import ModelSettings
from stages.core.records import PairScore
from tests.checkpoints.cross_encoders import LAYOUTS
from tests.checkpoints.references import pair_scores
from tests.computed import computed
from tests.engine_scores import Job, scores
from tests.texts import DOCUMENTS, QUERY


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("cross-encoders")
    return {name: make(root / str(place)) for place, (name, make) in enumerate(LAYOUTS.items())}


@pytest.fixture(scope="module")
def on_vllm(folders: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[PairScore]]:
    jobs = [Job({"name": str(folder)}, QUERY, DOCUMENTS) for folder in folders.values()]
    return dict(zip(folders, scores(jobs, tmp_path_factory.mktemp("scores")), strict=True))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_scored_as_sentence_transformers_scores_it(name: str, folders: Mapping[str, Path]) -> None:
    settings = ModelSettings(name=str(folders[name]))
    model = describe(settings)
    procedure = load_procedure(model, settings)
    prompts = procedure.encoder.encode(QUERY, None, DOCUMENTS)
    require_same(procedure.pairs(prompts, computed(model, procedure, prompts)), folders[name], 1e-5)


@pytest.mark.heavy
@pytest.mark.thorough
@pytest.mark.parametrize("name", LAYOUTS)
def test_on_vllm_too(name: str, folders: Mapping[str, Path], on_vllm: Mapping[str, list[PairScore]]) -> None:
    require_same(on_vllm[name], folders[name], 1e-3)


def require_same(pairs: Sequence[PairScore], folder: Path, tolerance: float) -> None:
    raw, shown = (pair_scores(folder, QUERY, DOCUMENTS, raw=one) for one in (True, False))
    assert [pair.error for pair in pairs] == [None] * len(DOCUMENTS)
    found = [pair.logit for pair in pairs if pair.logit is not None]
    assert found == pytest.approx(raw, abs=tolerance, rel=tolerance)
    assert [pair.score for pair in pairs] == pytest.approx(shown, abs=tolerance, rel=tolerance)
    assert order(found) == order(raw)
    assert max(raw) - min(raw) > 20 * tolerance, "a model that tells its documents apart"


def order(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda place: -values[place])
