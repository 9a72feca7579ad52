"""Names of metrics: what is known, what a wrong one is told, and what each is called where `@` is forbidden."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stages.core.errors import ConfigError
from stages.core.records import Judgements
from stages.core.words import written_name
from stages.quality.evaluate import evaluate
from stages.quality.measures import SUPPORTED, Metric, check_metric, metric_key, nearest_metric, parse_metric

NAMES = st.builds(
    lambda measure, decimals, cutoff, level: (
        measure
        + (decimals if SUPPORTED[measure].persistence else "")
        + (cutoff if SUPPORTED[measure].cutoff else "")
        + (level if SUPPORTED[measure].level else "")
    ),
    st.sampled_from(sorted(SUPPORTED)),
    st.from_regex(r"\.[0-9]{0,8}[1-9]", fullmatch=True),
    st.just("") | st.integers(1, 999999999).map("@{}".format),
    st.just("") | st.integers(1, 999999999).map("-l{}".format),
)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("ndcg", Metric("ndcg")),
        ("ndcg@10", Metric("ndcg", cutoff=10)),
        ("ndcg@10-l2", Metric("ndcg", cutoff=10, level=2)),
        ("ndcg_burges@5", Metric("ndcg_burges", cutoff=5)),
        ("mrr@10", Metric("mrr", cutoff=10)),
        ("map-l3", Metric("map", level=3)),
        ("f1@999999999", Metric("f1", cutoff=999999999)),
        ("r-precision-l2", Metric("r-precision", level=2)),
        ("bpref", Metric("bpref")),
        ("rbp.95", Metric("rbp", persistence=0.95)),
        ("rbp.5-l2", Metric("rbp", level=2, persistence=0.5)),
        ("rbp.05", Metric("rbp", persistence=0.05)),
        ("judged@10", Metric("judged", cutoff=10)),
        ("judged", Metric("judged")),
    ],
)
def test_a_metric_is_read_as_users_write_it(name: str, read: Metric) -> None:
    assert parse_metric(name) == read
    assert check_metric(name) == name


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("NDCG@10", "ndcg@10"),
        ("ngcd@10", "ndcg@10"),
        ("ndcg_cut_10", "ndcg@10"),
        ("ndcg_cut.10", "ndcg@10"),
        ("mrr_at_10", "mrr@10"),
        ("recip_rank", "mrr"),
        ("P@5", "precision@5"),
        ("hitrate@3", "hit_rate@3"),
        ("ndcg@0", "ndcg"),
        ("ndcg@010", "ndcg@10"),
        ("ndcg@", "ndcg"),
        ("ndcg@ten", "ndcg"),
        ("ndcg@-1", "ndcg"),
        ("ndcg@10@5", "ndcg@5"),
        ("ndcg@10\n", "ndcg@10"),
        ("ndcg@٣", "ndcg"),
        ("map@99999999999999999999", "map"),
        ("r-precision@10", "r-precision"),
        ("ndcg-l2@10", "ndcg@10-l2"),
        ("ndcg@10-l0", "ndcg@10"),
        ("ndcg@10-l02", "ndcg@10-l2"),
        ("ndcg@10-l-2", "ndcg"),
        ("AP(rel=2)@100", "map@100-l2"),
        ("ndcg.95", "ndcg@95"),
        ("bpref@10", "bpref"),
        ("b-pref", "bpref"),
        ("rbp", "rbp.95"),
        ("rbp@8", "rbp.8"),
        ("rbp.0", "rbp.95"),
        ("rbp.95@10", "rbp.95"),
        ("RBP(p=0.8)", "rbp.8"),
        ("rbp.0123456789", "rbp.012345678"),
        ("RBP.05-l2", "rbp.05-l2"),
        ("Judged@10", "judged@10"),
        ("judged@10-l2", "judged@10"),
    ],
)
def test_an_unknown_metric_is_an_error_with_the_choices_and_the_nearest_one(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as raised:
        evaluate({}, Judgements({"q": {"a": 1}}), ["mrr", name])
    assert f"nearest one is {nearest!r}" in str(raised.value)
    assert "Choose from: ndcg, mrr, map, recall, precision" in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text() | st.from_regex(r"[a-z_]{0,9}[@.(_]?[0-9]{0,4}-?l?[0-9]{0,3}"))
def test_whatever_is_written_the_nearest_metric_exists(name: str) -> None:
    check_metric(nearest_metric(name))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ndcg@10", "ndcg_at_10"),
        ("mrr", "mrr"),
        ("hit_rate@1", "hit_rate_at_1"),
        ("ndcg_burges@10-l2", "ndcg_burges_at_10-l2"),
        ("r-precision-l2", "r-precision-l2"),
        ("rbp.95", "rbp.95"),
        ("judged@10", "judged_at_10"),
    ],
)
def test_the_key_of_a_metric_has_no_at_sign(name: str, key: str) -> None:
    assert metric_key(name) == key


def test_an_unknown_metric_has_no_key() -> None:
    with pytest.raises(ConfigError):
        metric_key("ndgc@10")


@given(NAMES)
def test_mlflow_takes_every_key_and_it_tells_the_name_again(name: str) -> None:
    key = metric_key(name)
    assert re.fullmatch(r"[A-Za-z0-9_\-. :/]+", key)  # mlflow.utils.validation
    assert written_name(key) == name


@given(NAMES, NAMES)
def test_no_two_metrics_share_a_key(one: str, other: str) -> None:
    assume(one != other)
    assert metric_key(one) != metric_key(other)
