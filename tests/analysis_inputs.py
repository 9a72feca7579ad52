"""Reranked queries, made by hand or by hypothesis, for the tests of `stages.analysis`."""

from __future__ import annotations

from collections.abc import Collection as Collection_
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from stages.analysis.outcome import QueryOutcome, outcome_of
from stages.core.records import Candidates, Judgements, PairScore, QueryMetrics, Ranking
from stages.core.rerank import rank
from stages.core.scoring import sigmoid
from stages.quality.evaluate import evaluate

METRICS = ["ndcg@3", "mrr"]
COMPILED = [*METRICS, "recall"]


@dataclass(frozen=True)
class Collection:
    """Queries with their candidates, what a scorer said of each pair, and judgements."""

    candidates: tuple[Candidates, ...]
    scores: tuple[tuple[PairScore, ...], ...]
    judgements: Judgements

    @property
    def pairs(self) -> list[tuple[Candidates, Ranking]]:
        scored = zip(self.candidates, self.scores, strict=True)
        return [(candidates, rank(candidates, scores)) for candidates, scores in scored]

    @property
    def outcomes(self) -> list[QueryOutcome]:
        return [outcome_of(candidates, ranking) for candidates, ranking in self.pairs]

    @property
    def first(self) -> QueryMetrics:
        lists = {of_query.query_id: of_query.first_stage() for of_query in self.outcomes}
        return evaluate(lists, self.judgements, METRICS)

    @property
    def reranked(self) -> QueryMetrics:
        return evaluate({ranking.query_id: ranking.ordered() for _, ranking in self.pairs}, self.judgements, METRICS)


def one_query(
    query_id: str,
    logits: Mapping[str, float | None],
    *,
    tail: Sequence[str] = (),
    query: str = "red apple",
    attributes: Mapping[str, str] | None = None,
    first_scores: Sequence[float] | None = None,
    cosine: bool = False,
    without_text: Collection_[str] = (),
) -> tuple[Candidates, tuple[PairScore, ...]]:
    """Candidates in the order of `logits` (None: the pair fails), and their scores; those `without_text` are not
    scored.
    """
    asked = {doc_id: logit for doc_id, logit in logits.items() if doc_id not in without_text}
    scores = first_scores or [-float(place) for place in range(len(logits))]
    candidates = Candidates(
        query_id=query_id,
        query=query,
        doc_ids=tuple(asked),
        texts=tuple(f"text of {doc_id}" for doc_id in asked),
        scores=tuple(score for doc_id, score in zip(logits, scores, strict=True) if doc_id in asked),
        tail=tuple(tail),
        attributes=attributes or {},
        listed=tuple(logits) if without_text else (),
    )
    return candidates, tuple(_pair(logit, cosine) for logit in asked.values())


def _pair(logit: float | None, cosine: bool) -> PairScore:
    if logit is None:
        return PairScore(None, error="the engine returned NaN")
    return PairScore(logit) if cosine else PairScore(sigmoid(logit), logit)


def collection(
    queries: Sequence[tuple[Candidates, tuple[PairScore, ...]]], grades: Mapping[str, Mapping[str, int]]
) -> Collection:
    candidates, scores = zip(*queries, strict=True)
    return Collection(candidates, scores, Judgements(grades))


NUMBERS = st.one_of(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), st.floats(-50, 50, width=32))


@st.composite
def collections(draw: st.DrawFn, *, failures: bool = True, tails: bool = True, most: int = 4) -> Collection:
    """One to `most` queries with up to 12 candidates, a tail, ties, failed pairs, candidates without a text, unjudged
    documents, graded others.
    """
    logit = NUMBERS | st.none() if failures else NUMBERS
    queries, grades = [], {}
    for number in range(draw(st.integers(1, most))):
        ids = draw(st.permutations([f"d{place}" for place in range(draw(st.integers(1, 12)))]))
        first_scores = sorted((draw(NUMBERS) for _ in ids), reverse=True)
        tail = ["t0", "t1"] if tails and draw(st.booleans()) else []
        logits = {doc_id: draw(logit) for doc_id in ids}
        gaps = draw(st.sets(st.sampled_from(ids))) if failures else set[str]()
        queries.append(one_query(f"q{number}", logits, tail=tail, first_scores=first_scores, without_text=gaps))
        judged = draw(st.dictionaries(st.sampled_from([*ids, *tail, "elsewhere"]), st.integers(-1, 3)))
        grades[f"q{number}"] = judged or {"elsewhere": 1}
    return collection(queries, grades)
