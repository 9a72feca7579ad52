"""Do two contenders compute the same? Their scores of the same pairs -> how far they agree."""

from __future__ import annotations

from collections.abc import Sequence

from stages.speed.benchmark import Agreement


def agreement(reference: Sequence[float], scores: Sequence[float], more_tokens: int) -> Agreement:
    """Of two lists of probabilities of the same pairs, in the same order.

    Raises ValueError where they are not of the same pairs: that is for the caller to see first.
    """
    from scipy.stats import spearmanr

    differences = [abs(one - other) for one, other in zip(reference, scores, strict=True)]
    correlation = None
    if len(set(reference)) > 1 and len(set(scores)) > 1:
        correlation = float(spearmanr(reference, scores).statistic)
    return Agreement(max(differences), sum(differences) / len(differences), correlation, more_tokens)
