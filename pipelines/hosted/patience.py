"""When a refused request may be sent again: the forms in which servers say so, and our own where they do not."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
# A number that is no duration but a moment: Unix seconds of 2001 and later.
A_MOMENT_S = 1e9


def told_wait_s(headers: Mapping[str, str], body: Any, now_s: float | None = None) -> float | None:
    """How many seconds the server asks to wait; None where it does not, or not understandably.

    `retry-after-ms`, then `Retry-After` as whole or decimal seconds or as a date, then `details.retry_after` of the
    body, then `x-ratelimit-reset`. `headers` find their names in lower case.
    """
    now = time.time() if now_s is None else now_s
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    after = headers.get("retry-after")
    if after is not None:
        seconds = _number(after)
        return _until(after, now) if seconds is None else seconds
    details = body.get("details") if isinstance(body, dict) else None
    if isinstance(details, dict) and (seconds := _number(details.get("retry_after"))) is not None:
        return seconds
    reset = _number(headers.get("x-ratelimit-reset"))
    if reset is None:
        return None
    return max(reset - now, 0.0) if reset > A_MOMENT_S else reset


def wait_s(told_s: float | None, tries: int) -> float:
    """How long is waited after so many tries: as long as the server asks, and our own back-off, so that a server that
    says 0 is not asked without a pause, and those that failed together do not come again together.
    """
    return (told_s or 0.0) + own_wait_s(tries)


def own_wait_s(tries: int) -> float:
    """Back-off after so many tries, with jitter."""
    longest: float = min(FIRST_WAIT_S * 2 ** min(tries, 10), LONGEST_WAIT_S)
    return longest * random.uniform(0.5, 1.0)


def _number(said: Any) -> float | None:
    if isinstance(said, bool):
        return None
    try:
        number = float(said)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(date: str, now_s: float) -> float | None:
    try:
        return max(parsedate_to_datetime(date).timestamp() - now_s, 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
