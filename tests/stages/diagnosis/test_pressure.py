"""What a load test says about a service."""

from __future__ import annotations

from collections.abc import Mapping

from stages.diagnosis.finding import Weight
from stages.diagnosis.pressure import pressure_findings
from stages.telemetry.load import Latency, LoadResult, LoadStep


def step(
    clients: int, answered: int, mean_ms: float, p95_ms: float, errors: Mapping[str, int] | None = None
) -> LoadStep:
    latency = Latency(mean_ms, mean_ms, p95_ms, p95_ms, p95_ms, p95_ms) if answered else None
    return LoadStep("closed", clients, 10.0, answered, answered * 10, None, errors or {}, latency)


def load_of(*steps: LoadStep, knee: int | None) -> LoadResult:
    return LoadResult(
        "http://a", None, "a shape", "closed", steps, knee, True, "saturated", "2026-01-01T00:00:00+00:00"
    )


def test_the_best_load_and_where_latency_rises_are_named() -> None:
    load = load_of(step(1, 100, 10, 20), step(2, 190, 11, 22), step(4, 200, 22, 60), knee=1)
    (finding,) = pressure_findings(load)
    assert finding.weight == Weight.FINE
    assert "works best with 2 clients: 190 pairs/s, p95 22 ms (2.0 times the mean)" in finding.words
    assert "from 4 clients on p95 is 60 ms, at first it was 20 ms" in finding.words


def test_a_few_requests_that_wait_for_others_are_noticed() -> None:
    (finding,) = pressure_findings(load_of(step(1, 100, 10, 90), knee=0))
    assert (finding.kind, finding.weight) == ("uneven", Weight.COST)
    assert finding.evidence["p95_over_mean"] == 9.0


def test_refusing_what_is_too_much_is_right_and_refusing_before_that_is_not() -> None:
    refused = {"HTTP 429": 30}
    late = pressure_findings(load_of(step(1, 100, 10, 20), step(2, 100, 10, 20, refused), knee=0))[0]
    early = pressure_findings(load_of(step(1, 100, 10, 20), step(2, 190, 10, 20, refused), knee=1))[0]
    assert (late.kind, late.weight, late.advice) == ("refuses", Weight.NOTE, None)
    assert (early.kind, early.weight) == ("refuses", Weight.COST)
    assert early.advice is not None
    assert early.advice.setting == "serve.http.max_waiting"


def test_what_fails_first_is_told_with_its_level() -> None:
    load = load_of(step(1, 100, 10, 20), step(2, 190, 10, 20, {"timeout": 3}), knee=1)
    failed = pressure_findings(load)[0]
    assert (failed.kind, failed.weight) == ("fails_under_load", Weight.LIMIT)
    assert "With 2 clients requests begin to fail: 3 × timeout" in failed.words


def test_a_service_that_answers_nothing_is_broken() -> None:
    (finding,) = pressure_findings(load_of(step(1, 0, 0, 0, {"HTTP 500": 7}), knee=None))
    assert (finding.kind, finding.weight) == ("fails_under_load", Weight.BROKEN)
    assert "7 × HTTP 500" in finding.words
