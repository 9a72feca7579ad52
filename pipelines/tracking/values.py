"""The numbers of a run folder -> MLflow's metrics: single values, and series with a step.

MLflow's pages sort metrics by name, capitals first (3.17: `getKeys(...).sort()` in its compare page). So the ten that
matter first are there once more under `Summary/01_...` to `Summary/10_...`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from pipelines.base.flatten import flatten
from pipelines.runs.folder import RunFolder
from pipelines.tracking.content import legal_name
from stages.core.judges import MODEL_PREFIX, judge_of
from stages.core.metrics import Metrics, StagePart
from stages.quality.evaluate import metric_key

SERIES = {
    "pairs_per_s": "throughput/pairs_per_s_over_time",
    "prompt_tokens_per_s": "throughput/prompt_tokens_per_s_over_time",
    "running": "queue/running_over_time",
    "waiting": "queue/waiting_over_time",
    "queue_p95_ms": "queue/time_ms_p95_over_time",
    "prefix_hit_rate": "cache/prefix_hit_rate_over_time",
    "kv_usage": "cache/kv_usage_over_time",
}
# Points of a series in MLflow, whose charts draw 320; all are in the Parquet files. Of a longer run every second, third
# ... moment is logged: ten hours in full took two minutes.
LONGEST_SERIES = 3600
# Of these no value comes of judgements but those that begin so.
PLAIN = (
    *("Summary", "judgements", "coverage", "scores", "throughput", "queue", "latency", "hosted", "cache", "tokens"),
    *("harm", "ties", "position", "cost"),
)
OF_JUDGEMENTS = ("gain_per_engine_s", "first_lost", "pushed_out", "rescued")
SECTIONS = ("judgements", "coverage", "scores", "throughput", "queue", "latency", "hosted", "cache", "tokens", "harm")
ANALYSED = ("oracle", "fusion", "calibration", "ties", "judged", "position", "cost")
# What analysis.json calls it -> with its unit.
UNITS = {
    "oracle/gained": "oracle/gained_share",
    "ties/tied_neighbours": "ties/tied_neighbours_share",
    "ties/all_equal_lists": "ties/all_equal_lists_share",
    "ties/saturated": "ties/saturated_share",
    "position/failed": "position/failed_pairs",
    "position/largest": "position/largest_score_change",
    "position/largest_logit": "position/largest_logit_change",
}
TESTED = {
    "corrected_p": "p",
    "effect_size": "effect_size",
    "minimum_detectable": "minimum_detectable",
    "wins": "wins_queries",
    "ties": "ties_queries",
    "losses": "losses_queries",
}


class SeriesPoint(NamedTuple):
    """One value of a series, at a time (Unix ms) and a step."""

    name: str
    value: float
    moment_ms: int
    step: int


def run_metrics(metrics: Metrics, analysis: Mapping[str, Any]) -> dict[str, float]:
    """metrics.json and analysis.json under MLflow's names: the reranked quality bare (`ndcg_at_10`), all else under its
    section. Values that do not apply are left out. Those that come of a model's judgements begin with `by_model/`, so
    that no page puts them beside people's.
    """
    quality = metrics["quality"]
    named: dict[str, Any] = dict(quality["reranked"] or {})
    named |= {f"first_stage/{name}": value for name, value in (quality["first_stage"] or {}).items()}
    named |= {f"delta/{name}": value for name, value in (quality["delta"] or {}).items()}
    sections: Mapping[str, Any] = metrics
    for section in ("unjudged", "slices"):
        named |= dict(flatten(sections.get(section) or {}, f"{section}/", "/"))
    fused = sections.get("fused_first_stages") or {}
    for part in fused.keys() - {"alone"}:  # which the runs below this one hold
        named |= {f"fused_first_stages/{part}/{name}": value for name, value in fused[part].items()}
    for section in SECTIONS:
        named |= dict(flatten(sections.get(section) or {}, f"{section}/", "_"))
    for number, stage in enumerate(metrics.get("stages") or (), 1):
        named |= dict(_of_stage(stage, f"stage_{number}/"))
    named |= dict(_analysed(analysis))
    by_model = judge_of(metrics) is not None
    named |= summary(named, metrics, analysis, "by_model_" if by_model else "")
    if by_model:
        named = {of_model(name): value for name, value in named.items()}
    named |= dict(flatten(metrics.get("inference") or {}, "inference/", "/"))
    return {legal_name(name): float(value) for name, value in named.items() if _is_number(value)}


def of_model(name: str) -> str:
    """Marked, but for what is not of judgements: the job's cost and speed, and what a summary names already."""
    parts = name.split("/")
    section = parts[1] if parts[0].startswith("stage_") and len(parts) > 2 else parts[0]
    plain = section in PLAIN and not name.rpartition("/")[2].startswith(OF_JUDGEMENTS)
    return name if plain else MODEL_PREFIX + name


