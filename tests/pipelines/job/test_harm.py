"""The part `harm` of metrics.json: shares at the places that matter, null where they do not apply."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.job.harm import with_harm
from stages.analysis.assemble import AnalysisSettings, analyse
from stages.core.records import Judgements, QueryMetrics
from stages.quality.evaluate import warm_up
from tests.analysis_inputs import COMPILED, METRICS, Collection, collection, one_query

NONE = QueryMetrics((), {}, ())


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up([*COMPILED, "judged@10"])


@pytest.fixture
def made() -> Collection:
    """p's right first document falls to the last place; q stays."""
    return collection(
        [one_query("p", {"a": -1.0, "b": 3.0, "c": 2.0, "d": 1.0}), one_query("q", {"a": 1.0, "b": 0.0})],
        {"p": {"a": 1, "d": 1}, "q": {"b": 1}},
    )


def part(analysis: dict[str, Any]) -> Any:
    metrics: Any = {}
    return with_harm(metrics, analysis)["harm"]


def judged(made: Collection, **settings: Any) -> dict[str, Any]:
    told = AnalysisSettings(METRICS, **settings)
    return analyse(lambda: iter(made.pairs), made.judgements, made.first, made.reranked, told)


def test_shares_are_those_of_the_analysis_at_the_places_that_a_run_is_judged_by(made: Collection) -> None:
    assert part(judged(made)) == {
        "lists": 2,
        "set_changed_share": {"at_1": 0.5, "at_3": 0.5, "at_5": 0.0, "at_10": 0.0, "at_20": 0.0},
        "order_changed_share": dict.fromkeys(("at_1", "at_3", "at_5", "at_10", "at_20"), 0.5),
        "first_lost_share": {"at_1": 1.0, "at_3": 1.0},
        "pushed_out_share": {"at_3": 0.5},
        "rescued_share": {"at_3": 1.0},
        "useless": None,
    }


def test_without_judgements_there_is_no_harm_and_without_a_first_stage_nothing_to_change(made: Collection) -> None:
    unjudged = analyse(lambda: iter(made.pairs), Judgements({}), NONE, NONE, AnalysisSettings(METRICS))
    told = part(unjudged)
    assert told["lists"] == 2
    assert (told["first_lost_share"], told["pushed_out_share"], told["rescued_share"]) == (None, None, None)
    assert set(part(judged(made, has_first_stage=False)).values()) == {None}


def test_without_a_relevant_document_in_a_place_its_share_is_null() -> None:
    told = part(judged(collection([one_query("q", {"a": 0.0, "b": 1.0})], {"q": {"b": 1}})))
    assert (told["first_lost_share"]["at_1"], told["rescued_share"]["at_3"]) == (None, None)
    assert told["pushed_out_share"] == {"at_3": 0.0}
