"""Step 3: what happens under pressure? Judges a load test: its spread, where latency rises, what fails first."""

from __future__ import annotations

from stages.diagnosis.finding import Advice, Finding, Weight
from stages.telemetry.load import LoadResult, LoadStep

# p95 over the mean: 3.0 for exponential times (ln 20), as a single queue has them; above it a few wait for something.
UNEVEN = 4.0
# Latency has risen where its p95 is so many times that of the first step.
RISEN = 2.0


def pressure_findings(load: LoadResult) -> list[Finding]:
    """At most one finding about failures and one about latency."""
    measured = [step for step in load.steps if step.latency is not None]
    if not measured:
        words = f"Under load no request was answered: {_errors(load.steps[0]) if load.steps else load.ended}."
        return [Finding("pressure", "fails_under_load", Weight.BROKEN, words)]
    return [*_failures(load), _latency(load, measured)]


def _failures(load: LoadResult) -> list[Finding]:
    failed = next((step for step in load.steps if step.errors), None)
    if failed is None:
        return []
    place = load.steps.index(failed)
    refused = sum(count for kind, count in failed.errors.items() if kind == "HTTP 429")
    before_knee = load.knee is not None and place <= load.knee
    words = f"With {failed.level_words} requests begin to fail: {_errors(failed)}"
    evidence = {"level": failed.level, "error_share": failed.error_share}
    if refused and refused == failed.failed:
        # Refusing what it cannot do in time is what a service should do, once it is busy.
        weight = Weight.COST if before_knee else Weight.NOTE
        advice = Advice(
            "raise serve.http.max_waiting",
            "requests wait instead of being refused; they take longer",
            setting="serve.http.max_waiting",
        )
        told = ", before it is busy" if before_knee else ", as it should where it cannot keep up"
        return [Finding("pressure", "refuses", weight, words + told + ".", evidence, advice if before_knee else None)]
    weight = Weight.LIMIT if before_knee else Weight.NOTE
    told = ", though more load would still bring more throughput" if before_knee else ", beyond the load it can bear"
    advice = Advice("read the service's log for the first of them", "tells which part gives up first")
    return [Finding("pressure", "fails_under_load", weight, words + told + ".", evidence, advice)]


def _latency(load: LoadResult, measured: list[LoadStep]) -> Finding:
    best = load.steps[load.knee] if load.knee is not None else max(measured, key=lambda step: step.pairs_per_s)
    first, latency = measured[0].latency, best.latency
    assert first is not None
    assert latency is not None
    spread = latency.p95_ms / latency.mean_ms if latency.mean_ms else 1.0
    evidence = {
        "knee_level": best.level,
        "knee_pairs_per_s": best.pairs_per_s,
        "knee_mean_ms": latency.mean_ms,
        "knee_p95_ms": latency.p95_ms,
        "p95_over_mean": spread,
    }
    words = (
        f"It works best with {best.level_words}: {best.pairs_per_s:,.0f} pairs/s, p95 {latency.p95_ms:,.0f} ms "
        f"({spread:.1f} times the mean)"
    )
    risen = next((s for s in measured if s.latency and s.latency.p95_ms > RISEN * first.p95_ms), None)
    if risen is not None and risen.latency is not None:
        words += (
            f"; from {risen.level_words} on p95 is {risen.latency.p95_ms:,.0f} ms, at first it was "
            f"{first.p95_ms:,.0f} ms"
        )
    if spread > UNEVEN:
        advice = Advice(
            "see whether large requests stand before small ones, and send large ones in parts",
            "the slowest twentieth no longer waits for the largest requests",
        )
        return Finding("pressure", "uneven", Weight.COST, words + ": a few wait for something.", evidence, advice)
    return Finding("pressure", "pressure", Weight.FINE, words + ".", evidence)


def _errors(step: LoadStep) -> str:
    return ", ".join(f"{count:,} × {kind}" for kind, count in step.errors.items()) or "no error was told"
