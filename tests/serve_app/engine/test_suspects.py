"""A pair that kills the engine is found and set aside, and everything that was there when it did is scored."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError

from serve_app.replica.client import DEATHS_TO_CONVICT, DEATHS_TO_DESPAIR, PARTS, ServedScorer
from stages.core.columns import Columns, pack
from stages.core.errors import EngineDiedError, EngineError
from stages.core.records import Asked, PairScore

KILLER = "kills"


class FakeEngine:
    """Scores a document by its length, query by query; dies with all at work when one of them holds a killer."""

    def __init__(self, death: type[Exception] = EngineDiedError, takes_s: float = 0.0) -> None:
        self.deaths, self.calls = 0, 0
        self._death, self._takes_s = death, takes_s
        self._dying: asyncio.Event = asyncio.Event()
        self.score_batch = SimpleNamespace(remote=self._remote)

    async def _remote(self, batch: Sequence[Asked], *_: object) -> Columns:
        self.calls += 1
        outcomes = await asyncio.gather(*(self._score(asked.documents) for asked in batch), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, ActorDiedError):
                raise outcome
        return pack(outcomes)  # type: ignore[arg-type]  # ours are all EngineDiedError

    async def _score(self, documents: Sequence[str]) -> list[PairScore]:
        life = self._dying
        await asyncio.sleep(self._takes_s * random.random())
        if KILLER in documents and not life.is_set():
            self.deaths += 1
            life.set()
            self._dying = asyncio.Event()
        if life.is_set():
            raise self._death("the engine died while it scored")
        return [PairScore(float(len(document))) for document in documents]


def documents_with(killers: set[int], count: int) -> list[str]:
    return [KILLER if place in killers else "x" * place for place in range(count)]


def assert_scored_but(killers: set[int], scores: list[PairScore]) -> None:
    for place, pair in enumerate(scores):
        if place in killers:
            assert pair.score is None and "kills the engine" in str(pair.error)
        else:
            assert (pair.score, pair.error) == (float(place), None)


@given(st.integers(1, 300).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count - 1))))
def test_one_killer_among_any_number_of_pairs_is_found_by_few_deaths(case: tuple[int, int]) -> None:
    count, killer = case
    engine = FakeEngine()
    scores = asyncio.run(ServedScorer(engine, 60).score("query", documents_with({killer}, count)))
    assert_scored_but({killer}, scores)
    cuts = math.ceil(math.log(count, PARTS)) if count > 1 else 0
    assert DEATHS_TO_CONVICT <= engine.deaths <= 2 + max(cuts, DEATHS_TO_CONVICT - 1) + 1


@given(st.integers(2, 60), st.sets(st.integers(0, 59), max_size=3))
def test_several_killers_in_one_call_are_all_found(count: int, killers: set[int]) -> None:
    killers = {place for place in killers if place < count}
    scores = asyncio.run(ServedScorer(FakeEngine(), 60).score("query", documents_with(killers, count)))
    assert_scored_but(killers, scores)


def test_calls_that_were_there_by_chance_are_scored_and_never_blamed() -> None:
    """Calls of a single pair come and go, so that each death finds some of them in the engine."""

    async def job() -> tuple[FakeEngine, list[list[PairScore]]]:
        engine = FakeEngine(takes_s=0.01)
        scorer = ServedScorer(engine, 60)

        async def one(place: int) -> list[PairScore]:
            await asyncio.sleep(0.002 * place)
            return await scorer.score("query", documents_with({30}, 60) if place == 5 else ["one"])

        return engine, await asyncio.gather(*(one(place) for place in range(50)))

    engine, answers = asyncio.run(job())
    assert_scored_but({30}, answers[5])
    assert all(pairs == [PairScore(3.0)] for place, pairs in enumerate(answers) if place != 5)
    assert engine.deaths >= 3


BATCHES = st.lists(st.lists(st.booleans(), min_size=1, max_size=12), min_size=1, max_size=6)


@given(BATCHES.filter(lambda batch: sum(map(sum, batch)) <= 3), st.sampled_from([EngineDiedError, ActorDiedError]))
def test_killers_in_a_batch_are_found_and_no_other_pair_of_it_is_blamed(
    batch: list[list[bool]], kind: type[Exception]
) -> None:
    """True is a pair that kills."""

    def death(reason: str) -> Exception:
        return ActorDiedError() if kind is ActorDiedError else EngineDiedError(reason)

    engine = FakeEngine(death)  # type: ignore[arg-type]
    killers = [{place for place, kills in enumerate(query) if kills} for query in batch]
    asked = [
        Asked(f"query {number}", tuple(documents_with(killers[number], len(query))))
        for number, query in enumerate(batch)
    ]
    for found, outcome in zip(killers, asyncio.run(ServedScorer(engine, 60).score_batch(asked)), strict=True):
        assert isinstance(outcome, list)
        assert_scored_but(found, outcome)


def test_a_death_of_the_whole_replica_counts_as_much() -> None:
    engine = FakeEngine(death=lambda reason: ActorDiedError())  # type: ignore[arg-type]
    assert_scored_but({3}, asyncio.run(ServedScorer(engine, 60).score("query", documents_with({3}, 9))))


def test_a_death_that_does_not_come_again_costs_one_repeated_call() -> None:
    class DiesOnce(FakeEngine):
        async def _score(self, documents: Sequence[str]) -> list[PairScore]:
            if self.calls == 1:
                raise EngineDiedError("killed by somebody")
            return [PairScore(1.0) for _ in documents]

    engine = DiesOnce()
    assert asyncio.run(ServedScorer(engine, 60).score("query", ["a", "b"])) == [PairScore(1.0)] * 2
    assert engine.calls == 2


def test_an_engine_that_dies_of_every_call_is_given_up_and_no_pair_is_blamed() -> None:
    engine = FakeEngine()
    scorer, documents = ServedScorer(engine, 60), [KILLER] * 1000
    with pytest.raises(EngineError, match="the engine dies of every call"):
        asyncio.run(scorer.score("query", documents))
    assert engine.deaths == DEATHS_TO_DESPAIR + 1
    with pytest.raises(EngineError, match="the engine dies of every call"):
        asyncio.run(scorer.score("another query", documents))
    assert engine.deaths == DEATHS_TO_DESPAIR + 2, "once is enough to see that it is still broken"
