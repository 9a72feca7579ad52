"""vLLM's own scheduler, without an engine around it, treats a call's prompts as if each had been a request."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import vllm.v1.engine
from hypothesis import given
from hypothesis import strategies as st
from vllm import PoolingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.usage.usage_lib import UsageContext
from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine import EngineCoreEvent, EngineCoreEventType, EngineCoreOutput, FinishReason
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus
from vllm.v1.structured_output import StructuredOutputManager

from serve_app.engine.engine_args import FAN_OUT, Host, engine_arguments
from serve_app.engine.fan_out import FanOutAsyncScheduler, FanOutCleanBlockScheduler, FanOutScheduler
from serve_app.engine.fan_out_check import VLLM, misfits, why_not
from serve_app.engine.models import describe
from serve_app.engine.packing import KEY, Asked, Told, pack, shared_length, unpack_told, unpack_values
from serve_app.engine.scheduler import CleanBlockScheduler
from serve_app.settings import EngineSettings, ModelSettings

BLOCK = 16
# Ours, and what each is in front of.
PAIRS = [(FanOutScheduler, Scheduler), (FanOutCleanBlockScheduler, CleanBlockScheduler)]
HASH = get_hash_fn_by_name("sha256")


@pytest.fixture(scope="module")
def config(tiny_qwen3: Path) -> Any:
    """vLLM's config of an engine that computes 64 tokens and 4 prompts in a step."""
    settings = EngineSettings.model_validate({"dtype": "float32", "compile": False, "block_size": BLOCK})
    host = Host("cpu", max_num_seqs=4, max_num_batched_tokens=64, bfloat16=False)
    arguments = engine_arguments(describe(ModelSettings(name=str(tiny_qwen3))), settings, host)
    init_none_hash(HASH)
    return AsyncEngineArgs(**arguments).create_engine_config(UsageContext.ENGINE_CONTEXT)


def scheduler_of(kind: Any, config: Any, blocks: int = 100, tokens: int = 0) -> Any:
    """With a cache of so many blocks, which prompts may run out of in the middle; of each it reads so many tokens in a
    step, if any number is given.
    """
    config = copy.copy(config)
    config.cache_config = copy.copy(config.cache_config)
    config.cache_config.num_gpu_blocks = blocks
    config.scheduler_config = copy.copy(config.scheduler_config)
    config.scheduler_config.scheduler_reserve_full_isl = False
    config.scheduler_config.long_prefill_token_threshold = tokens
    spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
    cache = KVCacheConfig(num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)])
    return kind(
        vllm_config=config,
        kv_cache_config=cache,
        structured_output_manager=StructuredOutputManager(config),
        block_size=BLOCK,
        hash_block_size=BLOCK,
        log_stats=True,
    )


def request(name: str, ids: list[int], extra: dict[str, Any] | None = None, **told: Any) -> Request:
    skip = told.pop("skip", False)
    params = PoolingParams(task="classify", extra_kwargs=extra, skip_reading_prefix_cache=skip)
    hasher = get_request_block_hasher(BLOCK, HASH)
    return Request(name, list(ids), None, params, block_hasher=hasher, **told)


def call(name: str, prompts: Sequence[Asked], **told: Any) -> Request:
    """As the engine is asked."""
    shared = shared_length(prompts)
    return request(name, prompts[0].token_ids[:shared] or [0], {KEY: pack(prompts, shared)}, **told)


def each(name: str, prompts: Sequence[Asked], **told: Any) -> Iterator[Request]:
    """What vLLM would have been asked."""
    arrived_s = told.pop("arrival_time", time.time())
    for place, one in enumerate(prompts):
        extra = None if one.second_part is None else {"compressed_token_type_ids": one.second_part}
        yield request(f"{name}.{place}", one.token_ids, extra, arrival_time=arrived_s + place / 1e6, **told)


@dataclass
class Steps:
    """What was scheduled in each step (prompt -> tokens), the token types that went along, and what came out."""

    scheduled: list[dict[str, int]] = field(default_factory=list)
    types: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, EngineCoreOutput] = field(default_factory=dict)


