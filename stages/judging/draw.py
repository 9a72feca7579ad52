"""Which queries: an order in which they are drawn at random, of which any beginning is a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

OTHER = "(other)"
"""The stratum of all values too few queries have."""

LEAST_DRAWN = 4
"""So many of each stratum are to be among the first queries, or its spread could not be told from them."""


class Drawn(NamedTuple):
    """A query, and the stratum that it was drawn from; `""` where there are none."""

    query_id: str
    stratum: str


def draw(strata: Mapping[str, Sequence[str]], seed: int) -> list[Drawn]:
    """All queries in the order in which they are drawn: a random one within each stratum (stratum -> query ids).

    Strata take turns in proportion to their sizes, so that of the first n queries each has its share but for rounding,
    whatever n becomes: proportional allocation (Cochran, Sampling Techniques, 3rd edition, 1977, section 5.5). For one
    seed the order does not depend on that in which queries or strata come.
    """
    rng = np.random.default_rng(seed)
    placed: list[tuple[float, float, Drawn]] = []
    for stratum in sorted(strata):
        query_ids = sorted(strata[stratum])
        for rank, place in enumerate(rng.permutation(len(query_ids)).tolist()):
            turn = (rank + 0.5) / len(query_ids)
            placed.append((turn, float(rng.random()), Drawn(query_ids[place], stratum)))
    return [drawn for *_, drawn in sorted(placed)]


def strata_of(query_ids: Sequence[str], values: Mapping[str, str], first: int) -> dict[str, list[str]]:
    """Query ids by their value of a field. Values of which fewer than LEAST_DRAWN would be among the `first` queries
    are one stratum together, OTHER; where that is too small as well, with the smallest of the others.
    """
    found: dict[str, list[str]] = {}
    for query_id in query_ids:
        found.setdefault(values.get(query_id, ""), []).append(query_id)
    least = LEAST_DRAWN * len(query_ids) / max(first, 1)
    small = sorted((name for name in found if len(found[name]) < least), key=lambda name: (len(found[name]), name))
    if not small:
        return found
    other = [query_id for name in small for query_id in found.pop(name)]
    if found and len(other) < least:
        other += found.pop(min(found, key=lambda name: (len(found[name]), name)))
    return found | {OTHER: other}
