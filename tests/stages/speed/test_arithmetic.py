"""Operations of scoring prompts: the published figures, and sharing checked against counting every beginning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ConfigError
from stages.speed.arithmetic import (
    GPU_TFLOPS,
    QWEN3_RERANKERS,
    LayerShape,
    Work,
    known_gpu,
    prompt_flop,
    seconds_on,
    shape_of,
    work_alone,
    work_shared,
)

SHAPE = LayerShape(layers=2, hidden=8, intermediate=16, heads=2, kv_heads=1, head_dim=4)
ENCODER = LayerShape(layers=2, hidden=8, intermediate=16, heads=2, kv_heads=2, head_dim=4, feed_forward=2, causal=False)
PROMPTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("name", "teraflop"),
    [("qwen3-reranker-0.6b", 0.469), ("qwen3-reranker-4b", 3.71), ("qwen3-reranker-8b", 7.02)],
)
def test_a_pair_of_500_tokens_costs_what_is_known_of_the_published_models(name: str, teraflop: float) -> None:
    assert prompt_flop(QWEN3_RERANKERS[name], 500) / 1e12 == pytest.approx(teraflop, abs=0.005 * teraflop)


def test_the_layers_of_the_smallest_have_440_million_parameters() -> None:
    # 595,776,512 in all (its model card), less 151,669 x 1,024 of embeddings and 28 x 2,304 + 1,024 of norms.
    assert QWEN3_RERANKERS["qwen3-reranker-0.6b"].weights == 595_776_512 - 151_669 * 1024 - 28 * 2304 - 1024


def test_a_prompt_costs_its_matrices_and_each_token_of_it_the_ones_before() -> None:
    # Attention: 8 x 4 x (2 x 2 + 2 x 1) = 192 weights a layer; feed-forward: 3 x 8 x 16 = 384.
    assert SHAPE.weights == 2 * (192 + 384)
    assert prompt_flop(SHAPE, 3) == 2 * SHAPE.weights * 3 + SHAPE.attention_flop * (1 + 2 + 3)
    assert prompt_flop(SHAPE, 3, computed_before=2) == 2 * SHAPE.weights + SHAPE.attention_flop * 3


def test_in_a_model_that_is_not_causal_every_token_attends_to_all() -> None:
    assert prompt_flop(ENCODER, 3) == 2 * ENCODER.weights * 3 + ENCODER.attention_flop * 9


@given(PROMPTS)
def test_shared_work_is_that_of_all_distinct_beginnings(prompts: list[list[int]]) -> None:
    beginnings = {tuple(prompt[: place + 1]) for prompt in prompts for place in range(len(prompt))}
    again = [len(prompt) for place, prompt in enumerate(prompts) if prompt in prompts[:place]]  # its last token alone
    tokens = [*map(len, beginnings), *again]
    expected = sum(2 * SHAPE.weights + SHAPE.attention_flop * place for place in tokens)
    assert work_shared(SHAPE, prompts) == Work(len(tokens), pytest.approx(expected))


@given(PROMPTS, st.integers(1, 5))
def test_blocks_share_no_more_than_tokens_and_no_less_than_nothing(prompts: list[list[int]], block: int) -> None:
    alone = work_alone(SHAPE, list(map(len, prompts)))
    in_blocks, shared = work_shared(SHAPE, prompts, block), work_shared(SHAPE, prompts)
    assert shared.tokens <= in_blocks.tokens <= alone.tokens
    assert shared.flop <= in_blocks.flop * (1 + 1e-12)
    assert in_blocks.flop <= alone.flop * (1 + 1e-12)


def test_only_whole_blocks_are_shared() -> None:
    prompts = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7]]
    assert work_shared(SHAPE, prompts, block=4).tokens == 6 + 2
    assert work_shared(SHAPE, prompts, block=8).tokens == 12


def test_nothing_is_shared_where_tokens_attend_to_what_follows() -> None:
    prompts = [[1, 2, 3], [1, 2, 4]]
    assert work_shared(ENCODER, prompts) == work_alone(ENCODER, [3, 3])


def test_the_layers_are_read_from_a_config() -> None:
    qwen3 = {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    assert shape_of(qwen3) == QWEN3_RERANKERS["qwen3-reranker-0.6b"]
    bert = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    assert shape_of(bert) == ENCODER


def test_a_gated_encoder_has_three_matrices_and_experts_are_not_counted() -> None:
    bert = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    gated = shape_of(bert | {"model_type": "modernbert"})
    assert (gated.feed_forward, gated.causal) == (3, False)
    with pytest.raises(ConfigError, match="few of the model's num_experts"):
        shape_of(bert | {"num_experts": 128})
    assert shape_of(bert | {"num_experts": 0}) == ENCODER


def test_a_config_that_does_not_tell_is_one_line() -> None:
    with pytest.raises(ConfigError, match="no 'hidden_size'"):
        shape_of({"num_attention_heads": 2})


def test_seconds_are_operations_over_what_is_reached_of_all_rates() -> None:
    # 0.469 TFLOP a pair, 1,000 pairs; 55 % of 989 TFLOP/s; on two GPUs half of it.
    assert seconds_on(469e12, GPU_TFLOPS[known_gpu("h100")]) == pytest.approx(469 / (989 * 0.55))
    assert seconds_on(469e12, 989, gpus=2) == pytest.approx(469 / (989 * 0.55) / 2)
    assert seconds_on(469e12, 312, utilization=1) == pytest.approx(469 / 312)


def test_a_gpu_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"GPU gtx is not known here. Known: V100, .*, H100, "):
        known_gpu("gtx")
