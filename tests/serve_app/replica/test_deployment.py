"""A replica answers a job only where both mean the same by a score."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.replica.deployment import RerankReplica, load_engine
from stages.core.columns import unpack
from stages.core.errors import IdentityError, QueryTooLongError
from stages.core.identity import parse_identity
from stages.core.records import Asked, Outcome, PairScore, TimedScores
from tests.stages.core.test_identity import IDENTITY

PAIRS = [PairScore(0.5)]


def replica(places: int = 8, score: Any = None) -> Any:
    """One whose engine stands there already: making it would start one."""

    async def scored(query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        return PAIRS

    async def score_timed(query: str, documents: Sequence[str], *_: Any, **__: Any) -> TimedScores:
        return TimedScores(PAIRS, 0.0, 0.0, 0.0)

    made = RerankReplica.__new__(RerankReplica)
    made._name = "r1"
    made._places = asyncio.Semaphore(places)
    made._engine = SimpleNamespace(
        identity=IDENTITY, score=score or scored, score_timed=score_timed, shutdown=lambda: None
    )
    return made


@pytest.mark.parametrize("identity", [None, IDENTITY.digest])
def test_who_asks_for_no_identity_or_the_engines_own_is_answered(identity: str | None) -> None:
    assert unpack(asyncio.run(replica().score_batch([Asked("q", ("d",))], identity))) == [PAIRS]
    assert asyncio.run(replica().score_online("q", ["d"], None, None, identity)).pairs == PAIRS


def test_who_asks_for_another_is_refused() -> None:
    asked = [Asked("q", ("d",))]
    for call in (replica().score_batch(asked, "other"), replica().score_online("q", ["d"], None, None, "other")):
        with pytest.raises(IdentityError, match=f"replica r1 scores as {IDENTITY.digest}, the job as other"):
            asyncio.run(call)


# --- batches ---


class Waiting:
    """An engine's `score` whose calls stay at work until they are let go, or cancelled; "long" cannot be scored."""

    def __init__(self) -> None:
        self.at_work: list[str] = []
        self.most, self.cancelled = 0, 0
        self.go_on = asyncio.Event()

    async def __call__(self, query: str, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        if query == "long":
            raise QueryTooLongError("the query has 900 tokens")
        if query == "bug":
            raise TypeError("unexpected")
        self.at_work.append(query)
        self.most = max(self.most, len(self.at_work))
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_work.remove(query)
        return [PairScore(float(len(query)))] * len(documents)


def batch_of(*queries: str) -> list[Asked]:
    return [Asked(query, ("d", "e")) for query in queries]


def test_a_query_of_a_batch_that_cannot_be_scored_fails_alone_and_all_stay_in_order() -> None:
    async def scored() -> list[Outcome]:
        engine = Waiting()
        engine.go_on.set()
        return unpack(await replica(score=engine).score_batch(batch_of("a", "long", "ccc")))

    first, failed, last = asyncio.run(scored())
    assert (first, last) == ([PairScore(1.0)] * 2, [PairScore(3.0)] * 2)
    assert isinstance(failed, QueryTooLongError) and str(failed) == "the query has 900 tokens"


def test_what_is_no_failure_to_score_is_raised() -> None:
    engine = Waiting()
    with pytest.raises(TypeError, match="unexpected"):
        asyncio.run(replica(score=engine).score_batch(batch_of("long", "bug")))


def test_cancelling_a_batch_cancels_all_that_it_has_in_the_engine() -> None:
    async def cancelled() -> Waiting:
        engine = Waiting()
        call = asyncio.ensure_future(replica(places=2, score=engine).score_batch(batch_of("a", "b", "c")))
        while len(engine.at_work) < 2:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return engine

    engine = asyncio.run(cancelled())
    assert (engine.at_work, engine.cancelled, engine.most) == ([], 2, 2)


def test_batches_together_have_no_more_queries_in_the_engine_than_it_may_work_on() -> None:
    async def scored() -> Waiting:
        engine = Waiting()
        made = replica(places=3, score=engine)
        calls = asyncio.gather(*(made.score_batch(batch_of("a", "b")) for _ in range(4)))
        while len(engine.at_work) < 3:
            await asyncio.sleep(0)
        engine.go_on.set()
        assert [unpack(columns) for columns in await calls] == [[[PairScore(1.0)] * 2] * 2] * 4
        return engine

    assert asyncio.run(scored()).most == 3


def test_a_replica_without_a_gpu_of_its_own_leaves_those_of_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    kind, versions = load_engine("transformers", ["1"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1", "Ray has set it"
    assert load_engine("transformers", []) == (kind, versions)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert (kind.__name__, versions.keys()) == ("TransformersEngine", {"transformers", "torch"})


def test_a_replica_tells_what_decides_its_scores() -> None:
    told = asyncio.run(replica().identity())
    assert told == asdict(IDENTITY)
    assert parse_identity(told) == IDENTITY
