"""What a gate may limit, by name: the metrics of a run, and the numbers of its metrics.json."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from stages.core.errors import ConfigError
from stages.core.metrics import InferencePart, Metrics, QualityPart, UnjudgedPart
from stages.core.words import key_name, nearest
from stages.quality.evaluate import metric_key

# What a limit may be called besides its place in metrics.json.
SHORT_NAMES = {
    # Bare, they were the queue's alone before others had them.
    "p50": "queue.time_ms.p50",
    "p95": "queue.time_ms.p95",
    "p99": "queue.time_ms.p99",
    "queue_p50_ms": "queue.time_ms.p50",
    "queue_p95_ms": "queue.time_ms.p95",
    "queue_p99_ms": "queue.time_ms.p99",
}
_OF_JUDGEMENTS = ("quality.", "unjudged.", "slices.", "fused_first_stages.", "harm.")
RERANKED, GAINED = "quality.reranked.", "quality.delta."
"""Where the quality of the new order stands in metrics.json, and what it gained."""


def numbers_of(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float | None]:
    """Place in metrics.json (`queue.time_ms.p95`) -> number, None for null; texts are left out."""
    found: dict[str, float | None] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            found |= numbers_of(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, int | float):
            found[prefix + name] = None if value is None else float(value)
    return found


def places(metrics: Sequence[str]) -> list[str]:
    """Every place of a number in the metrics.json of a run that measures `metrics` (`ndcg@10`)."""
    keys = [metric_key(name) for name in metrics]
    measured = [f"quality.{side}.{key}" for side in QualityPart.__annotations__ for key in keys]
    measured += [f"unjudged.{key}.{place}" for key in keys for place in _numbers(UnjudgedPart)]
    measured += [f"inference.{key}.{place}" for key in keys for place in _numbers(InferencePart)]
    return [*measured, *_numbers(Metrics)]


def is_of_judgements(place: str) -> bool:
    """Whether the number at this place comes of the judgements as they are: `inference` allows for a model's errors,
    but not in the change by the model alone.
    """
    return place.startswith(_OF_JUDGEMENTS) or (place.startswith("inference.") and place.endswith(".by_model"))


def place_of(name: str, known: Collection[str]) -> str:
    """The place that a limit's name means: a whole place, one of SHORT_NAMES, or the last part where that is unique.

    Raises ConfigError where it means none of `known`, or several.
    """
    place = SHORT_NAMES.get(name, key_name(name.replace("/", ".")))
    if place in known:
        return place
    ends = [one for one in known if one.endswith(f".{place}")]
    # A metric's bare name is the reranked one, as in MLflow.
    ends = [one for one in ends if one.startswith(RERANKED)] or ends
    if len(ends) != 1:
        raise ConfigError(_unknown(name, ends, known))
    return ends[0]


def metric_of(name: str, measured: Collection[str], option: str) -> str:
    """The metric that is meant, by its own name (`ndcg@10`), however it was written. Raises ConfigError."""
    names = {metric_key(metric): metric for metric in measured}
    metric = names.get(name, name)
    if metric not in measured:
        raise ConfigError(f"{option} {name}: this run has {', '.join(names) or 'no metrics'}")
    return metric


def _unknown(name: str, several: Sequence[str], numbers: Collection[str]) -> str:
    if several:
        return f"{name} may be any of {', '.join(several)}: write one of them"
    known = [*numbers, *SHORT_NAMES, *(place.rpartition(".")[2] for place in numbers)]
    return f"{name} is no number of metrics.json; did you mean {nearest(name, known)}?"


def _numbers(part: type, above: str = "") -> Iterator[str]:
    """The places of a part's numbers; those of the quality are named by metrics, and not here."""
    for name, kind in typing.get_type_hints(part).items():
        if typing.is_typeddict(kind):
            yield from () if kind is QualityPart else _numbers(kind, f"{above}{name}.")
        elif any(one in (int, float, bool) for one in _kinds(kind)):
            yield above + name


def _kinds(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
