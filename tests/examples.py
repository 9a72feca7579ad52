"""How many examples a property test takes: a fifth of them by default, all under `make test-all`."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

THOROUGH = os.environ.get("RERANK_EVAL_TESTS") == "all"
SHARE = 5
USUAL = 100

# No clock: what takes long on a busy machine is no fault of a test.
settings.register_profile(
    "rerank-eval",
    max_examples=USUAL if THOROUGH else USUAL // SHARE,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rerank-eval")


def some_of(number: int) -> int:
    """All of so many under `make test-all`, else a fifth of them, and five at least."""
    return number if THOROUGH else max(number // SHARE, min(number, 5))


def examples(number: int, **more: Any) -> settings:
    """Settings of a property test that takes so many examples under `make test-all`."""
    return settings(max_examples=some_of(number), deadline=None, **more)
