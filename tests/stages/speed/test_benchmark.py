"""What follows from a benchmark's figures: medians, the ceiling, the limit, and who may be compared with whom."""

from __future__ import annotations

import json

import pytest

from stages.quality.agreement import Agreement, agreement
from stages.speed.benchmark import MOST_DIFFERENCE, Measurement, Round
from stages.speed.content import content, from_content
from tests.benchmark_inputs import OTHER, PAIRS, SAME, a_round, agreement_of, benchmark, contender


def test_rates_are_medians_over_the_rounds_and_the_spread_is_from_the_slowest_to_the_fastest() -> None:
    one = contender("job-cold", "job", 10.0, 4.0, 5.0)
    assert one.pairs_per_s == 200.0
    assert one.spread == (100.0, 250.0)
    assert one.tokens_per_s == 44_000.0
    assert one.start_up_s == 30.0


def test_a_round_that_failed_counts_for_nothing() -> None:
    rounds = (Round(1, error="it broke"), a_round(4.0, 2))
    one = contender("job-cold", "job", rounds=rounds)
    assert one.pairs_per_s == 250.0
    assert one.error is None


def test_where_all_rounds_failed_there_is_the_reason_and_no_figure() -> None:
    one = contender("job-cold", "job", rounds=(Round(1, error="it broke"), Round(2, error="again")), agreement=None)
    assert one.error == "it broke"
    assert one.pairs_per_s is one.spread is one.tokens_per_s is one.peak_mib is one.outside_engine_s_per_1000 is None
    assert one.peak_gpu_mib is None
    assert benchmark(one).to_ceiling(one) is benchmark(one).to_limit(one) is None


def test_memory_is_the_highest_of_all_rounds() -> None:
    one = contender("job-cold", "job", rounds=(a_round(1.0, peak_mib=7.0), a_round(1.0, peak_mib=9.0)))
    assert one.peak_mib == 9.0
    assert one.peak_gpu_mib is None
    on_gpu = (a_round(1.0, peak_gpu_mib=70.0), a_round(1.0, peak_gpu_mib=None), a_round(1.0, peak_gpu_mib=90.0))
    assert contender("job-cold", "job", rounds=on_gpu).peak_gpu_mib == 90.0


def test_processor_time_is_told_by_role_and_what_is_not_the_engines_is_added_up() -> None:
    first = {"engine worker": 4.0, "engine core": 1.0, "replica": 0.5}
    second = {"engine worker": 6.0, "engine core": 1.0, "replica": 0.7, "workers": 0.4}
    one = contender("job-cold", "job", rounds=(a_round(4.0, processor_s=first), a_round(4.0, processor_s=second)))
    assert one.processor_s_per_1000 == pytest.approx(
        {"engine worker": 5.0, "engine core": 1.0, "replica": 0.6, "workers": 0.2}
    )
    assert one.outside_engine_s_per_1000 == pytest.approx(0.8)


def test_the_ceiling_is_the_faster_of_engine_and_server_with_our_settings() -> None:
    engine, server = contender("engine-ours", "engine", 5.0), contender("server-ours-ids-8", "server", 4.0, clients=8)
    job = contender("job-cold", "job", 2.0)
    told = benchmark(engine, server, job)
    assert told.ceiling == server
    assert told.to_ceiling(engine) == pytest.approx(0.8)
    assert told.to_ceiling(job) == pytest.approx(2.0)


def test_a_share_of_the_ceiling_is_the_median_over_the_rounds_that_both_have_each_by_itself() -> None:
    """The second round was slow for all: of the medians alone the job would have 2.0 / 2.5 = 0.8 of it."""
    engine = contender("engine-ours", "engine", 2.0, 8.0, 2.5)
    failed = contender("job-cold", "job", rounds=(a_round(2.0, 1), a_round(8.0, 2), Round(3, error="it broke")))
    told = benchmark(engine, contender("job-cold", "job", 2.5, 8.0, 2.5), failed)
    assert told.shares(told.measurements[1]) == pytest.approx((0.8, 1.0, 1.0))
    assert told.to_ceiling(told.measurements[1]) == pytest.approx(1.0)
    assert told.shares(failed) == pytest.approx((1.0, 1.0))


