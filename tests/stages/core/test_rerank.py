"""Scores become a ranking; what has no score is failed, with its reason, and nothing is lost or invented."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError, EngineError, QueryTooLongError, ScoringError
from stages.core.records import Asked, Candidates, Outcome, PairScore, Ranking
from stages.core.rerank import rank, rank_key, rerank
from stages.core.scoring import OverlapScorer, Scorer

NAN, INFINITE = float("nan"), float("inf")


def candidates(*doc_ids: str, texts: tuple[str, ...] | None = None, tail: tuple[str, ...] = ()) -> Candidates:
    return Candidates(
        query_id="q1",
        query="red apple",
        doc_ids=doc_ids,
        texts=texts or tuple(f"text of {doc_id}" for doc_id in doc_ids),
        scores=tuple(float(-place) for place in range(len(doc_ids))),
        tail=tail,
        instruction="find fruit",
    )


def reranked(one: Candidates, scorer: Scorer) -> Ranking:
    (ranking,) = asyncio.run(rerank([one], scorer))
    return ranking


class RaisingScorer:
    """Fails as a whole, as an engine that died or a query that does not fit."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        raise self.error


class RecordingScorer(OverlapScorer):
    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str], str | None]] = []

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        self.asked.append((query, list(documents), instruction))
        return await super().score(query, documents, instruction)


class BatchRecorder(OverlapScorer):
    """Takes several queries at once; of those that hold "long" it has no scores."""

    def __init__(self) -> None:
        self.asked: list[list[Asked]] = []

    async def score_batch(self, batch: Sequence[Asked]) -> list[Outcome]:
        self.asked.append(list(batch))
        return [
            QueryTooLongError("it has 900 tokens") if "long" in one.query else await self.score(*one) for one in batch
        ]


def test_a_batch_is_asked_for_at_once_where_the_scorer_can_and_a_query_fails_alone() -> None:
    batch = [replace(candidates("a", "b"), query_id=query, query=query) for query in ("text b", "long", "text a")]
    scorer = BatchRecorder()
    first, failed, last = asyncio.run(rerank(batch, scorer))
    assert scorer.asked == [[Asked(one.query, one.texts, one.instruction) for one in batch]]
    assert (first.query_id, first.doc_ids) == ("text b", ("b", "a"))
    assert (last.query_id, last.doc_ids) == ("text a", ("a", "b"))
    assert (failed.query_id, failed.failed) == ("long", {"a": "it has 900 tokens", "b": "it has 900 tokens"})


def test_documents_are_ordered_by_their_score() -> None:
    given_texts = candidates("a", "b", "c", texts=("a pear", "a red apple", "a red car"))
    ranking = reranked(given_texts, OverlapScorer())
    assert ranking.doc_ids == ("b", "c", "a")
    assert ranking.scores == (1.0, 0.5, 0.0)
    assert ranking.logits == (None, None, None)


def test_the_scorer_gets_the_query_its_documents_and_its_instruction_once() -> None:
    scorer = RecordingScorer()
    reranked(candidates("a", "b"), scorer)
    assert scorer.asked == [("red apple", ["text of a", "text of b"], "find fruit")]


def test_logits_rank_where_probabilities_tie() -> None:
    ranking = rank(candidates("a", "b"), [PairScore(1.0, logit=40.0), PairScore(1.0, logit=41.0)])
    assert ranking.doc_ids == ("b", "a")
    assert ranking.logits == (41.0, 40.0)


def test_ties_are_broken_by_document_id_as_in_trec_eval() -> None:
    assert rank(candidates("d1", "d3", "d2"), [PairScore(0.5)] * 3).doc_ids == ("d3", "d2", "d1")


def test_the_tail_follows_unscored() -> None:
    ranking = rank(candidates("a", "b", tail=("y", "x")), [PairScore(0.1), PairScore(0.2)])
    assert ranking.ordered() == ("b", "a", "y", "x")
    assert ranking.scores == (0.2, 0.1)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (PairScore(None, error="the engine returned nothing"), "the engine returned nothing"),
        (PairScore(0.5, error="aborted"), "aborted"),
        (PairScore(None), "the score is not a finite number: None"),
        (PairScore(None, logit=3.0), "the score is not a finite number: None"),
        (PairScore(NAN), "the score is not a finite number: nan"),
        (PairScore(INFINITE), "the score is not a finite number: inf"),
        (PairScore(0.5, logit=NAN), "the logit is not a finite number: nan"),
        (PairScore(1.0, logit=INFINITE), "the logit is not a finite number: inf"),
    ],
)
def test_a_pair_without_a_finite_score_is_failed_and_its_document_stands_behind(pair: PairScore, reason: str) -> None:
    ranking = rank(candidates("bad", "good"), [pair, PairScore(-1.0)])
    assert ranking.failed == {"bad": reason}
    assert ranking.doc_ids == ("good",)
    assert ranking.scores == (-1.0,)
    assert ranking.answered
    assert (ranking.ordered(), ranking.unscored) == (("good", "bad"), 1)


def test_what_could_not_be_scored_stands_behind_what_was_in_the_old_order_and_before_the_tail() -> None:
    given_texts = replace(candidates("b", "d", "e", tail=("t",)), listed=("a", "b", "c", "d", "e"))
    ranking = rank(given_texts, [PairScore(0.1), PairScore(None, error="aborted"), PairScore(0.2)])
    assert ranking.ordered() == ("e", "b", "a", "c", "d", "t")
    assert (ranking.unscored, dict(ranking.failed)) == (3, {"d": "aborted"})


