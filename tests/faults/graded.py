"""Judges that grade documents, made to the figures that are published of real ones.

A document has a relevance that nobody sees. People grade it; a judge sees it through an error of its own, and so do
first stage and reranker. Where two share a part of their errors, one favours the other. With the shares below
(published, of TREC Deep Learning 2023: kappa .286 on four grades and .40 on two, 64 % of what the judge calls 2 or more
confirmed by people; a gain of .124 that is .357 by the judge itself, and one of .121 that is .225 by a foreign judge):

    judge         kappa .27 on four grades, .41 on two, 64 % confirmed
    itself        a gain of .126 by people is .354 by the judge
    foreign       .127 is .223
    neutral       .127 is .127: what it does not see of the gain and what it favours cancel
    no gain       both orders are alike, and so is the judge to them
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Grades = npt.NDArray[np.int64]

QUERIES, DOCUMENTS, CUTOFF = 10_000, 60, 10
OF_QUERY = 0.15
"""The share of relevance that is the query's: some have more relevant documents than others."""
BY_PEOPLE, BY_JUDGE = (0.45, 0.28, 0.15, 0.12), (0.5, 0.3, 0.12, 0.08)
"""Shares of the grades 0 to 3."""
JUDGE, FIRST_STAGE = 0.65, 0.42
"""Correlation of what each sees with relevance."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How much of their errors reranker and first stage share with the judge. The reranker is itself a judge, whose
    grades are its scores. Without `gain` it is a first stage, too.
    """

    name: str
    reranker: float
    first_stage: float = 0.0
    gain: bool = True


@dataclass(frozen=True, slots=True)
class Gains:
    """Per query: the gain of nDCG@10 by people's grades, and by the judge's."""

    people: Values
    model: Values


ITSELF, FOREIGN = Scenario("judges itself", 1.0, 0.43), Scenario("a foreign judge", 0.38)
NEUTRAL, NO_GAIN = Scenario("neutral, a gain", 0.15), Scenario("neutral, no gain", 0.0, gain=False)
SCENARIOS = (ITSELF, FOREIGN, NEUTRAL, NO_GAIN)


@cache
def gains(scenario: Scenario, queries: int = QUERIES, seed: int = 0) -> Gains:
    rng = np.random.default_rng(seed)
    shape = (queries, DOCUMENTS)
    relevance = np.sqrt(OF_QUERY) * rng.standard_normal((queries, 1)) + np.sqrt(1 - OF_QUERY) * rng.standard_normal(
        shape
    )
    error = rng.standard_normal(shape)
    people, model = graded(relevance, BY_PEOPLE), graded(_seen(relevance, JUDGE, error), BY_JUDGE)
    before = _seen(relevance, FIRST_STAGE, _shared(error, scenario.first_stage, rng))
    if scenario.gain:
        after = _seen(relevance, JUDGE, _shared(error, scenario.reranker, rng))
        after = graded(after, BY_JUDGE) + 0.5 * rng.random(shape)  # equal grades in any order
    else:
        after = _seen(relevance, FIRST_STAGE, _shared(error, scenario.reranker, rng))
    return Gains(ndcg(after, people) - ndcg(before, people), ndcg(after, model) - ndcg(before, model))


def judged(queries: int = QUERIES, seed: int = 0) -> tuple[Grades, Grades]:
    """Grades by people and by the judge."""
    rng = np.random.default_rng(seed)
    relevance = rng.standard_normal((queries, DOCUMENTS))
    return graded(relevance, BY_PEOPLE), graded(_seen(relevance, JUDGE, rng.standard_normal(relevance.shape)), BY_JUDGE)


def graded(seen: Values, shares: tuple[float, ...]) -> Grades:
    """Grades 0, 1, ... in these shares, by how relevant a document is seen."""
    return np.digitize(seen, np.quantile(seen, np.cumsum(shares)[:-1]))


def ndcg(scores: Values, grades: Grades) -> Values:
    """At CUTOFF, of each query; a row of documents each."""
    order = np.argsort(-scores, axis=1)[:, :CUTOFF]
    discounts = 1 / np.log2(np.arange(2, CUTOFF + 2))
    best = -np.sort(-grades, axis=1)[:, :CUTOFF] @ discounts
    reached = np.take_along_axis(grades, order, axis=1) @ discounts
    return np.divide(reached, best, out=np.zeros_like(reached), where=best > 0)


def _seen(relevance: Values, correlation: float, error: Values) -> Values:
    return np.asarray(correlation * relevance + np.sqrt(1 - correlation**2) * error)


def _shared(error: Values, share: float, rng: np.random.Generator) -> Values:
    """An error that correlates so much with the judge's."""
    return np.asarray(share * error + np.sqrt(1 - share**2) * rng.standard_normal(error.shape))
