"""A few built-in pairs that an engine must score before it is trusted with a job."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from serve_app.settings import EMBEDDED_MODEL
from stages.core.errors import CanaryError
from stages.core.identity import ScoringIdentity
from stages.core.scoring import Scorer

LONGEST_TOKENS = 32  # no text of these has more
CANARIES = (
    (
        "what is the capital of France",
        ("Paris is the capital of France.", "Bananas are rich in potassium.", "def f(x): return x"),
    ),
    (
        "how to sort a list in python",
        ("Use sorted(values) or values.sort().", "The Nile is a river in Africa.", "Rain is likely."),
    ),
)

# Cosines of these pairs by the embedded model in float32, with Transformers 5.19.0 and the published mean pooling.
KNOWN_SCORES = (0.900690, -0.089122, 0.087429, 0.580777, 0.126139, 0.054555)
# How far each may be from that by rounding: some seven times what Transformers itself was off in that dtype, and above
# what the known scores' own six digits leave out.
TOLERANCES = {"float32": 1e-4, "float16": 1.5e-3, "bfloat16": 5e-3}


class CanaryDrift(NamedTuple):
    """The largest difference of a built-in pair's score from the known one, and what rounding accounts for."""

    largest: float
    tolerance: float

    @property
    def moved(self) -> bool:
        return self.largest > self.tolerance


async def check_canaries(scorer: Scorer) -> list[float]:
    """Score a few built-in pairs. Raises CanaryError where scores are missing, not finite, or all the same.

    The canaries catch an engine that answers nonsense (weights not loaded, template lost), not one that ranks badly.
    """
    scores: list[float] = []
    for query, documents in CANARIES:
        pairs = await scorer.score(query, documents)
        if len(pairs) != len(documents):
            raise CanaryError(f"the engine gives {len(pairs)} scores for {len(documents)} built-in documents.")
        for pair in pairs:
            value = pair.logit if pair.logit is not None else pair.score
            if value is None or not math.isfinite(value):
                raise CanaryError(
                    f"the engine fails on a built-in pair: {pair.error or value}. Check model and engine.dtype."
                )
            scores.append(value)
    if len(set(scores)) == 1:
        raise CanaryError(
            f"the engine gives every built-in pair the same score, {scores[0]:g}: its weights or its prompt are wrong. "
            "Check model.name, model.family and engine.load_format."
        )
    return scores


def canary_drift(model: str, identity: ScoringIdentity, scores: Sequence[float]) -> CanaryDrift | None:
    """How far the scores of `check_canaries` are from the known ones; None where none are known: of other models than
    the embedded one, and with settings that change scores on purpose.
    """
    tolerance = TOLERANCES.get(identity.dtype or "")
    published = identity.family == "embedding" and identity.instruction is None and not identity.settings
    if model != EMBEDDED_MODEL or tolerance is None or not published or identity.max_length < LONGEST_TOKENS:
        return None
    largest = max(abs(score - known) for score, known in zip(scores, KNOWN_SCORES, strict=True))
    return CanaryDrift(largest, tolerance)


def describe_drift(drift: CanaryDrift, identity: ScoringIdentity) -> str:
    """One line for the user, where the scores moved."""
    return (
        f"the embedded model's scores moved: built-in pairs differ from the known scores by up to {drift.largest:.2g}, "
        f"where {identity.dtype} rounds by {drift.tolerance:g} at most. vLLM {identity.vllm} or Transformers "
        f"{identity.transformers} computes otherwise: compare this run with none of before"
    )
