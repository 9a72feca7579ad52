"""Counters and histograms that add up across batches and replicas.

A *snapshot* is what one replica's engine has counted since it started; the difference of two snapshots is what it did
in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stages.telemetry.histogram import Histogram, HistogramRecorder

# 1 ms to 10 minutes, each bound 2**(1/4) = 1.19 times the one before: a percentile is at most 19 % off.
TIME_BOUNDS_MS = tuple(2 ** (step / 4) for step in range(78))
NO_TIMES = HistogramRecorder(TIME_BOUNDS_MS).freeze()
# Values of nodes that are kept (25 MB); a run of many nodes and hours is sampled half as often each time it has more.
MOST_SYSTEM_POINTS = 200_000


@dataclass(frozen=True, slots=True)
class NodeSample:
    """How busy a node is at one moment: `values` by name, as `cpu_utilization_percentage` (0 to 100)."""

    node: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one engine counted since its start; `running`, `waiting` and `kv_usage` are peaks since the last
    snapshot. `processor_s` is what its processes computed since it was ready. `node_sample` is of the whole node, now
    and then: those of two replicas on it are not to be added.
    """

    replica: str
    time_s: float
    prompt_tokens: int = 0
    generation_tokens: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0
    finished: int = 0
    preemptions: int = 0
    queue_ms: Histogram = NO_TIMES
    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    processor_s: float = 0.0
    node_sample: NodeSample | None = None


COUNTERS = (
    "prompt_tokens",
    "generation_tokens",
    "prefix_queries",
    "prefix_hits",
    "finished",
    "preemptions",
    "queue_ms",
    "processor_s",
)


def since(now: Snapshot, before: Snapshot | None) -> Snapshot:
    """`now` with the counts of `before` taken off; gauges stay as they are."""
    if before is None:
        return now
    return replace(now, **{name: getattr(now, name) - getattr(before, name) for name in COUNTERS})


def add_up(snapshots: Iterable[Snapshot]) -> Snapshot:
    """One snapshot for several replicas: counts and queue lengths are added, cache use is the highest."""
    total = Snapshot(replica="all", time_s=0.0)
    for one in snapshots:
        summed = {name: getattr(total, name) + getattr(one, name) for name in (*COUNTERS, "running", "waiting")}
        total = replace(
            total, time_s=max(total.time_s, one.time_s), kv_usage=max(total.kv_usage, one.kv_usage), **summed
        )
    return total


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """The run at one moment: `elapsed_s` since scoring began; rates are over the time since the point before."""

    elapsed_s: float
    queries_done: int
    pairs_done: int
    pairs_per_s: float
    prompt_tokens_per_s: float
    running: int
    waiting: int
    kv_usage: float
    prefix_hit_rate: float | None
    queue_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class SystemPoint:
    """One value of one node, `elapsed_s` after scoring began, as the points of the timeline count it."""

    elapsed_s: float
    node: str
    name: str
    value: float


def ratio(part: float, whole: float) -> float | None:
    """part / whole, or None where there is no whole: a rate that does not apply is never 0."""
    return part / whole if whole else None


class Telemetry:
    """A run's view of its replicas: takes their snapshots as they come, gives totals and a timeline of the run.

    The first snapshot of a replica that already served others is its baseline: what it counted before does not belong
    to this run. A replica that dies keeps its last counts.
    """

    def __init__(self, baselines: Mapping[str, Snapshot], started_s: float) -> None:
        self.baselines = dict(baselines)
        self.latest = dict(baselines)
        self.points: list[TimelinePoint] = []
        self.system: list[SystemPoint] = []
        self._system_every = 1
        self._started_s = self._last_s = started_s
        self._last_total = self.total()
        self._last_pairs = 0
        self.waiting_peak, self.kv_usage_peak = 0, 0.0

    def take(self, snapshots: Sequence[Snapshot], now_s: float, queries_done: int, pairs_done: int) -> TimelinePoint:
        """Add what came since the last call as one point of the timeline."""
        for one in snapshots:
            self.latest[one.replica] = one
        total = self.total()
        step = since(total, self._last_total)
        seconds = max(now_s - self._last_s, 1e-9)
        gauges = _peaks(snapshots)
        point = TimelinePoint(
            elapsed_s=now_s - self._started_s,
            queries_done=queries_done,
            pairs_done=pairs_done,
            pairs_per_s=(pairs_done - self._last_pairs) / seconds,
            prompt_tokens_per_s=step.prompt_tokens / seconds,
            running=gauges.running,
            waiting=gauges.waiting,
            kv_usage=gauges.kv_usage,
            prefix_hit_rate=ratio(step.prefix_hits, step.prefix_queries),
            queue_p95_ms=step.queue_ms.quantile(0.95),
        )
        self.waiting_peak = max(self.waiting_peak, gauges.waiting)
        self.kv_usage_peak = max(self.kv_usage_peak, gauges.kv_usage)
        self._last_s, self._last_total, self._last_pairs = now_s, total, pairs_done
        self.points.append(point)
        self._take_system(snapshots, point.elapsed_s)
        return point

    def _take_system(self, snapshots: Sequence[Snapshot], elapsed_s: float) -> None:
        """The newest sample of each node, whichever of its replicas took it."""
        if (len(self.points) - 1) % self._system_every:
            return
        newest = {one.node_sample.node: one.node_sample for one in snapshots if one.node_sample}
        for sample in newest.values():
            self.system += [SystemPoint(elapsed_s, sample.node, name, value) for name, value in sample.values.items()]
        if len(self.system) > MOST_SYSTEM_POINTS:
            self._system_every *= 2
            kept = set(sorted({point.elapsed_s for point in self.system})[::2])
            self.system = [point for point in self.system if point.elapsed_s in kept]

    def total(self) -> Snapshot:
        """What all replicas did for this run, so far."""
        return add_up(since(now, self.baselines.get(name)) for name, now in self.latest.items())


def _peaks(snapshots: Sequence[Snapshot]) -> Snapshot:
    """The highest gauges of each replica among these snapshots, added up over the replicas."""
    highest: dict[str, Snapshot] = {}
    for one in snapshots:
        seen = highest.get(one.replica, one)
        peaks = {name: max(getattr(seen, name), getattr(one, name)) for name in ("running", "waiting", "kv_usage")}
        highest[one.replica] = replace(one, **peaks)
    return add_up(highest.values())
