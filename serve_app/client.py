"""ServedScorer: a Scorer over a Serve handle, patient with replicas that die or are full."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Sequence
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from stages.errors import CanaryError, EngineError, ScoringError
from stages.records import PairScore
from stages.scoring import Scorer

# What another replica, or the same one after its restart, may well answer.
TRANSIENT = (RayActorError, BackPressureError, DeploymentUnavailableError)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0
# A call that has killed this many engines is not tried on another one.
ENGINE_ATTEMPTS = 3

CANARIES = (
    (
        "what is the capital of France",
        ("Paris is the capital of France.", "Bananas are rich in potassium.", "def f(x): return x"),
    ),
    (
        "how to sort a list in python",
        ("Use sorted(values) or values.sort().", "The Nile is a river in Africa.", "Rain is likely."),
    ),
)


class ServedScorer:
    """Sends a query and its documents as one call; retries elsewhere, with back-off, for `retry_for_s` seconds."""

    def __init__(self, handle: Any, retry_for_s: float) -> None:
        self.handle = handle
        self.retry_for_s = retry_for_s

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """Raises what the replica raised: QueryTooLongError, or EngineError when every try failed."""
        deadline, wait_s, engine_deaths = time.monotonic() + self.retry_for_s, FIRST_WAIT_S, 0
        while True:
            try:
                return await self._ask(query, documents, instruction)
            except (*TRANSIENT, EngineError) as error:
                engine_deaths += isinstance(error, EngineError)
                if engine_deaths >= ENGINE_ATTEMPTS or time.monotonic() + wait_s > deadline:
                    raise EngineError(f"no replica could score the query: {_first_line(error)}") from error
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _ask(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        """One try. Ray wraps what a replica raises in an error whose text is a traceback: ours comes out as it was."""
        try:
            scores: list[PairScore] = await self.handle.score.remote(query, list(documents), instruction)
        except RayTaskError as error:
            if isinstance(error.cause, ScoringError):
                raise error.cause from error
            raise
        return scores


async def check_canaries(scorer: Scorer) -> None:
    """Score a few built-in pairs. Raises CanaryError where scores are missing, not finite, or all the same.

    The canaries catch an engine that answers nonsense (weights not loaded, template lost), not one that ranks badly.
    """
    scores: list[float] = []
    for query, documents in CANARIES:
        pairs = await scorer.score(query, documents)
        if len(pairs) != len(documents):
            raise CanaryError(f"the engine gives {len(pairs)} scores for {len(documents)} built-in documents.")
        for pair in pairs:
            value = pair.logit if pair.logit is not None else pair.score
            if value is None or not math.isfinite(value):
                raise CanaryError(
                    f"the engine fails on a built-in pair: {pair.error or value}. Check model and engine.dtype."
                )
            scores.append(value)
    if len(set(scores)) == 1:
        raise CanaryError(
            f"the engine gives every built-in pair the same score, {scores[0]:g}: its weights or its prompt are wrong. "
            "Check model.name, model.family and engine.load_format."
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
