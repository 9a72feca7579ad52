"""A short search for faster engine settings: one setting a step, no point twice, and a closing confirmation.

The point to start from, the axes to move along and a way to measure -> every trial in order, and what to change. Pure:
who measures, and which clock it is, is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

# The same settings, measured twice, differ by up to so much on a machine that does nothing else.
MARGIN = 0.03

# Settings by their keys, as `engine.max_num_seqs`.
Point = Mapping[str, int]
TrialVerdict = Literal["start", "faster", "not faster", "failed", "again"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A setting and the values that it may take, in order. A step goes to a neighbour."""

    key: str
    values: tuple[int, ...]

    def beside(self, value: int, step: Literal[1, -1]) -> int | None:
        place = self.values.index(value) + step
        return self.values[place] if 0 <= place < len(self.values) else None


def doubling(key: str, value: int, least: int, most: int) -> Axis:
    """`value`, its doubles and its halves, as far as they lie between `least` and `most`."""
    around = {value << times for times in range(most.bit_length())} | {
        value >> times for times in range(value.bit_length())
    }
    return Axis(key, tuple(sorted({value} | {one for one in around if least <= one <= most})))


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What measuring a point gave: pairs/s after the warm-up and seconds to the first pair, or why there are none."""

    pairs_per_s: float | None = None
    start_up_s: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One setting, before and after."""

    key: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A point that was measured, which took `seconds`; `changes` are those from the best one before it."""

    point: Point
    changes: tuple[Change, ...]
    result: TrialResult
    seconds: float
    verdict: TrialVerdict


@dataclass(frozen=True, slots=True)
class Compiling:
    """The same settings with and without `engine.compile`: seconds to the first pair, and pairs/s."""

    start_up_s: float
    eager_start_up_s: float
    pairs_per_s: float
    eager_pairs_per_s: float

    @property
    def pays_off_after(self) -> int | None:
        """Pairs from which on the compiled engine is ahead, its longer start included; None: never."""
        if self.pairs_per_s <= self.eager_pairs_per_s:
            return None
        saved_s = 1 / self.eager_pairs_per_s - 1 / self.pairs_per_s
        return max(0, round((self.start_up_s - self.eager_start_up_s) / saved_s))


@dataclass(frozen=True, slots=True)
class Tuned:
    """`changes` are what to change: none unless the best point was ahead by the margin again, measured once more.

    `before` and `after` are the pairs/s of the start and of the best point, as measured last; None where that failed,
    `after` also where nothing was ahead. `not_tried` are the keys that the time did not reach.
    """

    trials: tuple[Trial, ...]
    seeming: tuple[Change, ...]
    before: float | None
    after: float | None
    confirmed: bool
    not_tried: tuple[str, ...]
    compiling: Compiling | None

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.seeming if self.confirmed else ()


class Search:
    """One search; `trials` holds what was measured so far, whatever ends it."""

    def __init__(
        self,
        start: Point,
        axes: Sequence[Axis],
        measure: Callable[[Point], TrialResult],
        clock: Callable[[], float],
        ends_s: float,
        allowed: Callable[[Point], bool] = lambda _point: True,
    ) -> None:
        """`ends_s`, on the clock, is when all should be over; points that are not `allowed` are never measured."""
        self.trials: list[Trial] = []
        self._start, self._axes = dict(start), axes
        self._measure, self._clock, self._ends_s, self._allowed = measure, clock, ends_s, allowed
        self._out_of_time = False

    def run(self) -> Tuned:
        """Climb until no neighbour is faster or the time is over, then confirm. Not beyond a start that fails."""
        first = self._try(self._start, "start")
        if first.result.pairs_per_s is not None:
            while self._round() and not self._out_of_time:
                pass
            if self._best() is not first:
                self._confirm(self._best().point)
        return self.result()

    def result(self) -> Tuned:
        """What is known so far."""
        best = self._best() if self.trials else None
        seeming = changes(self._start, best.point) if best else ()
        before = self._last(self._start)
        after = self._last(best.point) if best and seeming else None
        repeated = sum(one.verdict == "again" for one in self.trials) == 2
        # What seemed fastest was also the luckiest, and what was measured first may have been disturbed: the second
        # measurements decide alone. The first ones were as far apart, or nothing would have been repeated.
        confirmed = repeated and before is not None and after is not None and after > before * (1 + MARGIN)
        return Tuned(tuple(self.trials), seeming, before, after, confirmed, self._not_tried(), compiling(self.trials))

    def _round(self) -> bool:
        """Along every axis once; whether that led anywhere, so that another round may, too."""
        moved = [self._along(axis) for axis in self._axes]
        return any(moved)

    def _along(self, axis: Axis) -> bool:
        """On in the direction that improves; whether one does."""
        return any(self._climb(axis, step) for step in (1, -1))

    def _climb(self, axis: Axis, step: Literal[1, -1]) -> bool:
        moved = False
        while self._step(axis, step):
            moved = True
        return moved

    def _step(self, axis: Axis, step: Literal[1, -1]) -> bool:
        """Try the best point's neighbour, unless it is known or there is no time; whether it is the best one now."""
        best = self._best()
        value = axis.beside(best.point[axis.key], step)
        if value is None:
            return False
        point = dict(best.point) | {axis.key: value}
        if any(one.point == point for one in self.trials) or not self._allowed(point):
            return False
        if not self._fits():
            self._out_of_time = True
            return False
        return self._try(point).verdict == "faster"

    def _fits(self) -> bool:
        """One more trial, as long as the longest so far, and the start and a new best once more."""
        longest_s = max(one.seconds for one in self.trials)
        return self._clock() + 2 * longest_s + self.trials[0].seconds <= self._ends_s

    def _try(self, point: Point, verdict: TrialVerdict | None = None) -> Trial:
        changed = changes(self._best().point, point) if self.trials and verdict != "again" else ()
        began_s = self._clock()
        result = self._measure(point)
        seconds = self._clock() - began_s
        if result.pairs_per_s is None:
            verdict = "failed"
        elif verdict is None:
            verdict = "faster" if result.pairs_per_s > (self._rate() or 0) * (1 + MARGIN) else "not faster"
        trial = Trial(point, changed, result, seconds, verdict)
        self.trials.append(trial)
        return trial

    def _best(self) -> Trial:
        """The last one that was faster than all before it, else the start."""
        return next((one for one in reversed(self.trials) if one.verdict == "faster"), self.trials[0])

    def _rate(self) -> float | None:
        return self._best().result.pairs_per_s

    def _confirm(self, best: Point) -> None:
        for point in (self._start, best):
            self._try(point, "again")

    def _last(self, point: Point) -> float | None:
        """Its pairs/s as measured last."""
        rates = [one.result.pairs_per_s for one in self.trials if one.point == point]
        return rates[-1] if rates else None

    def _not_tried(self) -> tuple[str, ...]:
        if not self._out_of_time:
            return ()
        tried = {change.key for one in self.trials for change in one.changes}
        return tuple(axis.key for axis in self._axes if len(axis.values) > 1 and axis.key not in tried)


def changes(before: Point, after: Point) -> tuple[Change, ...]:
    """In which settings two points differ."""
    return tuple(Change(key, before[key], after[key]) for key in before if before[key] != after[key])


def compiling(trials: Sequence[Trial]) -> Compiling | None:
    """From the last two trials that differ in `engine.compile` alone; None where there are none."""
    for one, other in _pairs(trials):
        differing = changes(one.point, other.point)
        if [(change.key, change.before) for change in differing] == [("engine.compile", True)]:
            fast, eager = one.result, other.result
            if fast.pairs_per_s and eager.pairs_per_s and fast.start_up_s and eager.start_up_s:
                return Compiling(fast.start_up_s, eager.start_up_s, fast.pairs_per_s, eager.pairs_per_s)
    return None


def _pairs(trials: Sequence[Trial]) -> Iterator[tuple[Trial, Trial]]:
    """Each with each, the newest first."""
    return ((one, other) for one in reversed(trials) for other in reversed(trials))
