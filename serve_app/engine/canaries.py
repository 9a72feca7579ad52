"""A few built-in pairs that an engine must score before it is trusted with a job."""

from __future__ import annotations

import math

from stages.core.errors import CanaryError
from stages.core.scoring import Scorer

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


async def check_canaries(scorer: Scorer) -> None:
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
