"""What a benchmark is to measure, as the command line gives it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.speed.bench.pairs import PairOrder
from stages.core.errors import ConfigError

# --quick: what fits into three minutes on two cores. A contender is not begun when the time is nearly over, and ended
# when it is.
QUICK_S, QUICK_LAST_START_S = 165.0, 140.0
QUICK_PAIRS = {"queries": 8, "documents": 25}
QUICK_SETTINGS = ("engine.compile=false",)  # compiling takes half a minute at each start


@dataclass(frozen=True, slots=True)
class BenchmarkOrder:
    """What to measure. `model` is one of models.MADE, as nano or qwen3-reranker-0.6b (random weights), or a folder or
    hub id.

    `overrides` are `section.key=value` of the sections model, engine, serve and rerank, as in --set; `clients` are how
    many ask a server at once, each number by itself; `only` names contenders; `limit_s` is how long one may take.
    """

    model: str = "tiny"
    out: Path = Path("benchmarks")
    pairs: PairOrder = field(default_factory=PairOrder)
    rounds: int = 3
    clients: tuple[int, ...] = (8,)
    overrides: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    quick: bool = False
    limit_s: float = 3600.0

    def settled(self) -> BenchmarkOrder:
        """With what --quick makes of it. Raises ConfigError for what cannot be measured."""
        if self.rounds < 1 or not self.clients or min(self.clients) < 1:
            raise ConfigError("a benchmark needs at least one round, and one client")
        if not self.quick:
            return self
        pairs = replace(self.pairs, **QUICK_PAIRS)
        given = {override.partition("=")[0].strip() for override in self.overrides}
        quick = tuple(one for one in QUICK_SETTINGS if one.partition("=")[0] not in given)
        return replace(self, rounds=1, clients=(8,), pairs=pairs, overrides=(*quick, *self.overrides), limit_s=QUICK_S)
