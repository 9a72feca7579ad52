"""How a load test goes, as the user wants it, and what it tells while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from pipelines.service.load.client import MOST_OUTSTANDING
from stages.core.errors import ConfigError
from stages.telemetry.load import LoadStep, Mode

HIGHEST: dict[Mode, int] = {"closed": MOST_OUTSTANDING, "open": 4096}
"""Clients, and requests per second, beyond which this client would measure itself."""
MODES = ("closed", "open")


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Levels go from `start` (clients, or requests per second) and double, up to `highest`; each is held for `step_s`.

    No step begins that would end later than `max_s` after the start (warm-up included), but for the first one; the
    answers to a step's last requests are waited for `drain_s` at most, and each for `timeout_s`. Raises ConfigError.
    """

    mode: Mode = "closed"
    start: float = 1
    step_s: float = 10.0
    warm_up_s: float = 5.0
    max_s: float = 120.0
    highest: float | None = None
    timeout_s: float = 60.0
    drain_s: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"--mode {self.mode}: choose from {', '.join(MODES)}")
        for name in ("start", "step_s", "max_s", "timeout_s"):
            if not (isfinite(value := getattr(self, name)) and value > 0):
                raise ConfigError(f"--{name.replace('_', '-')} {value:g}: a number above 0")
        if not (isfinite(self.warm_up_s) and self.warm_up_s >= 0):
            raise ConfigError(f"--warm-up-s {self.warm_up_s:g}: 0 or more")
        if self.mode == "closed" and self.start != int(self.start):
            raise ConfigError(f"--start {self.start:g}: clients are whole; requests per second are --mode open")
        if self.start > self.top:
            raise ConfigError(f"--start {self.start:g}: at most {self.top:g} in the {self.mode} loop")

    @property
    def top(self) -> float:
        """The highest level that may be tried."""
        return HIGHEST[self.mode] if self.highest is None else min(self.highest, HIGHEST[self.mode])

    def levels(self) -> Iterator[float]:
        """Ascending, each twice the one before."""
        level = int(self.start) if self.mode == "closed" else self.start
        while level <= self.top:
            yield level
            level *= 2


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """What is being done, and how far it is: `answered` and `failed` are of the level at work, `step` is one that has
    just ended.
    """

    doing: str
    elapsed_s: float
    answered: int = 0
    failed: int = 0
    step: LoadStep | None = None
