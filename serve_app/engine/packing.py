"""A call's prompts as one message to the engine's process, and what it computed of them as one message back.

vLLM copies what it is told of a request with deepcopy and carries one tensor back: lists would be copied item by item,
and a tensor a prompt would be a message a prompt. So the way there is bytes, 4 of them an integer: how many prompts,
how long what they share is, then for each the length of its rest and where its second part begins (NO_SECOND: it has
none), then the rests. The way back is a tensor of bytes: the numbers of HEAD, a row of Told for each prompt, all of 8
bytes, then the values, one prompt's after the other's, as the engine computed them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

NO_SECOND = -1
# In PoolingParams.extra_kwargs.
KEY = "rerank_prompts"
HEAD = ("prompts", "dtype", "columns")
DTYPES = ("float32", "float16", "bfloat16", "float64")


class Asked(NamedTuple):
    """A prompt; `second_part` is where its document starts, for models with token types."""

    token_ids: list[int]
    second_part: int | None = None


class Rest(NamedTuple):
    """A prompt without what all of its call begin with."""

    token_ids: list[int]
    second_part: int | None


class Told(NamedTuple):
    """What the scheduler tells of a prompt: how many values it has (0: the engine gave none), tokens, of these from
    the prefix cache, seconds from when it was given until it was first worked on and until it was done, preemptions.
    """

    values: int
    prompt_tokens: int
    cached_tokens: int
    waited_s: float
    took_s: float
    preemptions: int


def shared_length(prompts: Sequence[Asked]) -> int:
    """How many tokens all of them begin with: as many as the first and the last of them in order."""
    first, last = min(one.token_ids for one in prompts), max(one.token_ids for one in prompts)
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return place
    return min(len(first), len(last))


def pack(prompts: Sequence[Asked], shared: int) -> bytes:
    """Raises OverflowError for an id that has no 32 bits."""
    packed = array("i", [len(prompts), shared])
    packed.extend(len(one.token_ids) - shared for one in prompts)
    packed.extend(NO_SECOND if one.second_part is None else one.second_part for one in prompts)
    for one in prompts:
        packed.fromlist(one.token_ids[shared:])
    return packed.tobytes()


def unpack(packed: bytes) -> tuple[int, Iterator[Rest]]:
    """How many tokens the prompts share, and the rest of each."""
    numbers: list[int] = np.frombuffer(packed, np.int32).tolist()
    count, shared = numbers[:2]
    return shared, _rests(numbers, count)


def _rests(numbers: list[int], count: int) -> Iterator[Rest]:
    start = 2 + 2 * count
    for length, second in zip(numbers[2 : 2 + count], numbers[2 + count : start], strict=True):
        yield Rest(numbers[start : start + length], None if second == NO_SECOND else second)
        start += length


def largest_and_smallest_id(packed: bytes) -> tuple[int, int]:
    """Of the rests; (0, 0) where there are none."""
    numbers = np.frombuffer(packed, np.int32)
    ids = numbers[2 + 2 * numbers[0] :]
    return (int(ids.max()), int(ids.min())) if ids.size else (0, 0)


def pack_outputs(told: Sequence[Told], values: Sequence[Any]) -> Any:
    """`values` are the tensors of those that have some, all of one type, and of as many columns where they have two
    dimensions. They are copied once: vectors of every token are megabytes.
    """
    import torch

    found = [one.reshape(1) for one in values] if values and not values[0].ndim else list(values)
    first = found[0] if found else torch.empty(0)
    columns = first.shape[1] if first.ndim == 2 else 0
    head = (len(told), DTYPES.index(str(first.dtype).removeprefix("torch.")), columns)
    start, size = 8 * (len(HEAD) + len(told) * len(Told._fields)), sum(one.values for one in told)
    packed = torch.empty(start + size * first.element_size(), dtype=torch.uint8)
    packed[:start].view(torch.float64)[:] = torch.tensor([*head, *chain.from_iterable(told)], dtype=torch.float64)
    if found:
        torch.cat(found, out=packed[start:].view(first.dtype).view(-1, *first.shape[1:]))
    return packed


def unpack_told(packed: Any) -> list[Told]:
    """Of each prompt, in order."""
    import torch

    count, width = int(packed[:8].view(torch.float64)), len(Told._fields)
    rows = packed[8 * len(HEAD) : 8 * (len(HEAD) + count * width)].view(torch.float64).view(count, width).tolist()
    return [Told(int(one[0]), int(one[1]), int(one[2]), one[3], one[4], int(one[5])) for one in rows]


def unpack_values(packed: Any, told: Sequence[Told]) -> list[Any]:
    """A tensor for each prompt, which are views: a vector, or a matrix where the engine computed that."""
    columns, values = _values(packed, told)
    parts = values.split([one.values for one in told])
    return [one.view(-1, columns) for one in parts] if columns else list(parts)


def unpack_numbers(packed: Any, told: Sequence[Told]) -> list[float] | None:
    """The one value of each prompt; None where some have another number of them."""
    if any(one.values != 1 for one in told):
        return None
    numbers: list[float] = _values(packed, told)[1].double().tolist()
    return numbers


def _values(packed: Any, told: Sequence[Told]) -> tuple[int, Any]:
    """How many columns they have, 0 for vectors, and all of them as one vector."""
    import torch

    _, dtype, columns = map(int, packed[: 8 * len(HEAD)].view(torch.float64).tolist())
    start = 8 * (len(HEAD) + len(told) * len(Told._fields))
    return columns, packed[start:].view(getattr(torch, DTYPES[dtype]))
