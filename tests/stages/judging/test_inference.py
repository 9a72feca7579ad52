"""People for some queries, a model for all: formulas written out, what changes nothing, where there is no interval."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.judging.inference import FEWEST, LEAST_ERRORS, LEAST_OTHER, MARGIN, Inference, Method, infer
from stages.judging.leaning import Labelled, Values, lean, otherwise
from stages.judging.precision import About, Stratum, estimate
from stages.quality.interval import Interval, reaches

abouts = pytest.mark.parametrize("about", list(About))


def judged(size: int, n: int, rho: float, seed: int = 0, mean: float = 0.05) -> Labelled:
    """Of `size` queries people judged n; the model's values correlate with theirs, and are shifted."""
    rng = np.random.default_rng(seed)
    y = rng.normal(mean, 0.2, size)
    f = rho * y + math.sqrt(1 - rho**2) * rng.normal(0, 0.2, size) + 0.1
    return Labelled(size, y[:n], f[:n], f[n:])


def alone(strata: list[Labelled], about: About) -> Interval | None:
    found = estimate([Stratum(one.size, one.people) for one in strata], about, 0.95)
    return found.interval if found else None


def scaled(one: Labelled, people: float = 1, model: float = 1, more: float = 0, shift: float = 0) -> Labelled:
    """people * y + more, and model * f + shift."""
    return Labelled(one.size, people * one.people + more, model * one.model + shift, model * one.rest + shift)


def unknown(size: int) -> Labelled:
    """A stratum of queries that are known to have no change."""
    return Labelled(size, np.zeros(size), np.zeros(size), np.zeros(0))


many_strata = st.lists(
    st.builds(
        judged, st.integers(60, 90), st.integers(12, 40), st.sampled_from([0, 0.4, 0.7, 0.95]), st.integers(0, 99)
    ),
    min_size=1,
    max_size=3,
)


def ends(found: Inference) -> tuple[float, float, float]:
    assert found.mean is not None
    assert found.interval is not None
    return found.mean, *found.interval


# Written out


@abouts
def test_leaning_on_a_model_is_the_regression_estimate_with_its_textbook_variance_or_the_jackknifes(
    about: About,
) -> None:
    size, n = 300, 60
    one = judged(size, n, 0.8)
    f, y, everything = one.model, one.people, np.concatenate((one.model, one.rest))
    slope = np.cov(f, y)[0, 1] / f.var(ddof=1)
    unlike, rests = everything.mean() - f.mean(), y - y.mean() - slope * (f - f.mean())
    squares = ((f - f.mean()) ** 2).sum()
    least_squares = (rests**2).sum() / (n - 2) * ((1 - n / size) / n + unlike**2 / squares)
    estimates = []
    for place in range(n):
        less = np.delete(np.arange(n), place)
        without = np.polyfit(f[less], y[less], 1)
        estimates.append(without @ [everything.mean(), 1])
    jackknife = (1 - n / size) * (n - 1) / n * ((np.array(estimates) - y.mean() - slope * unlike) ** 2).sum()
    variance = max(least_squares, jackknife) + (y.var(ddof=1) / size if about is About.LIKE_THESE else 0)

    found = infer([one], about, 0.95)
    assert found.method is Method.TUNED
    assert found.weight == pytest.approx(slope)
    assert found.rho == pytest.approx(np.corrcoef(f, y)[0, 1])
    assert found.mean == pytest.approx(y.mean() + slope * unlike)
    skewness = (rests**3).mean() / (rests**2).mean() ** 1.5
    below, above = reaches(n, skewness, 0.95, 18)  # those of 20 judged queries, as of a plan, less one for the slope
    mean, low, high = ends(found)
    assert low == pytest.approx(mean - below * math.sqrt(n * variance), rel=1e-6)
    assert high == pytest.approx(mean + above * math.sqrt(n * variance), rel=1e-6)
    assert least_squares != pytest.approx(jackknife)


