"""Significance tests and intervals: against scipy, by hand, by their symmetries, and by simulation."""

from __future__ import annotations

import ast
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stages.core.errors import DataError
from stages.quality.interval import Interval
from stages.quality.significance import POWER, Difference, compare_values, holm, in_words, minimum_detectable, paired_p
from tests.examples import examples

ROOT = Path(__file__).parents[3]
FEW = {"permutations": 500}

Values = npt.NDArray[np.float64]

metric_values = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
paired_values = st.lists(st.tuples(metric_values, metric_values), min_size=1, max_size=40)


def ndcg_like(rng: np.random.Generator, n: int) -> Values:
    """Differences of which half are 0; rises are more frequent and larger than falls. Their mean is NDCG_LIKE_MEAN."""
    share = rng.random(n)
    return np.where(share < 0.5, 0.0, np.where(share < 0.8, rng.beta(1.2, 4, n), -rng.beta(1.2, 5, n)))


NDCG_LIKE_MEAN = 0.3 * 1.2 / 5.2 - 0.2 * 1.2 / 6.2


def against_zero(differences: Values, **settings: float) -> Difference:
    return compare_values(np.zeros(len(differences)), differences, **settings)  # type: ignore[arg-type]


@pytest.fixture
def differences() -> Values:
    return ndcg_like(np.random.default_rng(3), 60)


# Against scipy


def test_the_t_test_is_scipys() -> None:
    rng = np.random.default_rng(1)
    baseline, system = rng.random(40), rng.random(40)
    expected = stats.ttest_rel(system, baseline)
    found = compare_values(baseline, system, **FEW)
    assert found.p_t == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.effect_size == pytest.approx(expected.statistic / math.sqrt(40))
    assert found.sd == pytest.approx(np.std(system - baseline, ddof=1))


@pytest.mark.parametrize("seed", range(3))
def test_the_randomization_test_is_scipys_within_monte_carlo_error(seed: int) -> None:
    differences = ndcg_like(np.random.default_rng(seed), 60)
    expected = scipy_permutation_p(differences, 20_000)
    error = math.sqrt(expected * (1 - expected) * (1 / 20_000 + 1 / 100_000))
    assert against_zero(differences).p_randomization == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("n", [2, 3, 8, 12])
def test_the_randomization_test_of_few_queries_is_exact(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.2, 0.5, n)
    exact = scipy_permutation_p(differences, 2**n)
    assert against_zero(differences).p_randomization == pytest.approx(exact, abs=1e-12)


