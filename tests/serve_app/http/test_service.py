"""What the service does with a request: limits, repeated calls, the deadline, and how each end is counted."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import RayActorError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from serve_app.http.api_models import RerankRequest, RerankResponse, ScoreRequest, ScoreResponse
from serve_app.http.metrics import EndKind, Reason
from serve_app.http.refusal import RefusalError
from serve_app.http.service import Service
from stages.core.errors import EngineError, QueryTooLongError, ScoringError, TextTooLongError
from stages.core.records import PairScore, TimedScores
from tests.api_server import StandInBackend, ended, make_service


def rerank(service: Service, **fields: object) -> RerankResponse:
    request = RerankRequest(**{"query": "red fox", "documents": ["a fox", "red fox", "dog"], **fields})
    return asyncio.run(reranked(service, request))


def score(service: Service, first: str | list[str], second: str | list[str]) -> ScoreResponse:
    return asyncio.run(scored(service, ScoreRequest(several(first), several(second))))


def several(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


async def reranked(service: Service, request: RerankRequest) -> RerankResponse:
    """As a route does, once it has read the body."""
    async with service.accepted("rerank") as end:
        end.body_read = True
        return await service.rerank(request, end)


async def scored(service: Service, request: ScoreRequest) -> ScoreResponse:
    async with service.accepted("score") as end:
        end.body_read = True
        return await service.score(request, end)


def refused(service: Service, **fields: object) -> RefusalError:
    with pytest.raises(RefusalError) as refusal:
        rerank(service, **fields)
    return refusal.value


class FixedBackend(StandInBackend):
    """Answers with what it is given."""

    def __init__(self, pairs: list[PairScore]) -> None:
        super().__init__()
        self.pairs = pairs

    async def score(self, *asked: object) -> TimedScores:
        return TimedScores(self.pairs, 0.0, 0.0, 0.0)


# --- the order ---


@given(
    st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(-50, 50)), min_size=1, max_size=20), st.integers(1, 25)
)
def test_the_best_come_first_by_logit_where_there_is_one_and_ties_stay_as_given(
    scored: list[tuple[float, float | None]], top_n: int
) -> None:
    pairs = [PairScore(value, logit) for value, logit in scored]
    answer = rerank(make_service(FixedBackend(pairs)), documents=["d"] * len(pairs), top_n=top_n)
    keys = [value if logit is None else logit for value, logit in scored]
    expected = sorted(range(len(keys)), key=lambda index: (-keys[index], index))[:top_n]
    assert [result.index for result in answer.results] == expected
    assert [result.relevance_score for result in answer.results] == [scored[index][0] for index in expected]


def test_equal_probabilities_are_told_apart_by_their_logits() -> None:
    pairs = [PairScore(1.0, 40.0), PairScore(1.0, 41.0)]
    answer = rerank(make_service(FixedBackend(pairs)), documents=["a", "b"])
    assert [result.index for result in answer.results] == [1, 0]


def test_a_pair_without_a_score_fails_the_request_and_is_never_a_zero() -> None:
    backend = FixedBackend([PairScore(0.5), PairScore(None, error="the engine gave NaN")])
    refusal = refused(make_service(backend), documents=["a", "b"])
    assert (refusal.status, refusal.reason, refusal.param) == (500, "engine_error", "documents")
    assert "document 1: the engine gave NaN" in refusal.message
    assert ended(backend.registry, "failed", "engine_error") == 1


# --- a replica that dies, is full, or is not there ---

DEPLOYMENT = DeploymentID(name="reranker", app_name="rerank")
TRANSIENT = [
    RayActorError(),
    EngineError("the engine died"),
    BackPressureError(num_queued_requests=3, max_queued_requests=2),
    DeploymentUnavailableError(DEPLOYMENT),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_a_call_that_a_replica_could_not_finish_is_asked_again_and_counts_once(error: Exception) -> None:
    backend = StandInBackend(failures=[error])
    answer = rerank(make_service(backend))
    assert [result.index for result in answer.results] == [1, 0, 2]
    assert len(backend.calls) == 2
    assert ended(backend.registry, "ok", "none") == 1
    assert backend.registry.get_sample_value("rerank_engine_seconds_count") == 1


def test_no_engine_until_the_deadline_is_told_as_such() -> None:
    backend = StandInBackend(failures=[EngineError("died") for _ in range(100)])
    service = make_service(backend, deadline_s=0.1)
    assert asyncio.run(service.is_open())
    backend.ready = 0
    refusal = refused(service)
    assert (refusal.status, refusal.reason) == (503, "not_ready")
    assert "0.1 s" in refusal.message
    assert ended(backend.registry, "failed", "not_ready") == 1


def test_before_the_first_engine_is_ready_nobody_waits_and_once_it_was_its_return_is_waited_for() -> None:
    backend = StandInBackend(ready=0)
    service = make_service(backend)
    refusal = refused(service)
    assert (refusal.status, refusal.reason) == (503, "not_ready")
    assert "starting" in refusal.message
    assert backend.calls == []
    assert ended(backend.registry, "failed", "not_ready") == 1
    backend.ready = 1
    assert rerank(service).results
    backend.ready, backend.failures = 0, [EngineError("died")]
    assert rerank(service).results


def test_reading_the_body_takes_a_place_and_counts_towards_the_deadline() -> None:
    backend = StandInBackend()
    service = make_service(backend, max_waiting=1, deadline_s=0.1)

    async def two() -> None:
        async with service.accepted("rerank"):
            with pytest.raises(RefusalError, match="at work"):
                await reranked(service, RerankRequest(query="fox", documents=["fox"]))
            await asyncio.sleep(30)

    with pytest.raises(RefusalError, match=r"the body was not complete within 0\.1 s") as refusal:
        asyncio.run(two())
    assert (refusal.value.status, refusal.value.reason) == (408, "slow_body")
    assert ended(backend.registry, "rejected", "slow_body") == 1
    assert ended(backend.registry, "rejected", "overload") == 1


def test_an_engine_that_is_too_slow_meets_the_deadline_and_its_call_is_cancelled() -> None:
    backend = StandInBackend(delay_s=30)
    refusal = refused(make_service(backend, deadline_s=0.1))
    assert (refusal.status, refusal.reason) == (504, "timeout")
    assert "0.1 s" in refusal.message
    assert len(backend.cancelled) == 1
    assert ended(backend.registry, "failed", "timeout") == 1


@pytest.mark.parametrize(
    ("error", "status", "outcome", "reason", "param"),
    [
        (QueryTooLongError("the query has 900 tokens, 512 fit"), 422, "rejected", "too_long", "query"),
        (TextTooLongError("document 3: 9 characters, 8 allowed"), 413, "rejected", "too_large", None),
        (ScoringError("max_tokens_per_doc must be above 0"), 422, "rejected", "bad_request", None),
    ],
)
def test_what_would_fail_again_is_not_asked_again(
    error: Exception, status: int, outcome: EndKind, reason: Reason, param: str | None
) -> None:
    backend = StandInBackend(failures=[error])
    refusal = refused(make_service(backend))
    assert (refusal.status, refusal.reason, refusal.param, refusal.message) == (status, reason, param, str(error))
    assert len(backend.calls) == 1
    assert ended(backend.registry, outcome, reason) == 1


def test_what_nobody_foresaw_counts_as_a_failure() -> None:
    backend = StandInBackend(failures=[KeyError("unforeseen")])
    refusal = refused(make_service(backend))
    assert (refusal.status, refusal.reason) == (500, "engine_error")
    assert "unforeseen" not in refusal.message
    assert isinstance(refusal.__cause__, KeyError)
    assert ended(backend.registry, "failed", "engine_error") == 1
    assert ended(backend.registry, "ok", "none") == 0


# --- limits ---


def test_a_full_service_refuses_and_takes_requests_again_afterwards() -> None:
    backend = StandInBackend(delay_s=0.2)
    service = make_service(backend, max_waiting=2)
    request = RerankRequest(query="fox", documents=["fox"])

    async def three() -> list[RerankResponse | BaseException]:
        return await asyncio.gather(*(reranked(service, request) for _ in range(3)), return_exceptions=True)

    *accepted, refusal = asyncio.run(three())
    assert [type(one) for one in accepted] == [RerankResponse, RerankResponse]
    assert isinstance(refusal, RefusalError)
    assert (refusal.status, refusal.reason) == (429, "overload")
    assert ended(backend.registry, "rejected", "overload") == 1
    assert rerank(service).results


def test_too_many_documents_are_refused_with_the_number_that_is_allowed() -> None:
    backend = StandInBackend()
    refusal = refused(make_service(backend, max_documents=2))
    assert (refusal.status, refusal.param) == (422, "documents")
    assert "3 documents" in refusal.message
    assert "2 are allowed" in refusal.message
    assert backend.calls == []
    assert ended(backend.registry, "rejected", "bad_request") == 1


def test_another_model_is_refused_and_named_with_the_served_one() -> None:
    backend = StandInBackend()
    refusal = refused(make_service(backend), model="gpt-9")
    assert (refusal.status, refusal.reason, refusal.param) == (404, "unknown_model", "model")
    assert "gpt-9" in refusal.message
    assert "overlap" in refusal.message
    assert ended(backend.registry, "rejected", "unknown_model") == 1


def test_a_caller_that_is_cancelled_cancels_its_call_and_frees_its_place() -> None:
    backend = StandInBackend(delay_s=30)
    service = make_service(backend, max_waiting=1)

    async def leave() -> None:
        request = asyncio.create_task(reranked(service, RerankRequest(query="fox", documents=["fox"])))
        await asyncio.sleep(0.05)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(leave())
    assert len(backend.cancelled) == 1
    assert ended(backend.registry, "failed", "client_gone") == 1
    backend.delay_s = 0
    assert rerank(service).results


# --- pairs ---


def test_one_text_is_scored_against_one_or_many_in_one_call() -> None:
    backend = StandInBackend()
    service = make_service(backend)
    assert [one.score for one in score(service, "red fox", "fox").data] == [0.5]
    assert [one.score for one in score(service, ["red fox"], ["fox", "dog", "red fox"]).data] == [0.5, 0.0, 1.0]
    assert [len(call.documents) for call in backend.calls] == [1, 3]
    assert ended(backend.registry, "ok", "none", "score") == 2


def test_many_texts_are_scored_against_as_many_pair_by_pair() -> None:
    backend = StandInBackend()
    answer = score(make_service(backend), ["fox", "red dog", "cat"], ["a fox", "dog", "fox"])
    assert [one.score for one in answer.data] == [1.0, 0.5, 0.0]
    assert sorted(call.query for call in backend.calls) == ["cat", "fox", "red dog"]
    assert answer.usage.prompt_tokens == 3 + 3 + 2


@pytest.mark.parametrize(("first", "second"), [(["a", "b"], ["c"]), (["a", "b"], "c"), (["a", "b"], ["c"] * 3)])
def test_numbers_of_texts_that_make_no_pairs_are_refused_and_counted(first: list[str], second: list[str]) -> None:
    backend = StandInBackend()
    with pytest.raises(RefusalError, match="1 to 1, 1 to N, or N to N") as refusal:
        score(make_service(backend), first, second)
    assert (refusal.value.status, refusal.value.param) == (422, "text_1")
    assert ended(backend.registry, "rejected", "bad_request", "score") == 1


def test_a_model_of_whole_lists_scores_many_texts_against_one_and_no_single_pairs() -> None:
    backend = StandInBackend()
    service = make_service(backend, listwise=True)
    assert len(score(service, "red fox", ["fox", "dog", "red fox"]).data) == 3
    assert [len(call.documents) for call in backend.calls] == [3]
    with pytest.raises(RefusalError, match="scores a query's documents together") as refusal:
        score(service, ["fox", "red dog", "fox"], ["a fox", "dog", "fox"])
    assert (refusal.value.status, refusal.value.param) == (422, "text_1")
    assert len(backend.calls) == 1


def test_one_refused_pair_cancels_the_calls_of_the_others() -> None:
    class OneTooLong(StandInBackend):
        async def score(self, query: str, *rest: object) -> TimedScores:
            if query == "long":
                raise QueryTooLongError("too long")
            return await super().score(query, *rest)  # type: ignore[arg-type]

    backend = OneTooLong(delay_s=30)
    service = make_service(backend)

    async def ask() -> None:
        with pytest.raises(RefusalError, match="too long"):
            await scored(service, ScoreRequest(["fox", "long"], ["a", "b"]))
        await asyncio.sleep(0)
        assert [call.query for call in backend.cancelled] == ["fox"], "the end of the loop would cancel it anyway"

    asyncio.run(ask())


# --- what is counted of an answer ---


def test_an_answer_counts_with_its_size_its_stages_and_its_query() -> None:
    backend = StandInBackend()
    service = make_service(backend)
    answer = rerank(service)
    rerank(service)

    def value(name: str) -> float:
        return backend.registry.get_sample_value(name) or math.nan

    assert value("rerank_documents_per_request_sum") == 2 * 3
    assert value("rerank_prompt_tokens_per_request_sum") == 2 * answer.usage.prompt_tokens
    assert value("rerank_queries_total") == 2
    assert value("rerank_query_repeats_total") == 1
    assert value("rerank_tokenize_seconds_sum") == pytest.approx(0.002)
    assert value("rerank_queue_seconds_sum") == pytest.approx(0.004)
    assert value("rerank_engine_seconds_sum") == pytest.approx(0.006)
