"""A cascade behind the service: what each stage is asked, how scores order the whole, and whose time it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.http.api_models import RerankRequest, ScoreRequest
from serve_app.http.cascade import CascadeBackend, CascadeStage
from serve_app.http.refusal import RefusalError
from serve_app.http.service import Service
from stages.core.errors import EngineError
from stages.core.records import PairScore, TimedScores
from tests.api_server import StandInBackend, make_service
from tests.virtual_time import VirtualLoop

ByText = Callable[[str], float]


class Scored(StandInBackend):
    """Scores a text by itself; with logits that are twice the score."""

    def __init__(self, by_text: ByText, *, logits: bool = False, delay_s: float = 0.0) -> None:
        super().__init__(delay_s=delay_s)
        self.by_text, self.logits = by_text, logits

    async def score(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores:
        answered = await super().score(query, documents, instruction, max_document_tokens)
        scores = [self.by_text(text) for text in documents]
        pairs = [PairScore(one, 2 * one if self.logits else None, prompt_tokens=10) for one in scores]
        return TimedScores(pairs, answered.tokenize_ms, answered.queue_ms, answered.engine_ms)


def cascade(*stages: tuple[StandInBackend, int | None]) -> CascadeBackend:
    return CascadeBackend([CascadeStage(f"m{place}", one, depth) for place, (one, depth) in enumerate(stages)])


def ask(backend: CascadeBackend, documents: list[str]) -> TimedScores:
    return asyncio.run(backend.score("q", documents, None, None))


def order(scores: TimedScores, documents: list[str]) -> list[str]:
    keys = [pair.score if pair.logit is None else pair.logit for pair in scores.pairs]
    assert None not in keys
    return [documents[index] for index in sorted(range(len(keys)), key=lambda index: (-(keys[index] or 0.0), index))]


def test_each_stage_is_asked_for_the_top_of_what_the_one_before_left() -> None:
    first, last = Scored(float), Scored(lambda text: -float(text))
    documents = ["1", "5", "3", "4", "2"]
    scores = ask(cascade((first, 4), (last, 2)), documents)
    assert [call.documents for call in first.calls] == [["1", "5", "3", "4"]]
    assert [call.documents for call in last.calls] == [["5", "4"]]
    assert order(scores, documents) == ["4", "5", "3", "1", "2"]
    assert [pair.score for pair in scores.pairs] == [-7.0, -5.0, -6.0, -4.0, -8.0]
    assert [pair.prompt_tokens for pair in scores.pairs] == [10, 20, 10, 20, 0]
    assert (scores.tokenize_ms, scores.queue_ms, scores.engine_ms) == (2.0, 4.0, 6.0)


def test_raw_scores_are_of_the_last_stage_too_and_fall_below_its_lowest() -> None:
    scores = ask(cascade((Scored(float), None), (Scored(float, logits=True), 2)), ["1", "3", "2"])
    assert [(pair.score, pair.logit) for pair in scores.pairs] == [(1.0, 3.0), (3.0, 6.0), (2.0, 4.0)]


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=12, unique=True),
    st.lists(st.none() | st.integers(1, 14), min_size=2, max_size=4),
)
def test_scores_order_the_documents_as_the_stages_one_after_the_other_do(
    numbers: list[int], depths: list[int | None]
) -> None:
    documents = [str(number) for number in numbers]
    by = [float, lambda text: -float(text), lambda text: float(text[::-1] + "." + text), float]
    left = documents
    for key, depth in zip(by, depths, strict=False):
        top = left if depth is None else left[:depth]
        left = sorted(top, key=lambda text, key=key: -key(text)) + left[len(top) :]  # type: ignore[misc]
    stages = [(Scored(key), depth) for key, depth in zip(by, depths, strict=False)]
    assert order(ask(cascade(*stages), documents), documents) == left


def test_a_pair_that_fails_in_any_stage_fails_the_request_as_with_one_model() -> None:
    class Broken(Scored):
        async def score(self, *asked: object) -> TimedScores:
            return TimedScores([PairScore(None, error="NaN"), PairScore(0.5)], 0.0, 0.0, 0.0)

    service = make_service(cascade((Broken(float), None), (Scored(float), 1)))
    with pytest.raises(RefusalError, match="document 0: NaN") as refusal:
        asyncio.run(reranked(service, ["1", "2"]))
    assert refusal.value.status == 500


def test_a_replica_that_dies_is_asked_again_and_the_stages_before_it_are_not() -> None:
    first, last = Scored(float), Scored(float)
    last.failures = [EngineError("died"), EngineError("died")]
    ask(cascade((first, None), (last, 1)), ["1", "2"])
    assert (len(first.calls), len(last.calls)) == (1, 3)


def test_it_is_ready_once_every_stage_is() -> None:
    first, last = Scored(float), Scored(float)
    backend = cascade((first, None), (last, 1))
    for ready in (0, 2):
        last.ready = ready
        assert asyncio.run(backend.ready_replicas()) == min(1, ready)


def test_each_stages_measurements_are_shown_once() -> None:
    backend = cascade((Scored(float), None), (Scored(float), 1))
    assert len(asyncio.run(backend.expositions())) == 1, "both stand-ins tell the same"


def test_pairs_are_scored_up_to_the_last_stages_depth_and_refused_beyond() -> None:
    service = make_service(cascade((Scored(float), None), (Scored(float), 2)), most_pairs=2)
    request = ScoreRequest(["q"], ["1", "2", "3"])
    with pytest.raises(RefusalError, match="whose last stage scores 2 documents"):
        asyncio.run(scored(service, request))
    answer = asyncio.run(scored(service, ScoreRequest(["q"], ["1", "2"])))
    assert [one.score for one in answer.data] == [1.0, 2.0]  # type: ignore[union-attr]


# --- whose time ---


def test_a_stage_leaves_those_behind_it_the_time_that_they_usually_take() -> None:
    """The second stage takes 0.2 s a document: once that is known, a first one that is late is stopped for it."""
    first, last = Scored(float), Scored(float, delay_s=0.4)
    backend = cascade((first, None), (last, 2))
    service = make_service(backend, deadline_s=30.0)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(reranked(service, ["1", "2"]))
        service.limits = service.limits.model_copy(update={"deadline_s": 1.0})
        first.delay_s, began_s = 5.0, runner.get_loop().time()
        with pytest.raises(RefusalError, match="stage 1 of 2 took the time that the stages behind it need") as refusal:
            runner.run(reranked(service, ["1", "2"]))
        assert (refusal.value.status, len(last.calls)) == (504, 1)
        assert runner.get_loop().time() - began_s == pytest.approx(0.6, abs=0.01)


def test_a_stage_that_is_thought_too_slow_is_asked_again_and_found_quick() -> None:
    """What one slow answer taught does not keep a stage from being asked for ever."""
    first, last = Scored(float, delay_s=0.1), Scored(float, delay_s=20.0)
    service = make_service(cascade((first, None), (last, 2)), deadline_s=30.0)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(reranked(service, ["1", "2"]))
        service.limits = service.limits.model_copy(update={"deadline_s": 1.0})
        last.delay_s = 0.1
        runner.run(reranked(service, ["1", "2"]))
    assert len(last.calls) == 2


async def reranked(service: Service, documents: list[str]) -> object:
    async with service.accepted("rerank") as end:
        end.body_read = True
        return await service.rerank(RerankRequest(query="q", documents=documents), end)


async def scored(service: Service, request: ScoreRequest) -> object:
    async with service.accepted("score") as end:
        end.body_read = True
        return await service.score(request, end)
