"""The content of metrics.json, the contract that other tools read. This is the one place that knows its keys.

Keys are stable. A value that does not apply is null, never 0. Times are ms where the name says so, else seconds; shares
and rates lie between 0 and 1.
"""

from collections.abc import Mapping

# No `from __future__ import annotations`: with it Python takes a key that is NotRequired for a required one.
from typing import NotRequired, TypedDict

SCHEMA_VERSION = 2
"""Of metrics.json and analysis.json. rerank-eval 0.1 wrote none, which stands for 1: there a tested change had two
intervals, `percentile` and `bca`, where 2 has `interval`.
"""


class ModelPart(TypedDict):
    """What scored. `revision` is a hub model's, `weights_digest` a local one's; `dtype` is the engine's, and `backend`
    what it computed with (vllm or transformers); `max_length` is null where the model is hosted. `recipe` is the name
    of how it is scored, `remarks` what a reader of its scores should know of that.
    """

    name: str
    revision: str | None
    family: str
    weights_digest: str | None
    max_length: int | None
    dtype: str | None
    recipe: NotRequired[str | None]
    remarks: NotRequired[list[str]]
    backend: NotRequired[str | None]


class IdentityPart(TypedDict):
    """Everything that decided the scores but the texts (`stages.core.identity`); `digest` stands for all of it."""

    model: str
    family: str
    template: str | None
    instruction: str | None
    max_length: int
    scoring_version: int
    recipe: NotRequired[str | None]
    device: str | None
    dtype: str | None
    vllm: str | None
    transformers: str | None
    tokenizers: str | None
    settings: dict[str, str]
    backend: NotRequired[str | None]
    long_documents: NotRequired[str | None]
    digest: str


class QualityPart(TypedDict):
    """Metric key (`ndcg_at_10`) -> mean over all judged queries; one without candidates is 0.

    All null where nothing was judged; with several first stages there is none to compare with.
    """

    first_stage: dict[str, float] | None
    reranked: dict[str, float] | None
    delta: dict[str, float] | None


class BoundsPart(TypedDict):
    """A mean lies between `low` and `high` whatever grades the unjudged documents had, null for a metric that passes
    over these; `condensed` is that of lists without them, null where the qrels name relevant documents alone.
    """

    low: float | None
    high: float | None
    condensed: float | None


class SidePart(BoundsPart):
    """`judged` of the top k has a judgement, null where no judged query has a list."""

    judged: float | None


class UnjudgedPart(TypedDict):
    """Of one metric. `documents` without a judgement are in the top k of either list, over all judged queries."""

    documents: int
    first_stage: SidePart
    reranked: SidePart
    delta: BoundsPart


class SlicePart(TypedDict):
    """The judged queries of one of `evaluate.slices`; by metric key. `p` is corrected for all slices and metrics, and
    null where there are too few queries.
    """

    queries: int
    first_stage: dict[str, float]
    reranked: dict[str, float]
    delta: dict[str, float]
    p: dict[str, float] | None


class JudgementsPart(TypedDict):
    """What judged: `kind` is qrels, or answers, which were looked for by `match`. Of these alone: how many `answers`
    there were, `short_answers` of fewer than three letters or digits, and the queries whose answers are in none of
    their candidates, or in all.

    Of qrels, `by` says who judged: people, model or both; runs of before did not tell, and people did. Where a model
    did, `judge` is its name, and the counts are of queries and pairs: the values of `queries_by_model` come of a grade
    that it gave; `pairs_graded` are all of its grades, those of pairs that people judged too among them.
    """

    kind: str
    by: NotRequired[str]
    judge: NotRequired[str]
    queries_by_people: NotRequired[int]
    queries_by_model: NotRequired[int]
    pairs_by_people: NotRequired[int]
    pairs_by_model: NotRequired[int]
    pairs_graded: NotRequired[int]
    match: NotRequired[str]
    answers: NotRequired[int]
    short_answers: NotRequired[int]
    queries_in_none: NotRequired[int]
    queries_in_all: NotRequired[int]


class InferredPart(TypedDict):
    """A mean over all judged queries as people would judge them, with its interval; null where there is none. `method`
    is people, ppi, ppi++ or exact; people judged `judged` of the `population` of queries, and `rho` is how closely the
    model's values go along with theirs.
    """

    mean: float | None
    low: float | None
    high: float | None
    method: str | None
    rho: float | None
    judged: int
    population: int


