"""A probability is measured against what the judges said."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given

from stages.analysis.calibration import calibration
from tests.analysis_inputs import Collection, collection, collections, one_query
from tests.examples import examples


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def drawn(exponent: float) -> Collection:
    """50 queries of 200 pairs with a uniform probability p, of which p ** exponent are relevant."""
    rng = random.Random(7)
    queries, grades = [], {}
    for number in range(50):
        probabilities = {f"d{place}": rng.uniform(0.001, 0.999) for place in range(200)}
        queries.append(one_query(f"q{number}", {doc_id: logit(p) for doc_id, p in probabilities.items()}))
        grades[f"q{number}"] = {doc_id: int(rng.random() < p**exponent) for doc_id, p in probabilities.items()}
    return collection(queries, grades)


def test_calibrated_probabilities_have_almost_no_error() -> None:
    made = drawn(exponent=1)
    found = calibration(made.outcomes, made.judgements)
    assert found is not None
    assert found.ece < 0.02
    assert found.pairs == 10_000


def test_overconfident_probabilities_have_the_error_they_were_given() -> None:
    made = drawn(exponent=2)
    found = calibration(made.outcomes, made.judgements)
    assert found is not None
    assert found.ece == pytest.approx(1 / 2 - 1 / 3, abs=0.02)  # the mean of p - p^2


def test_bins_hold_their_pairs_and_an_unjudged_pair_is_in_none() -> None:
    made = collection(
        [one_query("q", {"a": logit(0.31), "b": logit(0.39), "c": 50.0, "d": 0.0})], {"q": {"a": 1, "b": 0, "c": -1}}
    )
    found = calibration(made.outcomes, made.judgements)
    assert found is not None
    assert [of_bin.pairs for of_bin in found.bins] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 1]
    assert found.bins[3].mean_probability == pytest.approx(0.35)
    assert found.bins[3].relevant_share == 0.5
    assert found.bins[0].mean_probability is None
    assert (found.pairs, found.relevant) == (3, 1)
    assert found.ece == pytest.approx((2 * 0.15 + 1 * 1.0) / 3)


def test_cosines_and_unjudged_pairs_have_no_calibration() -> None:
    cosines = collection([one_query("q", {"a": 0.5, "b": 0.2}, cosine=True)], {"q": {"a": 1}})
    assert calibration(cosines.outcomes, cosines.judgements) is None
    unjudged = collection([one_query("q", {"a": 0.5, "b": 0.2})], {"q": {"z": 1}})
    assert calibration(unjudged.outcomes, unjudged.judgements) is None


@examples(40)
@given(collections())
def test_every_judged_pair_with_a_score_is_counted_once(made: Collection) -> None:
    judged = sum(
        doc_id in made.judgements.grades[ranking.query_id] for _, ranking in made.pairs for doc_id in ranking.doc_ids
    )
    found = calibration(made.outcomes, made.judgements)
    assert (found.pairs if found else 0) == judged
    if found:
        assert sum(of_bin.pairs for of_bin in found.bins) == judged
        assert 0 <= found.ece <= 1
        assert all(
            of_bin.low <= of_bin.mean_probability <= of_bin.high
            for of_bin in found.bins
            if of_bin.mean_probability is not None
        )
