"""A hosted model beside one's own: quality, latency and cost of each, in one table and one figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.core.metrics import Metrics
from stages.core.words import interval, metric_value, number
from stages.report import figures
from stages.report.document import Block, Cell, Column, Figure, Table, Text, change


def beside_hosted(
    main: str, tested: list[Mapping[str, Any]], metrics: Mapping[str, Metrics], costs: Mapping[str, Mapping[str, Any]]
) -> Iterator[Block]:
    """`tested` are changes of the metric `main` against the first run; nothing where none is hosted."""
    if not any(one.get("hosted") for one in metrics.values()):
        return
    changes = {str(told["system"]): told for told in tested}
    columns = ["run", main, "change", "interval", "query p50, ms", "query p95, ms", "money per 1,000 queries"]
    rows = [_row(label, changes.get(label), tested[0], one, costs[label]) for label, one in metrics.items()]
    yield Table([Column(name, numeric=name != "run") for name in columns], rows)
    yield Text(
        "The latency of a query is from asking for it to its last score, under the load that the job itself made: "
        "hosted.concurrency and hosted.requests_per_minute there, rerank.batch_queries and rerank.workers here. Money "
        "is by the prices under hosted, and by cost.per_hour for an engine of one's own."
    )
    models = {label: _model(one) for label, one in metrics.items()}
    names = models if len(set(models.values())) == len(models) else dict(zip(models, models, strict=True))
    points = [
        {
            "name": names[label],
            "told": f"p95 {number(_latency(one, 'p95'), ' ms')}",
            "quality": _mean(changes.get(label), tested[0]),
            "cost": money,
            **_ends(changes.get(label), tested[0]),
        }
        for label, one in metrics.items()
        if (money := costs[label].get("money_per_1000_queries")) is not None
    ]
    if len(points) > 1:
        yield Figure(
            "hosted",
            f"{main} of each run by its money per 1,000 queries",
            lambda: figures.cost_quality(points, main, "money per 1,000 queries"),
            "Up is better, left is cheaper. Lines are the intervals of the change against the baseline; p95 is of a "
            "query's latency.",
        )
    else:
        yield Text("A figure needs the money of both: set a price under hosted, and cost.per_hour for one's own.")


def _row(
    label: str, told: Mapping[str, Any] | None, first: Mapping[str, Any], metrics: Metrics, cost: Mapping[str, Any]
) -> list[Cell | str]:
    return [
        f"{label}: {_model(metrics)}",
        metric_value(_mean(told, first)),
        change(told) if told else "",
        interval(told["interval"]) if told else "",
        number(_latency(metrics, "p50")),
        number(_latency(metrics, "p95")),
        number(cost.get("money_per_1000_queries")),
    ]


def _model(metrics: Metrics) -> str:
    name = metrics["model"]["name"]
    return f"{name} ({hosted['api']})" if (hosted := metrics.get("hosted")) else name


def _mean(told: Mapping[str, Any] | None, first: Mapping[str, Any]) -> float:
    mean: float = told["mean_system"] if told else first["mean_baseline"]
    return mean


def _ends(told: Mapping[str, Any] | None, first: Mapping[str, Any]) -> dict[str, float]:
    """Where the change's interval puts the mean; the baseline has none."""
    if told is None or not told["interval"]:
        return {}
    low, high = (first["mean_baseline"] + end for end in told["interval"])
    return {"low": low, "high": high}


def _latency(metrics: Metrics, name: str) -> float | None:
    found: float | None = dict(metrics.get("latency", {}).get("query_ms") or {}).get(name)  # type: ignore[assignment]
    return found
