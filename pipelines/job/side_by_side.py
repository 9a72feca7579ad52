"""May the engines of a cascade's stages run on this cluster at the same time, or one after the other?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from pipelines.base.config import RunConfig, ServeConfig
from serve_app.engine.models import ModelInfo
from stages.telemetry.cores import core_share

GIB = 1 << 30
# On a CPU an engine computes with all cores that it has: with fewer than these, two engines take from each other what
# starting the second one early would gain.
CORES_PER_ENGINE = 4
# What vLLM's process takes besides weights and cache, and the cache that it has on a CPU where nothing is set.
ENGINE_GIB, CACHE_GIB = 2.0, 2.0
WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True, slots=True)
class Room:
    """What a cluster has: GPUs and CPUs as Ray counts them, and cores and free memory to compute with on the CPU."""

    gpus: float
    cpus: float
    cores: float
    memory_gib: float


@dataclass(frozen=True, slots=True)
class Need:
    """What all replicas of one model take. `memory_gib` is None where the model's size is not known."""

    gpus: float
    cpus: float
    cores: float
    memory_gib: float | None
    gpu_shared: bool = False


def room() -> Room:
    """Of the connected cluster."""
    import ray

    told = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, several = float(told.get("CPU", 0)), len(ray.nodes()) > 1  # type: ignore[no-untyped-call]
    here = psutil.virtual_memory().available / GIB
    return Room(
        gpus=float(told.get("GPU", 0)),
        cpus=cpus,
        cores=cpus if several else min(cpus, core_share()),
        memory_gib=float(told.get("memory", 0)) / GIB if several else here,
    )


def need(config: RunConfig | ServeConfig, model: ModelInfo, gpus_there: float) -> Need:
    """Nothing of a model that has no engine: a hosted one, or the stand-in."""
    if model.recipe is None:
        return Need(0, 0, 0, 0.0)
    serve, engine = config.serve, config.engine
    replicas = max(serve.replicas, serve.max_replicas or 0)
    gpus = serve.gpus_per_replica
    if gpus is None:
        gpus = engine.tensor_parallel if gpus_there else 0
    cpus = replicas * serve.cpus_per_replica
    if gpus:
        return Need(replicas * gpus, cpus, 0, 0.0, gpu_shared=gpus < min(1.0, engine.gpu_memory_share))
    weights = weights_gib(model)
    cache = CACHE_GIB if engine.kv_cache_gib is None else engine.kv_cache_gib
    # As they are read and once more as they are computed with, which may be in another dtype.
    memory = None if weights is None else replicas * (2 * weights + cache + ENGINE_GIB)
    return Need(0, cpus, replicas * CORES_PER_ENGINE, memory)


def fit(needs: Sequence[Need], there: Room) -> bool:
    """Whether there is room for all of them at once."""
    memory = [one.memory_gib for one in needs]
    return (
        not any(one.gpu_shared for one in needs)  # of one GPU each would take more than its part
        and sum(one.gpus for one in needs) <= there.gpus
        and sum(one.cpus for one in needs) <= there.cpus
        and sum(one.cores for one in needs) <= there.cores
        and None not in memory
        and sum(one or 0.0 for one in memory) <= there.memory_gib
    )


def weights_gib(model: ModelInfo) -> float | None:
    """Of a model's folder; None where it is none, as a hub id whose files are elsewhere."""
    folder = Path(model.path)
    sizes = [file.stat().st_size for kind in WEIGHTS for file in folder.glob(kind)] if folder.is_dir() else []
    return sum(sizes) / GIB if sizes else None
