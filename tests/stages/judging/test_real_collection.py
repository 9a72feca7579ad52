"""A collection that people judged wholly: what an interval from 50 of its queries says, against what is so."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from stages.core.scoring import OverlapScorer
from stages.judging.inference import Inference, Labelled, Method, infer
from stages.judging.precision import About
from stages.sources.trec import read_qrels
from tests.examples import some_of
from tests.faults.graded import Grades, Values, ndcg

EPQA = Path(__file__).parents[4] / "shared" / "data" / "epqa-dev"
ROUNDS, JUDGED, KAPPA = 200, 50, 0.3


class Collection(NamedTuple):
    """A row of ten documents for each query, in the first stage's order; `order` are their scores by it, and `overlap`
    by the share of the query's words, which stands in for a second run: the collection has one.
    """

    grades: Grades
    order: Values
    overlap: Values
    gain: Values


@pytest.fixture(scope="module")
def collection() -> Collection:
    if not EPQA.is_dir():
        pytest.skip(f"no {EPQA}")
    judgements = read_qrels(EPQA / "qrels" / "test.tsv", print)
    scored: dict[str, list[tuple[float, str]]] = {}
    for line in (EPQA / "runs" / "bm25.trec").read_text("utf-8").splitlines():
        query_id, _, doc_id, _, score, _ = line.split()
        scored.setdefault(query_id, []).append((float(score), doc_id))
    run = {query_id: [doc_id for _, doc_id in sorted(found, reverse=True)] for query_id, found in scored.items()}
    texts, queries = (_texts(EPQA / name) for name in ("corpus.jsonl", "queries.jsonl"))
    overlap = asyncio.run(_overlap([(queries[one], [texts[doc_id] for doc_id in found]) for one, found in run.items()]))
    grades = np.array([[judgements.grades[query_id][doc_id] for doc_id in found] for query_id, found in run.items()])
    order = np.tile(-np.arange(10.0), (len(run), 1))
    overlap += 1e-6 * order  # equal shares stay in the first stage's order
    gain = ndcg(overlap, grades) - ndcg(order, grades)
    assert ndcg(order, grades).mean() == pytest.approx(
        0.7843, abs=5e-5
    )  # trec_eval's, in the data's README, with its order of equal scores
    return Collection(grades, order, overlap, gain)


async def _overlap(queries: list[tuple[str, list[str]]]) -> Values:
    scorer = OverlapScorer()
    return np.array([[one.score for one in await scorer.score(*query)] for query in queries])


def _texts(path: Path) -> dict[str, str]:
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {one["_id"]: one["text"] for one in records}


def judge(grades: Grades, rng: np.random.Generator) -> Grades:
    """Says people's grade in KAPPA of the pairs and any grade, as often as people give it, in the others: that is what
    Cohen's kappa counts.
    """
    return np.where(rng.random(grades.shape) < KAPPA, grades, rng.permutation(grades.ravel()).reshape(grades.shape))


def of_fifty(collection: Collection, rng: np.random.Generator, about: About) -> Inference:
    """The judgements of all but 50 random queries hidden. Queries with the same order in both runs need none."""
    by_model = judge(collection.grades, rng)
    f = ndcg(collection.overlap, by_model) - ndcg(collection.order, by_model)
    same = (np.diff(collection.overlap, axis=1) < 0).all(axis=1)
    places = rng.permutation(np.flatnonzero(~same))
    chosen, rest = places[:JUDGED], places[JUDGED:]
    known = np.zeros(int(same.sum()))
    strata = [Labelled(len(places), collection.gain[chosen], f[chosen], f[rest])]
    return infer([*strata, Labelled(len(known), known, known, np.zeros(0))], about, 0.95)


def kappa(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> float:
    shares = [np.bincount(one.ravel()) / one.size for one in (a, b)]
    by_chance = shares[0] @ shares[1]
    return float(((a == b).mean() - by_chance) / (1 - by_chance))


@pytest.mark.scaled
def test_of_fifty_judged_queries_and_a_judge_of_kappa_3_the_interval_holds_what_is_so_of_all(
    collection: Collection,
) -> None:
    rounds = some_of(ROUNDS)
    rng = np.random.default_rng(25)
    found = [of_fifty(collection, rng, About.THESE) for _ in range(rounds)]
    assert kappa(judge(collection.grades, rng), collection.grades) == pytest.approx(KAPPA, abs=0.02)
    truth = float(collection.gain.mean())
    assert all(one.interval is not None for one in found)
    held = sum(one.interval.low <= truth <= one.interval.high for one in found if one.interval)
    assert held >= stats.binom.ppf(0.05, rounds, 0.95)
    assert {one.method for one in found} >= {Method.TUNED}
