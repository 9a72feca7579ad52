"""Queries that two rerankers scored, made by hypothesis or drawn at random, for the tests of frontiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from stages.core.records import Candidates, Judgements, PairScore, Ranking
from stages.core.rerank import rank
from stages.frontier.cost import Cost, TokensRead
from stages.frontier.gains import Gains
from stages.frontier.lists import Lists, ScoredQuery, lists_of
from stages.frontier.points import Step, Study
from tests.analysis_inputs import NUMBERS, collections

Scores = Mapping[str, PairScore]


@dataclass(frozen=True)
class Scored:
    """Candidates, each reranker's score of each document of each query, and judgements."""

    candidates: tuple[Candidates, ...]
    scores: tuple[tuple[Scores, ...], ...]
    judgements: Judgements

    def rankings(self, reranker: int) -> list[Ranking]:
        return [
            rank(one, [scores[doc_id] for doc_id in one.doc_ids])
            for one, scores in zip(self.candidates, self.scores[reranker], strict=True)
        ]

    @property
    def queries(self) -> list[ScoredQuery]:
        several = [self.rankings(reranker) for reranker in range(len(self.scores))]
        return [scored_query(one, [of_run[row] for of_run in several]) for row, one in enumerate(self.candidates)]

    @property
    def lists(self) -> Lists:
        return lists_of(self.queries)

    def study(self, metric: str = "ndcg@10") -> Study:
        """A pair costs 1 with the first reranker, 10 with the second, and so on."""
        lists = self.lists
        work = TokensRead(np.ones(lists.asked.shape), np.zeros(len(lists.queries)))
        costs = [Cost(work, 10.0**place) for place in range(len(self.scores))]
        reach = [max(int(lists.sizes.max()), 1)] * len(self.scores)
        return Study(lists, Gains(metric, lists, self.judgements), costs, reach)

    def as_a_job(self, row: int, steps: Sequence[Step]) -> tuple[str, ...]:
        """The list that jobs leave, one after the other: each cuts what the one before left, and ranks it."""
        one = self.candidates[row]
        order = one.first_stage()
        for step in steps:
            top, rest = order[: step.depth], order[step.depth :]
            if len(top) > len(one.top):  # the tail has no texts, and is never asked for
                top, rest = order[: len(one.top)], order[len(one.top) :]
            asked = tuple(doc_id for doc_id in top if doc_id in one.doc_ids)
            cut = replace(
                one,
                doc_ids=asked,
                texts=tuple(f"text of {doc_id}" for doc_id in asked),
                scores=tuple(-float(place) for place in range(len(asked))),
                tail=rest,
                listed=top if len(asked) < len(top) else (),
            )
            scores = self.scores[step.reranker][row]
            order = rank(cut, [scores[doc_id] for doc_id in asked]).ordered()
        return order


def scored_query(candidates: Candidates, rankings: Sequence[Ranking]) -> ScoredQuery:
    numbers = {doc_id: place for place, doc_id in enumerate(candidates.doc_ids)}
    return ScoredQuery(
        query_id=candidates.query_id,
        top=candidates.top,
        tail=candidates.tail,
        first_scores=candidates.scores,
        texts=tuple(numbers.get(doc_id, -1) for doc_id in candidates.top),
        orders=tuple(ranking.doc_ids for ranking in rankings),
        tokens=tuple(dict(zip(ranking.doc_ids, ranking.pair_tokens, strict=False)) for ranking in rankings),
    )


@st.composite
def scored(draw: st.DrawFn, *, most: int = 4, failures: bool = True) -> Scored:
    """As `collections`, with a second reranker that fails elsewhere."""
    made = draw(collections(most=most, failures=failures))
    number = NUMBERS | st.none() if failures else NUMBERS

    def pair(value: float | None) -> PairScore:
        return PairScore(None, error="aborted") if value is None else PairScore(value)

    first = tuple(dict(zip(one.doc_ids, of, strict=True)) for one, of in zip(made.candidates, made.scores, strict=True))
    second = tuple({doc_id: pair(draw(number)) for doc_id in one.doc_ids} for one in made.candidates)
    return Scored(made.candidates, (first, second), made.judgements)


def drawn(queries: int, depth: int, seed: int = 0, relevant: int = 2) -> Scored:
    """Two rerankers that see relevance through noise, the second through less; the first stage through more."""
    random = np.random.default_rng(seed)
    candidates, scores, grades = [], ([], []), {}
    for number in range(queries):
        good = set(random.choice(depth, relevant, replace=False).tolist())
        seen = np.array([place in good for place in range(depth)], dtype=float)
        retrieved = seen + random.normal(0, 0.8, depth)
        order = np.argsort(-retrieved, kind="stable")
        ids = tuple(f"d{place:03}" for place in order)
        candidates.append(
            Candidates(f"q{number:04}", "a query", ids, ("a text",) * depth, tuple(retrieved[order].tolist()), ("t",))
        )
        for of_reranker, noise in zip(scores, (0.6, 0.3), strict=True):
            logits = seen + random.normal(0, noise, depth)
            of_reranker.append(
                {f"d{place:03}": PairScore(float(logits[place]), prompt_tokens=20 + place) for place in range(depth)}
            )
        grades[f"q{number:04}"] = {f"d{place:03}": 1 for place in good}
    return Scored(tuple(candidates), (tuple(scores[0]), tuple(scores[1])), Judgements(grades))
