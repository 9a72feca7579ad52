"""Whether a probability of relevance is one: of the pairs scored 0.8, are 8 in 10 relevant?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.analysis.outcome import QueryOutcome
from stages.core.records import Judgements

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Judged pairs with a probability in [low, high), the last bin with its high end; None where there are none."""

    low: float
    high: float
    pairs: int
    mean_probability: float | None
    relevant_share: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The reliability curve and the expected calibration error (0 to 1) over the `pairs` judged pairs.

    Unjudged pairs are left out, so where the judges marked relevant documents only (`relevant` equals `pairs`) it says
    nothing about the others.
    """

    bins: tuple[ReliabilityBin, ...]
    ece: float
    pairs: int
    relevant: int


def calibration(outcomes: Iterable[QueryOutcome], judgements: Judgements) -> Calibration | None:
    """Over BINS equal-width bins: ECE = sum of pairs in bin / all pairs * |share of relevant ones - mean probability|.

    Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning (AAAI 2015); Guo et
    al., On calibration of modern neural networks (ICML 2017). A pair is relevant when its grade is above 0. None where
    scores are no probabilities (the embedding family gives cosines) or no scored pair is judged.
    """
    judged = list(_judged(outcomes, judgements))
    if not judged:
        return None
    probabilities = np.concatenate([of_query for of_query, _ in judged])
    relevant = np.concatenate([of_query for _, of_query in judged])
    bin_of = np.minimum((probabilities * BINS).astype(np.intp), BINS - 1)
    curve = tuple(_bin(place, probabilities[bin_of == place], relevant[bin_of == place]) for place in range(BINS))
    ece = sum(_gap(of_bin) * of_bin.pairs for of_bin in curve) / len(relevant)
    return Calibration(curve, ece, len(relevant), int(relevant.sum()))


def _judged(
    outcomes: Iterable[QueryOutcome], judgements: Judgements
) -> Iterable[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]:
    """Probability and relevance of each query's scored and judged pairs."""
    for outcome in outcomes:
        grades = judgements.grades.get(outcome.query_id, {})
        places = [place for place in outcome.order.tolist() if outcome.doc_ids[place] in grades]
        if outcome.are_probabilities and places:
            yield outcome.scores[places], np.array([grades[outcome.doc_ids[place]] > 0 for place in places])


def _bin(place: int, probabilities: npt.NDArray[np.float64], relevant: npt.NDArray[np.bool_]) -> ReliabilityBin:
    return ReliabilityBin(
        low=place / BINS,
        high=(place + 1) / BINS,
        pairs=len(relevant),
        mean_probability=float(probabilities.mean()) if len(relevant) else None,
        relevant_share=float(relevant.mean()) if len(relevant) else None,
    )


def _gap(of_bin: ReliabilityBin) -> float:
    if of_bin.mean_probability is None or of_bin.relevant_share is None:
        return 0.0
    return abs(of_bin.relevant_share - of_bin.mean_probability)
