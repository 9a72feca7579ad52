"""Step 4 of a diagnosis: a service that computes in 16 bits is measured by what that costs its own model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from pipelines.base.config import ServeConfig
from pipelines.direct.prompts import Pair
from pipelines.direct.scorer import DirectScorer
from pipelines.service.diagnose import steps
from pipelines.service.target import find_target
from serve_app.engine.models import describe
from serve_app.settings import EngineSettings, ModelSettings, Template
from stages.core.errors import ConfigError
from stages.core.records import PairScore, TimedScores
from stages.diagnosis.direct import SideBySide, direct_findings
from stages.diagnosis.finding import Weight
from tests.api_server import RunningApi, StandInBackend, running_api
from tests.tiny_models import make_tiny_qwen3
from tests.torch_threads import one_torch_thread

pytestmark = pytest.mark.heavy

SHAPE = "1x5x150"
ONCE_ENOUGH = 0.02  # for bfloat16, whatever the model


@dataclass
class Computing(StandInBackend):
    """Answers with what `compute` gives, a pair at a time."""

    compute: Callable[[Pair], PairScore] = lambda _: PairScore(0.5)
    told: dict[str, Any] = field(default_factory=dict)

    async def score(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores:
        return TimedScores([self.compute(Pair(query, one, instruction)) for one in documents], 1.0, 1.0, 1.0)

    async def facts(self) -> dict[str, Any]:
        return await super().facts() | self.told


@dataclass
class Half:
    """An engine that computes in bfloat16, rounding at other places than Transformers in that dtype: 0.06 apart, which
    is as right as what Transformers makes.
    """

    scorer: DirectScorer
    template: Template = "single_newline"

    def __call__(self, pair: Pair) -> PairScore:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.scorer.score_all([pair], replace(self.scorer.published, template=self.template))[0]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_torch_thread():
        yield


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"DIRECT_S": 0.5, "WARM_UP_S": 0.1}.items():
        monkeypatch.setattr(steps, name, seconds)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelSettings:
    """One that bfloat16 costs more than the tiny test models, as it does deep ones: 0.05 at most, on these pairs."""
    folder = make_tiny_qwen3(tmp_path_factory.mktemp("rough-qwen3"), layers=8, spread=0.2)
    return ModelSettings(name=str(folder), max_length=240)


@pytest.fixture(scope="module")
def half(model: ModelSettings) -> Half:
    return Half(DirectScorer(describe(model), model, batch_size=1))


@pytest.fixture(scope="module")
def api() -> Iterator[RunningApi]:
    with running_api(Computing()) as running:
        yield running


@pytest.fixture
def compared(api: RunningApi, model: ModelSettings) -> Callable[..., SideBySide]:
    """Step 4 of a service that computes in a given way, and says so."""

    def run(compute: Callable[[Pair], PairScore], engine: str = "auto", **told: Any) -> SideBySide:
        api.service.backend = Computing(compute=compute, told=told)
        config = ServeConfig(model=model, engine=EngineSettings(dtype=engine))
        return steps.side_by_side(find_target(api.url), config, SHAPE)

    return run


def broken(seen: SideBySide) -> list[str]:
    return [one.kind for one in direct_findings(seen) if one.weight is Weight.BROKEN]


def test_a_healthy_bfloat16_service_is_not_called_broken_however_much_that_dtype_costs_its_model(
    compared: Callable[..., SideBySide], half: Half
) -> None:
    seen = compared(half, dtype="bfloat16")
    assert seen.scores is not None
    assert seen.scores.pairs >= 32
    assert ONCE_ENOUGH < seen.scores.largest < seen.tolerance
    assert "what bfloat16 costs" in seen.tolerance_origin
    assert broken(seen) == []
    assert seen.served_per_s > 0
    assert seen.direct_per_s > 0


def test_a_service_that_reads_documents_in_passages_is_not_compared(api: RunningApi, model: ModelSettings) -> None:
    config = ServeConfig(model=model.model_copy(update={"long_documents": "passages"}))
    with pytest.raises(ConfigError, match="reads a document in one prompt"):
        steps.side_by_side(find_target(api.url), config, SHAPE)


def test_a_wrong_prompt_in_bfloat16_is_broken_all_the_same(compared: Callable[..., SideBySide], half: Half) -> None:
    seen = compared(replace(half, template="blank_line"), dtype="bfloat16")
    assert seen.scores is not None
    assert seen.scores.beyond > 2
    assert broken(seen) == ["scores_differ"]


def test_the_same_noise_is_broken_where_the_service_says_float32(
    compared: Callable[..., SideBySide], half: Half
) -> None:
    assert broken(compared(half, dtype="float32")) == ["scores_differ"]


def test_a_service_that_does_not_say_its_dtype_has_the_configs_and_is_not_judged_without_one(
    compared: Callable[..., SideBySide], half: Half
) -> None:
    assert broken(compared(half, engine="bfloat16")) == []
    with pytest.raises(ConfigError, match="does not say in which dtype"):
        compared(half)
