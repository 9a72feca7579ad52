"""Settings become vLLM's arguments, per device and family; processors are shared out among replicas."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engine.engine_args import (
    ASYNC_FAN_OUT,
    CPU_FAN_OUT,
    CPU_SCHEDULER,
    GPU_FAN_OUT,
    IN_ENGINE_PROCESS,
    Host,
    cpu_environment,
    engine_arguments,
    has_bfloat16,
)
from serve_app.engine.models import ModelInfo
from serve_app.settings import EngineSettings, Family
from tests.recipes import recipe_of

CPU = Host(device="cpu", max_num_seqs=256, max_num_batched_tokens=4096, bfloat16=True)
OLD_CPU = CPU._replace(bfloat16=False)
GPU = Host(device="gpu", max_num_seqs=1024, max_num_batched_tokens=16_384, bfloat16=False)


def model_of(family: Family, max_length: int = 8192) -> ModelInfo:
    return ModelInfo("name", "/models/name", "main", recipe_of(family), max_length, "0" * 16)


def arguments_of(family: Family = "qwen3-reranker", host: Host = CPU, **settings: Any) -> dict[str, Any]:
    return engine_arguments(model_of(family), EngineSettings(**settings), host)


def test_the_model_is_served_as_a_pooling_model_of_its_own_length() -> None:
    arguments = arguments_of()
    assert arguments["model"] == "/models/name"
    assert arguments["revision"] == "main"
    assert arguments["runner"] == "pooling"
    assert arguments["max_model_len"] == 8192


def test_code_of_the_models_own_runs_in_the_engine_where_it_is_trusted_alone() -> None:
    assert "trust_remote_code" not in arguments_of()
    trusted = replace(model_of("embedding"), trust_remote_code=True, code_revision="0123456789" * 4)
    arguments = engine_arguments(trusted, EngineSettings(), CPU)
    assert (arguments["trust_remote_code"], arguments["code_revision"]) == (True, "0123456789" * 4)


def test_only_a_qwen3_reranker_is_turned_into_a_classifier_and_shares_prefixes() -> None:
    assert arguments_of("qwen3-reranker")["hf_overrides"] == {
        "architectures": ["Qwen3ForSequenceClassification"],
        "classifier_from_token": ["no", "yes"],  # the score is the second less the first
        "method": "from_2_way_softmax",
    }
    assert arguments_of("qwen3-reranker")["enable_prefix_caching"] is True
    assert arguments_of("qwen3-reranker", prefix_caching=False)["enable_prefix_caching"] is False
    for family in ("cross-encoder", "embedding"):
        assert not {"hf_overrides", "enable_prefix_caching"} & arguments_of(family).keys()


def test_a_cpu_gets_small_blocks_a_sized_cache_and_the_dtype_it_computes_in() -> None:
    arguments = arguments_of(host=CPU)
    assert arguments["block_size"] == 32
    assert arguments["kv_cache_memory_bytes"] == 2 << 30
    assert arguments["dtype"] == "bfloat16"
    assert arguments_of(host=OLD_CPU)["dtype"] == "float32"
    assert "gpu_memory_utilization" not in arguments


def test_a_gpu_is_left_to_vllms_defaults() -> None:
    arguments = arguments_of(host=GPU)
    assert arguments["dtype"] == "auto"
    assert arguments["block_size"] is None
    assert arguments["kv_cache_memory_bytes"] is None
    assert arguments["gpu_memory_utilization"] == 0.9


@pytest.mark.parametrize("host", [CPU, OLD_CPU, GPU])
def test_what_is_set_wins_on_every_device(host: Host) -> None:
    chosen: dict[str, Any] = {"dtype": "float16", "block_size": 64, "max_num_seqs": 7, "max_num_batched_tokens": 512}
    arguments = arguments_of(host=host, **chosen, kv_cache_gib=0.5, tensor_parallel=2, load_format="dummy")
    assert chosen.items() <= arguments.items()
    assert arguments["kv_cache_memory_bytes"] == 1 << 29
    assert arguments["tensor_parallel_size"] == 2
    assert arguments["load_format"] == "dummy"


@pytest.mark.parametrize("host", [CPU, GPU])
def test_steps_are_as_large_as_those_of_vllms_offline_class(host: Host) -> None:
    arguments = arguments_of(host=host)
    assert arguments["max_num_seqs"] == host.max_num_seqs
    assert arguments["max_num_batched_tokens"] == host.max_num_batched_tokens


@pytest.mark.parametrize("family", ["cross-encoder", "embedding"])
def test_an_encoder_has_room_for_its_longest_prompt_in_one_step(family: Family) -> None:
    assert arguments_of(family, max_num_batched_tokens=100)["max_num_batched_tokens"] == 8192
    assert arguments_of("qwen3-reranker", max_num_batched_tokens=100)["max_num_batched_tokens"] == 100


def test_compile_false_is_eager() -> None:
    assert arguments_of(compile=False)["enforce_eager"] is True
    assert arguments_of()["enforce_eager"] is False


def test_an_extra_argument_reaches_vllm_and_overrides_ours() -> None:
    arguments = arguments_of(extra={"seed": 3, "max_num_seqs": 99})
    assert (arguments["seed"], arguments["max_num_seqs"]) == (3, 99)


@pytest.mark.parametrize(
    ("replica_rank", "replicas_here", "tensor_parallel", "binding"),
    [
        (0, 1, 1, "0,1,2,3"),
        (0, 2, 1, "0,2"),
        (1, 2, 1, "1,3"),
        (0, 1, 2, "0,2|1,3"),
        (1, 2, 2, "1|3"),
        (0, 1, 5, "nobind"),
        (0, 5, 1, "0"),
        (4, 5, 1, "nobind"),
    ],
)
def test_replicas_and_workers_share_the_cores(
    replica_rank: int, replicas_here: int, tensor_parallel: int, binding: str
) -> None:
    environment = cpu_environment({3, 1, 0, 2}, replica_rank, replicas_here, tensor_parallel)
    assert environment["VLLM_CPU_OMP_THREADS_BIND"] == binding


def test_an_engine_with_one_worker_computes_in_its_own_process_on_the_cores_of_its_replica() -> None:
    assert arguments_of(host=CPU)["distributed_executor_backend"] == IN_ENGINE_PROCESS
    environment = cpu_environment({3, 1, 0, 2}, 1, 2, tensor_parallel=1)
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["OMP_PLACES"] == "{1,3}"
    assert environment["OMP_PROC_BIND"] == "true"


def test_every_engine_takes_the_prompts_of_a_call_as_one_request_and_one_on_a_cpu_hands_out_clean_blocks() -> None:
    assert arguments_of(host=CPU)["scheduler_cls"] == CPU_FAN_OUT
    assert arguments_of(host=GPU)["scheduler_cls"] == GPU_FAN_OUT
    assert arguments_of(host=GPU, extra={"async_scheduling": True})["scheduler_cls"] == ASYNC_FAN_OUT


def test_where_vllm_is_another_than_our_schedulers_know_an_engine_on_a_gpu_is_as_vllm_has_it() -> None:
    assert arguments_of(host=CPU._replace(fans_out=False))["scheduler_cls"] == CPU_SCHEDULER
    assert "scheduler_cls" not in arguments_of(host=GPU._replace(fans_out=False))


def test_several_workers_are_bound_by_vllm_each_to_its_own_cores() -> None:
    assert arguments_of(host=CPU, tensor_parallel=2)["distributed_executor_backend"] == "mp"
    assert not any(name.startswith("OMP_P") for name in cpu_environment({0, 1, 2, 3}, 0, 1, tensor_parallel=2))


def test_a_thread_that_waits_leaves_its_core_to_others() -> None:
    assert cpu_environment({0, 1}, 0, 1, 1)["OMP_WAIT_POLICY"] == "PASSIVE"


def test_an_allocator_is_preloaded_only_where_it_can_be_loaded() -> None:
    """The loader prints an error for a name that it does not find, and nothing for one that it does."""
    preloaded = cpu_environment({0, 1}, 0, 1, 1).get("LD_PRELOAD", "")
    tried = subprocess.run(["/bin/true"], env={"LD_PRELOAD": preloaded}, capture_output=True, text=True, check=True)
    assert tried.stderr == ""


@given(
    cores=st.sets(st.integers(0, 500), min_size=1, max_size=64), replicas=st.integers(1, 8), workers=st.integers(1, 8)
)
def test_every_core_works_and_none_for_two(cores: set[int], replicas: int, workers: int) -> None:
    bound = [cpu_environment(cores, rank, replicas, workers)["VLLM_CPU_OMP_THREADS_BIND"] for rank in range(replicas)]
    used = [int(core) for one in bound if one != "nobind" for share in one.split("|") for core in share.split(",")]
    assert len(used) == len(set(used))
    if len(cores) >= replicas * workers:
        assert set(used) == cores
    assert all(one == "nobind" or len(one.split("|")) == workers for one in bound)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_tile\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd i8mm bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd ebf16x\n", False),
        ("model name\t: a bf16 processor\nflags\t\t: fpu\n", False),
        ("", False),
    ],
)
def test_bfloat16_is_read_from_the_processors_flags(tmp_path: Path, cpuinfo: str, expected: bool) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo, encoding="utf-8")
    assert has_bfloat16(file) is expected


def test_a_processor_that_cannot_be_asked_has_no_bfloat16(tmp_path: Path) -> None:
    assert has_bfloat16(tmp_path / "missing") is False
