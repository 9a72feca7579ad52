"""What a benchmark measured, and what follows from it: medians, spread, and ratios to the ceiling and to the limit.

A *contender* is one way to score the same pairs: the bare engine, our job, another library. The *ceiling* is the faster
of the bare engine offline and behind its own HTTP server, both with our settings and vLLM's own scheduler. The *limit*
is what the machine's rate of matrix products allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from stages.quality.agreement import Agreement
from stages.speed.arithmetic import Work

Kind = Literal["engine", "server", "job", "stored", "service", "alone", "library"]

# Two ways to compute the same model in bfloat16 differ by 0.003 to 0.006 of a probability in the mean and by 0.03 at
# most (vLLM and Transformers, random weights, 60 to 120 pairs), and rank alike (0.998 and more). Another prompt, or a
# document cut elsewhere, changes some scores by tenths and ranks beyond recognition.
MOST_MEAN_DIFFERENCE, MOST_DIFFERENCE = 0.02, 0.15
LEAST_CORRELATION = 0.95
# With more clients a server may be faster than the engine is for one caller, and is no ceiling of a job's.
FEW_CLIENTS = 8
# What vLLM's own processes do; the rest of a contender's processor time is spent in front of the engine.
ENGINE_ROLES = ("engine worker", "engine core")


@dataclass(frozen=True, slots=True)
class Round:
    """One contender once. `seconds` is from the first pair handed over to the last score; where there is an `error`,
    that is why there are no figures.

    `start_up_s` is from the command to the first scored pair, `whole_s` to the command's end. `processor_s` has the
    seconds of processor time during `seconds` by role of process, `peak_mib` the most memory of all its processes at
    once, what they share counted once, `peak_gpu_mib` the same of the GPUs' memory (None: on no GPU).
    """

    number: int
    pairs: int = 0
    tokens: int = 0
    seconds: float | None = None
    start_up_s: float | None = None
    whole_s: float | None = None
    peak_mib: float | None = None
    processor_s: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    peak_gpu_mib: float | None = None

    @property
    def pairs_per_s(self) -> float | None:
        return self.pairs / self.seconds if self.seconds else None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One contender over all rounds. `clients` is how many ask at once, where that applies. `agreement` is that of its
    probabilities with the reference's, `more_tokens` how many tokens more it read.
    """

    name: str
    title: str
    kind: Kind
    ours: bool
    rounds: tuple[Round, ...] = ()
    clients: int | None = None
    agreement: Agreement | None = None
    more_tokens: int = 0

    @property
    def valid(self) -> tuple[Round, ...]:
        return tuple(one for one in self.rounds if one.error is None and one.seconds)

    @property
    def error(self) -> str | None:
        """Why there is no figure at all."""
        if self.valid:
            return None
        return next((one.error for one in self.rounds if one.error), "it was not run")

    @property
    def same(self) -> bool | None:
        """Whether it computed the same thing as the reference; None where there are no scores to tell by."""
        if (found := self.agreement) is None:
            return None
        ordered = found.rank_correlation is None or found.rank_correlation >= LEAST_CORRELATION
        near = found.mean <= MOST_MEAN_DIFFERENCE and found.largest <= MOST_DIFFERENCE
        return near and ordered and self.more_tokens == 0

    @property
    def differs(self) -> bool:
        """Whether its scores are not the reference's: its speed is then no result."""
        return self.same is False

    @property
    def pairs_per_s(self) -> float | None:
        return middle(one.pairs_per_s for one in self.valid)

    @property
    def spread(self) -> tuple[float, float] | None:
        """The slowest and the fastest round, in pairs/s."""
        rates = [rate for one in self.valid if (rate := one.pairs_per_s) is not None]
        return (min(rates), max(rates)) if rates else None

    @property
    def tokens_per_s(self) -> float | None:
        return middle(one.tokens / one.seconds for one in self.valid if one.seconds)

    @property
    def start_up_s(self) -> float | None:
        return middle(one.start_up_s for one in self.valid)

    @property
    def whole_s(self) -> float | None:
        return middle(one.whole_s for one in self.valid)

    @property
    def peak_mib(self) -> float | None:
        return max((one.peak_mib for one in self.valid if one.peak_mib is not None), default=None)

    @property
    def peak_gpu_mib(self) -> float | None:
        return max((one.peak_gpu_mib for one in self.valid if one.peak_gpu_mib is not None), default=None)

    @property
    def processor_s_per_1000(self) -> dict[str, float]:
        """Processor seconds per 1,000 pairs by role: the median over the rounds in which it could be sampled."""
        sampled = [one for one in self.valid if one.processor_s]
        roles = dict.fromkeys(role for one in sampled for role in one.processor_s)
        return {role: median(one.processor_s.get(role, 0.0) / one.pairs * 1000 for one in sampled) for role in roles}

    @property
    def outside_engine_s_per_1000(self) -> float | None:
        """Processor seconds per 1,000 pairs of all but the engine's own processes."""
        spent = self.processor_s_per_1000
        return sum(value for role, value in spent.items() if role not in ENGINE_ROLES) if spent else None


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was scored: so many queries and documents each, tokens a prompt, and what is left when beginnings are
    shared: to the token, and in the engine's blocks.
    """

    queries: int
    documents: int
    tokens: int
    shortest: int
    longest: int
    repeats: float
    alone: Work
    shared: Work
    in_blocks: Work

    @property
    def pairs(self) -> int:
        return self.queries * self.documents


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All of it. `matrix_flops` are the measured rates (operations/s) of a large matrix product, one a round;
    `prefix_caching` says whether our settings share beginnings, `notes` what was not run and why, `interrupted` whether
    the user ended it before all rounds were. `model`, `machine` and `settings` are facts for the record.
    """

    started: str
    model: Mapping[str, Any]
    machine: Mapping[str, Any]
    settings: Mapping[str, Any]
    pairs: Pairs
    prefix_caching: bool
    matrix_flops: tuple[float, ...]
    measurements: tuple[Measurement, ...]
    reference: str | None = None
    quick: bool = False
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def ceiling(self) -> Measurement | None:
        """The fastest of the bare engine and of its own server, both with our settings; None where neither ran.

        A contender that computes something else is none, nor is a server with more clients than the others have.
        """
        bare = [one for one in self.measurements if one.kind in ("engine", "server") and one.ours]
        fair = [one for one in bare if one.pairs_per_s and not one.differs and (one.clients or 0) <= FEW_CLIENTS]
        return max(fair, key=lambda one: one.pairs_per_s or 0.0, default=None)

    @property
    def limit_pairs_per_s(self) -> float | None:
        """What the arithmetic allows: the matrix rate over the operations that remain a pair."""
        rate = middle(self.matrix_flops)
        work = self.pairs.shared if self.prefix_caching else self.pairs.alone
        return rate / work.flop * self.pairs.pairs if rate else None

    def of(self, name: str) -> Measurement | None:
        return next((one for one in self.measurements if one.name == name), None)

    def to_ceiling(self, one: Measurement) -> float | None:
        """The median of the rounds' shares of the ceiling."""
        return middle(self.shares(one))

    def shares(self, one: Measurement) -> tuple[float, ...]:
        """Of the ceiling, each round by itself: what else the machine did in a round slows both."""
        return _ratios(one, self.ceiling, lambda done: done.pairs_per_s) if _counts(one) else ()

    def first_pair_shares(self, one: Measurement) -> tuple[float, ...]:
        """A job's time to its first scored pair over the bare engine's, each round by itself."""
        bare = self.of("engine-ours")
        return _ratios(one, bare, lambda done: done.start_up_s) if one.kind == "job" else ()

    def to_limit(self, one: Measurement) -> float | None:
        return _ratio(one, self.limit_pairs_per_s)

    def against(self, name: str, other: str) -> tuple[float, ...]:
        """How many times as fast one contender is as another in each round that both have; empty where one of the two
        gives other scores.
        """
        one, two = self.of(name), self.of(other)
        fair = one and two and not one.differs and not two.differs and "stored" not in (one.kind, two.kind)
        return _ratios(one, two, lambda done: done.pairs_per_s) if one and fair else ()


def _ratios(one: Measurement, other: Measurement | None, figure: Callable[[Round], float | None]) -> tuple[float, ...]:
    """Over the rounds in which both have a figure."""
    others = {done.number: figure(done) for done in other.valid} if other else {}
    both = ((figure(done), others.get(done.number)) for done in one.valid)
    return tuple(mine / theirs for mine, theirs in both if mine is not None and theirs)


def _counts(one: Measurement) -> bool:
    """Not where its scores are not the reference's, or come from a store: nobody wins by computing something else or
    nothing. Nor where it gets a query at a time, which the ceiling does not.
    """
    return not one.differs and one.kind not in ("stored", "alone")


def _ratio(one: Measurement, whole: float | None) -> float | None:
    rate = one.pairs_per_s
    return rate / whole if rate is not None and whole and _counts(one) else None


def middle(values: Iterable[float | None] | Sequence[float]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
