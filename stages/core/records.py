"""The vocabulary: every signature of this project speaks in these records.

A *query* has *candidates* (documents that a *first stage* retrieved, with its scores); a reranker gives each pair a
score, the scores make a *ranking*, and *judgements* (qrels) say what each document was worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import pairwise
from typing import Literal, NamedTuple

from stages.core.errors import ScoringError


@dataclass(frozen=True, slots=True)
class Location:
    """Where a row came from: a file, and its line or row number counted from 1 (0: the file as a whole)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One retrieved document as a source read it; `text` and `score` are not yet validated."""

    doc_id: object
    text: object
    score: object
    where: Location


@dataclass(frozen=True, slots=True)
class RawQuery:
    """One query as a source read it. `query` is None where the source knows the id only.

    `tail` holds documents below `data.depth`, in first-stage order and without text: they are not reranked, so a source
    that reads texts from a corpus does not fetch theirs. `order_only`: the order of `documents` is the ranking,
    whatever their scores say.
    """

    query_id: object
    query: object
    documents: tuple[RawDocument, ...]
    where: Location
    instruction: object = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    tail: tuple[RawDocument, ...] = ()
    order_only: bool = False


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that could not be used, and why. It is reported, and the run goes on."""

    where: Location
    reason: str
    query_id: str | None = None
    doc_id: str | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """One query and its candidates, valid, without duplicates, in first-stage order.

    `doc_ids`, `texts` and `scores` (of the first stage) are parallel and hold what is scored of the top `data.depth`.
    Where some of it has no text, or the query has none, `listed` holds all ids of that top; else it is empty. `tail`
    holds the ids below that depth, in first-stage order: they are not reranked and follow the reranked ones.
    `order_only`: the first stage gave an order, and `scores` are -1, -2, ... by place.
    """

    query_id: str
    query: str
    doc_ids: tuple[str, ...]
    texts: tuple[str, ...]
    scores: tuple[float, ...]
    tail: tuple[str, ...] = ()
    instruction: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    listed: tuple[str, ...] = ()
    order_only: bool = field(default=False, compare=False)  # how the order was told is no part of it

    @property
    def top(self) -> tuple[str, ...]:
        """All ids of the top `data.depth` in first-stage order, those without a text among them."""
        return self.listed or self.doc_ids

    def first_stage(self) -> tuple[str, ...]:
        """The list as it was given, best first."""
        return self.top + self.tail


@dataclass(frozen=True, slots=True)
class PairScore:
    """What the reranker says about one (query, document) pair.

    `score` is what a user sees, in the family's unit: a probability for qwen3-reranker and cross-encoder, a cosine
    for embedding. `logit` is what the probability was made from, where there is one: it ranks, because probabilities
    near 0 and 1 tie. A pair that failed has `error` set and no score; one that cost the engine nothing in this run is
    `stored`. `prompt_tokens` are those of the pair's prompt, of an embedding model its document's; `cached_tokens` are
    how many of them were not computed again.

    `truncated`: the end of the document was not read. Of a document that was read in several `passages` the score is
    the best one's; `cut_score` and `cut_logit` are the first one's, what the document had been given if it were cut.
    """

    score: float | None
    logit: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    truncated: bool = False
    error: str | None = None
    stored: bool = False
    passages: int = 1
    cut_score: float | None = None
    cut_logit: float | None = None

    @property
    def reused(self) -> bool:
        """Whether the document's vectors were known: the engine read nothing of it for this pair. Of a prompt that
        holds a query and a document an engine computes at least the last token.
        """
        return 0 < self.prompt_tokens == self.cached_tokens


Outcome = list[PairScore] | ScoringError
"""What comes of one query of a batch: a score for each document, in their order, or why the whole query has none."""