def value_of(ids: Sequence[int]) -> torch.Tensor:
    return torch.tensor([float(sum(place * token for place, token in enumerate(ids, 1)))])


def step(scheduler: Any, into: Steps) -> None:
    """One, with a value for each prompt that was read to its end."""
    given = scheduler.schedule()
    into.scheduled.append(dict(given.num_scheduled_tokens))
    into.types |= {one.req_id: one.pooling_params.extra_kwargs for one in given.scheduled_new_reqs}
    names = list(given.num_scheduled_tokens)
    requests = [scheduler.requests[name] for name in names]
    values = [
        value_of(one.prompt_token_ids) if one.num_computed_tokens >= one.num_prompt_tokens else None for one in requests
    ]
    computed = ModelRunnerOutput(names, {name: place for place, name in enumerate(names)}, pooler_output=values)
    for outputs in scheduler.update_from_output(given, computed).values():
        into.outputs |= {one.request_id: one for one in outputs.outputs}


def run(scheduler: Any, requests: Sequence[Request], into: Steps | None = None) -> Steps:
    steps = into or Steps()
    for one in requests:
        scheduler.add_request(one)
    for _ in range(1_000):
        if not scheduler.has_requests():
            return steps
        step(scheduler, steps)
    raise AssertionError("the scheduler comes to no end")


def told_of(output: EngineCoreOutput) -> tuple[list[Told], list[float]]:
    told = unpack_told(output.pooling_output)
    return told, [float(one) for one in unpack_values(output.pooling_output, told)]


def told_alone(steps: Steps, name: str, size: int) -> tuple[list[tuple[int, int, int]], list[float]]:
    """The same of requests a prompt: tokens, of these cached, preemptions; and values."""
    outputs = [steps.outputs[f"{name}.{place}"] for place in range(size)]
    rows = []
    for one in outputs:
        preemptions = sum(event.type == EngineCoreEventType.PREEMPTED for event in one.events)
        rows.append((one.prefill_stats.num_prompt_tokens, one.prefill_stats.num_cached_tokens, preemptions))
    return rows, [float(one.pooling_output) for one in outputs]


def prompts_of(head: int, tails: Sequence[int], second: int | None = None) -> list[Asked]:
    """Which begin with the same so many tokens, and end each with so many of its own."""
    shared = [7 * place % 5_000 for place in range(head)]
    return [
        Asked([*shared, *(10 + (place * 131 + token) % 5_000 for token in range(tail))], second)
        for place, tail in enumerate(tails)
    ]


def require_same(kinds: tuple[Any, Any], config: Any, calls: dict[str, list[Asked]], **limits: int) -> Steps:
    """Both schedulers go through the same steps, and tell the same."""
    ours = run(scheduler_of(kinds[0], config, **limits), [call(name, prompts) for name, prompts in calls.items()])
    alone = [one for name, prompts in calls.items() for one in each(name, prompts)]
    theirs = run(scheduler_of(kinds[1], config, **limits), alone)
    assert ours.scheduled == theirs.scheduled
    assert ours.types == theirs.types
    assert set(ours.outputs) == set(calls)
    for name, prompts in calls.items():
        told, values = told_of(ours.outputs[name])
        rows, expected = told_alone(theirs, name, len(prompts))
        assert values == expected
        assert [(one.prompt_tokens, one.cached_tokens, one.preemptions) for one in told] == rows
        assert all(0 <= one.waited_s <= one.took_s for one in told)
        assert ours.outputs[name].finish_reason == FinishReason.STOP
    return ours


@pytest.mark.parametrize("kinds", PAIRS)
def test_steps_cached_tokens_and_values_are_those_of_requests_a_prompt(kinds: tuple[Any, Any], config: Any) -> None:
    ours = require_same(kinds, config, {"a": prompts_of(40, [5, 9, 0, 70, 3, 30]), "b": prompts_of(40, [20, 21])})
    told, _ = told_of(ours.outputs["a"])
    assert max(one.cached_tokens for one in told) >= 2 * BLOCK, "nothing was shared, so this tests little"
    assert max(map(len, ours.scheduled)) <= 4
    assert any("a.3" in one and one["a.3"] < 70 for one in ours.scheduled), "no prompt was read in several steps"


