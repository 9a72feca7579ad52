"""The served scorer is patient with replicas that die or are full, and with nothing else. Time is a fake one."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, ObjectLostError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from serve_app.replica import client
from serve_app.replica.client import FIRST_WAIT_S, LONGEST_WAIT_S, ServedScorer, reason_of
from stages.core.columns import Columns, pack
from stages.core.errors import EngineDiedError, EngineError, IdentityError, QueryTooLongError
from stages.core.records import Asked, Candidates, Outcome, PairScore
from stages.core.rerank import rerank

ANSWER = [PairScore(0.75, logit=1.1, prompt_tokens=9), PairScore(0.25, logit=-1.1, prompt_tokens=8)]
ASKED = Asked("query", ("one", "two"), "instruction")
TRANSIENT = [
    EngineError("the engine is dead"),
    ActorUnavailableError("gone for a moment", b"\0" * 16),
    BackPressureError(num_queued_requests=3, max_queued_requests=2),
    DeploymentUnavailableError(SimpleNamespace(name="reranker", app_name="rerank")),
    ObjectLostError("0" * 56, None, ""),
]


class FakeHandle:
    """A Serve handle whose calls do, in turn, what the test says: raise, or answer with what comes of each query."""

    def __init__(self, *course: Exception | list[Outcome]) -> None:
        self.course = list(course)
        self.calls: list[tuple[Any, ...]] = []
        self.score_batch = SimpleNamespace(remote=self._remote)

    async def _remote(self, *arguments: Any) -> Columns:
        self.calls.append(arguments)
        outcome = self.course.pop(0) if len(self.course) > 1 else self.course[0]
        if isinstance(outcome, Exception):
            raise outcome
        return pack(outcome)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the scorer slept, in s; its clock goes on by that and by nothing else."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(client, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: sum(slept)))
    random.seed(7)
    return slept


def score(handle: FakeHandle, retry_for_s: float = 600) -> list[PairScore]:
    return asyncio.run(ServedScorer(handle, retry_for_s).score("query", ("one", "two"), "instruction"))


def score_batch(handle: FakeHandle, *queries: str, retry_for_s: float = 600) -> list[Outcome]:
    asked = [Asked(query, ("one", "two")) for query in queries]
    return asyncio.run(ServedScorer(handle, retry_for_s).score_batch(asked))


def queries_asked(handle: FakeHandle) -> list[list[str]]:
    """The queries of each call."""
    return [[asked.query for asked in batch] for batch, _ in handle.calls]


def from_replica(error: Exception) -> Exception:
    """What a Serve handle raises where the replica raised `error`: its text is a coloured traceback."""
    traceback = f"Traceback (most recent call last):\n  File replica.py\n{type(error).__name__}: {error}"
    wrapped: Exception = RayTaskError("score", traceback, error).as_instanceof_cause()
    assert "\n" in str(wrapped)
    return wrapped


# --- retries ---


def test_a_query_and_all_its_documents_are_one_call(waits: list[float]) -> None:
    handle = FakeHandle([ANSWER])
    assert score(handle) == ANSWER
    assert handle.calls == [([ASKED], None)]
    assert waits == []


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_the_same_call_is_made_again_and_its_answer_is_the_only_one(error: Exception, waits: list[float]) -> None:
    handle = FakeHandle(error, error, [ANSWER])
    assert score(handle) == ANSWER
    assert handle.calls == [([ASKED], None)] * 3
    assert len(waits) == 2


def test_tokens_of_a_query_that_was_retried_are_counted_once(waits: list[float]) -> None:
    scorer = ServedScorer(FakeHandle(TRANSIENT[0], [ANSWER]), 600)
    (ranking,) = asyncio.run(rerank([Candidates("q", "query", ("a", "b"), ("one", "two"), (2.0, 1.0))], scorer))
    assert (ranking.prompt_tokens, ranking.doc_ids, ranking.failed) == (17, ("a", "b"), {})


def test_waits_double_up_to_the_longest_and_vary_so_that_callers_do_not_come_back_at_once(waits: list[float]) -> None:
    score(FakeHandle(*[TRANSIENT[0]] * 9, [ANSWER]))
    full = [min(FIRST_WAIT_S * 2**place, LONGEST_WAIT_S) for place in range(9)]
    assert full[-1] == LONGEST_WAIT_S
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, full, strict=True))
    assert len({wait / most for wait, most in zip(waits, full, strict=True)}) > 1


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_after_the_time_limit_the_scorer_gives_up_with_the_reason(error: Exception, waits: list[float]) -> None:
    handle = FakeHandle(error)
    with pytest.raises(EngineError, match="no replica could score the query") as raised:
        score(handle, retry_for_s=60)
    assert str(raised.value) == f"no replica could score the query: {reason_of(error)}"
    assert raised.value.__cause__ is error
    assert 60 - LONGEST_WAIT_S <= sum(waits) <= 60
    assert len(handle.calls) == len(waits) + 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (EngineError("the engine is dead"), "the engine is dead"),
        (ActorDiedError(), "its replica died"),
        (ActorUnavailableError("gone for a moment: 10.0.0.1", b"\0" * 16), "its replica does not answer"),
        (BackPressureError(num_queued_requests=3, max_queued_requests=2), "all replicas are full"),
        (DeploymentUnavailableError(SimpleNamespace(name="reranker", app_name="rerank")), "failed to start"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_ray_says_of_its_processes_is_told_in_our_words(error: Exception, told: str) -> None:
    assert told in reason_of(error)
    assert not any(word in reason_of(error) for word in ("pid", "10.0.0.1", "reranker", "num_queued"))


def test_a_limit_of_zero_seconds_means_one_try(waits: list[float]) -> None:
    handle = FakeHandle(TRANSIENT[0], [ANSWER])
    with pytest.raises(EngineError):
        score(handle, retry_for_s=0)
    assert len(handle.calls) == 1 and waits == []


@pytest.mark.parametrize("wrap", [from_replica, lambda error: error], ids=["through Ray", "as it is"])
def test_a_query_that_is_too_long_is_not_retried_and_its_reason_is_one_line(wrap: Any, waits: list[float]) -> None:
    handle = FakeHandle(wrap(QueryTooLongError("the query has 900 tokens")))
    with pytest.raises(QueryTooLongError) as raised:
        score(handle)
    assert str(raised.value) == "the query has 900 tokens"
    assert len(handle.calls) == 1 and waits == []


def test_a_bug_in_the_replica_is_neither_retried_nor_taken_for_a_failure_to_score(waits: list[float]) -> None:
    handle = FakeHandle(from_replica(TypeError("unexpected")))
    with pytest.raises(TypeError):
        score(handle)
    assert len(handle.calls) == 1


# --- batches ---


def test_the_queries_of_a_batch_are_one_call_and_answered_in_order(waits: list[float]) -> None:
    handle = FakeHandle([ANSWER, ANSWER[::-1], []])
    assert score_batch(handle, "a", "b", "c") == [ANSWER, ANSWER[::-1], []]
    assert queries_asked(handle) == [["a", "b", "c"]]


def test_a_query_of_a_batch_that_cannot_be_scored_fails_alone(waits: list[float]) -> None:
    handle = FakeHandle([ANSWER, QueryTooLongError("the query has 900 tokens"), ANSWER])
    first, failed, last = score_batch(handle, "a", "b", "c")
    assert (first, last) == (ANSWER, ANSWER)
    assert isinstance(failed, QueryTooLongError) and str(failed) == "the query has 900 tokens"
    assert len(handle.calls) == 1 and waits == []


def test_only_what_the_engine_did_not_answer_is_asked_again_and_stays_in_its_place(waits: list[float]) -> None:
    gone = EngineError("the engine died")
    handle = FakeHandle([gone, ANSWER, gone], [gone, ANSWER], [ANSWER[::-1]])
    assert score_batch(handle, "a", "b", "c") == [ANSWER[::-1], ANSWER, ANSWER]
    assert queries_asked(handle) == [["a", "b", "c"], ["a", "c"], ["a"]]


def test_what_a_batch_has_no_answer_to_in_time_fails_with_the_reason_and_the_rest_is_kept(waits: list[float]) -> None:
    gone = EngineError("the engine died")
    scored, failed = score_batch(FakeHandle([ANSWER, gone], [gone]), "a", "b", retry_for_s=60)
    assert scored == ANSWER
    assert isinstance(failed, EngineError) and str(failed) == "no replica could score the query: the engine died"


@pytest.mark.parametrize("death", [ActorDiedError(), [ANSWER, *[EngineDiedError("the engine died")] * 2]])
def test_queries_that_were_there_when_the_engine_died_are_asked_again_each_alone(
    death: Any, waits: list[float]
) -> None:
    handle = FakeHandle(death, [ANSWER])
    assert score_batch(handle, "a", "b", "c") == [ANSWER] * 3
    assert queries_asked(handle) == [["a", "b", "c"], *([["a"]] if isinstance(death, Exception) else []), ["b"], ["c"]]


# --- whole lists ---


def test_a_list_that_kills_the_engine_is_never_cut_and_fails_as_a_whole() -> None:
    handle = FakeHandle(EngineDiedError("the engine died while it scored"))
    scorer = ServedScorer(handle, 600, listwise=True)
    pairs = asyncio.run(scorer.score("query", ("one", "two", "three")))
    assert [batch[0].documents for batch, _ in handle.calls] == [("one", "two", "three")] * 3
    reason = "scoring this list kills the engine: the engine died while it scored"
    assert pairs == [PairScore(None, error=reason)] * 3


def test_a_list_beside_which_the_engine_died_is_asked_for_again_as_a_whole() -> None:
    handle = FakeHandle(EngineDiedError("the engine died while it scored"), [ANSWER])
    assert asyncio.run(ServedScorer(handle, 600, listwise=True).score("query", ("one", "two"))) == ANSWER
    assert [batch[0].documents for batch, _ in handle.calls] == [("one", "two")] * 2


# --- what decides the replica's scores ---


def test_only_a_replica_that_scores_alike_answers_and_another_is_not_asked_again(waits: list[float]) -> None:
    handle = FakeHandle(from_replica(IdentityError("replica r1 scores as 01, the job as 02")))
    scorer = ServedScorer(handle, 600, "02")
    (ranking,) = asyncio.run(rerank([Candidates("q", "query", ("a",), ("one",), (1.0,))], scorer))
    assert handle.calls == [([Asked("query", ("one",))], "02")] and waits == []
    assert ranking.failed == {"a": "replica r1 scores as 01, the job as 02"}
