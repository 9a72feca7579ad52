"""Judges of every quality, simulated: what people and a model say of the same queries, where the truth is known.

Changes of queries by people's grades, y, are those of `tests.faults.differences` and a bell's. By the model's, f, each
judge makes its own of them. Those of `tests.faults.graded` grade documents instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from tests.faults.differences import EACH, Population, populations
from tests.faults.graded import SCENARIOS, Scenario, gains

Values = npt.NDArray[np.float64]

TRUE_MEAN, SD, LARGE = 0.02, 0.2, 0.15
QUALITIES = (0.0, 0.3, 0.5, 0.7, 0.95)

Judge = Callable[[Values, Population, np.random.Generator], Values]
"""y and the population that it is drawn from -> f, of the same shape."""


@dataclass(frozen=True, slots=True)
class Both:
    """y and f, a row of queries for each round, and what y is on average over all queries like these."""

    people: Values
    model: Values
    truth: float


def changes() -> list[Population]:
    places = (np.arange(EACH) + 0.5) / EACH
    bell = Population("a bell", SD * stats.norm.ppf(places), np.full(EACH, 1 / EACH))
    return [one.with_mean(TRUE_MEAN) for one in (bell, *populations())]


def unseen() -> list[Population]:
    """Changes that no rule was chosen on: of a hit rate, reciprocal ranks, heavy tails, nine in ten of them none,
    and exponential.
    """
    places = (np.arange(EACH) + 0.5) / EACH
    parts: dict[str, list[tuple[float, list[float] | Values]]] = {
        "hits": [(0.83, [0.0]), (0.05, [-1.0]), (0.12, [1.0])],
        "reciprocal ranks": [
            (0.6, [0.0]),
            (0.1, [-1 / 2, -2 / 3, -3 / 4, -4 / 5]),
            (0.3, [1 / 2, 1 / 6, 2 / 3, 1 / 12, -1 / 4, 1 / 4]),
        ],
        "heavy tails": [(0.15, [0.0]), (0.85, 0.1 + 0.14 * stats.t.ppf(places, 5))],
        "nine in ten unchanged": [(0.9, [0.0]), (0.03, 0.4 + 0.6 * places), (0.07, 0.1 * places - 0.05)],
        "exponential": [(1.0, 0.15 * stats.expon.ppf(places) - 0.13)],
    }
    return [
        Population(
            name,
            np.concatenate([values for _, values in of_name]),
            np.concatenate([np.full(len(values), share / len(values)) for share, values in of_name]),
        )
        for name, of_name in parts.items()
    ]


@dataclass(frozen=True, slots=True)
class Case:
    """A judge of changes of one kind, drawn from a population and by its judge, or from graded documents."""

    change: str
    judge: str
    of: tuple[Population, Judge] | Scenario

    def draw(self, rounds: int, queries: int, rng: np.random.Generator) -> Both:
        if isinstance(self.of, Scenario):
            found = gains(self.of)
            places = rng.integers(0, len(found.people), (rounds, queries))
            return Both(found.people[places], found.model[places], float(found.people.mean()))
        population, judge = self.of
        people = population.nights(rounds, queries, rng)
        return Both(people, judge(people, population, rng), population.mean)


def cases() -> list[Case]:
    """Every judge of every kind of change, and those that grade documents."""
    return [*_judged(changes()), *(Case("graded documents", one.name, one) for one in SCENARIOS)]


def unseen_cases() -> list[Case]:
    return _judged(unseen())


def _judged(populations: list[Population]) -> list[Case]:
    return [Case(one.name, name, (one, judge)) for one in populations for name, judge in JUDGES.items()]


def alike(rho: float) -> Judge:
    """Every change a little wrong, or more, so that the correlation with people's is rho."""

    def judge(people: Values, population: Population, rng: np.random.Generator) -> Values:
        return rho * people + np.sqrt(1 - rho**2) * population.nights(*people.shape, rng)

    return judge


def right_but_for_few(people: Values, population: Population, rng: np.random.Generator) -> Values:
    """19 of 20 changes are people's, the others have nothing to do with them."""
    return np.where(rng.random(people.shape) < 0.95, people, population.nights(*people.shape, rng))


def blind(people: Values, population: Population, rng: np.random.Generator) -> Values:
    """Small changes are people's; of large ones the model sees none as what it is."""
    return np.where(np.abs(people) > LARGE, np.clip(population.nights(*people.shape, rng), -LARGE, LARGE), people)


def biased(people: Values, population: Population, rng: np.random.Generator) -> Values:
    """As a foreign judge: a gain of .121 becomes .225, at a correlation of some .5."""
    return 0.104 + people + population.sd * np.sqrt(3) * rng.standard_normal(people.shape)


def of_itself(people: Values, population: Population, rng: np.random.Generator) -> Values:
    """Nearly every query gains, whatever people say: .124 becomes .357, at a correlation of some .3."""
    return 0.233 + 0.5 * people + population.sd * 1.5 * np.abs(rng.standard_normal(people.shape))


JUDGES: dict[str, Judge] = {
    **{f"rho {rho:g}": alike(rho) for rho in QUALITIES},
    "right but for few": right_but_for_few,
    "blind to large changes": blind,
    "biased": biased,
    "judges itself": of_itself,
}