def test_the_first_pair_of_a_job_is_held_against_the_bare_engines_round_by_round() -> None:
    engine = contender("engine-ours", "engine", rounds=(a_round(5.0, 1, start_up_s=20.0), a_round(5.0, 2)))
    job = contender("job-cold", "job", rounds=(a_round(5.0, 1, start_up_s=22.0), a_round(5.0, 2, start_up_s=45.0)))
    server = contender("server-ours-ids-8", "server", 5.0, 5.0, clients=8)
    told = benchmark(engine, job, server)
    assert told.first_pair_shares(job) == pytest.approx((1.1, 1.5))
    assert told.first_pair_shares(server) == ()
    assert benchmark(job).first_pair_shares(job) == ()


def test_who_gets_a_query_at_a_time_is_held_against_its_like_and_not_against_the_ceiling() -> None:
    engine, alone = contender("engine-ours", "engine", 2.0), contender("engine-alone", "alone", 8.0)
    service = contender("service-alone", "alone", 10.0)
    told = benchmark(alone, engine, service)
    assert told.ceiling == engine
    assert told.to_ceiling(service) is told.to_limit(service) is None
    assert told.against("service-alone", "engine-alone") == pytest.approx((0.8,))


@pytest.mark.parametrize(
    "faster",
    [
        contender("engine-defaults", "engine", 1.0, ours=False),
        contender("server-ours-ids-100", "server", 1.0, clients=100),
        contender("server-ours-ids-8", "server", 1.0, clients=8, agreement=OTHER),
        contender("service-8", "service", 1.0, clients=8),
        contender("server-ours-ids-8", "server", rounds=(Round(1, error="it broke"),), agreement=None),
    ],
    ids=["defaults", "a hundred clients", "other scores", "our service", "failed"],
)
def test_none_of_these_is_the_ceiling(faster: object) -> None:
    engine = contender("engine-ours", "engine", 5.0)
    assert benchmark(faster, engine).ceiling == engine  # type: ignore[arg-type]


def test_without_the_bare_engine_there_is_no_ceiling() -> None:
    job = contender("job-cold", "job", 2.0)
    assert benchmark(job).ceiling is None
    assert benchmark(job).to_ceiling(job) is None


def test_the_limit_is_the_matrix_rate_over_the_operations_that_remain() -> None:
    job = contender("job-cold", "job", 4.0)
    assert benchmark(job, matrix_flops=(0.5e12, 1e12, 9e12)).limit_pairs_per_s == pytest.approx(500.0)
    assert benchmark(job).to_limit(job) == pytest.approx(0.5)
    assert benchmark(job, prefix_caching=False).limit_pairs_per_s == pytest.approx(250.0)
    assert benchmark(job, matrix_flops=()).limit_pairs_per_s is None


@pytest.mark.parametrize(
    "one",
    [contender("transformers", "library", 1.0, agreement=OTHER), contender("job-stored", "stored", 1.0)],
    ids=["other scores", "stored scores"],
)
def test_nobody_wins_by_computing_something_else_or_nothing(one: object) -> None:
    told = benchmark(contender("engine-ours", "engine", 5.0), one)  # type: ignore[arg-type]
    assert told.to_ceiling(told.measurements[1]) is None
    assert told.to_limit(told.measurements[1]) is None


def test_two_contenders_are_compared_by_name() -> None:
    told = benchmark(contender("job-cold", "job", 2.0), contender("transformers", "library", 8.0, ours=False))
    assert told.against("job-cold", "transformers") == pytest.approx((4.0,))
    assert told.against("job-cold", "cross-encoder") == ()


def test_one_that_computes_something_else_is_no_baseline_nor_is_it_faster_than_one() -> None:
    other = contender("transformers", "library", 8.0, ours=False, agreement=OTHER)
    told = benchmark(contender("job-cold", "job", 2.0), other)
    assert told.against("job-cold", "transformers") == told.against("transformers", "job-cold") == ()


