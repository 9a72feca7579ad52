"""A gate on quality that a model judged: refused, unless it is allowed to, and then for the same judge alone."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.base.limits import is_of_judgements
from pipelines.runs.read import RunContent
from pipelines.verdict.judges import unlike
from pipelines.verdict.limits import Limits
from stages.core.errors import DataError
from stages.core.judges import NO_INTERVAL, mark_of


def check_judge(
    run: RunContent, others: Iterable[RunContent], limits: Limits, places: Iterable[str], *, allowed: bool
) -> None:
    """Raises DataError where a gate asks for quality, which lies at these `places` too, and a model judged that is not
    `allowed` to; and always where one of the `others` was judged by somebody else.
    """
    if not asks_quality(limits, places):
        return
    if not allowed:
        refuse_model(run.run_id, mark_of(run.metrics))
    for other in others:
        if told := unlike(other, run):
            raise DataError(
                f"{told}: no gate compares these. Judge both alike, or gate this one by limits alone (--min, --max)"
            )


def asks_quality(limits: Limits, places: Iterable[str]) -> bool:
    """Whether any rule looks at what comes of judgements."""
    return bool(limits.compares or limits.drifts) or any(map(is_of_judgements, places))


def refuse_model(what: str, mark: str | None) -> None:
    """Raises DataError where there is a mark."""
    if mark is not None:
        raise DataError(
            f"{what} is {mark}, and {NO_INTERVAL}: its quality passes no gate. Gate what people judged, limit "
            "inference.METRIC.delta.low, or allow it: --model-judgements (gate.allow: [model_judgements])"
        )