def test_of_many_queries_it_is_the_published_form() -> None:
    """PPI++, its L that of the others: cov / ((1 + n/N) var f), and the variance L^2 var f / N + var(y - L f) / n."""
    n, others = 2000, 18_000
    one = judged(n + others, n, 0.6)
    f, y, rest = one.model, one.people, one.rest
    published = np.cov(f, y)[0, 1] / ((1 + n / others) * np.concatenate((f, rest)).var())
    mean = published * rest.mean() + (y - published * f).mean()
    error = math.sqrt(published**2 * rest.var() / others + (y - published * f).var() / n)
    found = infer([one], About.LIKE_THESE, 0.95)
    assert found.mean == pytest.approx(mean, abs=0.05 * error)
    assert found.interval is not None
    assert (found.interval.high - found.interval.low) / 2 / reaches(n, 0, 0.95, 18).above == pytest.approx(
        math.sqrt(n) * error, rel=0.02
    )


def test_a_model_that_understates_counts_as_much_as_people_and_no_more() -> None:
    one = scaled(judged(300, 60, 0.95), model=0.5)
    found = infer([one], About.THESE, 0.95)
    everything = np.concatenate((one.model, one.rest))
    assert (found.method, found.weight) == (Method.PPI, 1)
    assert found.mean == pytest.approx(everything.mean() + (one.people - one.model).mean())


def test_strata_share_one_slope_and_each_has_its_weight() -> None:
    strata = [judged(200, 40, 0.9, seed=1), judged(100, 20, 0.9, seed=2, mean=0.4)]
    found = infer(strata, About.THESE, 0.95)
    corrected = [
        one.people.mean() + found.weight * (np.concatenate((one.model, one.rest)).mean() - one.model.mean())
        for one in strata
    ]
    assert found.mean == pytest.approx(2 / 3 * corrected[0] + 1 / 3 * corrected[1])
    assert found.population == 300
    assert found.n == 60


def test_queries_that_are_known_to_have_no_change_add_no_error() -> None:
    for rho in (0.0, 0.8):
        one = judged(200, 50, rho)
        single, beside = infer([one], About.THESE, 0.95), infer([one, unknown(200)], About.THESE, 0.95)
        assert single.method is beside.method
        assert ends(beside) == pytest.approx([value / 2 for value in ends(single)])
        assert (beside.n, beside.population) == (50, 400)


# What changes nothing


@given(many_strata, st.sampled_from(list(About)), st.sampled_from([-3.0, 0.5, 2.0]), st.floats(-2, 2))
def test_in_another_unit_it_is_the_same(strata: list[Labelled], about: About, unit: float, shift: float) -> None:
    found = infer(strata, about, 0.95)
    other = infer([scaled(one, unit, unit, shift, 3 * shift) for one in strata], about, 0.95)
    mean, low, high = (unit * value + shift for value in ends(found))
    assert ends(other) == pytest.approx([mean, min(low, high), max(low, high)], rel=1e-6, abs=1e-9)
    assert (other.method, other.n) == (found.method, found.n)


@given(many_strata, st.sampled_from(list(About)))
def test_the_order_of_queries_and_strata_decides_nothing(strata: list[Labelled], about: About) -> None:
    def turned(one: Labelled) -> Labelled:
        order = np.argsort(np.sin(1e6 * one.people))
        return Labelled(one.size, one.people[order], one.model[order], one.rest[::-1])

    assert ends(infer([turned(one) for one in strata[::-1]], about, 0.95)) == pytest.approx(
        ends(infer(strata, about, 0.95)), abs=1e-12
    )


@given(many_strata, st.sampled_from(list(About)), st.floats(-1, 1), st.floats(-1, 1))
def test_the_method_is_chosen_without_a_look_at_the_estimate(
    strata: list[Labelled], about: About, more: float, shift: float
) -> None:
    """Whatever the gain, and however much the model favours one side, in all queries or in those nobody judged."""
    moved = [scaled(one, more=more, shift=shift) for one in strata]
    favoured = [replace(one, rest=one.rest + shift) for one in strata]
    methods = [infer(these, about, 0.95).method for these in (strata, moved, favoured)]
    assert len(set(methods)) == 1


