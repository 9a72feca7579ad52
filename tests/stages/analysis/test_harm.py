"""What reranking pushes out and brings up, by the rank that the first stage gave."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given

from stages.analysis.harm import Band, Harm, HarmAt, Share, harm
from tests.analysis_inputs import Collection, collection, collections, one_query
from tests.examples import examples


def of(made: Collection, metric: str = "ndcg@3") -> Harm:
    judged = [outcome for outcome in made.outcomes if outcome.query_id in made.judgements.grades]
    return harm(judged, made.judgements, metric, 0.95)


def at(found: Harm, k: int) -> HarmAt:
    return next(one for one in found.at if one.k == k)


def counts(one: Share) -> tuple[int, int, int]:
    return one.part, one.whole, one.queries


@pytest.fixture
def made() -> Collection:
    """p: a falls from 1 to 5, e rises from 5 to 1. q: a stays first. r: its first document is not relevant, b falls
    behind c within the first 3. s is not judged.
    """
    return collection(
        [
            one_query("p", {"a": -5.0, "b": 2.0, "c": 1.0, "d": 0.0, "e": 3.0}),
            one_query("q", {"a": 2.0, "b": 1.0, "c": 0.0}),
            one_query("r", {"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.0}, tail=["t"]),
            one_query("s", {"a": 0.0, "b": 1.0}),
        ],
        {"p": {"a": 1, "e": 2}, "q": {"a": 1, "b": 0}, "r": {"b": 1, "t": 1, "a": 0}},
    )


def test_a_right_first_document_is_lost_where_it_no_longer_stands_in_the_first_places(made: Collection) -> None:
    found = of(made)
    assert counts(at(found, 1).first_lost) == counts(at(found, 3).first_lost) == (1, 2, 2)
    assert counts(at(found, 5).first_lost) == (0, 2, 2)


def test_what_stood_in_the_first_places_is_pushed_out_and_what_stood_behind_is_rescued(made: Collection) -> None:
    found = of(made)
    # Of a (p), a (q) and b (r), a of p is gone; e of p is the one behind, as a tail does not move.
    assert counts(found.decided.pushed_out) == (1, 3, 3)
    assert counts(found.decided.rescued) == (1, 1, 1)
    assert counts(at(found, 1).rescued) == (1, 2, 2)
    assert at(found, 10).rescued == Share(0, 0, 0, None, None)


def test_each_band_of_first_stage_ranks_says_what_became_of_its_relevant_documents(made: Collection) -> None:
    found = of(made)
    assert [(band.low, band.high, band.up, band.down, band.inside) for band in found.bands] == [
        (1, 1, 0, 1, True),
        (2, 3, 0, 1, True),
        (4, 5, 1, 0, False),
    ]
    assert [counts(band.crossed) for band in found.bands] == [(1, 2, 2), (0, 1, 1), (1, 1, 1)]


def test_bands_end_where_the_deciding_metric_stops_to_look() -> None:
    made = collection([one_query("q", {f"d{place}": 0.0 for place in range(9)})], {"q": dict.fromkeys(["d6", "d7"], 1)})
    assert [(band.low, band.high) for band in of(made, "ndcg@7").bands] == [(6, 7), (8, 8)]


def test_a_document_is_relevant_from_the_grade_that_the_deciding_metric_names(made: Collection) -> None:
    found = of(made, "ndcg@3-l2")
    assert (found.level, counts(found.decided.rescued)) == (2, (1, 1, 1))
    assert found.at[0].first_lost.whole == 0


def test_one_line_tells_what_left_and_what_came(made: Collection) -> None:
    assert of(made).words() == (
        "50.0% (9.5% to 90.5%) of 2 right first documents lost the first place, to which 1 relevant one came from "
        "behind; 33.3% (6.1% to 79.2%) of 3 relevant ones "
        "left the first 3; 100.0% (20.7% to 100.0%) of 1 that stood behind came there"
    )


def test_what_could_not_happen_is_not_told_as_something_that_did_not(made: Collection) -> None:
    """Where no list is longer than the places that count, nothing leaves them; of one place the line says it once."""
    assert "left" not in of(made).words(crossable=False)
    assert of(made, "ndcg@1").words().count("lost the first place") == 1
    assert "left" not in of(made, "ndcg@1").words()


def test_without_a_relevant_candidate_there_is_no_band() -> None:
    found = of(collection([one_query("q", {"a": 0.0, "b": 1.0})], {"q": {"elsewhere": 1}}))
    assert found.bands == ()
    assert found.words() == "no first document was right"


@examples(60)
@given(collections())
def test_bands_hold_each_relevant_candidate_once_and_cross_as_the_first_places_do(made: Collection) -> None:
    found = of(made)
    json.dumps(dataclasses.asdict(found), allow_nan=False)
    top = found.decided
    inside, behind = ([band for band in found.bands if band.inside is side] for side in (True, False))

    def added(bands: list[Band]) -> tuple[int, int]:
        return sum(band.crossed.part for band in bands), sum(band.crossed.whole for band in bands)

    assert added(inside) == counts(top.pushed_out)[:2]
    assert added(behind) == counts(top.rescued)[:2]
    for band in found.bands:
        assert band.up + band.down <= band.crossed.whole