@pytest.mark.parametrize("kinds", PAIRS)
def test_a_prompt_that_is_put_back_for_lack_of_cache_is_computed_again_and_counted(
    kinds: tuple[Any, Any], config: Any
) -> None:
    calls = {"a": prompts_of(0, [150, 160, 140, 155]), "b": prompts_of(0, [120, 100])}
    ours = require_same(kinds, config, calls, blocks=13, tokens=BLOCK)
    told, _ = told_of(ours.outputs["a"])
    preempted = sum(event.type == EngineCoreEventType.PREEMPTED for event in ours.outputs["a"].events)
    assert preempted == sum(one.preemptions for one in told)
    assert preempted + sum(one.preemptions for one in told_of(ours.outputs["b"])[0]) > 0, "none was put back"


@given(
    head=st.integers(0, 70),
    tails=st.lists(st.integers(1, 100), min_size=1, max_size=9),
    second=st.none() | st.integers(1, 50),
    blocks=st.integers(13, 60),
    tokens=st.sampled_from([0, 8, BLOCK]),
)
def test_whatever_the_prompts_are(
    config: Any, head: int, tails: list[int], second: int | None, blocks: int, tokens: int
) -> None:
    calls = {"a": prompts_of(head, tails, second), "b": prompts_of(head // 2, tails[::-1])}
    require_same(PAIRS[0], config, calls, blocks=blocks, tokens=tokens)


def test_asynchronous_scheduling_tells_the_same(config: Any) -> None:
    require_same((FanOutAsyncScheduler, AsyncScheduler), config, {"a": prompts_of(40, [5, 9, 70, 3])})


def test_a_request_of_its_own_goes_through_as_it_is(config: Any) -> None:
    ids = prompts_of(40, [5])[0].token_ids
    steps = run(scheduler_of(FanOutScheduler, config), [request("alone", ids), call("a", prompts_of(10, [5, 6]))])
    assert torch.equal(steps.outputs["alone"].pooling_output, value_of(ids))


def test_what_skips_the_cache_reads_nothing_from_it(config: Any) -> None:
    scheduler, prompts = scheduler_of(FanOutScheduler, config), prompts_of(40, [5, 9])
    run(scheduler, [call("a", prompts)])
    again, skipped = (run(scheduler, [call(str(skip), prompts, skip=skip)]) for skip in (False, True))
    assert [one.cached_tokens for one in told_of(again.outputs["False"])[0]] == [32, 48]
    assert [one.cached_tokens for one in told_of(skipped.outputs["True"])[0]] == [0, 0]


def test_a_salt_keeps_caches_apart(config: Any) -> None:
    scheduler, prompts = scheduler_of(FanOutScheduler, config), prompts_of(40, [5])
    names = ("one", "other", "one")
    steps = [run(scheduler, [call(f"{place}", prompts, cache_salt=salt)]) for place, salt in enumerate(names)]
    cached = [told_of(one.outputs[f"{place}"])[0][0].cached_tokens for place, one in enumerate(steps)]
    assert cached == [0, 0, 32]


def test_a_call_of_higher_priority_overtakes_what_waits_of_a_lower(config: Any) -> None:
    scheduler, steps = scheduler_of(FanOutScheduler, config), Steps()
    scheduler.add_request(call("batch", prompts_of(0, [30] * 40), priority=10))
    step(scheduler, steps)
    run(scheduler, [call("online", prompts_of(0, [30] * 3), priority=0)], steps)
    assert list(steps.outputs) == ["online", "batch"]
    first = next(place for place, one in enumerate(steps.scheduled) if "online.0" in one)
    assert first <= 3


def test_a_call_that_is_given_up_leaves_nothing_behind(config: Any) -> None:
    scheduler, steps = scheduler_of(FanOutCleanBlockScheduler, config), Steps()
    scheduler.add_request(call("a", prompts_of(40, [30] * 20)))
    scheduler.add_request(call("b", prompts_of(40, [30] * 3)))
    for _ in range(3):
        step(scheduler, steps)
    assert scheduler.get_request_counts() > (0, 0)
    scheduler.finish_requests(["a"], RequestStatus.FINISHED_ABORTED)
    assert not any(name.startswith("a") for name in scheduler.requests)
    run(scheduler, [], steps)
    assert list(steps.outputs) == ["b"]
    assert scheduler.get_request_counts() == (0, 0)
    assert scheduler.get_kv_cache_usage() == 0
    assert not scheduler._calls
    assert not scheduler._prompts
    scheduler.finish_requests(["a", "b"], RequestStatus.FINISHED_ABORTED)  # an end that comes too late


def test_where_all_is_ended_clients_are_told_of_their_calls(config: Any) -> None:
    scheduler = scheduler_of(FanOutScheduler, config)
    scheduler.add_request(call("a", prompts_of(40, [30] * 20)))
    scheduler.add_request(request("alone", [1, 2, 3]))
    ended = scheduler.finish_requests(None, RequestStatus.FINISHED_ABORTED)
    assert sorted(one.request_id for one in ended) == ["a", "alone"]
    assert not scheduler.has_requests() or not run(scheduler, []).outputs


def test_a_prompt_that_ends_in_an_error_has_no_value_and_the_others_theirs(config: Any) -> None:
    scheduler, steps = scheduler_of(FanOutScheduler, config), Steps()
    prompts = prompts_of(0, [20, 20, 20, 20, 20, 20])
    scheduler.add_request(call("a", prompts))
    scheduler.encoder_cache_mismatch_reqs.add("a.5")  # how vLLM notes one that it cannot go on with
    run(scheduler, [], steps)
    told = unpack_told(steps.outputs["a"].pooling_output)
    assert [one.values for one in told] == [1, 1, 1, 1, 1, 0]


# ---- what our schedulers lean on


def test_the_schedulers_are_of_the_vllm_that_is_installed_and_all_that_they_lean_on_is_there() -> None:
    """Where it fails after an upgrade: chapter 12 of the handbook, then VLLM."""
    assert misfits() is None


def test_another_version_is_no_fit_and_a_build_of_the_same_is() -> None:
    assert misfits("0.33.0") == f"it is 0.33.0, they were written for {VLLM}"
    assert misfits(f"{VLLM}+cu129") is None


def more(self: Any, request: Any, more: Any) -> None:
    """What vLLM's method might become."""


def other(self: Any) -> None:
    """The same."""


def test_a_part_that_takes_something_else_or_knows_no_such_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Request, "update_block_hashes", other)
    assert misfits() == "other knows no _block_hasher"
    monkeypatch.setattr(Scheduler, "add_request", more)
    assert misfits() == "more takes other arguments"


def test_a_name_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm.v1.engine, "EngineCoreOutput", EngineCoreEvent)
    assert misfits() == "EngineCoreEvent has no events"


