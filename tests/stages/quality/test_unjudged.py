"""What nobody judged, over a collection: shares, bounds of means, condensed lists, and what a verdict says of it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from stages.core.records import Judgements, QueryMetrics
from stages.quality.comparison import compare_systems
from stages.quality.evaluate import evaluate, warm_up
from stages.quality.unjudged import (
    Side,
    TwoLists,
    Unjudged,
    highest_grade,
    reservation,
    unjudged,
    with_reservation,
)

METRICS = ["ndcg@2", "mrr", "bpref", "judged@2"]
# a is relevant and b is not; x and y are open. Query r has no list.
LISTS = [TwoLists("p", ["x", "a", "b"], ["a", "b", "x"]), TwoLists("q", ["y", "b"], ["b", "y"])]
JUDGED = Judgements({"p": {"a": 2, "b": 0}, "q": {"b": 1}, "r": {"a": 1}})


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up(METRICS)


def values(place: int, judgements: Judgements = JUDGED) -> QueryMetrics:
    return evaluate({one.query_id: one[place] for one in LISTS}, judgements, METRICS)


def found(judgements: Judgements = JUDGED) -> dict[str, Unjudged]:
    highest = highest_grade(judgements)
    return unjudged(LISTS, judgements, values(1, judgements), values(2, judgements), highest=highest)


def test_means_lie_between_what_any_grades_of_the_open_documents_make_of_them() -> None:
    told = found()["ndcg@2"]
    tried = []
    for x, y in product(range(3), repeat=2):
        grades = Judgements({"p": {**JUDGED.grades["p"], "x": x}, "q": {"b": 1, "y": y}, "r": {"a": 1}})
        before, after = (values(place, grades).mean("ndcg@2") for place in (1, 2))
        tried.append((before, after, after - before))
    low, high = np.min(tried, axis=0), np.max(tried, axis=0)
    for side, (least, most) in zip(
        (told.first, told.second, told.difference), zip(low, high, strict=True), strict=True
    ):
        assert (side.low, side.high) == pytest.approx((least, most))


def test_shares_are_over_queries_that_have_a_list() -> None:
    told = found()
    assert (told["ndcg@2"].first.judged, told["ndcg@2"].second.judged) == (1 / 2, 3 / 4)
    assert told["ndcg@2"].share == pytest.approx(1 - 5 / 8)
    assert told["mrr"].first.judged == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert told["ndcg@2"].difference.judged is None
    assert (told["ndcg@2"].documents, told["mrr"].documents) == (2, 2)


def test_condensed_lists_leave_out_what_is_not_judged() -> None:
    told = found()["mrr"]
    # x and y gone, a and b lead both lists.
    assert (told.first.condensed, told.second.condensed, told.difference.condensed) == pytest.approx((2 / 3, 2 / 3, 0))


def test_what_passes_over_unjudged_documents_has_no_bounds() -> None:
    told = found()
    assert told["bpref"].first.low is told["bpref"].difference.high is None
    assert told["judged@2"].second == Side(3 / 4, None, None, values(2).mean("judged@2"))


def test_what_fits_in_a_prompt_is_judged_by_itself_and_leaves_nothing_open() -> None:
    """The list below what was reranked takes no room, so that its documents cannot change the value."""
    name = "answer_recall@tokens=9"
    of = QueryMetrics(("p", "q", "r"), {name: (1.0, 0.0, 0.0)}, (True, True, False))
    told = unjudged(LISTS, JUDGED, of, of, highest=1)[name]
    assert (told.documents, told.share) == (0, 0.0)


def test_where_all_is_judged_every_bound_is_the_value() -> None:
    whole = Judgements({"p": {"a": 2, "b": 0, "x": 0}, "q": {"b": 1, "y": 0}, "r": {"a": 1}})
    told = found(whole)["ndcg@2"]
    first, second = values(1, whole).mean("ndcg@2"), values(2, whole).mean("ndcg@2")
    assert told.documents == 0
    assert told.first == Side(1.0, *(pytest.approx(first),) * 3)
    assert told.difference == Side(None, *(pytest.approx(second - first),) * 3)


def test_qrels_of_relevant_documents_alone_are_known_as_such() -> None:
    assert not found()["mrr"].relevant_only
    alone = found(Judgements({"p": {"a": 2}, "q": {"b": 1}, "r": {"a": 1}}))["mrr"]
    assert alone.relevant_only
    assert alone.first.condensed is alone.difference.condensed is None


def test_the_highest_grade_is_that_of_any_query_and_one_where_nothing_is_relevant() -> None:
    assert highest_grade(JUDGED) == 2
    assert highest_grade(Judgements({"p": {"a": -1, "b": 0}})) == 1


def open_(low: float, high: float, *, relevant_only: bool = False) -> Unjudged:
    side = Side(0.75, 0.1, 0.9, 0.5)
    return Unjudged(12, 10, 3, relevant_only, side, side, Side(None, low, high, 0.05))


def test_a_verdict_says_where_unjudged_documents_could_reverse_it() -> None:
    before, after = (
        QueryMetrics(tuple(f"q{n}" for n in range(40)), {"mrr": (v,) * 40}, (True,) * 40) for v in (0.4, 0.5)
    )
    (tested,) = compare_systems(before, {"new": after}, ["mrr"])
    assert tested.significant()
    assert with_reservation(tested, None) == with_reservation(tested, open_(0.01, 0.3)) == tested
    told = with_reservation(tested, open_(-0.02, 0.3)).words
    assert told.endswith(
        "statistically significant at the 5 % level, by what is judged; the 25.0% of the top 10 that is not could "
        "at worst reverse it (between -0.0200 and +0.3000)"
    )
    sparse = with_reservation(tested, open_(-0.02, 0.3, relevant_only=True)).words
    assert sparse.endswith("at the 5 % level, with the 25.0% of the top 10 that are not judged taken as not relevant")


@pytest.mark.parametrize(
    ("bounds", "above", "reserved"),
    [
        ((-0.01, 0.2), True, False),
        ((-0.02, 0.2), True, True),
        ((-0.2, -0.02), False, False),
        ((-0.2, 0.0), False, True),
    ],
)
def test_a_reservation_is_about_what_the_verdict_says_of_its_limit(
    bounds: tuple[float, float], above: bool, reserved: bool
) -> None:
    assert bool(reservation(open_(*bounds), -0.01, above=above)) is reserved


def test_what_cannot_be_told_from_chance_needs_no_reservation() -> None:
    rng = np.random.default_rng(1)
    ids = tuple(f"q{n}" for n in range(40))
    before, after = (QueryMetrics(ids, {"mrr": tuple(rng.uniform(size=40))}, (True,) * 40) for _ in range(2))
    (tested,) = compare_systems(before, {"new": after}, ["mrr"])
    assert not tested.significant()
    assert with_reservation(tested, open_(-0.5, 0.5)) == tested