@given(many_strata, st.sampled_from(list(About)))
def test_a_model_that_tells_nothing_leaves_people_s_own_interval(strata: list[Labelled], about: About) -> None:
    constant = [scaled(one, model=0, shift=0.3) for one in strata]
    found = infer(constant, about, 0.95)
    assert found.method is Method.PEOPLE
    assert found.interval == alone(strata, about)
    assert found.reason == "the model gives all judged queries the same value"


@given(many_strata, st.sampled_from(list(About)))
def test_without_the_model_it_is_what_a_plan_tells(strata: list[Labelled], about: About) -> None:
    found = infer(strata, about, 0.95)
    if found.method is Method.PEOPLE:
        assert found.interval == alone(strata, about)
    assert (found.method is Method.PEOPLE) == (found.weight == 0)


def test_once_all_are_judged_nothing_is_unsure_of_these_and_the_model_tells_nothing_of_others() -> None:
    everything = judged(80, 80, 0.9)
    of_these = infer([everything, unknown(20)], About.THESE, 0.95)
    assert of_these.method is Method.EXACT
    assert ends(of_these) == pytest.approx([everything.people.sum() / 100] * 3)
    of_all = infer([everything], About.LIKE_THESE, 0.95)
    assert of_all.method is Method.PEOPLE
    assert of_all.interval == alone([everything], About.LIKE_THESE)
    assert of_these.reason == of_all.reason == "people judged every query"


@abouts
def test_the_more_the_model_tells_the_narrower(about: About) -> None:
    widths = []
    for rho in (0, 0.5, 0.8, 0.95):
        _, low, high = ends(infer([judged(400, 100, rho)], about, 0.95))
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


# The rule, and what there is no interval of


def test_a_model_that_goes_along_too_little_is_not_leaned_on_and_the_numbers_are_told() -> None:
    found = infer([judged(300, 50, 0.0)], About.THESE, 0.95)
    assert found.method is Method.PEOPLE
    assert found.reason == (
        f"over 50 judged queries the model goes along with people too little (correlation {found.rho:.2f}, and the "
        f"rule asks for more than {MARGIN / math.sqrt(48):.2f})"
    )


def test_a_model_that_goes_against_people_is_not_leaned_on() -> None:
    found = infer([scaled(judged(300, 100, 0.9), model=-1)], About.THESE, 0.95)
    assert found.method is Method.PEOPLE
    assert found.rho is not None
    assert found.rho < -0.8


@abouts
def test_a_model_whose_errors_are_too_rare_to_know_is_not_leaned_on(about: About) -> None:
    one = judged(300, 60, 0.0)
    wrong = np.arange(60) < LEAST_ERRORS - 1
    right_but_for_few = Labelled(300, one.people, np.where(wrong, one.model, one.people), one.rest)
    found = infer([right_but_for_few], about, 0.95)
    assert found.method is Method.PEOPLE
    assert found.reason.startswith(f"the model errs otherwise than in most in only {LEAST_ERRORS - 1} of 60 judged")
    never = infer([Labelled(300, one.people, one.people, one.rest)], about, 0.95)
    assert never.method is Method.PEOPLE
    assert "in only 0 of 60" in never.reason


@pytest.mark.parametrize("share", [1.0, 0.5, 0.8])
@pytest.mark.parametrize("off", [0.0, 0.3])
@abouts
def test_a_model_that_leaves_no_error_to_look_at_is_not_leaned_on(about: About, share: float, off: float) -> None:
    """Off by one share in all queries, and by one amount in each stratum."""
    strata = [judged(80, 30, 0.5, seed) for seed in (1, 2)]
    exact = [
        Labelled(80, share * one.model + off * place, one.model, one.rest) for place, one in enumerate(strata, start=1)
    ]
    for given_strata in (exact, exact[:1]):
        found = infer(given_strata, about, 0.95)
        assert found.method is Method.PEOPLE
        assert "in only 0 of" in found.reason