@pytest.mark.parametrize(
    ("scheduler", "engines", "reason"),
    [
        (FAN_OUT[0], 1, None),
        (FAN_OUT[2], 1, None),
        ("vllm.v1.core.sched.scheduler.Scheduler", 1, "engine.extra names a scheduler_cls"),
        (None, 1, "engine.extra names a scheduler_cls"),
        (FAN_OUT[0], 2, "engine.extra has it compute in several engines (data_parallel_size)"),
    ],
)
def test_a_config_that_has_another_scheduler_or_several_engines_takes_a_request_a_prompt(
    scheduler: str | None, engines: int, reason: str | None
) -> None:
    config = SimpleNamespace(
        scheduler_config=SimpleNamespace(scheduler_cls=scheduler),
        parallel_config=SimpleNamespace(data_parallel_size=engines),
    )
    assert why_not(config) == reason


def test_another_vllm_than_ours_was_written_for_takes_a_request_a_prompt(
    config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert why_not(config) is None
    monkeypatch.setattr(Scheduler, "add_request", more)
    assert why_not(config) == "its inner parts are not as our schedulers know them (more takes other arguments)"


def test_engine_arguments_name_these_schedulers() -> None:
    found = {f"{one.__module__}.{one.__qualname__}" for one in (FanOutScheduler, FanOutAsyncScheduler)}
    assert found | {f"{FanOutCleanBlockScheduler.__module__}.FanOutCleanBlockScheduler"} == set(FAN_OUT)
