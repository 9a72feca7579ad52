"""Tokens and operations of a whole job, from the prompts of the sample that was counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.job.tokenizing import Counted
from pipelines.job.workload import Drawn, Workload
from stages.speed.arithmetic import LayerShape, prompt_flop
from stages.speed.forecast import CONFIDENCE, METHOD, Stratum, Total, total_of

NO_PROMPT = Counted(0, 0, 0, False, 0)


@dataclass(frozen=True, slots=True)
class Unit:
    """A pair, or a list, that was drawn; the first `held` tokens of its prompt are in the cache for all pairs of its
    query but one.
    """

    counted: Counted
    of: int
    held: int

    def flop(self, shape: LayerShape) -> float:
        """Of the mean pair of its query. Several prompts are taken to be of one length."""
        prompts = max(self.counted.passages, 1)
        tokens = self.counted.tokens // prompts
        first, further = prompt_flop(shape, tokens), prompt_flop(shape, tokens, self.held)
        return prompts * (first + (self.of - 1) * further) / self.of


@dataclass(frozen=True, slots=True)
class Sampled:
    """What was counted: units, and of each query that was drawn the tokens that belong to none of its documents."""

    work: Workload
    units: Sequence[Unit]
    beside: Sequence[int]

    @property
    def total(self) -> Total:
        """Tokens of all that is read."""
        strata = [Stratum(self.work.sample.offered, [one.counted.tokens for one in self.units])]
        if any(self.beside):
            strata.append(Stratum(self.work.of_queries.offered, self.beside))
        return total_of(strata)

    @property
    def mean_tokens(self) -> float:
        """Of a pair, as a run counts them: without what belongs to no document."""
        read = sum(one.counted.tokens for one in self.units)
        return read / (sum(one.of for one in self.units) if self.work.kind == "listwise" else len(self.units))

    def flop(self, shape: LayerShape) -> float:
        """Of all that is read."""
        units = _mean([one.flop(shape) for one in self.units]) * self.work.sample.offered
        return units + _mean([prompt_flop(shape, one) for one in self.beside]) * self.work.of_queries.offered

    def told(self) -> dict[str, Any]:
        """As JSON. Shares: of documents that are not read to their end, of tokens that are in the cache already."""
        total, read = self.total, sum(one.counted.tokens for one in self.units)
        held = sum(one.held * (one.of - 1) / one.of for one in self.units)
        return {
            "total": round(total.value),
            "low": round(total.low),
            "high": round(total.high),
            "margin": total.margin,
            "confidence": CONFIDENCE,
            "method": METHOD,
            "sampled": len(self.units),
            "of": self.work.sample.offered,
            "cut_share": _mean([one.counted.cut for one in self.units]),
            "shared_share": held / read if read else 0.0,
            "prompts_per_document": _mean([one.counted.passages for one in self.units]),
        }


def sampled(work: Workload, drawn: Sequence[Drawn], counted: Sequence[Counted | None], block: int | None) -> Sampled:
    """From what was counted of what was drawn, and behind that of the queries. What gives no prompt reads nothing.

    `block` tokens are shared at a time; None: nothing is.
    """
    units = [
        Unit(one or NO_PROMPT, some.of, one.shared // block * block if one and block else 0)
        for one, some in zip(counted, drawn, strict=False)
    ]
    return Sampled(work, units, [one.beside if one else 0 for one in counted[len(drawn) :]])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
