"""What a call's prompts are packed into comes out again, whatever they begin with and whatever was computed of them."""

from __future__ import annotations

import math
from itertools import takewhile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engine.packing import (
    Asked,
    Rest,
    Told,
    largest_and_smallest_id,
    pack,
    pack_outputs,
    shared_length,
    unpack,
    unpack_numbers,
    unpack_told,
    unpack_values,
)

IDS = st.lists(st.integers(0, 2**31 - 1), max_size=6)
PROMPTS = st.builds(
    lambda head, tails: [Asked(head + tail, second) for tail, second in tails],
    IDS,
    st.lists(st.tuples(IDS, st.none() | st.integers(0, 99)), min_size=1, max_size=6),
)


def told(values: int) -> Told:
    return Told(values, 30 + values, 16, 0.25, 1.5, 2)


@given(PROMPTS)
def test_what_prompts_share_is_what_all_of_them_begin_with(prompts: list[Asked]) -> None:
    columns = zip(*(one.token_ids for one in prompts), strict=False)
    assert shared_length(prompts) == len(list(takewhile(lambda column: len(set(column)) == 1, columns)))


@given(PROMPTS)
def test_packed_prompts_are_the_same_again(prompts: list[Asked]) -> None:
    shared = shared_length(prompts)
    found, rests = unpack(pack(prompts, shared))
    assert found == shared
    assert list(rests) == [Rest(one.token_ids[shared:], one.second_part) for one in prompts]


@given(PROMPTS)
def test_the_largest_and_the_smallest_id_are_of_the_rests_alone(prompts: list[Asked]) -> None:
    shared = shared_length(prompts)
    ids = [token for one in prompts for token in one.token_ids[shared:]] or [0]
    assert largest_and_smallest_id(pack(prompts, shared)) == (max(ids), min(ids))


def test_an_id_that_is_no_token_of_any_model_is_not_packed_as_another() -> None:
    with pytest.raises(OverflowError):
        pack([Asked([2**31])], 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shapes", [[(1,), (1,)], [(4,), (4,), (4,)], [(3, 5), (1, 5), (7, 5)]])
def test_what_was_computed_is_the_same_again_to_the_last_bit(dtype: torch.dtype, shapes: list[tuple[int, ...]]) -> None:
    values = [torch.randn(shape).to(dtype) for shape in shapes]
    values[-1][..., -1:] = math.nan
    rows = [told(one.numel()) for one in values]
    packed = pack_outputs(rows, values)
    assert packed.dtype == torch.uint8
    assert unpack_told(packed) == rows
    found = unpack_values(packed, rows)
    for one, other in zip(values, found, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one.nan_to_num(7), other.nan_to_num(7))


def test_a_number_is_a_vector_of_one() -> None:
    rows = [told(1), told(1)]
    packed = pack_outputs(rows, [torch.tensor(1.5), torch.tensor(2.5)])
    assert [one.tolist() for one in unpack_values(packed, rows)] == [[1.5], [2.5]]


def test_a_prompt_of_which_nothing_was_computed_is_empty_among_others() -> None:
    rows = [told(2), told(0), told(2)]
    packed = pack_outputs(rows, [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])])
    assert [one.tolist() for one in unpack_values(packed, rows)] == [[1.0, 2.0], [], [3.0, 4.0]]
    assert unpack_numbers(packed, rows) is None


def test_a_call_of_which_nothing_was_computed_is_empty() -> None:
    packed = pack_outputs([told(0)], [])
    assert [one.tolist() for one in unpack_values(packed, unpack_told(packed))] == [[]]


def test_one_value_a_prompt_comes_as_numbers() -> None:
    rows = [told(1), told(1)]
    packed = pack_outputs(rows, [torch.tensor([0.1]), torch.tensor([math.inf])])
    assert unpack_numbers(packed, rows) == [float(torch.tensor(0.1)), math.inf]
