"""Does a certified depth keep its word? Collections drawn from populations whose loss at each depth is known.

`python -m tests.faults.certified_depths` prints the table of docs/frontier.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.frontier.certified import certify, losses

Values = npt.NDArray[np.float64]

DRAWS = 10_000
QUERIES = (30, 150, 600)
ALPHAS = (0.01, 0.02, 0.05)
MEMBERS, DEPTHS = 2000, 50


@dataclass(frozen=True, slots=True)
class Kind:
    """`lost` (members, depths) are the losses of each member of a population of queries."""

    name: str
    lost: Values


@dataclass(frozen=True, slots=True)
class Simulated:
    """Over many draws: the mean expected loss of a further query, its standard error, how often nothing could be
    certified, and the mean depth otherwise.
    """

    lost: float
    error: float
    cannot: float
    depth: float


def simulate(kind: Kind, queries: int, alpha: float, draws: int = DRAWS, seed: int = 0) -> Simulated:
    """Where nothing can be certified the whole depth is taken, which loses nothing."""
    random = np.random.default_rng(seed)
    expected = kind.lost.mean(axis=0)
    lost, depths = [], []
    for _ in range(draws):
        found = certify(kind.lost[random.integers(MEMBERS, size=queries)], alpha)
        lost.append(0.0 if found.depth is None else float(expected[found.depth - 1]))
        if found.depth is not None:
            depths.append(found.depth)
    return Simulated(
        lost=float(np.mean(lost)),
        error=float(np.std(lost)) / math.sqrt(draws),
        cannot=1 - len(depths) / draws,
        depth=float(np.mean(depths)) if depths else math.nan,
    )


def _kind(name: str, make: Callable[[np.random.Generator], Values]) -> Kind:
    return Kind(name, losses(np.clip(make(np.random.default_rng(1)), 0.0, 1.0)))


def _early(random: np.random.Generator) -> Values:
    """Nearly all is found near the top; what comes later adds a little."""
    found = random.geometric(0.2, (MEMBERS, 1))
    return 0.3 + 0.5 * (np.arange(1, DEPTHS + 1) >= found) + random.normal(0, 0.02, (MEMBERS, DEPTHS))


def _few_deep(random: np.random.Generator) -> Values:
    """19 of 20 queries lose nothing at any depth, one loses all of it up to some depth."""
    deep = random.random((MEMBERS, 1)) < 0.05
    found = np.where(deep, random.integers(1, DEPTHS + 1, (MEMBERS, 1)), 1)
    return (np.arange(1, DEPTHS + 1) >= found).astype(float)


def _all_or_nothing(random: np.random.Generator) -> Values:
    """One relevant document at any depth alike: reciprocal ranks of 1 and 0."""
    found = random.integers(1, DEPTHS + 1, (MEMBERS, 1))
    return (np.arange(1, DEPTHS + 1) >= found).astype(float)


def _harmful(random: np.random.Generator) -> Values:
    """The deeper, the worse for half of the queries: distractors; better for the other half."""
    slope = random.normal(0, 0.4, (MEMBERS, 1))
    return 0.5 + slope * np.linspace(0, 1, DEPTHS)[None, :] + random.normal(0, 0.05, (MEMBERS, DEPTHS))


def _restless(random: np.random.Generator) -> Values:
    """A metric that jumps from depth to depth, so that a shallower one may be better by chance."""
    return random.beta(2, 2, (MEMBERS, DEPTHS))


def _same(random: np.random.Generator) -> Values:
    """Depth changes nothing at all."""
    return np.repeat(random.random((MEMBERS, 1)), DEPTHS, axis=1)


KINDS = [
    _kind("found early", _early),
    _kind("few need all of it", _few_deep),
    _kind("all or nothing", _all_or_nothing),
    _kind("deeper harms half", _harmful),
    _kind("restless", _restless),
    _kind("nothing changes", _same),
]


def main() -> None:
    head = [f"{queries} queries, alpha {alpha:g}" for queries in QUERIES for alpha in ALPHAS]
    print(f"| collection | {' | '.join(head)} |\n|---{'|---' * len(head)}|")
    for kind in KINDS:
        cells = []
        for queries in QUERIES:
            for alpha in ALPHAS:
                found = simulate(kind, queries, alpha)
                cells.append("cannot" if found.cannot == 1 else f"{found.lost:.4f} ({found.depth:.0f})")
        print(f"| {kind.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
