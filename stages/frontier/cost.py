"""What it takes to ask a reranker for some of the pairs that it scored: tokens read, or what an API bills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stages.frontier.lists import Floats, Mask


class Work(Protocol):
    """What a reranker does for the pairs that are `asked`, (queries, width), in units of its own."""

    def of(self, asked: Mask) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class TokensRead:
    """An engine's work: the tokens that it computes. `tokens` (queries, width) are those of each pair's prompt, or 1
    for each pair where nobody counted them. `shared` (queries,) are those at the beginning of a query's prompts that a
    prefix cache computes for the first one alone.
    """

    tokens: Floats
    shared: Floats

    def of(self, asked: Mask) -> float:
        again = np.maximum(asked.sum(axis=1) - 1, 0)
        return float(self.tokens[asked].sum() - (again * self.shared).sum())


@dataclass(frozen=True, slots=True, eq=False)
class TextsRead:
    """The work of an engine that computes a document once, however many queries have it: `texts` (queries, width)
    numbers them from 0, -1 where there is none, and `tokens` (texts,) are those of each.
    """

    tokens: Floats
    texts: npt.NDArray[np.int64]

    def of(self, asked: Mask) -> float:
        read = np.zeros(len(self.tokens), dtype=bool)
        read[self.texts[asked]] = True
        return float(self.tokens[read].sum())


@dataclass(frozen=True, slots=True)
class Searches:
    """What an API bills by requests and search units: of each query's documents `batch` make a request, and of a
    request's documents `per_unit` a unit. Money for one of each.
    """

    batch: int
    per_unit: int
    per_request: float
    per_search_unit: float

    def of(self, asked: Mask) -> float:
        whole, rest = np.divmod(asked.sum(axis=1), self.batch)
        units = whole * -(-self.batch // self.per_unit) + -(-rest // self.per_unit)
        return float(((whole + (rest > 0)) * self.per_request + units * self.per_search_unit).sum())


@dataclass(frozen=True, slots=True, eq=False)
class TokensBilled:
    """What an API bills by requests and tokens: `tokens` (queries, width) of each pair, `batch` documents a request."""

    tokens: Floats
    batch: int
    per_request: float
    per_token: float

    def of(self, asked: Mask) -> float:
        requests = -(-asked.sum(axis=1) // self.batch)
        return float(requests.sum() * self.per_request + self.tokens[asked].sum() * self.per_token)


@dataclass(frozen=True, slots=True)
class Cost:
    """`per_unit` of the work's units, in what all rerankers of a frontier are told in."""

    work: Work
    per_unit: float = 1.0

    def of(self, asked: Mask) -> float:
        return self.work.of(asked) * self.per_unit
