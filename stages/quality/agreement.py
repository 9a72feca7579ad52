"""Two scorings of the same pairs -> how far they are apart, and whether that looks like a known fault.

Numbers come in and go out: which fault a set of scores stands for is the caller's knowledge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean, median

# Beyond these probabilities a logit cannot be read back: float32 knows a number near 1 to 6e-8, here 6e-4 of a logit.
SATURATED = 1e-4
# An explanation brings the scores within the tolerance, or so many times nearer than the published way does: with the
# noise of a 16-bit dtype on top, a right explanation of the tiny test models is 8 times nearer and more.
NEARER = 4.0
# Two samples of the same noise differ in size by their kernels' order of summation; bfloat16 is 8 to 11 times float16.
SAME_NOISE = 2.8
# Noise swaps neighbours, so its rank correlation is compared with what the dtype itself reaches.
TAU_SLACK = 0.1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far scores are from those they should be, as served ones from direct ones: over `pairs` that both gave.

    `largest`, `mean`, `typical` (the median) and `rms` are of absolute differences, `bias` is served less direct; all
    in the unit of the scores. `logit_*` are the same in logits, over the `logit_pairs` that are not saturated (None
    where scores are no probabilities). `tau_*` is Kendall's tau-b (Kendall 1945, ties counted) of one query's
    documents, over the `tau_queries` where it is defined; `rank_correlation` is Spearman's over all pairs, None where
    one side gives them all the same score.
    """

    pairs: int
    beyond: int
    largest: float
    mean: float
    typical: float
    rms: float
    bias: float
    logit_largest: float | None = None
    logit_mean: float | None = None
    logit_pairs: int = 0
    tau_mean: float | None = None
    tau_lowest: float | None = None
    tau_lowest_query: str | None = None
    tau_queries: int = 0
    rank_correlation: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What remains when a fault is assumed. `nearer` is how many times smaller the mean difference then is."""

    name: str
    remains: Agreement
    nearer: float
    explains: bool


def agreement(
    queries: Sequence[str],
    served: Sequence[float | None],
    direct: Sequence[float | None],
    tolerance: float,
    *,
    probabilities: bool,
) -> Agreement | None:
    """Compare pair by pair; `queries` names the query of each. Pairs that one side did not score are left out; None
    where nothing is left. Raises ValueError where the three are not as long as each other.
    """
    both = [
        (query, one, other)
        for query, one, other in zip(queries, served, direct, strict=True)
        if one is not None and other is not None
    ]
    if not both:
        return None
    signed = [one - other for _, one, other in both]
    sizes = [abs(difference) for difference in signed]
    logits = [*_logit_differences(both)] if probabilities else []
    taus = taus_by_query(both)
    lowest = min(taus, key=lambda query: taus[query], default=None)
    return Agreement(
        pairs=len(both),
        beyond=sum(size > tolerance for size in sizes),
        largest=max(sizes),
        mean=fmean(sizes),
        typical=median(sizes),
        rms=math.sqrt(fmean(size * size for size in sizes)),
        bias=fmean(signed),
        logit_largest=max(logits, default=None),
        logit_mean=fmean(logits) if logits else None,
        logit_pairs=len(logits),
        tau_mean=fmean(taus.values()) if taus else None,
        tau_lowest=None if lowest is None else taus[lowest],
        tau_lowest_query=lowest,
        tau_queries=len(taus),
        rank_correlation=_spearman([one for _, one, _ in both], [other for _, _, other in both]),
    )


def taus_by_query(both: Sequence[tuple[str, float, float]]) -> dict[str, float]:
    """Kendall's tau-b, of (query, score, other score); a query with one document, or one score, has none."""
    from scipy.stats import kendalltau

    grouped: dict[str, list[tuple[float, float]]] = {}
    for query, one, other in both:
        grouped.setdefault(query, []).append((one, other))
    found = {
        query: float(kendalltau(*zip(*scores, strict=True)).statistic)
        for query, scores in grouped.items()
        if all(len(set(side)) > 1 for side in zip(*scores, strict=True))
    }
    return {query: tau for query, tau in found.items() if math.isfinite(tau)}


def explanations(
    found: Agreement, candidates: Mapping[str, Agreement | None], tolerance: float
) -> tuple[Explanation, ...]:
    """Each candidate's remaining difference beside what was found on the same pairs, the smallest first."""
    told = [
        Explanation(
            name, remains, found.mean / remains.mean if remains.mean else math.inf, _explains(found, remains, tolerance)
        )
        for name, remains in candidates.items()
        if remains is not None
    ]
    return tuple(sorted(told, key=lambda one: one.remains.mean))


def _explains(found: Agreement, remains: Agreement, tolerance: float) -> bool:
    """A candidate that leaves out pairs explains nothing: the ones left may be those that agree anyway."""
    nearer = remains.mean * NEARER <= found.mean
    return remains.pairs == found.pairs and remains.mean < found.mean and (remains.largest <= tolerance or nearer)


def is_noise_of(found: Agreement, noise: Agreement) -> bool:
    """Whether what was found is as large as a dtype's own noise, in most pairs, and leaves the order as much alone."""
    if not noise.rms or not found.rms:
        return False
    alike = 1 / SAME_NOISE <= found.rms / noise.rms <= SAME_NOISE
    everywhere = found.typical >= found.rms / 10
    orderly = found.tau_mean is None or noise.tau_mean is None or found.tau_mean >= noise.tau_mean - TAU_SLACK
    return alike and everywhere and orderly


def nearest_noise(found: Agreement, noises: Mapping[str, Agreement]) -> str | None:
    """The dtype whose noise is most like what was found; None where none is."""
    alike = [name for name, noise in noises.items() if is_noise_of(found, noise)]
    return min(alike, key=lambda name: abs(math.log(found.rms / noises[name].rms)), default=None)


def differs_beyond(
    lengths: Sequence[int], served: Sequence[float | None], direct: Sequence[float | None], tolerance: float
) -> int | None:
    """The length up to which all pairs agree and beyond which all differ; None where there is no such length."""
    known = [
        (length, abs(one - other) > tolerance)
        for length, one, other in zip(lengths, served, direct, strict=True)
        if one is not None and other is not None
    ]
    agreeing = [length for length, differs in known if not differs]
    differing = [length for length, differs in known if differs]
    return max(agreeing) if agreeing and differing and max(agreeing) < min(differing) else None


def first_difference(ours: Sequence[int], theirs: Sequence[int]) -> int | None:
    """Where two lists of token ids part; None where they are the same."""
    parted = (place for place, (one, other) in enumerate(zip_longest(ours, theirs)) if one != other)
    return next(parted, None)


def logit(probability: float) -> float:
    """log(p / (1 - p)), for 0 < p < 1."""
    return math.log(probability / (1 - probability))


def _spearman(scores: Sequence[float], others: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    if len(set(scores)) < 2 or len(set(others)) < 2:
        return None
    return float(spearmanr(scores, others).statistic)


def _logit_differences(both: Sequence[tuple[str, float, float]]) -> list[float]:
    low, high = SATURATED, 1 - SATURATED
    return [abs(logit(one) - logit(other)) for _, one, other in both if low < one < high and low < other < high]
