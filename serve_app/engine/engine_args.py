"""Settings -> vLLM's arguments and environment, per device. Pure: tested without an engine or a GPU."""

from __future__ import annotations

import ctypes.util
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from serve_app.engine.models import ModelInfo, own_code
from serve_app.engine.procedure import kind_arguments
from serve_app.settings import EngineSettings

# vLLM's CPU attention takes blocks of 32 tokens and more; only full blocks are shared, so small ones share most.
CPU_BLOCK_SIZE = 32
CPU_KV_CACHE_GIB = 2.0
GIB = 1 << 30
# What computes in bfloat16 by itself, as /proc/cpuinfo spells it on x86 and on ARM. Elsewhere it is emulated, slowly.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
# vLLM's executor that has its one worker compute in the engine's process: that saves an import of vLLM (7 s, 500 MiB)
# and, in every step, a message each way. Called "uni" vLLM refuses it on a CPU, as OpenMP must find its settings when a
# process starts; here the engine's process starts with them.
IN_ENGINE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
CPU_SCHEDULER = "serve_app.engine.scheduler.CleanBlockScheduler"
# Those that take all prompts of a call as one request: a GPU's, with asynchronous scheduling where it is asked for, and
# a CPU's.
GPU_FAN_OUT = "serve_app.engine.fan_out.FanOutScheduler"
ASYNC_FAN_OUT = "serve_app.engine.fan_out.FanOutAsyncScheduler"
CPU_FAN_OUT = "serve_app.engine.fan_out.FanOutCleanBlockScheduler"
FAN_OUT = (GPU_FAN_OUT, ASYNC_FAN_OUT, CPU_FAN_OUT)
CPU_ENVIRONMENT = {
    # A thread that is done waits asleep. Spinning, as OpenMP has it do for milliseconds, it would keep a core from the
    # processes that tokenize, send and collect, and from the thread that it waits for.
    "OMP_WAIT_POLICY": "PASSIVE",
    # vLLM cannot load its ahead-of-time artifacts on a CPU ("no attribute 'finalize_loading'") and compiles at every
    # start; without them torch's own cache is used, and that works.
    "VLLM_USE_AOT_COMPILE": "0",
    # As vLLM sets it, but before torch is imported, which reads it then: the engine's process does that early.
    "TORCHINDUCTOR_CPP_DYNAMIC_THREADS": "1",
}
# Kinds whose prompts can be read in several steps.
CAUSAL = ("decoder", "listwise")


class Host(NamedTuple):
    """What the engine runs on; the limits are those that vLLM gives its offline LLM class there."""

    device: str
    max_num_seqs: int
    max_num_batched_tokens: int
    bfloat16: bool
    fans_out: bool = True  # whether the schedulers of FAN_OUT were written for the vLLM here


def engine_arguments(model: ModelInfo, engine: EngineSettings, host: Host) -> dict[str, Any]:
    """Keyword arguments of vLLM's AsyncEngineArgs."""
    arguments = _common(model, engine, host) | {
        "runner": "pooling",
        "max_model_len": model.max_length,
        "scheduling_policy": "priority",  # so that an online call overtakes a batch job's pairs that wait
    }
    if model.recipe is None or model.recipe.kind not in CAUSAL:  # an encoder reads a prompt in one step, or not at all
        arguments["max_num_batched_tokens"] = max(arguments["max_num_batched_tokens"], model.max_length)
    arguments.update(kind_arguments(model, engine))
    arguments.update(_cpu(engine, host) if host.device == "cpu" else _gpu(engine))
    scheduler = _fan_out(engine, host)
    return arguments | ({"scheduler_cls": scheduler} if scheduler else {}) | engine.extra


def judge_arguments(
    model: ModelInfo, engine: EngineSettings, host: Host, room_to_answer: int, *, full_head: bool
) -> dict[str, Any]:
    """Of a model that writes up to `room_to_answer` tokens behind a prompt. `full_head`: its logits are computed in
    float32, whatever the rest is computed in.
    """
    arguments = _common(model, engine, host) | {
        "runner": "generate",
        "max_model_len": model.max_length + room_to_answer,
        "enable_prefix_caching": engine.prefix_caching,
    }
    if full_head:
        arguments["hf_overrides"] = {"head_dtype": "float32"}
    if host.device == "cpu":
        # vLLM's own way of scheduling ahead is another class, which hands out blocks with NaN in them.
        arguments |= _cpu(engine, host) | {"scheduler_cls": CPU_SCHEDULER, "async_scheduling": False}
    else:
        arguments |= _gpu(engine)
    return arguments | engine.extra | {"logprobs_mode": "raw_logprobs"}  # which a grade's probability is made of


