"""Systems are compared query by query, and their p values corrected together."""

from __future__ import annotations

import numpy as np
import pytest

from stages.core.errors import DataError
from stages.core.records import QueryMetrics
from stages.quality.comparison import compare_systems, with_mark
from stages.quality.significance import holm

IDS = tuple(f"q{number}" for number in range(40))
RNG = np.random.default_rng(5)
BEFORE = RNG.random(40)


def values(query_ids: tuple[str, ...], **by_metric: np.ndarray) -> QueryMetrics:  # type: ignore[type-arg]
    of_metric = {name: tuple(of_query.tolist()) for name, of_query in by_metric.items()}
    return QueryMetrics(query_ids, of_metric, (True,) * len(query_ids))


BASELINE = values(IDS, mrr=BEFORE, map=BEFORE)
BETTER = values(IDS, mrr=BEFORE + 0.1 + 0.01 * RNG.random(40), map=BEFORE + RNG.normal(0, 0.2, 40))


def test_every_system_is_compared_in_every_metric_in_the_given_order() -> None:
    tested = compare_systems(BASELINE, {"better": BETTER, "same": BASELINE}, ["map", "mrr"])
    assert [(one.system, one.metric) for one in tested] == [
        ("better", "map"),
        ("better", "mrr"),
        ("same", "map"),
        ("same", "mrr"),
    ]
    assert [one.significant() for one in tested] == [False, True, False, False]
    assert tested[2].corrected_p == 1


def test_p_values_are_corrected_over_all_metrics_and_systems() -> None:
    tested = compare_systems(BASELINE, {"better": BETTER, "same": BASELINE}, ["map", "mrr"])
    raw = {(one.system, one.metric): one.difference.p_randomization for one in tested}
    assert {(one.system, one.metric): one.corrected_p for one in tested} == holm(raw)
    assert {one.difference.comparisons for one in tested} == {4}


def test_queries_are_paired_by_id_and_not_by_position() -> None:
    turned = values(IDS[::-1], mrr=BEFORE[::-1], map=BEFORE[::-1])
    assert [one.difference.difference for one in compare_systems(BASELINE, {"turned": turned}, ["mrr", "map"])] == [
        0,
        0,
    ]


def test_systems_over_other_queries_are_refused() -> None:
    fewer = values(("q1", "elsewhere"), mrr=BEFORE[:2], map=BEFORE[:2])
    with pytest.raises(DataError, match=r"fewer .* 39 of the baseline's are missing, 1 are its own"):
        compare_systems(BASELINE, {"fewer": fewer}, ["mrr"])


def test_of_values_that_a_model_judged_no_sentence_calls_a_change_significant() -> None:
    queries = tuple(f"q{number}" for number in range(30))
    before = values(queries, mrr=np.zeros(30))
    (tested,) = compare_systems(before, {"after": values(queries, mrr=np.linspace(0.1, 0.4, 30))}, ["mrr"])
    assert "statistically significant" in tested.words
    assert with_mark(tested, None) == tested
    marked = with_mark(tested, "by model judgement (tiny)").words
    assert "significant" not in marked
    assert marked.endswith(
        "more than chance over these queries at the 5 % level; by model judgement (tiny): "
        "no interval covers the judge's own error"
    )