def test_a_query_without_a_pair_is_not_asked_for_and_keeps_its_list() -> None:
    silent = replace(candidates(tail=("t",)), query="", listed=("b", "a"))
    scorer = BatchRecorder()
    kept, other = asyncio.run(rerank([silent, candidates("c")], scorer))
    assert [[one.documents for one in batch] for batch in scorer.asked] == [[("text of c",)]]
    assert (kept.ordered(), kept.answered, other.doc_ids) == (("b", "a", "t"), False, ("c",))


@pytest.mark.parametrize("error", [EngineError("no replica answers"), QueryTooLongError("the query has 900 tokens")])
def test_a_query_that_cannot_be_scored_has_all_its_pairs_failed_with_the_reason(error: ScoringError) -> None:
    ranking = reranked(candidates("a", "b", tail=("t",)), RaisingScorer(error))
    assert ranking.failed == {"a": str(error), "b": str(error)}
    assert not ranking.answered
    assert ranking.ordered() == ("a", "b", "t"), "its list stays as it was given"
    assert ranking.prompt_tokens == 0


def test_an_error_that_is_not_about_scoring_is_not_swallowed() -> None:
    with pytest.raises(DataError, match="no file"):
        reranked(candidates("a"), RaisingScorer(DataError("no file")))


def test_a_scorer_that_gives_too_few_scores_is_a_bug_and_not_a_ranking() -> None:
    with pytest.raises(ValueError, match="zip"):
        rank(candidates("a", "b"), [PairScore(0.1)])


def test_token_counts_and_cut_documents_are_added_up_over_all_pairs_failed_ones_too() -> None:
    ranking = rank(
        candidates("a", "b", "c"),
        [
            PairScore(0.1, prompt_tokens=10, cached_tokens=4, truncated=True),
            PairScore(0.2, prompt_tokens=20, cached_tokens=8),
            PairScore(None, prompt_tokens=5, truncated=True, error="aborted"),
        ],
    )
    assert (ranking.prompt_tokens, ranking.cached_tokens, ranking.truncated_pairs) == (35, 12, 2)


def test_what_cutting_had_given_stands_beside_the_scores_where_a_document_was_read_in_passages() -> None:
    pairs = [
        PairScore(0.2, -1.0),
        PairScore(0.9, 2.0, prompt_tokens=30, passages=3, cut_score=0.1, cut_logit=-2.0),
        PairScore(None, passages=2, error="passage 1 of 2: aborted"),
    ]
    ranking = rank(candidates("a", "b", "c"), pairs)
    assert (ranking.doc_ids, ranking.passages) == (("b", "a"), (3, 1))
    assert (ranking.cut_scores, ranking.cut_logits) == ((0.1, 0.2), (-2.0, -1.0))
    alone = rank(candidates("a"), pairs[:1])
    assert (alone.passages, alone.cut_scores, alone.cut_logits) == ((), (), ())


def test_what_came_from_the_store_cost_the_engine_nothing_but_is_ranked_and_may_be_cut() -> None:
    known = PairScore(0.9, prompt_tokens=10, cached_tokens=4, truncated=True, stored=True)
    ranking = rank(candidates("a", "b"), [PairScore(0.1, prompt_tokens=20, cached_tokens=8), known])
    assert ranking.doc_ids == ("b", "a")
    assert (ranking.prompt_tokens, ranking.cached_tokens) == (20, 8)
    assert (ranking.store_hits, ranking.truncated_pairs) == (1, 1)
    assert ranking.pair_tokens == (10, 20), "a pair costs as much whoever read it"


def test_tokens_of_pairs_that_nobody_counts_are_not_told() -> None:
    assert rank(candidates("a", "b"), [PairScore(0.1), PairScore(0.2)]).pair_tokens == ()


def test_of_a_document_whose_vector_was_known_the_engine_read_nothing() -> None:
    known = PairScore(0.9, prompt_tokens=10, cached_tokens=10)
    ranking = rank(candidates("a", "b"), [PairScore(0.1, prompt_tokens=20), known])
    assert (ranking.prompt_tokens, ranking.cached_tokens) == (20, 0)
    assert (ranking.reused_pairs, ranking.store_hits) == (1, 0)
    assert rank(candidates("a", "b"), [replace(known, stored=True), PairScore(0.1)]).reused_pairs == 0


def test_neighbours_tie_by_what_ranks_them() -> None:
    tied = rank(candidates("a", "b", "c"), [PairScore(0.5), PairScore(0.5), PairScore(0.4)])
    assert tied.tied_neighbours == 1
    apart = rank(candidates("a", "b"), [PairScore(1.0, logit=40.0), PairScore(1.0, logit=41.0)])
    assert apart.tied_neighbours == 0


def test_a_failed_pair_has_nothing_to_rank_by() -> None:
    with pytest.raises(ValueError, match="no score"):
        rank_key(PairScore(None, error="aborted"))


NUMBERS = st.none() | st.floats()
PAIRS = st.builds(PairScore, score=NUMBERS, logit=NUMBERS, error=st.none() | st.just("aborted"))


@given(st.lists(PAIRS, max_size=8))
def test_every_document_is_either_ranked_or_failed_and_ranked_ones_fall(pairs: list[PairScore]) -> None:
    doc_ids = [f"d{place}" for place in range(len(pairs))]
    ranking = rank(candidates(*doc_ids), pairs)
    assert sorted([*ranking.doc_ids, *ranking.failed]) == doc_ids
    assert all(map(math.isfinite, ranking.scores))
    by_id = dict(zip(doc_ids, pairs, strict=True))
    assert list(ranking.scores) == [by_id[doc_id].score for doc_id in ranking.doc_ids]
    assert list(ranking.logits) == [by_id[doc_id].logit for doc_id in ranking.doc_ids]
    assert ranking.answered == bool(ranking.doc_ids)
