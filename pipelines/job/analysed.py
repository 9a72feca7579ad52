"""What the analysis found that is a number for other tools -> its parts of metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pipelines.job.harm import with_harm
from pipelines.job.second_opinion import inference_part
from stages.core.metrics import Metrics, SlicePart, UnjudgedPart
from stages.quality.evaluate import metric_key


def with_analysed(metrics: Metrics, analysis: Mapping[str, Any]) -> Metrics:
    """With what changed, what is not judged, and the user's slices."""
    open_, slices = analysis.get("unjudged"), analysis.get("slices")
    metrics["unjudged"] = {metric_key(name): _unjudged(one) for name, one in open_.items()} if open_ else None
    if (inferred := analysis.get("inference")) is not None:
        metrics["inference"] = {metric_key(name): inference_part(one) for name, one in inferred.items()}
    if slices:
        metrics["slices"] = {one["name"]: _slice(one) for one in slices}
    return with_harm(metrics, analysis)


def _unjudged(found: Mapping[str, Any]) -> UnjudgedPart:
    first, second, difference = found["first"], found["second"], dict(found["difference"])
    del difference["judged"]
    told = {"documents": found["documents"], "first_stage": first, "reranked": second, "delta": difference}
    return cast("UnjudgedPart", told)


def _slice(found: Mapping[str, Any]) -> SlicePart:
    before, after = (
        {metric_key(name): mean for name, mean in (found[side] or {}).items()} for side in ("first_stage", "reranked")
    )
    tested = found["tested"]
    return {
        "queries": found["queries"],
        "first_stage": before,
        "reranked": after,
        "delta": {key: after[key] - mean for key, mean in before.items()},
        "p": tested and {metric_key(name): told["corrected_p"] for name, told in tested.items()},
    }
