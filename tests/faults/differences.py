"""Populations of per-query differences whose mean is known, to draw nights from.

Two are real (differences.json): NDCG@10 of the demo's 76 queries and the embedded model, candidates reranked against
BM25's order, and the top 30 of them reranked against all 50. Two are made: 70 % are 0, of the rest a third are large
losses and the others small gains, or the other way round.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

Values = npt.NDArray[np.float64]

REAL = Path(__file__).with_name("differences.json")
UNCHANGED, LARGE = 0.7, 0.35
EACH = 400  # values that stand for a continuous distribution


@dataclass(frozen=True, slots=True)
class Population:
    """Per-query differences and how often each is drawn; `weights` sum to 1."""

    name: str
    values: Values
    weights: Values

    @property
    def mean(self) -> float:
        return float(self.values @ self.weights)

    @property
    def sd(self) -> float:
        return float(np.sqrt((self.values - self.mean) ** 2 @ self.weights))

    @property
    def skewness(self) -> float:
        return float((self.values - self.mean) ** 3 @ self.weights) / self.sd**3

    @property
    def unchanged(self) -> float:
        return float(self.weights[self.values == 0].sum())

    def with_mean(self, mean: float) -> Population:
        """Losses drawn more often and gains less, or the other way round: each value exp(t * value) times as often as
        before, with the t that gives this mean (exponential tilting). What did not change stays unchanged.
        """

        def tilted(t: float) -> Values:
            factors = self.weights * np.exp(t * self.values - np.max(t * self.values))
            return np.asarray(factors / factors.sum())

        t = optimize.brentq(lambda t: float(self.values @ tilted(t)) - mean, -200, 200)
        return Population(self.name, self.values, tilted(t))

    def nights(self, number: int, queries: int, rng: np.random.Generator) -> Values:
        """A row of differences for each night."""
        return rng.choice(self.values, (number, queries), p=self.weights)


def populations() -> list[Population]:
    real = json.loads(REAL.read_text(encoding="utf-8"))
    places = (np.arange(EACH) + 0.5) / EACH
    large, small = stats.beta.ppf(places, 1.2, 3), stats.beta.ppf(places, 1.2, 8)
    losses = np.concatenate(([0.0], -large, small))
    shares = np.array([UNCHANGED, (1 - UNCHANGED) * LARGE / EACH, (1 - UNCHANGED) * (1 - LARGE) / EACH])
    weights = np.repeat(shares, [1, EACH, EACH])
    return [
        *(Population(name, np.array(values), np.full(len(values), 1 / len(values))) for name, values in real.items()),
        Population("few large losses", losses, weights),
        Population("few large gains", -losses, weights),
    ]
