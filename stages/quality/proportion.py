"""An interval for a share of documents, where those of one query go together."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from stages.quality.interval import Interval

Counts = npt.NDArray[np.float64]


def share_interval(parts: Counts, wholes: Counts, confidence: float) -> Interval | None:
    """Of sum(parts) / sum(wholes), each element of which is a query's; queries are independent, documents of one query
    are not. None where there is no document.

    Wilson's interval (Probable inference, the law of succession, and statistical inference, JASA 22, 1927) on the
    effective number of documents: as many independent ones would vary as much as the share does between queries (Korn
    and Graubard, Confidence intervals for proportions with small expected number of positive counts estimated from
    survey data, Survey Methodology 24, 1998, with Wilson's interval in place of Clopper and Pearson's, as Dean and
    Pagano advise, Evaluating confidence interval methods for binomial proportions in clustered surveys, Journal of
    Survey Statistics and Methodology 3, 2015). A bootstrap over queries has no width where nothing, or everything, was
    hit, which is where most shares of harm lie; Clopper and Pearson's is too wide for a few dozen queries.

    Where each query has one document it is Wilson's own. Where the share is 0 or 1, and how documents of a query go
    together cannot be seen, each query counts as one document.
    """
    wholes, parts = wholes[wholes > 0], parts[wholes > 0]
    if not len(wholes):
        return None
    share = float(parts.sum() / wholes.sum())
    number = _effective(parts, wholes, share, confidence)
    z = float(special.ndtri((1 + confidence) / 2))
    centre = (share + z * z / (2 * number)) / (1 + z * z / number)
    reach = z / (1 + z * z / number) * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return Interval(0.0 if share == 0 else max(centre - reach, 0.0), 1.0 if share == 1 else min(centre + reach, 1.0))


def _effective(parts: Counts, wholes: Counts, share: float, confidence: float) -> float:
    """How many independent documents would tell as much: at most as many as there are, and at least one."""
    queries, documents = len(wholes), float(wholes.sum())
    if documents == queries:
        return documents
    if share in (0, 1) or queries == 1:
        return float(queries)
    left = parts - share * wholes
    variance = queries / (queries - 1) * float(left @ left) / documents**2
    if not variance:
        return documents
    # Of a variance that is estimated from few queries less is known: Student's quantile in place of the normal one.
    ends = (1 + confidence) / 2
    surer = float(special.ndtri(ends) / special.stdtrit(queries - 1, ends)) ** 2
    return min(max(share * (1 - share) / variance * surer, 1.0), documents)