class JudgeErrorPart(TypedDict):
    """How much larger the change is by the model's grades than by people's; `told`: surely not 0."""

    mean: float | None
    low: float | None
    high: float | None
    told: bool


class InferencePart(TypedDict):
    """Of one metric, where a model judged: the change and both means, `by_model` the change by its grades, which
    no interval covers. `judge_error` null where people judged no query with it; `kin` says how judge and reranker are
    related, null where they are not, or that cannot be told. `words` are the verdict's sentences.
    """

    delta: InferredPart
    first_stage: InferredPart
    reranked: InferredPart
    by_model: float | None
    judge_error: JudgeErrorPart | None
    kin: str | None
    words: list[str]


class MadePart(TypedDict):
    """A BM25 that was made here: `words` is what it is called, `bm25s` the version of the package. Of the `queries`,
    those that are judged, some share no word with any document.
    """

    words: str
    bm25s: str
    method: str
    k1: float
    b: float
    language: str | None
    top: int
    documents: int
    documents_without_words: int
    queries: int
    queries_without_candidates: int


class FusedPart(TypedDict):
    """The first stages of a job over several, as one list: `tuned` on other queries, and by reciprocal rank; each of
    them `alone`, by name. `delta` is how far what was reranked is above the tuned one. By metric key, as QualityPart.
    """

    alone: Mapping[str, Mapping[str, float]]

    tuned: Mapping[str, float]
    reciprocal_rank: Mapping[str, float]
    delta: Mapping[str, float]


class CoveragePart(TypedDict):
    """Counts over judged or given queries, over (query, document) pairs, and over rows that could not be used.

    `unasked_pairs` are the candidates beside `pairs` that nothing could score, as they or their query have no text;
    runs of before they kept their places do not tell them. The documents of `truncated_pairs` were not read to their
    end; null of a hosted model, which does not tell. Those of `pairs_in_passages` were read in several, `passages`
    together; both null where documents are cut.
    """

    queries: int
    answered: int
    unanswered: int
    pairs: int
    failed_pairs: int
    unasked_pairs: NotRequired[int]
    truncated_pairs: int | None
    pairs_in_passages: NotRequired[int | None]
    passages: NotRequired[int | None]
    set_aside_rows: int | None


class ScoresPart(TypedDict):
    """`tied_share` of neighbours in a ranking have equal scores; `canaries_passed` is null where none was asked.
    `canaries_asked`: strict where their order had to make sense, finite where any numbers would do.

    `canary_drift` is how far the embedded model's scores of the built-in pairs are from the known ones at most, and
    `canary_tolerance` how far rounding moves them; null for other models.
    """

    tied_share: float | None
    canaries_passed: NotRequired[bool | None]
    canaries_asked: NotRequired[str | None]
    canary_drift: NotRequired[float | None]
    canary_tolerance: NotRequired[float | None]


class ThroughputPart(TypedDict):
    """What the engine scored in this run, and how fast; `wall_s` from its readiness to the last ranking.
    `engine_processor_s` is what the processes of all replicas computed meanwhile; null where no engine ran.
    """

    wall_s: float | None
    scored_pairs: int | None
    pairs_per_s: float | None
    prompt_tokens_per_s: float | None
    engine_processor_s: NotRequired[float | None]


class Quantiles(TypedDict):
    """In the unit that the key above names."""

    p50: float | None
    p95: float | None
    p99: float | None


class QueuePart(TypedDict):
    """How long a pair waited in the engine, and how many did at most."""

    time_ms: Quantiles
    waiting_max: int | None


class LatencyPart(TypedDict):
    """How long a query took, from asking for it to its last score, under the load that the job itself made. Queries
    whose scores were all stored do not count.
    """

    query_ms: Quantiles


class CachePart(TypedDict):
    """`prefix_hit_rate` of prompt tokens were not computed again, `kv_usage_peak` of the engine's cache was in use at
    most, `score_store_hits` pairs were known to the store. `reused_vectors` of the pairs that were scored had a
    document whose vectors were known; null for models that make none.
    """

    prefix_hit_rate: float | None
    kv_usage_peak: float | None
    score_store_hits: int | None
    score_store_hit_rate: float | None
    reused_vectors: NotRequired[int | None]
    reused_vector_rate: NotRequired[float | None]


class TokensPart(TypedDict):
    """Read and written by the model; a reranker writes none."""

    prompt: int | None
    generation: int | None