def scipy_permutation_p(differences: Values, n_resamples: int) -> float:
    found = stats.permutation_test(
        (differences, np.zeros(len(differences))),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_resamples,
        batch=1000,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


@pytest.mark.parametrize(("n", "alpha"), [(5, 0.05), (50, 0.05), (1000, 0.05 / 12)])
def test_the_minimum_detectable_difference_is_found_with_the_promised_power(n: int, alpha: float) -> None:
    difference = minimum_detectable(0.3, n, alpha)
    assert difference is not None
    critical = stats.t.isf(alpha / 2, n - 1)
    assert stats.nct.sf(critical, n - 1, difference / 0.3 * math.sqrt(n)) == pytest.approx(POWER, abs=1e-4)


# By hand


def test_the_minimum_detectable_difference_shares_the_level_among_the_comparisons(differences: Values) -> None:
    found = against_zero(differences, comparisons=12, confidence=0.9, **FEW)
    assert found.minimum_detectable == minimum_detectable(found.sd, found.n, 0.1 / 12)


def test_means_and_counts_are_those_of_the_queries() -> None:
    found = compare_values([0.5, 0.5, 0.5, 0.5], [0.6, 0.8, 0.5, 0.2], **FEW)
    assert (found.n, found.wins, found.ties, found.losses) == (4, 2, 1, 1)
    assert (found.mean_baseline, found.mean_system) == (0.5, pytest.approx(0.525))
    assert found.difference == pytest.approx(0.025)


def test_p_is_smoothed_where_not_all_signs_are_tried() -> None:
    found = against_zero(np.full(20, 0.1) + np.linspace(0, 0.01, 20), permutations=999)
    assert found.p_randomization == 1 / 1000


def test_ties_at_the_observed_mean_count_as_far_as_it() -> None:
    # Reciprocal ranks: of the 8 choices of signs, 4 have a sum of +-0.5 and 2 each of +-1.5; the observed sum is 0.5.
    assert against_zero(np.array([0.5, 0.5, -0.5])).p_randomization == 1.0
    assert against_zero(np.array([0.1 + 0.2, 0.3, 0.3])).p_randomization == 2 / 8


def test_tied_queries_do_not_change_the_randomization_test() -> None:
    few = np.array([0.2, 0.1, 0.4, 0.3, -0.1])
    assert against_zero(few).p_randomization == against_zero(np.concatenate((few, np.zeros(2000)))).p_randomization


def test_identical_runs_give_p_1() -> None:
    found = compare_values([0.3, 0.7, 1.0], [0.3, 0.7, 1.0])
    assert (found.p_t, found.p_randomization, found.effect_size) == (1.0, 1.0, 0.0)
    assert found.interval == (0.0, 0.0)
    assert found.minimum_detectable is None


def test_rounding_is_a_tie() -> None:
    found = compare_values([0.3, 0.7], [0.1 + 0.2, 0.7 - 1e-13])
    assert (found.ties, found.difference, found.p_t) == (2, 0.0, 1.0)


def test_one_query_is_no_evidence() -> None:
    found = compare_values([0.2], [0.9])
    assert found.p_randomization == 1.0
    assert (found.p_t, found.interval, found.effect_size, found.minimum_detectable) == (None,) * 4


def test_equal_differences_leave_only_the_randomization_test() -> None:
    found = compare_values([0.1, 0.3, 0.4, 0.5, 0.6], [0.2, 0.4, 0.5, 0.6, 0.7])
    assert found.sd == 0.0
    assert found.p_randomization == 2 / 2**5
    assert (found.p_t, found.interval, found.effect_size, found.minimum_detectable) == (None,) * 4


def test_no_query_is_an_error() -> None:
    with pytest.raises(DataError, match="no query to compare"):
        compare_values([], [])


def test_systems_over_other_queries_are_an_error() -> None:
    with pytest.raises(DataError, match="2 values and the system 1"):
        compare_values([0.1, 0.2], [0.1])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_an_error_that_names_the_query(value: float) -> None:
    with pytest.raises(DataError, match="Query number 2"):
        compare_values([0.1, value], [0.1, 0.2])


@pytest.mark.parametrize("wrong", [{"permutations": 0}, {"comparisons": 0}, {"confidence": 1.0}])
def test_settings_without_a_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        against_zero(np.array([0.1, 0.2]), **wrong)


# Symmetries


@given(paired_values)
@examples(100)
def test_swapping_the_systems_mirrors_everything(pairs: list[tuple[float, float]]) -> None:
    left, right = zip(*pairs, strict=True)
    forth, back = compare_values(left, right, **FEW), compare_values(right, left, **FEW)
    assert (forth.p_t, forth.p_randomization, forth.sd) == (back.p_t, back.p_randomization, back.sd)
    assert (forth.difference, forth.wins, forth.losses) == (-back.difference, back.losses, back.wins)
    assert forth.interval == (back.interval and Interval(-back.interval.high, -back.interval.low))


@given(paired_values, st.randoms(use_true_random=False))
@examples(100)
def test_the_order_of_the_queries_does_not_matter(pairs: list[tuple[float, float]], random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert compare_values(*zip(*pairs, strict=True), **FEW) == compare_values(*zip(*shuffled, strict=True), **FEW)  # type: ignore[misc]


@given(paired_values.filter(lambda pairs: len({round(y - x, 6) for x, y in pairs}) > 1), st.integers(-2, 2))
@examples(100)
def test_a_constant_for_the_system_shifts_the_intervals(pairs: list[tuple[float, float]], constant: int) -> None:
    left, right = map(np.array, zip(*pairs, strict=True))
    before, after = compare_values(left, right, **FEW), compare_values(left, right + constant, **FEW)
    assert after.difference == pytest.approx(before.difference + constant, abs=1e-9)
    assert after.sd == pytest.approx(before.sd, abs=1e-9)
    assert after.interval == pytest.approx(np.add(before.interval, constant), abs=1e-9)


@given(paired_values)
@examples(100)
def test_no_value_is_nan_or_infinite_or_a_p_of_0(pairs: list[tuple[float, float]]) -> None:
    found = compare_values(*zip(*pairs, strict=True), **FEW)  # type: ignore[misc]
    numbers = [found.sd, found.p_t, found.p_randomization, found.effect_size, found.minimum_detectable]
    numbers += [*(found.interval or ())]
    assert all(math.isfinite(number) for number in numbers if number is not None)
    assert 0 < found.p_randomization <= 1
    assert found.wins + found.ties + found.losses == found.n == len(pairs)


def test_the_seed_decides_the_result(differences: Values) -> None:
    assert against_zero(differences, seed=1) == against_zero(differences, seed=1)
    one, other = (against_zero(differences, seed=seed, **FEW) for seed in (1, 2))
    assert one.p_randomization != other.p_randomization
    assert one.interval == other.interval


@pytest.mark.parametrize("n", [1, 8, 60])
@pytest.mark.parametrize("seed", [0, 7])
def test_p_value_alone_is_that_of_the_whole_comparison(n: int, seed: int) -> None:
    rng = np.random.default_rng(n)
    baseline, system = rng.random(n), rng.random(n) + 0.1
    assert paired_p(baseline, system, seed=seed) == compare_values(baseline, system, seed=seed).p_randomization
    few = compare_values(baseline, system, seed=seed, **FEW).p_randomization
    assert paired_p(baseline, system, seed=seed, permutations=FEW["permutations"]) == few


def test_p_value_refuses_what_the_comparison_refuses() -> None:
    with pytest.raises(DataError, match="no query"):
        paired_p([], [])
    with pytest.raises(DataError, match="same queries"):
        paired_p([0.5], [0.5, 0.6])


# Holm's correction


def test_holm_agrees_with_an_example_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 = 0.06 = the one before, 0.04 x 1 raised to it.
    corrected = holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.02})
    assert list(corrected) == ["a", "b", "c", "d"]
    assert corrected == pytest.approx({"a": 0.06, "b": 0.04, "c": 0.06, "d": 0.06})


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=12))
def test_holm_is_the_closed_test_of_bonferroni(p_values: dict[str, float]) -> None:
    """Its definition without sorting: the largest (how many p are at least as large) x p, over p no larger."""
    expected = {
        key: min(1.0, max(p * sum(other >= p for other in p_values.values()) for p in p_values.values() if p <= own))
        for key, own in p_values.items()
    }
    assert holm(p_values) == pytest.approx(expected)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm({"a": p})


