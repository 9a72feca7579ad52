"""Where a model judged a run: what its change is worth, by people's grades of some queries and the model's of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.runs.folder import RunFolder
from pipelines.runs.models import judge_known
from stages.core.judges import judged_by
from stages.core.metrics import InferencePart, InferredPart, JudgeErrorPart
from stages.core.records import Judgements
from stages.files.columns import read_first_stage
from stages.files.rankings import read_lists
from stages.judging.kinship import kinship
from stages.judging.precision import About
from stages.judging.second_opinion import model_verdicts


def tell_second_opinion(
    told: dict[str, Any], folder: RunFolder, config: RunConfig, judgements: Judgements, reranker: Mapping[str, Any]
) -> None:
    """Into what is told of a run with a first stage: `inference`, by metric. Nothing where people judged all of it.
    `reranker` is what is known of the model, as `kinship` takes it.
    """
    found = judged_by(judgements)
    if found.by == "people" or "significance" not in told:
        return
    verdicts = model_verdicts(
        dict(read_first_stage(folder.candidates)),
        dict(read_lists(folder.rankings)),
        judgements,
        config.evaluate.metrics,
        About.LIKE_THESE,
        config.evaluate.confidence,
        kin=kinship(judge_known(judgements), reranker),
        bounds=_bounds(told["unjudged"]) if found.by == "model" else {},
    )
    told["inference"] = {metric: asdict(one) for metric, one in verdicts.items()}


def inference_part(found: Mapping[str, Any]) -> InferencePart:
    """One metric of analysis.json -> metrics.json."""
    return {
        "delta": _inferred(found["change"]),
        "first_stage": _inferred(found["first"]),
        "reranked": _inferred(found["second"]),
        "by_model": found["by_model"],
        "judge_error": _error(found["error"]),
        "kin": found["kin"],
        "words": list(found["words"]),
    }


def _error(found: Mapping[str, Any] | None) -> JudgeErrorPart | None:
    if found is None:
        return None
    low, high = found["interval"] or (None, None)
    return {"mean": found["error"], "low": low, "high": high, "told": found["told"]}


def _inferred(found: Mapping[str, Any]) -> InferredPart:
    low, high = found["interval"] or (None, None)
    return {
        "mean": found["mean"],
        "low": low,
        "high": high,
        "method": found["method"] and str(found["method"]),
        "rho": found["rho"],
        "judged": found["n"],
        "population": found["population"],
    }


def _bounds(unjudged: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Of the change, where documents are ungraded that might have been relevant."""
    return {
        metric: (found["difference"]["low"], found["difference"]["high"])
        for metric, found in unjudged.items()
        if found["documents"] and not found["relevant_only"] and found["difference"]["low"] is not None
    }
