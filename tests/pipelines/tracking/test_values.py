"""Every number of a run has a name in MLflow, and a null has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.tracking.values import (
    SERIES,
    SeriesPoint,
    depth_series,
    of_model,
    run_metrics,
    run_series,
    system_series,
    timeline_series,
)
from stages.telemetry.telemetry import TimelinePoint
from tests.logged_folders import ANALYSIS, METRICS, make_folder


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def named(metrics: dict[str, Any] = METRICS, analysis: dict[str, Any] = ANALYSIS) -> dict[str, float]:
    return run_metrics(metrics, analysis)


def test_the_reranked_quality_is_bare_and_all_else_stands_under_its_section() -> None:
    told = named()
    assert (told["ndcg_at_10"], told["first_stage/ndcg_at_10"], told["delta/ndcg_at_10"]) == (0.75, 0.5, 0.2505)
    assert told["queue/time_ms_p95"] == 2.0
    assert (told["coverage/unanswered"], told["throughput/pairs_per_s"], told["tokens/prompt"]) == (1.0, 16.0, 800.0)
    assert all(type(value) is float for value in told.values())


def test_every_number_of_metrics_json_is_logged_and_a_null_is_left_out() -> None:
    sections = ("quality", "coverage", "scores", "throughput", "queue", "cache", "tokens")
    numbers = flat({section: METRICS[section] for section in sections})
    told = {name: value for name, value in named(analysis={}).items() if not name.startswith("Summary/")}
    assert sorted(told.values()) == sorted(float(value) for value in numbers.values() if value is not None)
    assert not any("kv_usage" in name or "score_store" in name for name in told)


def test_the_ten_that_matter_come_first_where_mlflow_sorts_by_name() -> None:
    assert sorted(named().items())[:10] == [
        ("Summary/01_ndcg_at_10", 0.75),
        ("Summary/02_ndcg_at_10_first_stage", 0.5),
        ("Summary/03_ndcg_at_10_change", 0.2505),
        ("Summary/04_ndcg_at_10_change_p", 0.01),
        ("Summary/05_unanswered_queries", 1.0),
        ("Summary/06_failed_pairs", 0.0),
        ("Summary/07_pairs_per_s", 16.0),
        ("Summary/08_engine_s_per_query", 0.625),
        ("Summary/09_queue_p95_ms", 2.0),
        ("Summary/10_prefix_hit_rate", 0.5),
    ]


def test_without_judgements_the_cost_keeps_its_places_in_the_summary() -> None:
    metrics = METRICS | {"quality": {"first_stage": None, "reranked": None, "delta": None}}
    told = named(metrics, {"cost": {"engine_s_per_query": 2.0}})
    assert [name for name in sorted(told) if name.startswith("Summary/")] == [
        "Summary/05_unanswered_queries",
        "Summary/06_failed_pairs",
        "Summary/07_pairs_per_s",
        "Summary/08_engine_s_per_query",
        "Summary/09_queue_p95_ms",
        "Summary/10_prefix_hit_rate",
    ]
    assert not any("ndcg" in name for name in told)


def test_the_analysis_is_logged_with_units() -> None:
    told = named()
    expected = {
        "significance/ndcg_at_10_p": 0.01,
        "significance/ndcg_at_10_ci_low": 0.1,
        "significance/ndcg_at_10_ci_high": 0.4,
        "significance/ndcg_at_10_effect_size": 0.6,
        "significance/ndcg_at_10_wins_queries": 3.0,
        "depth/best_documents_ndcg_at_10": 10.0,
        "depth/enough_documents_ndcg_at_10": 5.0,
        "oracle/headroom_ndcg_at_10": 0.4,
        "oracle/gained_share_ndcg_at_10": 0.625,
        "oracle/recall_ceiling": 0.95,
        "fusion/reciprocal_rank_ndcg_at_10": 0.7,
        "fusion/interpolation_means_ndcg_at_10": 0.8,
        "ties/tied_neighbours_share": 0.125,
        "judged/reranked_judged_at_10": 0.25,
        "position/largest_score_change": 0.001,
        "position/failed_pairs": 0.0,
        "cost/engine_s_per_query": 0.625,
        "cost/gain_per_engine_s_ndcg_at_10": 0.4,
    }
    assert expected.items() <= told.items()
    assert not any(name.startswith(("significance/mrr", "calibration", "cost/money")) for name in told)


def test_no_name_of_a_metric_holds_what_mlflow_forbids() -> None:
    assert not any("@" in name for name in [*named(), *SERIES.values()])


def test_the_depth_curve_is_a_series_whose_step_is_the_depth() -> None:
    assert list(depth_series(ANALYSIS, 7)) == [
        SeriesPoint("ndcg_at_10_by_depth", 0.6, 7, 5),
        SeriesPoint("mrr_by_depth", 0.3, 7, 5),
        SeriesPoint("ndcg_at_10_by_depth", 0.75, 7, 10),
    ]
    assert list(depth_series({}, 7)) == list(depth_series({"depth": None}, 7)) == []


def test_the_series_ends_when_the_run_did_and_skips_what_does_not_apply(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    points = list(timeline_series(folder.timeline, finished_ms=100_000))
    assert ("throughput/pairs_per_s_over_time", 10.0, 98_500, 1) in points
    assert ("throughput/pairs_per_s_over_time", 20.0, 100_000, 2) in points
    assert [point for point in points if point[0] == "queue/time_ms_p95_over_time"] == [
        ("queue/time_ms_p95_over_time", 42.0, 98_500, 1)
    ]
    assert {name for name, *_ in points} == set(SERIES.values())


def test_nodes_are_system_metrics_at_the_seconds_of_the_timeline(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    assert list(system_series(folder.path / "system.parquet", 100_000, 2.5)) == [
        SeriesPoint("system/host-a/cpu_utilization_percentage", 50.0, 98_500, 1),
        SeriesPoint("system/host-b/gpu_0_utilization_percentage", 90.0, 98_500, 1),
        SeriesPoint("system/host-a/cpu_utilization_percentage", 75.0, 100_000, 2),
    ]


def test_a_run_without_timeline_nodes_or_analysis_has_no_series(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    folder.write_timeline([])
    assert len(list(run_series(folder, {}, finished_ms=100_000))) == 3  # the nodes alone
    folder.timeline.unlink()
    (folder.path / "system.parquet").unlink()
    assert list(run_series(folder, {}, finished_ms=100_000)) == []


def test_a_run_of_many_hours_is_logged_with_bounded_series_from_its_first_to_its_last_hour(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    hours = 4 * 3600
    folder.write_timeline([TimelinePoint(float(s), s, s, 1.0, 1.0, 1, 1, 0.5, None, None) for s in range(hours)])
    busy = [{"elapsed_s": float(s), "node": node, "name": "x", "value": 1.0} for s in range(hours) for node in "ab"]
    pq.write_table(pa.Table.from_pylist(busy), folder.path / "system.parquet")
    points = list(run_series(folder, {}, finished_ms=0))
    for name in ("queue/running_over_time", "system/a/x", "system/b/x"):
        assert [point.step for point in points if point.name == name] == list(range(0, hours, 4))


def test_what_was_pushed_out_is_logged_by_its_first_places_and_a_name_is_no_number() -> None:
    harm = {
        "lists": 300,
        "set_changed_share": {"at_1": 0.5, "at_10": 0.25},
        "first_lost_share": {"at_1": None},
        "rescued_share": None,
        "useless": "random",
    }
    told = named(METRICS | {"harm": harm})
    assert {name: value for name, value in told.items() if name.startswith("harm/")} == {
        "harm/lists": 300.0,
        "harm/set_changed_share_at_1": 0.5,
        "harm/set_changed_share_at_10": 0.25,
    }


def test_what_a_model_judged_has_names_that_no_page_puts_beside_people_s() -> None:
    judged = METRICS | {"judgements": {"kind": "qrels", "by": "model", "judge": "tiny", "queries_by_model": 3}}
    plain, told = named(), named(judged)
    judged_ones = {name for name in told if name not in plain}
    assert "ndcg_at_10" in plain and "ndcg_at_10" not in told
    assert {"by_model/ndcg_at_10", "by_model/delta/ndcg_at_10", "Summary/01_by_model_ndcg_at_10"} <= judged_ones
    cost = {name for name in plain if name.split("/")[0] in ("coverage", "throughput", "queue", "cache", "tokens")}
    assert cost and cost <= told.keys()
    unmarked = {name.removeprefix("by_model/").replace("by_model_", "") for name in told}
    assert unmarked == plain.keys() | {"judgements/queries_by_model"}
    assert not any(name.split("/")[0] in ("significance", "depth", "oracle", "fusion") for name in told)


def test_a_stage_s_quality_and_the_depth_curve_are_marked_too(tmp_path: Path) -> None:
    assert of_model("stage_1/ndcg_at_10") == "by_model/stage_1/ndcg_at_10"
    assert of_model("stage_1/delta/ndcg_at_10") == "by_model/stage_1/delta/ndcg_at_10"
    assert of_model("stage_1/coverage/pairs") == "stage_1/coverage/pairs"
    assert of_model("harm/pushed_out_share_at_10") == "by_model/harm/pushed_out_share_at_10"
    assert of_model("harm/order_changed_share_at_10") == "harm/order_changed_share_at_10"
    assert of_model("cost/gain_per_engine_s_map") == "by_model/cost/gain_per_engine_s_map"
    points = list(run_series(make_folder(tmp_path, "file"), ANALYSIS, finished_ms=0, by_model=True))
    by_depth = [point.name for point in points if point.name.endswith("_by_depth")]
    assert by_depth and all(name.startswith("by_model/") for name in by_depth)
