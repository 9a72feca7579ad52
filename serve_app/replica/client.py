"""ServedScorer: a Scorer over a Serve handle, patient with replicas that die or are full, and wary of pairs that kill.

A call that was at work when an engine died is a *suspect*: it is made again while nothing else of this scorer is in the
engine. Where it kills again it is cut into parts, until the pair that does it is alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ray.exceptions import ActorDiedError, RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from serve_app.replica.exclusion import Exclusion
from stages.core.errors import EngineDiedError, EngineError, ScoringError, first_line
from stages.core.records import PairScore, TimedScores

# What another replica, or the same one after its restart, may well answer.
TRANSIENT = (RayActorError, BackPressureError, DeploymentUnavailableError, EngineError)
# What may be the call's own doing: the engine's process died under it, or the whole replica did.
DEATHS = (EngineDiedError, ActorDiedError)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0
# A suspect call is cut into so many parts. Each death costs an engine start (half a minute and more), each part without
# the killer next to nothing: with eight, one pair in 100 is found with three further deaths, with two it takes seven.
PARTS = 8
# A pair is given up when so many calls with it killed an engine, nothing else being there, the last one by itself.
DEATHS_TO_CONVICT = 2
# So many such deaths without an answer between them, and it is the engine that is broken, not a pair: one killer among
# 1,000 pairs is found in five.
DEATHS_TO_DESPAIR = 8


class ServedScorer:
    """Sends a query and its documents as one call; retries elsewhere, with back-off, for `retry_for_s` seconds.

    With `identity`, the digest of a ScoringIdentity, only a replica answers whose scores are decided by just that.
    `listwise`: a list is scored as a whole or not at all, so one that kills is never cut into parts.
    """

    def __init__(self, handle: Any, retry_for_s: float, identity: str | None = None, *, listwise: bool = False) -> None:
        self.handle = handle
        self.retry_for_s = retry_for_s
        self.identity = identity
        self.listwise = listwise
        self._exclusion = Exclusion()
        self._deaths_in_a_row = 0

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """A pair that killed the engine by itself comes back failed, with that as its error.

        Raises what the replica raised: QueryTooLongError, IdentityError, or EngineError when no replica answered in
        time or every call kills the engine.
        """
        try:
            async with self._exclusion.shared():
                return await self._patiently(query, documents, instruction)
        except DEATHS as death:
            if self._deaths_in_a_row >= DEATHS_TO_DESPAIR:
                raise _hopeless(death) from death
        async with self._exclusion.alone():
            return await self._suspect(query, documents, instruction, deaths=0)

    async def _suspect(
        self, query: str, documents: Sequence[str], instruction: str | None, deaths: int
    ) -> list[PairScore]:
        """Score a call that was there when the engine died; `deaths` counts those with nothing else in the engine."""
        try:
            return await self._patiently(query, documents, instruction)
        except DEATHS as death:
            deaths, self._deaths_in_a_row = deaths + 1, self._deaths_in_a_row + 1
            if self._deaths_in_a_row >= DEATHS_TO_DESPAIR:
                raise _hopeless(death) from death
            if (self.listwise or len(documents) == 1) and deaths >= DEATHS_TO_CONVICT:
                killer = "list" if self.listwise else "pair"
                fault = PairScore(None, error=f"scoring this {killer} kills the engine: {reason_of(death)}")
                return [fault] * len(documents)
        scores: list[PairScore] = []
        for part in [documents] if self.listwise else _parts(documents):
            scores += await self._suspect(query, part, instruction, deaths)
        return scores

    async def _patiently(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        """Ask until a replica answers or one dies of it (DEATHS); a full or missing one is waited for."""
        deadline, wait_s = time.monotonic() + self.retry_for_s, FIRST_WAIT_S
        while True:
            try:
                scores = await self._ask(query, documents, instruction)
            except DEATHS:
                raise
            except TRANSIENT as error:
                if time.monotonic() + wait_s > deadline:
                    raise EngineError(f"no replica could score the query: {reason_of(error)}") from error
            else:
                self._deaths_in_a_row = 0
                return scores
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _ask(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        """One try. Raises what the replica raised."""
        with as_raised():
            return await self._call(query, documents, instruction)

    async def _call(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        scores: list[PairScore] = await self.handle.score.remote(query, list(documents), instruction, self.identity)
        return scores


class UrgentScorer(ServedScorer):
    """As ServedScorer, ahead of all batch work: for a few pairs that somebody waits for."""

    async def _call(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        timed: TimedScores = await self.handle.score_online.remote(
            query, list(documents), instruction, None, self.identity
        )
        return timed.pairs


@contextlib.contextmanager
def as_raised() -> Iterator[None]:
    """Ray wraps what a replica raises in an error whose text is a traceback, with the replica's ids and paths: within
    this, an error of ours comes out as it was.
    """
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, ScoringError):
            raise error.cause from error
        raise


def reason_of(error: Exception) -> str:
    """What a user is told of one of TRANSIENT: our sentence where Ray's names processes, nodes and paths."""
    if isinstance(error, ActorDiedError):
        return "its replica died"
    if isinstance(error, RayActorError):
        return "its replica does not answer"
    if isinstance(error, BackPressureError):
        return "all replicas are full"
    if isinstance(error, DeploymentUnavailableError):
        return "the replicas failed to start"
    return first_line(error)


def _parts(documents: Sequence[str]) -> list[Sequence[str]]:
    size = math.ceil(len(documents) / PARTS)
    return [documents[start : start + size] for start in range(0, len(documents), size)]


def _hopeless(death: Exception) -> EngineError:
    return EngineError(f"the engine dies of every call: {reason_of(death)}. Its log is in the run folder's logs/")