# In words


@pytest.fixture
def rise(differences: Values) -> Difference:
    return replace(against_zero(differences, **FEW), n=100, difference=0.0147, sd=0.11, interval=Interval(0.002, 0.027))


def test_a_significant_difference_is_called_so(rise: Difference) -> None:
    assert in_words(rise, "ndcg@10", 0.02) == (
        "ndcg@10 rises by 0.0147 (95 % interval 0.002 to 0.027, p = 0.02): statistically significant at the 5 % level"
    )


def test_one_that_is_not_says_what_this_collection_could_have_shown(rise: Difference) -> None:
    assert in_words(rise, "ndcg@10", 0.2) == (
        "ndcg@10 rises by 0.0147 (95 % interval 0.002 to 0.027, p = 0.2): it cannot be told from chance; "
        "this collection shows differences from 0.031 on"
    )


def test_more_comparisons_need_a_larger_difference(rise: Difference) -> None:
    assert in_words(replace(rise, comparisons=12), "mrr", 0.2).endswith("shows differences from 0.042 on")


def test_a_loss_falls_and_a_small_p_is_bounded(rise: Difference) -> None:
    words = in_words(replace(rise, difference=-0.0147), "mrr@10", 0.00001)
    assert words.startswith("mrr@10 falls by 0.0147")
    assert "p < 0.001" in words


def test_identical_runs_and_a_single_query_have_sentences_of_their_own() -> None:
    same = compare_values([0.1, 0.2], [0.1, 0.2])
    assert in_words(same, "mrr", 1.0) == "mrr is the same for every query (n = 2, p = 1): the systems do not differ"
    assert in_words(compare_values([0.1], [0.2]), "mrr", 1.0) == (
        "mrr rises by 0.1000 (p = 1): it cannot be told from chance; too few queries (n = 1) to say what could be"
    )


def test_differences_that_cancel_do_not_change_on_average() -> None:
    assert "mrr does not change on average" in in_words(compare_values([0.0, 1.0], [1.0, 0.0], **FEW), "mrr", 1.0)


# By simulation. Every trial has a seed of its own: with one for all, they would share its Monte Carlo error, which then
# does not average out (coverage came out between 94.3 and 96.2 %, depending on that seed alone).


def test_under_the_null_each_test_errs_in_5_percent_of_trials() -> None:
    rng = np.random.default_rng(0)
    p_t, p_randomization = [], []
    for trial in range(2000):
        differences = ndcg_like(rng, 50) * rng.choice([-1, 1], size=50)
        found = against_zero(differences, seed=trial, permutations=2000)
        p_t.append(found.p_t)
        p_randomization.append(found.p_randomization)
    shares = [np.mean(np.array(p_values) < 0.05) for p_values in (p_t, p_randomization)]
    print(f"p < 0.05 in {shares[0]:.2%} (t) and {shares[1]:.2%} (randomization) of 2,000 trials")
    assert all(0.04 <= share <= 0.06 for share in shares)


def test_the_minimum_detectable_difference_is_detected_in_80_percent_of_trials() -> None:
    rng = np.random.default_rng(0)
    true = minimum_detectable(0.3, 50)
    trials = [against_zero(rng.normal(true, 0.3, 50), permutations=1).p_t for _ in range(2000)]
    assert np.mean(np.array(trials) < 0.05) == pytest.approx(POWER, abs=0.03)


# Size and imports


def test_ten_thousand_queries_take_bounded_memory() -> None:
    code = (
        "import resource, numpy as np; from stages.quality.significance import compare_values; "
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = peak(); "
        "rng = np.random.default_rng(0); compare_values(rng.random(10_000), rng.random(10_000)); print(peak() - before)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(told.stdout) < 100_000, f"{told.stdout.strip()} KiB more than before; signs alone would be 1 GB"


def test_scipy_is_imported_where_statistics_are_and_not_with_stages() -> None:
    users = {
        file.name
        for package in ("stages", "serve_app", "pipelines")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "scipy")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "scipy" for alias in node.names))
    }
    assert users == {"interval.py", "significance.py", "agreement.py", "proportion.py", "useless.py", "kappa.py"}
    code = "import sys, stages; print('scipy' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