def summary(named: dict[str, Any], metrics: Metrics, analysis: Mapping[str, Any], mark: str = "") -> dict[str, Any]:
    """The ten values to look at first, in this order, of the main metric and of the cost; `mark` begins the former."""
    main = next((metric_key(name) for name in analysis.get("metrics", ())), None)
    main = main or next(iter(metrics["quality"]["reranked"] or {}), None)
    quality = {main: main, f"{main}_first_stage": f"first_stage/{main}", f"{main}_change": f"delta/{main}"}
    quality[f"{main}_change_p"] = f"significance/{main}_p"
    cost = {
        "unanswered_queries": "coverage/unanswered",
        "failed_pairs": "coverage/failed_pairs",
        "pairs_per_s": "throughput/pairs_per_s",
        "engine_s_per_query": "cost/engine_s_per_query",
        "queue_p95_ms": "queue/time_ms_p95",
        "prefix_hit_rate": "cache/prefix_hit_rate",
    }
    ordered = [*((f"{mark}{name}", key) for name, key in quality.items()), *cost.items()]
    return {f"Summary/{place:02}_{name}": named.get(key or "") for place, (name, key) in enumerate(ordered, 1)}


def run_series(
    folder: RunFolder, analysis: Mapping[str, Any], finished_ms: int, *, by_model: bool = False
) -> Iterator[SeriesPoint]:
    """All series: the timeline and the nodes by elapsed second, the depth curve, marked `by_model`, by depth."""
    length_s = 0.0
    if folder.timeline.exists():
        yield from timeline_series(folder.timeline, finished_ms)
        length_s = max(pq.read_table(folder.timeline, columns=["elapsed_s"]).column(0).to_pylist(), default=0.0)
    if folder.system.exists():
        yield from system_series(folder.system, finished_ms, length_s)
    for point in depth_series(analysis, finished_ms):
        yield point._replace(name=MODEL_PREFIX + point.name) if by_model else point


def timeline_series(timeline: Path, finished_ms: int) -> Iterator[SeriesPoint]:
    """Each column of the timeline over time; the step is the elapsed second."""
    rows = pq.read_table(timeline).to_pylist()
    length_s = rows[-1]["elapsed_s"] if rows else 0.0
    for row in rows[:: _every(len(rows))]:
        moment_ms = finished_ms - int((length_s - row["elapsed_s"]) * 1000)
        for column, name in SERIES.items():
            if row[column] is not None:
                yield SeriesPoint(name, float(row[column]), moment_ms, round(row["elapsed_s"]))


def system_series(system: Path, finished_ms: int, length_s: float) -> Iterator[SeriesPoint]:
    """How busy each node was, under the names that MLflow shows as system metrics: `system/NODE/cpu_...`."""
    rows = pq.read_table(system).to_pylist()
    moments = sorted({row["elapsed_s"] for row in rows})
    wanted = set(moments[:: _every(len(moments))])
    for row in rows:
        if row["elapsed_s"] not in wanted:
            continue
        moment_ms = finished_ms - int((length_s - row["elapsed_s"]) * 1000)
        name = legal_name(f"system/{row['node'].replace('/', '_')}/{row['name']}")
        yield SeriesPoint(name, row["value"], moment_ms, round(row["elapsed_s"]))


def depth_series(analysis: Mapping[str, Any], finished_ms: int) -> Iterator[SeriesPoint]:
    """Each metric, had only so many documents been reranked; the step is that depth."""
    for point in (analysis.get("depth") or {}).get("points", ()):
        for metric, mean in point["means"].items():
            if mean is not None:
                yield SeriesPoint(f"{metric_key(metric)}_by_depth", float(mean), finished_ms, point["depth"])


def _every(moments: int) -> int:
    return max(1, -(-moments // LONGEST_SERIES))


def _of_stage(stage: StagePart, prefix: str) -> Iterator[tuple[str, Any]]:
    """As of a run: what it was given and what it left, bare, all else under its section."""
    for name, value in (stage["quality"]["reranked"] or {}).items():
        yield f"{prefix}{name}", value
    for name, value in (stage["quality"]["delta"] or {}).items():
        yield f"{prefix}delta/{name}", value
    sections: Mapping[str, Any] = stage
    for section in (*SECTIONS, "cost"):
        yield from flatten(sections.get(section) or {}, f"{prefix}{section}/", "_")


def _analysed(analysis: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for metric, tested in (analysis.get("significance") or {}).items():
        key = f"significance/{metric_key(metric)}"
        for name, written in TESTED.items():
            yield f"{key}_{written}", tested.get(name)
        low, high = tested.get("interval") or (None, None)
        yield f"{key}_ci_low", low
        yield f"{key}_ci_high", high
    for name in ("best", "enough"):
        for metric, depth in ((analysis.get("depth") or {}).get(name) or {}).items():
            yield f"depth/{name}_documents_{metric_key(metric)}", depth
    for one in (analysis.get("prompt") or {}).get("savings", ()):
        low, high = one["interval"] or (None, None)
        for name, value in (("saved_tokens", one["saved"]), ("saved_ci_low", low), ("saved_ci_high", high)):
            yield f"prompt/{name}_at_{one['budget']}", value
    for section in ANALYSED:
        for name, value in flatten(analysis.get(section) or {}, f"{section}/", "_"):
            yield _with_unit(name), value


def _with_unit(name: str) -> str:
    whole = UNITS.get(name)
    parts = (unit + name.removeprefix(old) for old, unit in UNITS.items() if name.startswith(f"{old}_"))
    return whole or next(parts, name)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