class HostedPart(TypedDict):
    """What asking a hosted model took: `requests` sent, tries of the same one counted, and those answered; `retried` by
    reason; `latency_ms` of the answered ones. `billed_units` (search_units or tokens) as the answers say; of
    `guessed_bills` requests no answer said it, and a guess by characters stands in. `cost` is null without a price.

    `rechecked_pairs` were stored and asked for again, `largest_move` is how far one is off; null where none was.
    `recheck_cost` of the cost was for these.
    """

    url: str
    api: str
    requests: int
    answered_requests: int
    retried: dict[str, int]
    latency_ms: Quantiles
    billed_unit: str
    billed_units: float | None
    guessed_bills: int
    cost: float | None
    rechecked_pairs: int
    largest_move: float | None
    recheck_cost: float | None


class HarmPart(TypedDict):
    """What reranking changed in the `lists` that have candidates, and what it pushed out; shares by first places
    (`at_10`). All but `useless` null where the order that the candidates came in is no first stage, and the last three
    where nothing is judged, or no relevant document stood there.

    Of the lists, `set_changed_share` hold other documents in their first places, and `order_changed_share` read
    otherwise there. Of the relevant documents `first_lost_share` of those in the very first place lost the first
    places, `pushed_out_share` of all that stood in them left them, and `rescued_share` of those behind came there.
    `useless` names a reranker that tells nothing: constant, first_stage, reversed or random.
    """

    lists: int | None
    set_changed_share: dict[str, float] | None
    order_changed_share: dict[str, float] | None
    first_lost_share: dict[str, float | None] | None
    pushed_out_share: dict[str, float | None] | None
    rescued_share: dict[str, float | None] | None
    useless: str | None


class ForecastPart(TypedDict):
    """What the rates of the last run before this one, `run`, foretold for the pairs and tokens that it read:
    `scoring_s` seconds. It took `error` more, as a share of that. Null where there was none.
    """

    run: str | None
    scoring_s: float | None
    error: float | None


class StageCost(TypedDict):
    """What a stage cost: the seconds for which its engines were held (null of a hosted model), and money, where there
    is a price. Per query as if every pair had been scored, null where none was.
    """

    engine_s: float | None
    pairs_per_query: float | None
    engine_s_per_query: float | None
    money: float | None
    money_per_1000_queries: float | None


class StagePart(TypedDict):
    """One stage of a cascade, as in the metrics.json of its own folder: `quality.first_stage` is of the list that it
    was given, `reranked` of the one that it left. `depth` null: all.
    """

    depth: int | None
    model: ModelPart
    identity: IdentityPart
    quality: QualityPart
    coverage: CoveragePart
    scores: ScoresPart
    throughput: ThroughputPart
    queue: QueuePart
    cache: CachePart
    tokens: TokensPart
    cost: StageCost
    latency: NotRequired[LatencyPart]
    hosted: NotRequired[HostedPart]


class Metrics(TypedDict):
    """All of it. Equal digests: equal settings, equal candidates, equal lists of ids at any depth, equal judgements.

    `started` is when the run began, in UTC and ISO 8601, by which runs are ordered; runs of 0.1 did not tell.
    `first_stage_made` are the first stages that were made here, by name.
    `part_of` is of one of several first stages: the job that reranked them together, whose metrics hold the cost.

    Of a cascade `stages` tell each stage, and all else is of the whole: counts and seconds are sums, `quality` is that
    of the last list beside the first stage's, and what belongs to one model is null. The metrics.json of a stage's own
    folder has its number, from 1, as `stage`.
    """

    schema_version: NotRequired[int]
    run_id: str
    started: NotRequired[str]
    part_of: NotRequired[str | None]
    config_digest: str
    candidates_digest: str
    lists_digest: NotRequired[str]
    judgements_digest: NotRequired[str | None]
    judgements: NotRequired[JudgementsPart]
    model: ModelPart
    identity: NotRequired[IdentityPart]
    quality: QualityPart
    inference: NotRequired[dict[str, InferencePart]]
    unjudged: NotRequired[dict[str, UnjudgedPart] | None]
    slices: NotRequired[dict[str, SlicePart]]
    fused_first_stages: NotRequired[FusedPart]
    first_stage_made: NotRequired[dict[str, MadePart]]
    coverage: CoveragePart
    scores: ScoresPart
    throughput: ThroughputPart
    queue: QueuePart
    cache: CachePart
    tokens: TokensPart
    harm: NotRequired[HarmPart]
    forecast: NotRequired[ForecastPart]
    hosted: NotRequired[HostedPart]
    latency: NotRequired[LatencyPart]
    stage: NotRequired[int]
    stages: NotRequired[list[StagePart]]
