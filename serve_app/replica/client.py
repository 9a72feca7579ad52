"""Callers over a Serve handle, patient with replicas that die or are full, and wary of pairs that kill. ServedScorer is
one that scores.

The queries of a batch are one call, which one replica answers. A query that was at work when an engine died is a
*suspect*: it is asked again by itself, while nothing else of this scorer is in the engine. Where it kills again it is
cut into parts, until the pair that does it is alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeGuard

from ray.exceptions import ActorDiedError, ObjectLostError, RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from serve_app.replica.exclusion import Exclusion
from stages.core.columns import Columns, unpack
from stages.core.errors import EngineDiedError, EngineError, ScoringError, first_line
from stages.core.records import Asked, Outcome, PairScore, TimedScores
from stages.core.scoring import Item, required, score_each

# What another replica, or the same one after its restart, may well answer.
TRANSIENT = (RayActorError, ObjectLostError, BackPressureError, DeploymentUnavailableError, EngineError)
# What may be the query's own doing: the engine's process died under it, or the whole replica did.
DEATHS = (EngineDiedError, ActorDiedError)
Settled: TypeAlias = list[Item] | ScoringError | ActorDiedError
Answer: TypeAlias = Settled[Item] | RayActorError | ObjectLostError | BackPressureError | DeploymentUnavailableError
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0
# A suspect call is cut into so many parts. Each death costs an engine start (half a minute and more), each part without
# the killer next to nothing: with eight, one pair in 100 is found with three further deaths, with two it takes seven.
PARTS = 8
# A pair is given up when so many calls with it killed an engine, nothing else being there, the last one by itself.
DEATHS_TO_CONVICT = 2
# So many such deaths without an answer between them, and it is the engine that is broken, not a pair: one killer among
# 1,000 pairs is found in five.
DEATHS_TO_DESPAIR = 8


class PatientCaller(ABC, Generic[Item]):
    """Sends a batch of queries as one call; retries elsewhere, with back-off, for `retry_for_s` seconds.

    With `identity`, a digest, only a replica answers whose values are decided by just that. `listwise`: a list is
    scored as a whole or not at all, so one that kills is never cut into parts.
    """

    work = "score"  # what is asked for, in words

    def __init__(self, handle: Any, retry_for_s: float, identity: str | None = None, *, listwise: bool = False) -> None:
        self.handle = handle
        self.retry_for_s = retry_for_s
        self.identity = identity
        self.listwise = listwise
        self._exclusion = Exclusion()
        self._deaths_in_a_row = 0

    @abstractmethod
    async def _call(self, batch: Sequence[Asked]) -> Sequence[Answer[Item]]:
        """One call, and what came of each query."""

    @abstractmethod
    def _fault(self, reason: str) -> Item:
        """What comes of a document that cannot be had."""

    async def ask_batch(self, batch: Sequence[Asked]) -> list[list[Item] | ScoringError]:
        """What the replica made of each query, in order; an EngineError where none answered in time or every call kills
        the engine. A pair that killed the engine by itself comes back failed, with that as its error.
        """
        async with self._exclusion.shared():
            answers = await self._patiently(batch)
        return [
            await self._alone(asked, answer) if isinstance(answer, DEATHS) else answer
            for asked, answer in zip(batch, answers, strict=True)
        ]

    async def _alone(self, asked: Asked, death: Exception) -> list[Item] | ScoringError:
        """Ask again about a query that was at work when the engine died, while nothing else of this scorer is there."""
        if self._deaths_in_a_row >= DEATHS_TO_DESPAIR:
            return _hopeless(death)
        async with self._exclusion.alone():
            return await self._suspect(asked, deaths=0)

    async def _suspect(self, asked: Asked, deaths: int) -> list[Item] | ScoringError:
        """Ask about a query that was there when the engine died; `deaths` counts those with nothing else in it."""
        (answer,) = await self._patiently([asked])
        if not isinstance(answer, DEATHS):
            return answer
        deaths, self._deaths_in_a_row = deaths + 1, self._deaths_in_a_row + 1
        if self._deaths_in_a_row >= DEATHS_TO_DESPAIR:
            return _hopeless(answer)
        documents = asked.documents
        if (self.listwise or len(documents) == 1) and deaths >= DEATHS_TO_CONVICT:
            killer = "list" if self.listwise else "pair"
            fault = self._fault(f"{self.work.removesuffix('e')}ing this {killer} kills the engine: {reason_of(answer)}")
            return [fault] * len(documents)
        answered: list[Item] = []
        for part in [documents] if self.listwise else _parts(documents):
            outcome = await self._suspect(asked._replace(documents=part), deaths)
            if isinstance(outcome, ScoringError):
                return outcome
            answered += outcome
        return answered

    async def _patiently(self, batch: Sequence[Asked]) -> list[Settled[Item]]:
        """Ask until each query is answered or a replica died of it (DEATHS); a full or missing replica is waited for.
        What is answered is not asked again.
        """
        deadline, wait_s = time.monotonic() + self.retry_for_s, FIRST_WAIT_S
        answers: dict[int, Settled[Item]] = {}
        while True:
            left = [place for place in range(len(batch)) if place not in answers]
            fresh = dict(zip(left, await self._ask([batch[place] for place in left]), strict=True))
            if any(isinstance(answer, list) for answer in fresh.values()):
                self._deaths_in_a_row = 0
            late = time.monotonic() + wait_s > deadline
            for place, answer in fresh.items():
                if _settled(answer):
                    answers[place] = answer
                elif late:
                    answers[place] = _given_up(answer, self.work)
            if len(answers) == len(batch):
                return [answers[place] for place in range(len(batch))]
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _ask(self, batch: Sequence[Asked]) -> Sequence[Answer[Item]]:
        """One try. What the call as a whole failed of is the answer to each query."""
        try:
            with as_raised():
                return await self._call(batch)
        except (ScoringError, *TRANSIENT) as error:
            return [error] * len(batch)


class ServedScorer(PatientCaller[PairScore]):
    """A Scorer. `identity` is that of a ScoringIdentity."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """As `score_batch`, for one query. Raises what it failed of."""
        (outcome,) = await self.score_batch([Asked(query, tuple(documents), instruction)])
        return required(outcome)

    async def score_batch(self, batch: Sequence[Asked]) -> list[Outcome]:
        """As `ask_batch`."""
        return await self.ask_batch(batch)

    async def _call(self, batch: Sequence[Asked]) -> Sequence[Answer[PairScore]]:
        columns: Columns = await self.handle.score_batch.remote(list(batch), self.identity)
        return unpack(columns)

    def _fault(self, reason: str) -> PairScore:
        return PairScore(None, error=reason)


class UrgentScorer(ServedScorer):
    """As ServedScorer, ahead of all batch work: for a few pairs that somebody waits for."""

    async def _call(self, batch: Sequence[Asked]) -> Sequence[Answer[PairScore]]:
        return await score_each(self._urgently, batch)

    async def _urgently(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        timed: TimedScores
        with as_raised():
            timed = await self.handle.score_online.remote(query, list(documents), instruction, None, self.identity)
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
    if isinstance(error, ObjectLostError):
        return "its answer was lost with its node"
    if isinstance(error, BackPressureError):
        return "all replicas are full"
    if isinstance(error, DeploymentUnavailableError):
        return "the replicas failed to start"
    return first_line(error)


def _settled(answer: Answer[Item]) -> TypeGuard[Settled[Item]]:
    """Whether the same call, made again a little later, is of no use."""
    return isinstance(answer, DEATHS) or not isinstance(answer, TRANSIENT)


def _given_up(error: Answer[Item], work: str) -> EngineError:
    """What a query fails of that was asked for as long as it may be."""
    assert isinstance(error, Exception)
    fault = EngineError(f"no replica could {work} the query: {reason_of(error)}")
    fault.__cause__ = error
    return fault


def _parts(documents: tuple[str, ...]) -> list[tuple[str, ...]]:
    size = math.ceil(len(documents) / PARTS)
    return [documents[start : start + size] for start in range(0, len(documents), size)]


def _hopeless(death: Exception) -> EngineError:
    return EngineError(f"the engine dies of every call: {reason_of(death)}. Its log is in the run folder's logs/")
