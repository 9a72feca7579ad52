"""Tables say what metrics.json says, and `does not apply` where it says null."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.box import ASCII
from rich.console import Console
from rich.table import Table

from stages.core.words import written_name
from stages.report.terminal import cost_table, quality_table

METRICS: dict[str, Any] = {
    "quality": {
        "first_stage": {"ndcg_at_10": 0.6777, "mrr_at_10": 0.65, "map": 0.5},
        "reranked": {"ndcg_at_10": 0.7, "mrr_at_10": 0.64, "map": 0.5},
        "delta": {"ndcg_at_10": 0.0223, "mrr_at_10": -0.01, "map": 0.0},
    },
    "coverage": {
        "queries": 1300,
        "answered": 1299,
        "unanswered": 1,
        "pairs": 26000,
        "failed_pairs": 20,
        "truncated_pairs": 1234,
        "set_aside_rows": 3,
    },
    "throughput": {"wall_s": 12.34, "scored_pairs": 25980, "pairs_per_s": 2105.35, "prompt_tokens_per_s": 99.95},
    "queue": {"time_ms": {"p50": 5.0, "p95": 42.25, "p99": 60.0}, "waiting_max": 8},
    "cache": {"prefix_hit_rate": 0.123},
    "scores": {"tied_share": 0.004},
}


def printed(table: Table, *, colours: bool = False) -> str:
    """The table as a terminal shows it, in columns that `|` parts."""
    stream = io.StringIO()
    table.box = ASCII
    Console(file=stream, width=200, color_system="standard" if colours else None).print(table)
    return stream.getvalue()


def cells(table: Table) -> dict[str, list[str]]:
    rows = [line.strip("|").split("|") for line in printed(table).splitlines() if line.startswith("|")]
    return {name.strip(): [cell.strip() for cell in rest] for name, *rest in rows}


def test_each_metric_stands_with_its_value_before_after_and_its_signed_change() -> None:
    shown = cells(quality_table(METRICS))
    assert shown["quality"] == ["first stage", "reranked", "change"]
    assert shown["ndcg@10"] == ["0.6777", "0.7000", "+0.0223"]
    assert shown["mrr@10"] == ["0.6500", "0.6400", "-0.0100"]
    assert shown["map"] == ["0.5000", "0.5000", "+0.0000"]


@pytest.mark.parametrize(("change", "code"), [(0.1, "\x1b[32m"), (-0.1, "\x1b[31m")])
def test_a_gain_is_green_and_a_loss_is_red(change: float, code: str) -> None:
    one = {"first_stage": {"map": 0.5}, "reranked": {"map": 0.5 + change}, "delta": {"map": change}}
    assert f"{code}{change:+.4f}" in printed(quality_table({"quality": one}), colours=True)


def test_without_judgements_the_table_says_so() -> None:
    table = quality_table({"quality": {"first_stage": None, "reranked": None, "delta": None}})
    assert cells(table)["no judgements"] == ["-", "-", "-"]


def test_costs_are_shown_with_their_units() -> None:
    assert cells(cost_table(METRICS)) == {
        "queries": ["1,299 of 1,300 answered"],
        "pairs": ["26,000, 25,980 scored in 12.3 s"],
        "pairs/s": ["2,105"],
        "prompt tokens/s": ["100.0"],
        "queue p95": ["42.2 ms"],
        "prefix hit rate": ["12.3%"],
        "documents cut": ["1,234"],
        "tied neighbours": ["0.4%"],
        "failed pairs": ["20"],
        "rows set aside": ["3"],
    }


def test_documents_read_in_passages_stand_beside_those_that_were_cut() -> None:
    read = METRICS | {"coverage": METRICS["coverage"] | {"pairs_in_passages": 1200, "passages": 5000}}
    shown = cells(cost_table(read))
    assert shown["read in passages"] == ["1,200 documents, in 5,000"]
    assert "read in passages" not in cells(cost_table(METRICS))


def test_pairs_are_counted_whose_documents_vectors_were_known() -> None:
    known: Any = {**METRICS, "cache": {"prefix_hit_rate": None, "reused_vectors": 2407, "reused_vector_rate": 0.7466}}
    assert cells(cost_table(known))["vectors known"] == ["for 2,407 pairs, 74.7%"]
    assert "vectors known" not in cells(cost_table(METRICS))


def test_what_does_not_apply_is_not_shown_as_zero() -> None:
    nothing = METRICS | {
        "throughput": {"wall_s": 0.5, "scored_pairs": 0, "pairs_per_s": None, "prompt_tokens_per_s": None},
        "queue": {"time_ms": {"p50": None, "p95": None, "p99": None}, "waiting_max": None},
        "cache": {"prefix_hit_rate": None},
        "scores": {"tied_share": None},
    }
    shown = cells(cost_table(nothing))
    for name in ("pairs/s", "prompt tokens/s", "queue p95", "prefix hit rate", "tied neighbours"):
        assert shown[name] == ["does not apply"], name


def test_one_first_stage_of_several_has_no_time_and_no_rows_of_its_own() -> None:
    part = METRICS | {
        "coverage": METRICS["coverage"] | {"set_aside_rows": None},
        "throughput": dict.fromkeys(METRICS["throughput"]),
    }
    shown = cells(cost_table(part))
    assert shown["pairs"] == ["26,000"]
    assert shown["rows set aside"] == ["does not apply"]


@pytest.mark.parametrize(("key", "name"), [("ndcg_at_10", "ndcg@10"), ("map", "map"), ("hit_rate_at_1", "hit_rate@1")])
def test_metrics_are_named_as_people_write_them(key: str, name: str) -> None:
    assert written_name(key) == name