FEW_CHANGED = np.concatenate((np.zeros(86), np.linspace(-0.3, 0.4, 14)))


@pytest.mark.parametrize(
    ("people", "size", "reason"),
    [
        ([], 50, "people judged 0 queries: it takes two to tell a spread"),
        ([0.1], 50, "people judged 1 query: it takes two to tell a spread"),
        ([0.1, 0.2], 50, f"people judged 2 queries: of fewer than {FEWEST} there is no interval"),
        (np.zeros(30), 50, "only 0 of 30 judged queries have another value than most: an interval takes 15"),
        (np.full(12, 0.25), 50, "only 0 of 12 judged queries have another value than most: an interval takes 10"),
        (FEW_CHANGED, 500, "only 14 of 100 judged queries have another value than most: an interval takes 15"),
    ],
    ids=["none", "one", "two", "no change", "all alike", "few changed"],
)
@abouts
def test_where_an_interval_would_be_wrong_too_often_there_is_none(
    people: Values, size: int, reason: str, about: About
) -> None:
    y = np.asarray(people, dtype=float)
    rng = np.random.default_rng(0)
    found = infer([Labelled(size, y, rng.normal(size=len(y)), rng.normal(size=size - len(y)))], about, 0.95)
    assert (found.method, found.mean, found.interval) == (None, None, None)
    assert found.reason == reason


def test_no_queries_at_all_have_no_interval() -> None:
    assert infer([], About.THESE, 0.95).interval is None
    assert infer([Labelled(0, np.zeros(0), np.zeros(0), np.zeros(0))], About.LIKE_THESE, 0.95).interval is None


def test_a_stratum_that_people_did_not_judge_is_told() -> None:
    found = infer([judged(100, 50, 0.5), judged(50, 1, 0.5), judged(50, 0, 0.5)], About.THESE, 0.95)
    assert found.interval is None
    assert found.reason == "in 2 strata people judged fewer than two queries"


def test_if_nothing_can_change_the_change_is_exactly_none() -> None:
    found = infer([unknown(40)], About.THESE, 0.95)
    assert (found.method, *ends(found)) == (Method.EXACT, 0, 0, 0)


def test_few_judged_or_changed_queries_are_a_doubt_beside_the_interval() -> None:
    assert infer([judged(300, 12, 0.9)], About.THESE, 0.95).doubt == "only 12 queries are judged: below 20 none is sure"
    some = judged(300, 60, 0.9)
    few = replace(some, people=np.where(np.arange(60) < LEAST_OTHER, some.people, 0.0))
    assert infer([few], About.THESE, 0.95).doubt == (
        "only 15 of 60 judged queries have another value than most: such an interval is not sure"
    )
    assert not infer([some], About.THESE, 0.95).doubt


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match="5 queries: 2 by people, 2 and 2 by a model"):
        Labelled(5, np.zeros(2), np.zeros(2), np.zeros(2))


def test_a_single_query_that_the_model_tells_apart_makes_no_error_of_nothing() -> None:
    """Its leverage is 1: without it there is no slope."""
    y = np.random.default_rng(0).normal(0, 0.2, 30)
    f = np.zeros(200)
    f[0] = 1.0
    found = lean([Labelled(200, y, f[:30], f[30:])])
    assert found is not None
    assert 0 < found.variance < 1
    assert math.isfinite(found.rho)


@pytest.mark.parametrize(
    ("values", "number"),
    [([0, 0, 0, 1, 2], 2), ([1, 2, 3], 3), ([0.1 + 0.2, 0.3, 5], 1), ([], 0), ([2, 2], 0)],
)
def test_how_many_have_another_value_than_most(values: list[float], number: int) -> None:
    assert otherwise(np.array(values, dtype=float)) == number
