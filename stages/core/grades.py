"""What a judge, which is a language model, says of a pair of query and document; and how it was asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

HIGHEST = 3
"""Grades go from 0, not relevant, to this, as UMBRELA's and TREC Deep Learning's do."""


class Message(NamedTuple):
    """One turn of the conversation that a judge is shown; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one pair, before anybody reads a grade in it.

    `text` is what was generated; `probabilities` are those of the grades 0, 1, ... in the place of the answer, as they
    are beside all other tokens, so that their sum is the share of what the judge would have said that is a grade at
    all. One of both is there, unless `error` says why neither is. `withheld`: that is the judge's own answer, which a
    filter or the model itself refused, and not a fault that another try mends. `finished`: the text ended by itself,
    and was not cut at the limit of tokens. `truncated`: the end of the document was not shown to the judge.
    """

    text: str = ""
    probabilities: tuple[float, ...] = ()
    finished: bool = True
    prompt_tokens: int = 0
    generated_tokens: int = 0
    truncated: bool = False
    error: str | None = None
    withheld: bool = False

    @property
    def failed(self) -> bool:
        """Whether nothing came back: such a reply is not kept."""
        return self.error is not None and not self.withheld


@dataclass(frozen=True, slots=True)
class Graded:
    """A pair with its grade, or with the reason why it has none in `missing`: which is never 0.

    `probabilities` are those of each grade, given that it is one (they sum to 1), and empty where the reply was text.
    """

    grade: int | None
    missing: str | None = None
    probabilities: tuple[float, ...] = ()
    prompt_tokens: int = 0
    generated_tokens: int = 0
    truncated: bool = False
    stored: bool = False

    @property
    def entropy(self) -> float | None:
        """Of the distribution over the grades, in bits: 0 is a sure judge, log2(grades) one that does not know."""
        if not self.probabilities:
            return None
        return -math.fsum(one * math.log2(one) for one in self.probabilities if one > 0)
