"""How far a service's scores may be from those of its model in float32: what its dtype costs this very model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipelines.direct.prompts import Pair
from pipelines.direct.scorer import DirectScorer
from serve_app.settings import Backend, LongDocuments
from stages.core.errors import ConfigError
from stages.core.words import number
from stages.quality.agreement import agreement

DTYPES = ("float32", "bfloat16", "float16")
# float32 on both sides: what other kernels' order of summation makes. The tiny test models differ by 3e-5 at most.
FLOAT32_TOLERANCE = 1e-3
# A 16-bit dtype's own noise is measured on the model at hand, since it grows with depth and width; other kernels' noise
# is another sample of the same size, and the largest of many pairs is larger than that of a few.
NOISE_ALLOWANCE = 3.0
CALIBRATION_PAIRS = 32


class Tolerance(NamedTuple):
    """The largest difference that is right, in the unit of the scores; `origin` says in words where it is from."""

    value: float
    origin: str


def require_second_path(backend: Backend, long_documents: LongDocuments) -> None:
    """Raises ConfigError where the service itself computes with what it would be compared with, and where it reads
    documents in passages, which the published procedures do not.
    """
    if long_documents == "passages":
        raise ConfigError(
            "model.long_documents passages: the published procedure that is compared with reads a document in one "
            "prompt. Compare a service that cuts, with model.long_documents=cut: prompts and model are the same"
        )
    if backend == "transformers":
        raise ConfigError(
            "engine.backend transformers: there is no second path to compare such a service with, as it computes with "
            "Transformers itself. Compare its scores with those of the model's card"
        )


def measured_tolerance(
    dtype: str, pairs: Sequence[Pair], direct: Sequence[float | None], load: Callable[[str], DirectScorer]
) -> Tolerance:
    """Of a service that computes in `dtype`. `direct` are the pairs' scores by Transformers in float32; some of them,
    spread over all, are scored in that dtype by what `load` gives for it.

    Measured with DirectScorer on 48 pairs, largest difference from float32 in probability: bfloat16 0.013 and float16
    0.0016 with the tiny Qwen3 (4 layers of 256), 0.012 and 0.0017 with the tiny XLM-RoBERTa; in cosine, 0.0027 and
    0.0003 with all-MiniLM-L6-v2. It grows with the model: in bfloat16, on 24 pairs, 0.009 with 4 layers of 256, 0.013
    with 28 of 256, 0.024 with 12 of 512. So one number would not do for all.
    """
    if dtype == "float32":
        return Tolerance(FLOAT32_TOLERANCE, "float32 on both sides")
    some = range(0, len(pairs), max(1, len(pairs) // CALIBRATION_PAIRS))[:CALIBRATION_PAIRS]
    rounded = [pair.score for pair in load(dtype).score_all([pairs[place] for place in some])]
    exact = [direct[place] for place in some]
    cost = agreement([pairs[place].query for place in some], rounded, exact, 0.0, probabilities=False)
    largest, compared = (cost.largest, cost.pairs) if cost else (0.0, 0)
    told = f"{NOISE_ALLOWANCE:g} times {number(largest)}, what {dtype} costs {compared} of the pairs directly"
    return Tolerance(max(FLOAT32_TOLERANCE, NOISE_ALLOWANCE * largest), told)
