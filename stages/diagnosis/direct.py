"""Step 4: without vLLM. The same pairs straight through Transformers, speed and scores side by side."""

from __future__ import annotations

from dataclasses import dataclass

from stages.core.words import number
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.quality.agreement import Agreement

# Measured here, vLLM with good settings is 3 times as fast as Transformers on a CPU and more on a GPU.
FASTER, AS_SLOW = 1.5, 0.8


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Pairs/s of the service and of Transformers over the same `pairs`; `scores` is how far the service's are from
    those of Transformers in float32, None where none could be compared; `tolerance` what the service's dtype explains,
    and `tolerance_origin` how that is known, in words.
    """

    pairs: int
    served_per_s: float
    direct_per_s: float
    scores: Agreement | None
    tolerance: float
    tolerance_origin: str

    @property
    def ratio(self) -> float:
        return self.served_per_s / self.direct_per_s


def direct_findings(seen: SideBySide) -> list[Finding]:
    """One finding about speed; one about scores where they differ by more than the tolerance."""
    evidence = {
        "pairs": float(seen.pairs),
        "served_pairs_per_s": seen.served_per_s,
        "transformers_pairs_per_s": seen.direct_per_s,
        "ratio": seen.ratio,
        "largest_difference": seen.scores.largest if seen.scores else None,
        "tolerance": seen.tolerance,
    }
    found = [_speed(seen, evidence)]
    if seen.scores is not None and seen.scores.beyond:
        words = (
            f"The service's scores are not those of Transformers: they differ by up to {number(seen.scores.largest)}, "
            f"where {number(seen.tolerance)} can be explained ({seen.tolerance_origin})."
        )
        advice = Advice(
            "run rerank-eval verify with the same config", "names the fault: template, override, dtype or cut"
        )
        found.append(Finding("direct", "scores_differ", Weight.BROKEN, words, evidence, advice))
    return found


def _speed(seen: SideBySide, evidence: dict[str, float | None]) -> Finding:
    both = f"The service scores {seen.served_per_s:,.0f} pairs/s, Transformers alone {seen.direct_per_s:,.0f}"
    if seen.ratio >= FASTER:
        words = f"{both}: the engine is {seen.ratio:.1f} times as fast, as it should be."
        return Finding("direct", "engine_faster", Weight.FINE, words, evidence)
    if seen.ratio >= AS_SLOW:
        words = f"{both}: as slow without vLLM, so it is the model or the machine that takes the time."
        advice = Advice(
            "use a smaller model, shorter documents (model.max_length), or a faster device", "in proportion"
        )
        return Finding("direct", "model_or_machine", Weight.COST, words, evidence, advice)
    words = f"{both}: what stands around the model takes the time, so it is the configuration."
    advice = Advice(
        "set what is not null under engine: back to null, and engine.compile to true",
        f"up to {1 / seen.ratio:.1f} times the pairs/s",
    )
    return Finding("direct", "configuration", Weight.LIMIT, words, evidence, advice)
