"""The analysis of one scoring pass: what each part of it says is what its module says, and all of it is strict JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given

from stages.analysis.assemble import AnalysisSettings, analyse, analyse_lists
from stages.analysis.depth import NOT_OF_LISTS, depth_curve
from stages.analysis.fusion import interpolation
from stages.analysis.oracle import oracle
from stages.analysis.strata import SCRIPT
from stages.core.records import Candidates, Judgements, QueryMetrics, Ranking
from stages.quality.comparison import compare_systems
from stages.quality.evaluate import warm_up
from tests.analysis_inputs import COMPILED, METRICS, Collection, collection, collections, one_query
from tests.examples import examples

MAIN = METRICS[0]
NONE = QueryMetrics((), {}, ())


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up([*COMPILED, "judged@10"])


@pytest.fixture(scope="module")
def made() -> Collection:
    """p gains, q loses, r has a failed pair; u is reranked but not judged."""
    queries = [
        one_query("p", {"a": -1.0, "b": 0.0, "c": 2.0}, tail=["t"], attributes={"language": "en"}),
        one_query("q", {"d": 0.0, "e": 3.0}, query="红苹果", attributes={"language": "zh"}),
        one_query("r", {"f": None, "g": 1.0}),
        one_query("u", {"x": 1.0, "y": 1.0, "z": 1.0}),
    ]
    return collection(queries, {"p": {"c": 2, "b": 0}, "q": {"d": 1}, "r": {"g": 1}})


def analysed(made: Collection, **changed: Any) -> dict[str, Any]:
    told = AnalysisSettings(**({"metrics": METRICS, "depths": [1, 2]} | changed))
    return analyse(lambda: iter(made.pairs), made.judgements, made.first, made.reranked, told)


def strict(content: dict[str, Any]) -> Any:
    """Through JSON and back, without NaN or anything that JSON has no word for."""
    return json.loads(json.dumps(content, allow_nan=False))


def test_all_documented_keys_are_there_and_the_main_metric_is_first(made: Collection) -> None:
    found = analysed(made)
    assert set(found) == {
        *("metrics", "significance", "depth", "oracle", "fusion", "strata", "movers", "calibration", "ties", "judged"),
        *("changes", "harm", "useless"),
        "schema_version",
    }
    assert found["metrics"] == METRICS
    assert list(found["significance"]) == list(found["depth"]["best"]) == METRICS


def test_without_judgements_ties_and_what_changed_are_told(made: Collection) -> None:
    found = analyse(lambda: iter(made.pairs), Judgements({}), NONE, NONE, AnalysisSettings(METRICS))
    # Of p, q and u, which have two documents and more: 2, 1 and 2 neighbours, of which u's 2 are tied. r has one.
    assert found | {"changes": None, "useless": None} == {
        "changes": None,
        "useless": None,
        "schema_version": 2,
        "ties": {"tied_neighbours": 2 / 5, "all_equal_lists": 1 / 3, "saturated": 0.0},
    }
    assert (found["changes"]["lists"], found["changes"]["anywhere"], found["useless"]["lists"]) == (4, 4, 3)


def test_ties_count_every_query_and_the_rest_the_judged_ones(made: Collection) -> None:
    found = analysed(made)
    assert found["ties"]["tied_neighbours"] == 2 / 5
    assert found["depth"]["points"][-1]["pairs"] == 3 + 2 + 2
    assert sum(one["queries"] for one in found["strata"] if one["column"] == SCRIPT) == 3


def test_significance_is_that_of_the_comparison_with_its_sentence(made: Collection) -> None:
    found = strict(analysed(made, seed=3, confidence=0.9))["significance"]
    for one in compare_systems(made.first, {"reranked": made.reranked}, METRICS, seed=3, confidence=0.9):
        expected = strict(asdict(one.difference)) | {"corrected_p": one.corrected_p, "words": one.words}
        assert found[one.metric] == expected
        assert (expected["n"], expected["confidence"], expected["comparisons"]) == (3, 0.9, 2)
        assert "interval" in expected


def test_the_depth_curve_has_a_row_for_each_depth_with_its_corrected_p(made: Collection) -> None:
    found = analysed(made)["depth"]
    judged = [outcome for outcome in made.outcomes if outcome.query_id != "u"]
    curve = depth_curve(judged, made.judgements, made.first, [1, 2])
    assert [point["depth"] for point in found["points"]] == [1, 2, 3]
    for point, told in zip(curve.points, found["points"], strict=True):
        assert (told["pairs"], told["means"], told["gains"]) == (point.pairs, point.means, point.gains)
        assert set(told["corrected_p"]) == set(METRICS)
    assert found["points"][-1]["means"][MAIN] == pytest.approx(made.reranked.mean(MAIN))
    assert set(found["enough"]) == set(found["words"]) == set(METRICS)


def test_of_a_model_of_whole_lists_one_line_says_that_no_curve_applies(made: Collection) -> None:
    found = strict(analysed(made, listwise=True))
    assert found["depth"] == {"points": [], "best": {}, "enough": {}, "words": dict.fromkeys(METRICS, NOT_OF_LISTS)}
    assert found["oracle"] == strict(analysed(made))["oracle"]


def test_oracle_and_fusion_are_given_as_means(made: Collection) -> None:
    found = analysed(made, seed=5)
    judged = [outcome for outcome in made.outcomes if outcome.query_id != "u"]
    best = oracle(judged, made.judgements, made.first, made.reranked)
    assert found["oracle"]["means"] == {metric: best.metrics.mean(metric) for metric in METRICS}
    assert found["oracle"]["recall_ceiling"] == 1.0
    weighted = interpolation(judged, made.judgements, METRICS, 5)
    assert weighted
    told = found["fusion"]["interpolation"]
    assert (told["weights"], told["chosen_by"]) == (list(weighted.weights), MAIN)
    assert [point["weight"] for point in told["sweep"]] == pytest.approx([tenth / 10 for tenth in range(11)])
    assert told["sweep"][-1]["means"][MAIN] == pytest.approx(made.reranked.mean(MAIN))
    assert set(found["fusion"]["reciprocal_rank"]) == set(METRICS)


def test_movers_are_of_the_main_metric(made: Collection) -> None:
    found = analysed(made)["movers"]
    assert [mover["query_id"] for mover in found["won"]] == ["p", "r"]
    assert [mover["query_id"] for mover in found["lost"]] == ["q"]
    top = found["won"][0]["documents"][0]
    assert (top["doc_id"], top["grade"], top["old_rank"], top["new_rank"]) == ("c", 2, 3, 1)
    assert top["excerpt"] == "text of c"
    by_mrr = analysed(made, metrics=["mrr"])["movers"]
    assert [mover["query_id"] for mover in by_mrr["won"]] == ["p", "r"]


def test_calibration_is_of_probabilities_alone(made: Collection) -> None:
    # Judged and scored: b and c of p, d of q, g of r; f failed.
    calibrated = analysed(made)["calibration"]
    assert (calibrated["pairs"], calibrated["relevant"], len(calibrated["bins"])) == (4, 3, 10)
    cosines = collection([one_query("q", {"a": 0.5, "b": 0.25}, cosine=True)], {"q": {"a": 1}})
    assert analysed(cosines)["calibration"] is None
    assert analysed(cosines)["ties"]["saturated"] is None


def test_the_judged_share_is_of_both_lists_and_a_failed_document_is_in_both(made: Collection) -> None:
    found = analysed(made)["judged"]
    # p: 2 of 4 (with its tail); q: 1 of 2; r: 1 of 2, the other one failed.
    assert found["first_stage"]["judged@10"] == pytest.approx((2 / 4 + 1 / 2 + 1 / 2) / 3)
    assert found["reranked"]["judged@10"] == pytest.approx((2 / 4 + 1 / 2 + 1 / 2) / 3)
    assert set(found["first_stage"]) == {"judged@10", "judged@100"}


def test_one_judged_query_cannot_choose_a_weight() -> None:
    one = collection([one_query("q", {"a": 0.0, "b": 1.0})], {"q": {"b": 1}})
    found = analysed(one)
    assert found["fusion"]["interpolation"] is None
    assert found["significance"][MAIN]["interval"] is None
    assert found["significance"][MAIN]["p_randomization"] == 1.0


def test_judged_queries_without_candidates_count_as_unanswered() -> None:
    made = collection([one_query("q", {"a": 0.0, "b": 1.0})], {"q": {"b": 1}, "gone": {"z": 1}})
    found = analysed(made)
    assert found["significance"]["mrr"]["mean_system"] == 0.5
    assert found["oracle"]["recall_ceiling"] == 0.5
    assert found["depth"]["points"][-1]["means"]["mrr"] == 0.5


def test_only_unjudged_queries_leave_a_curve_without_points() -> None:
    made = collection([one_query("u", {"a": 0.0, "b": 1.0})], {"gone": {"z": 1}})
    found = strict(analysed(made))
    assert found["depth"]["points"] == []
    assert found["depth"]["words"][MAIN] == "No query has candidates."
    assert found["movers"] == {"won": [], "lost": []}


def test_pairs_are_read_twice_and_anew_each_time(made: Collection) -> None:
    readings = 0

    def pairs() -> Iterator[tuple[Candidates, Ranking]]:
        nonlocal readings
        readings += 1
        yield from made.pairs

    told = AnalysisSettings(METRICS)
    assert analyse(pairs, made.judgements, made.first, made.reranked, told) == analysed(made, depths=told.depths)
    assert readings == 2


@examples(20)
@given(collections())
def test_whatever_was_scored_the_analysis_is_strict_json(made: Collection) -> None:
    found = strict(analysed(made))
    assert all(math.isfinite(point["means"][MAIN]) for point in found["depth"]["points"])
    for stratum in found["strata"]:
        assert stratum["wins"] + stratum["ties"] + stratum["losses"] == stratum["queries"]


def test_what_changed_and_was_pushed_out_needs_the_order_alone(made: Collection) -> None:
    """Lists that no one score orders, as a cascade's, tell it as those of one model do."""
    told = AnalysisSettings(METRICS)
    found = analyse_lists(lambda: iter(made.pairs), made.judgements, made.first, made.reranked, told, ())
    expected = analysed(made)
    assert (found["changes"], found["harm"]) == (expected["changes"], expected["harm"])
    assert found["useless"]["lists"] == 4  # the failed document of r has a place, and so a rank