def test_what_is_written_is_read_back_and_holds_what_follows_from_it() -> None:
    failed = contender("transformers", "library", rounds=(Round(1, error="it broke"),), ours=False, agreement=None)
    engine = contender("engine-ours", "engine", rounds=(a_round(5.0, 1, peak_gpu_mib=900.0), a_round(4.0, 2)))
    told = benchmark(engine, failed, notes=("a note",), quick=True, interrupted=True)
    written = json.loads(json.dumps(content(told), allow_nan=False))
    assert from_content(written) == told
    results = written["results"]
    assert results["ceiling"] == "engine-ours"
    assert results["limit_pairs_per_s"] == pytest.approx(500.0)
    assert results["contenders"]["engine-ours"]["to_limit"] == pytest.approx(0.45)
    assert results["contenders"]["engine-ours"]["same_scores"] is True
    assert results["contenders"]["engine-ours"]["peak_gpu_mib"] == 900.0
    assert results["contenders"]["transformers"]["pairs_per_s"] is None
    assert results["contenders"]["transformers"]["error"] == "it broke"


def test_what_bfloat16_makes_of_a_score_is_still_the_same() -> None:
    """As measured between vLLM and Transformers with 75 million parameters."""
    assert compared(agreement_of(largest=0.0304, mean=0.0061, rank_correlation=0.9987)).same


def compared(found: Agreement | None, more_tokens: int = 0) -> Measurement:
    return contender("transformers", "library", 1.0, agreement=found, more_tokens=more_tokens)


def scored(reference: list[float], scores: list[float], more_tokens: int = 0) -> Measurement:
    found = agreement(["q"] * len(scores), scores, reference, MOST_DIFFERENCE, probabilities=True)
    return compared(found, more_tokens)


def test_scores_that_differ_by_rounding_are_the_same() -> None:
    assert scored([0.1, 0.5, 0.9], [0.101, 0.498, 0.9]).same


@pytest.mark.parametrize(
    "one",
    [
        scored([0.1, 0.5, 0.9], [0.9, 0.5, 0.1]),
        scored([0.50, 0.51, 0.52], [0.52, 0.51, 0.50]),
        scored([0.1, 0.5, 0.9], [0.1, 0.5, 0.9], more_tokens=3),
        scored([0.1, 0.5, 0.9], [0.2, 0.6, 0.99]),
        scored([one / 1000 for one in range(1000)], [0.3, *(one / 1000 for one in range(1, 1000))]),
    ],
    ids=["other values", "another order", "other tokens", "shifted", "one pair of a thousand"],
)
def test_other_scores_or_other_tokens_are_not_the_same(one: Measurement) -> None:
    assert one.same is False
    assert one.differs


def test_where_all_pairs_score_alike_their_order_does_not_count() -> None:
    assert scored([0.5, 0.5], [0.5, 0.51]).same


def test_without_scores_nobody_can_say_whether_they_are_the_same() -> None:
    assert compared(None).same is None
    assert not compared(None).differs


def test_benchmark_json_keeps_the_keys_of_an_agreement() -> None:
    one = scored([0.1, 0.5, 0.9], [0.101, 0.498, 0.9], more_tokens=-7)
    (told,) = content(benchmark(one))["measurements"]
    assert told["agreement"]["largest"] == pytest.approx(0.002)
    assert told["agreement"]["mean"] == pytest.approx(0.001)
    assert told["agreement"]["rank_correlation"] == pytest.approx(1.0)
    assert told["agreement"]["tokens"] == -7
    assert from_content(json.loads(json.dumps(content(benchmark(one))))) == benchmark(one)


def test_the_made_up_figures_are_of_as_many_pairs_as_they_say() -> None:
    assert PAIRS.pairs == a_round(1.0).pairs
    assert compared(SAME).same
    assert compared(OTHER).differs
