"""What a gate asks: from a config's section `gate`, or from the options of the command."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.base.sections import GateSettings
from pipelines.verdict.slices import parse_slices
from stages.core.errors import ConfigError
from stages.quality.regression import MIN_QUERIES


@dataclass(frozen=True, slots=True)
class Limits:
    """What a gate asks. `drops`: metric (`ndcg_at_10`) -> allowed drop below the baseline; `most` and `least`: name ->
    limit; `drifts`: metric -> allowed drop below the pinned run; `slices`: field of the queries -> values, in each of
    which `slice_drops` are allowed, by default `drops`.
    """

    drops: Mapping[str, float]
    most: Mapping[str, float]
    least: Mapping[str, float]
    drifts: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    slice_drops: Mapping[str, float] = field(default_factory=dict)
    min_queries: int = MIN_QUERIES

    @classmethod
    def of(cls, gate: GateSettings) -> Limits:
        """What a config's section asks."""
        return cls(
            gate.max_drop, gate.max, gate.min, gate.max_drift, gate.slices, gate.slice_max_drop, gate.min_queries
        )

    @property
    def any(self) -> bool:
        """Whether there is any rule besides those that are always asked."""
        return self.compares or bool(self.drifts or self.most or self.least)

    @property
    def compares(self) -> bool:
        """Whether any rule needs a baseline to drop from."""
        return bool(self.drops or self.slices)


def parse_limits(
    drops: Sequence[str],
    most: Sequence[str],
    least: Sequence[str],
    drifts: Sequence[str] = (),
    slices: Sequence[str] = (),
    slice_drops: Sequence[str] = (),
    min_queries: int | None = None,
) -> Limits:
    """`NAME=NUMBER` each, of slices `FIELD=VALUE`. Raises ConfigError that says which one is malformed."""
    if slice_drops and not slices:
        raise ConfigError("--slice-max-drop has no slice to limit: give --slice FIELD=VALUE")
    if slices and not (slice_drops or drops):
        raise ConfigError("--slice needs --slice-max-drop or --max-drop METRIC=VALUE: how far may a metric fall there?")
    return Limits(
        drops=_parsed("max-drop", drops),
        most=_parsed("max", most),
        least=_parsed("min", least),
        drifts=_parsed("max-drift", drifts),
        slices=parse_slices(slices),
        slice_drops=_parsed("slice-max-drop", slice_drops),
        min_queries=min_queries or MIN_QUERIES,
    )


def _parsed(option: str, given: Sequence[str]) -> dict[str, float]:
    limits = {}
    for one in given:
        name, equals, number = one.rpartition("=")  # a metric may have one in its name
        try:
            limit = float(number) if equals and name.strip() else math.nan
        except ValueError:
            limit = math.nan
        if not math.isfinite(limit) or (option in _OF_DROPS and limit < 0):
            raise ConfigError(f"--{option} {one}: write NAME=NUMBER, as in --{option} {_EXAMPLES[option]}")
        limits[name.strip()] = limit
    return limits


_OF_DROPS = ("max-drop", "max-drift", "slice-max-drop")
_EXAMPLES = dict.fromkeys(_OF_DROPS, "ndcg_at_10=0.01") | {"max": "queue_p95_ms=200", "min": "pairs_per_s=100"}
