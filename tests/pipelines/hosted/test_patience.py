"""The forms in which a server says when to come again."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest

from pipelines.hosted.patience import LONGEST_WAIT_S, own_wait_s, told_wait_s

NOW_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, None, 7),
        ({"retry-after": "1.5"}, None, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, None, 0.25),
        ({"retry-after": formatdate(NOW_S + 30, usegmt=True)}, None, 30),
        ({"retry-after": formatdate(NOW_S - 30, usegmt=True)}, None, 0),
        ({}, {"type": "x", "details": {"retry_after": 3}}, 3),
        ({"x-ratelimit-reset": "12"}, None, 12),
        ({"x-ratelimit-reset": str(int(NOW_S) + 5)}, None, 5),
        ({}, None, None),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": "-3"}, None, None),
        ({"retry-after": "nan"}, None, None),
        ({}, {"details": {"retry_after": True}}, None),
        ({}, ["not", "an", "object"], None),
    ],
)
def test_each_form_is_understood_and_nonsense_is_not_believed(
    headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    assert told_wait_s(headers, body, NOW_S) == seconds


def test_our_own_wait_grows_up_to_a_limit_and_is_never_the_same_for_all() -> None:
    assert own_wait_s(1) < own_wait_s(6) <= own_wait_s(50) * 2 <= LONGEST_WAIT_S * 2
    assert len({own_wait_s(5) for _ in range(20)}) > 10