def _common(model: ModelInfo, engine: EngineSettings, host: Host) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": model.path,
        "revision": model.revision,
        "dtype": engine.dtype,
        "max_num_seqs": engine.max_num_seqs or host.max_num_seqs,
        "max_num_batched_tokens": engine.max_num_batched_tokens or host.max_num_batched_tokens,
        "block_size": engine.block_size,
        "tensor_parallel_size": engine.tensor_parallel,
        "enforce_eager": not engine.compile,
        "load_format": engine.load_format,
        "kv_cache_memory_bytes": int(engine.kv_cache_gib * GIB) if engine.kv_cache_gib else None,
    }
    return arguments | (own_code(model) if model.trust_remote_code else {})


def _fan_out(engine: EngineSettings, host: Host) -> str | None:
    """The scheduler that takes all prompts of a call as one request; None: vLLM's own."""
    if host.device == "cpu":
        return CPU_FAN_OUT if host.fans_out else CPU_SCHEDULER
    if not host.fans_out:
        return None
    return ASYNC_FAN_OUT if engine.extra.get("async_scheduling") else GPU_FAN_OUT


def _gpu(engine: EngineSettings) -> dict[str, Any]:
    return {"gpu_memory_utilization": engine.gpu_memory_share}


def _cpu(engine: EngineSettings, host: Host) -> dict[str, Any]:
    automatic = "bfloat16" if host.bfloat16 else "float32"
    return {
        "distributed_executor_backend": IN_ENGINE_PROCESS if engine.tensor_parallel == 1 else "mp",
        "dtype": automatic if engine.dtype == "auto" else engine.dtype,
        "block_size": engine.block_size or CPU_BLOCK_SIZE,
        "kv_cache_memory_bytes": int((engine.kv_cache_gib or CPU_KV_CACHE_GIB) * GIB),
    }


def cpu_environment(
    cores: Iterable[int], replica_rank: int, replicas_here: int, tensor_parallel: int, threads: int | None = None
) -> dict[str, str]:
    """Environment of an engine on a CPU: which cores each worker computes on, and what makes it faster there.

    Every core is used, where vLLM would keep one per worker idle. Replicas on one machine share its cores out; with
    more workers than cores binding would only get in the way. So it would where a quota leaves fewer `threads` than
    cores: another container's engine may be bound to the same ones, and no core is ours alone.
    """
    every = sorted(cores)
    mine = every[replica_rank % replicas_here :: replicas_here]
    shares = [",".join(map(str, mine[rank::tensor_parallel])) for rank in range(tensor_parallel)]
    if threads is not None and threads < len(every):
        each = max(1, threads // (replicas_here * tensor_parallel))
        unbound = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(each)}
        return unbound | CPU_ENVIRONMENT | _preloaded()
    if len(mine) < tensor_parallel:
        return {"VLLM_CPU_OMP_THREADS_BIND": "nobind"} | CPU_ENVIRONMENT | _preloaded()
    bound = {"VLLM_CPU_OMP_THREADS_BIND": "|".join(shares)}
    if tensor_parallel == 1:  # the worker is the engine itself, for which vLLM does not set what the binding means
        bound |= {"OMP_NUM_THREADS": str(len(mine)), "OMP_PLACES": f"{{{shares[0]}}}", "OMP_PROC_BIND": "true"}
    return bound | CPU_ENVIRONMENT | _preloaded()


@cache
def _preloaded() -> dict[str, str]:
    """Preloads tcmalloc where it is installed. glibc's malloc gives the large blocks of each step back to the system
    and has them zeroed again; vLLM preloads tcmalloc too, in builds that bring it along. And torch's OpenMP, which vLLM
    preloads in processes that it starts: ours begins before it can.
    """
    libraries = [ctypes.util.find_library("tcmalloc_minimal"), _openmp()]
    told = ":".join(library for library in libraries if library)
    return {"LD_PRELOAD": told} if told else {}


def _openmp() -> str | None:
    """Where vLLM looks for it, torch unimported."""
    found = find_spec("torch")
    for torch in map(Path, (found and found.submodule_search_locations) or ()):
        for folder in (torch.parent / "torch.libs", torch / "lib"):
            if libraries := list(folder.glob("libgomp*.so*")):
                return str(libraries[0])
    return None


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor computes in bfloat16; False where that cannot be read."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return bool(BFLOAT16_FLAGS & set(flags.split()))
