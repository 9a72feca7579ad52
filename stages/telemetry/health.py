"""Health zones of the golden metrics, and the judgements that need more than one number.

`readings` shows by them, `stages/diagnosis/metrics.py` concludes by them. Limits that alerts have in
configs/prometheus/rules.yml are the same here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from stages.core.errors import ConfigError
from stages.telemetry.histogram import Histogram
from stages.telemetry.traffic import Traffic

SHARES = ("_share", "_rate")


@dataclass(frozen=True, slots=True)
class Zones:
    """Where a metric's meaning changes. Shares are 0 to 1, times in seconds.

    Raises ConfigError for a share outside of 0 to 1, a limit that is not above 0, or KV zones that do not ascend.
    """

    kv_barely_used: float = 0.5  # below: barely used
    kv_fine: float = 0.7  # up to here fine, above it good use
    kv_nearly_full: float = 0.9  # above: nearly full
    kv_thrashing: float = 0.95  # above: prompts take each other's blocks away
    queue_p95_s: float = 0.2  # of 100 queries, 95 should wait less
    failed_share: float = 0.01  # above: something is broken
    rejected_share: float = 0.05  # for overload; above: too few replicas
    prefix_hit_rate: float = 0.05  # below: the prefix cache does not help
    repeat_share: float = 0.2  # above: queries repeat, so their prefix should be found
    few_documents: float = 5.0  # per request; up to here they share little
    shareable_share: float = 0.5  # of prompts whose query is in another one; below: only the template is shared
    request_p95_s: float | None = None  # your own limit for a request's time; None: times are told, not judged

    def __post_init__(self) -> None:
        kv = (self.kv_barely_used, self.kv_fine, self.kv_nearly_full, self.kv_thrashing)
        if list(kv) != sorted(kv):
            raise ConfigError(f"health: kv_barely_used, kv_fine, kv_nearly_full, kv_thrashing must ascend, not {kv}")
        for one in fields(self):
            value, is_share = getattr(self, one.name), one.name.startswith("kv_") or one.name.endswith(SHARES)
            if is_share and not 0 <= value <= 1:
                raise ConfigError(f"health.{one.name}: {value} is no share: write a number from 0 to 1")
            if value is not None and not is_share and not 0 < value < math.inf:
                raise ConfigError(f"health.{one.name}: {value} is no limit: write a number above 0")


QueueZone = Literal["short", "long", "unclear"]


def queue_zone(waits: Histogram | None, limit_s: float) -> QueueZone | None:
    """Whether p95 exceeds the limit, as far as the buckets tell; None where nobody waited or it is not known.

    vLLM's own buckets begin at 0.3 s: what lies in the first one may be anything, unless the mean says more.
    """
    if waits is None or (bracket := waits.bracket(0.95)) is None:
        return None
    if bracket.high <= limit_s:
        return "short"
    if bracket.low >= limit_s:
        return "long"
    if bracket.low == 0:
        return "unclear"
    return "long" if (waits.quantile(0.95) or 0) > limit_s else "short"


def prefixes_shared(traffic: Traffic, zones: Zones) -> bool:
    """Whether prompts begin alike often enough for a cache: queries come again, or have several documents each."""
    repeats, documents = traffic.repeat_share, traffic.documents_per_request
    return (repeats or 0) > zones.repeat_share or (documents or 0) > zones.few_documents


def template_alone(traffic: Traffic, zones: Zones) -> bool:
    """Whether hardly any prompt's query is in another one, so that what the cache finds is what all prompts share."""
    if traffic.shareable is None:
        return False
    return traffic.shareable < zones.shareable_share and not prefixes_shared(traffic, zones)
