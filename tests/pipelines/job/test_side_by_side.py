"""Whether the engines of a cascade's stages have room at the same time."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.base.config import RunConfig
from pipelines.job.side_by_side import CORES_PER_ENGINE, Need, Room, fit, need
from serve_app.engine.models import ModelInfo, describe
from serve_app.settings import ModelSettings

TWO_CORES = Room(gpus=0, cpus=6, cores=2, memory_gib=64)
LARGE = Room(gpus=0, cpus=64, cores=64, memory_gib=256)


def settings(**sections: Any) -> RunConfig:
    return RunConfig.model_validate({"data": {"format": "jsonl", "path": "-"}} | sections)


@pytest.fixture(scope="module")
def tiny() -> ModelInfo:
    return describe(ModelSettings())


def test_on_a_few_cores_engines_run_one_after_the_other_and_on_many_together(tiny: ModelInfo) -> None:
    both = [need(settings(), tiny, 0), need(settings(), tiny, 0)]
    assert not fit(both, TWO_CORES)
    assert fit(both, LARGE)
    assert fit(both, Room(0, 6, 2 * CORES_PER_ENGINE, 64))
    assert not fit(both, Room(0, 6, 2 * CORES_PER_ENGINE, 4)), "memory for caches and weights"


def test_what_has_no_engine_needs_no_room(tiny: ModelInfo) -> None:
    stand_in = need(settings(), describe(ModelSettings(name="overlap")), 0)
    assert fit([stand_in, need(settings(), tiny, 0)], Room(0, 6, CORES_PER_ENGINE, 64))


def test_each_engine_has_gpus_of_its_own_or_a_part_that_it_keeps_to(tiny: ModelInfo) -> None:
    two, one = Room(2, 16, 16, 64), Room(1, 16, 16, 64)
    whole = need(settings(), tiny, 2)
    assert (whole.gpus, whole.cores) == (1, 0)
    assert fit([whole, whole], two) and not fit([whole, whole], one)
    half = {"serve": {"gpus_per_replica": 0.5}}
    greedy = need(settings(**half), tiny, 1)
    modest = need(settings(**half, engine={"gpu_memory_share": 0.45}), tiny, 1)
    assert fit([modest, modest], one) and not fit([greedy, greedy], one)
    four = need(settings(engine={"tensor_parallel": 4}), tiny, 2)
    assert four.gpus == 4 and not fit([four], two)


def test_replicas_count_as_many_as_they_may_become(tiny: ModelInfo) -> None:
    assert need(settings(serve={"replicas": 2, "max_replicas": 3}), tiny, 8).gpus == 3


def test_a_model_whose_size_is_not_known_is_not_started_early_on_a_cpu() -> None:
    assert not fit([Need(0, 1, 4, None)], LARGE)
