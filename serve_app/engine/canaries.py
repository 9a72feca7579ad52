"""A few built-in pairs that an engine must score before it is trusted with a job."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from serve_app.engine.identity import recipe_told
from serve_app.engine.models import describe
from serve_app.settings import EMBEDDED_MODEL, Canaries, ModelSettings
from stages.core.errors import CanaryError
from stages.core.identity import ScoringIdentity
from stages.core.records import PairScore
from stages.core.scoring import Scorer

LONGEST_TOKENS = 32  # no text of these has more
# The first document of each query answers it, the others have nothing to do with it.
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
# A cosine this close to 1 or -1 is that: vectors of single precision have the same direction.
SATURATED = 1e-6
# Of the spread of all the scores: how far ahead of the answer another document may be.
WIDE_MARGIN = 0.5
WHAT_TO_CHECK = (
    "Check how the model is scored: rerank-eval models check says it. model.canaries: finite lets such a model pass"
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


async def check_canaries(scorer: Scorer, demand: Canaries = "strict", *, made_up: bool = False) -> list[float]:
    """Score a few built-in pairs. Raises CanaryError where scores are missing, not finite, or all the same; under
    `strict` also where they are what a model gives that is scored in another way than it was trained for: 1 or -1
    throughout, or a document that has nothing to do with the query far ahead of its answer. `made_up` weights, as vLLM
    makes them for measurements, are so small that every text gives the same in bfloat16, and may.

    The canaries catch an engine that answers nonsense (weights not loaded, template lost), not one that ranks badly.
    """
    scores: list[float] = []
    for query, documents in CANARIES:
        pairs = await scorer.score(query, documents)
        if len(pairs) != len(documents):
            raise CanaryError(f"the engine gives {len(pairs)} scores for {len(documents)} built-in documents.")
        scores += [_finite(pair) for pair in pairs]
    if len(set(scores)) == 1 and not made_up:
        raise CanaryError(
            f"the engine gives every built-in pair the same score, {scores[0]:g}: its weights or its prompt are wrong. "
            "Check model.name, model.family and engine.load_format."
        )
    if demand == "strict":
        _require_sense(scores)
    return scores


def _finite(pair: PairScore) -> float:
    value = pair.logit if pair.logit is not None else pair.score
    if value is None or not math.isfinite(value):
        raise CanaryError(f"the engine fails on a built-in pair: {pair.error or value}. Check model and engine.dtype.")
    return value


def _require_sense(scores: Sequence[float]) -> None:
    """Raises CanaryError for scores that no model gives which is scored as its publisher does."""
    if all(abs(abs(score) - 1) <= SATURATED for score in scores):
        raise CanaryError(
            "the engine gives every built-in pair 1 or -1: vectors of one value, or of one direction, are compared. "
            f"{WHAT_TO_CHECK}"
        )
    spread = max(scores) - min(scores)
    rest = iter(scores)
    for query, documents in CANARIES:
        answer, *others = [next(rest) for _ in documents]
        ahead = max(range(len(others)), key=others.__getitem__)
        if others[ahead] - answer > WIDE_MARGIN * spread:
            raise CanaryError(
                f"the engine finds {documents[ahead + 1]!r} ({others[ahead]:.3g}) far better than {documents[0]!r} "
                f"({answer:.3g}) for {query!r}. {WHAT_TO_CHECK}"
            )


def canary_drift(model: str, identity: ScoringIdentity, scores: Sequence[float]) -> CanaryDrift | None:
    """How far the scores of `check_canaries` are from the known ones; None where none are known: of other models than
    the embedded one, and with settings that change scores on purpose.
    """
    tolerance = TOLERANCES.get(identity.dtype or "")
    changed = identity.instruction is not None or identity.settings or identity.max_length < LONGEST_TOKENS
    if model != EMBEDDED_MODEL or tolerance is None or changed or identity.recipe != published_recipe():
        return None
    largest = max(abs(score - known) for score, known in zip(scores, KNOWN_SCORES, strict=True))
    return CanaryDrift(largest, tolerance)


@cache
def published_recipe() -> str:
    """That of the embedded model, without prompts or a cut of a user's, as an identity tells it."""
    recipe = describe(ModelSettings(name=EMBEDDED_MODEL)).recipe
    return recipe_told(recipe) if recipe else ""


def describe_drift(drift: CanaryDrift, identity: ScoringIdentity) -> str:
    """One line for the user, where the scores moved."""
    return (
        f"the embedded model's scores moved: built-in pairs differ from the known scores by up to {drift.largest:.2g}, "
        f"where {identity.dtype} rounds by {drift.tolerance:g} at most. vLLM {identity.vllm} or Transformers "
        f"{identity.transformers} computes otherwise: compare this run with none of before"
    )