class Asked(NamedTuple):
    """What a scorer is asked about one query: a score for each document. A tuple, which pickles in C."""

    query: str
    documents: tuple[str, ...]
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class TimedScores:
    """The scores of one call, and where its time went (ms): `queue_ms` is the longest wait of a pair in the engine."""

    pairs: list[PairScore]
    tokenize_ms: float
    queue_ms: float
    engine_ms: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """One query's reranked list: `doc_ids` best first, `scores` and `logits` parallel to it, then the `tail`.

    The `tail` keeps the first stage's order. It begins with the candidates that could not be scored, `unscored` many:
    those without a text and those that failed. Then comes what lies below `data.depth`.

    Token counts are of what the engine read in this run; `store_hits` counts the pairs that the score store knew,
    `reused_pairs` those that were scored with a vector of the document that was known.
    `failed` maps the documents that were asked for and got no score to the reason. A query is *answered* when at least
    one of its documents got a score; the list of another stays as it was given.

    `passages`, in how many each document was read, and `cut_scores` and `cut_logits`, what it had been given if it were
    cut, are parallel to `doc_ids`, and empty where each was read in one. So are `pair_tokens`, the prompt tokens of
    each, whoever read them, this run's engine or an earlier one's; empty where nobody counts them.
    """

    query_id: str
    doc_ids: tuple[str, ...]
    scores: tuple[float, ...]
    logits: tuple[float | None, ...]
    tail: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    truncated_pairs: int = 0
    store_hits: int = 0
    reused_pairs: int = 0
    passages: tuple[int, ...] = ()
    cut_scores: tuple[float, ...] = ()
    cut_logits: tuple[float | None, ...] = ()
    unscored: int = 0
    pair_tokens: tuple[int, ...] = ()

    @property
    def answered(self) -> bool:
        return bool(self.doc_ids)

    @property
    def tied_neighbours(self) -> int:
        """How many documents have the same score as the one above them: their order is by id, not by relevance."""
        keys = [score if logit is None else logit for score, logit in zip(self.scores, self.logits, strict=True)]
        return sum(above == below for above, below in pairwise(keys))

    def ordered(self) -> tuple[str, ...]:
        """All ids, best first: the reranked ones, then the tail.

        Runs of before `unscored` was told left failed documents out, and a query without a score had no list.
        """
        lost = self.failed and not self.answered and not self.unscored
        return () if lost else self.doc_ids + self.tail


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one query, as a source read them; none is empty."""

    texts: tuple[str, ...]
    where: Location


JudgementKind = Literal["qrels", "answers"]


@dataclass(frozen=True, slots=True)
class Judgements:
    """Query id -> document id -> grade (an integer; 0 and below is not relevant).

    `kind` says where they are from: qrels, whoever made them, or answers, by which each candidate that holds one is
    relevant (1) and every other one is not (0); `match` is how these were looked for. `tokens` (query id -> document
    id -> tokens of its text) is what metrics over a budget of tokens need, and empty where nobody asked for one.

    Where a model judged, `judge` is its name, `by_model` are all of its grades and `by_people` those that people gave;
    `grades` are people's where they judged a pair and the model's elsewhere. All three are empty where no model did.
    """

    grades: Mapping[str, Mapping[str, int]]
    kind: JudgementKind = "qrels"
    match: str | None = None
    tokens: Mapping[str, Mapping[str, int]] = field(default_factory=dict, compare=False)
    judge: str | None = None
    by_model: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    by_people: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.grades)

    def of(self, query_ids: Iterable[str]) -> Judgements:
        """Those of these queries alone, whoever judged; one without a judgement is not among them."""
        wanted = [query_id for query_id in query_ids if query_id in self.grades]
        told = (self.grades, self.tokens, self.by_model, self.by_people)
        grades, tokens, by_model, by_people = (
            {query_id: one[query_id] for query_id in wanted if query_id in one} for one in told
        )
        return replace(self, grades=grades, tokens=tokens, by_model=by_model, by_people=by_people)

    @property
    def digest(self) -> str:
        """64 hex digits (SHA-256) over what was judged, how and by whom, in whatever order it came. Judgements of two
        kinds have two, though their grades be the same.
        """
        total = sha256()
        if self.kind != "qrels":
            total.update(repr((self.kind, self.match)).encode())
        for query_id in sorted(self.grades):
            total.update(repr((query_id, sorted(self.grades[query_id].items()))).encode())
        if self.judge is not None:
            total.update(repr(("judge", self.judge)).encode())
        for who, of_queries in (("model", self.by_model), ("people", self.by_people)):
            for query_id in sorted(of_queries):
                total.update(repr((who, query_id, sorted(of_queries[query_id].items()))).encode())
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class QueryMetrics:
    """Per-query values of each metric, over all judged queries.

    `values[metric][i]` belongs to `query_ids[i]`; `answered[i]` is False where the system returned nothing for a judged
    query, which then scores 0. Metric names are as a user writes them (`ndcg@10`).
    """

    query_ids: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]
    answered: tuple[bool, ...]

    def mean(self, metric: str) -> float:
        """The arithmetic mean over all judged queries; unanswered ones count as 0."""
        values = self.values[metric]
        return sum(values) / len(values) if values else 0.0
