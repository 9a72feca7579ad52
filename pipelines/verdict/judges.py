"""Whose judgements the values of runs are, and what follows for a difference between them: two judges measure two
things, and one that is a model has errors that no test sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.runs.models import judge_known, reranker_known
from pipelines.runs.read import RunContent
from stages.core.judges import judge_of, mark_of
from stages.core.words import first_up
from stages.files.judgements import read_judgements
from stages.files.rankings import read_lists
from stages.judging.kinship import kinship
from stages.judging.precision import About
from stages.judging.second_opinion import ModelVerdict, model_verdicts
from stages.quality.comparison import Tested, with_mark


def unlike(one: RunContent, other: RunContent) -> str | None:
    """How two runs were judged, where it was not by the same; None where it was."""
    whose = [(by.get("by", "people"), judge_of(run.metrics)) for run in (one, other) for by in [_told(run)]]
    if whose[0] == whose[1]:
        return None
    said = [mark_of(run.metrics) or "by people's judgement" for run in (one, other)]
    return f"{one.run_id} is {said[0]}, {other.run_id} {said[1]}"


def _told(run: RunContent) -> Mapping[str, object]:
    return run.metrics.get("judgements") or {}


def second_opinions(
    baseline: RunContent, run: RunContent, metrics: Sequence[str], confidence: float
) -> dict[str, ModelVerdict]:
    """Of the change from the baseline's lists to the run's, by metric. Empty where people judged all, where the two
    were judged otherwise, and where lists or judgements are not at hand, as of runs that lie in MLflow alone.
    """
    mark, same = mark_of(run.metrics), baseline.metrics.get("judgements_digest") == run.metrics.get("judgements_digest")
    if mark is None or not same or not baseline.folder.judgements.is_file():
        return {}
    try:
        judgements = read_judgements(baseline.folder.judgements)
        before, after = (dict(read_lists(one.folder.rankings)) for one in (baseline, run))
    except (OSError, ValueError, KeyError):
        return {}
    if not before or not after:
        return {}
    judge = judge_known(judgements)
    kin = next(filter(None, (kinship(judge, reranker_known(one.metrics)) for one in (run, baseline))), None)
    names = (baseline.run_id, run.run_id)
    return model_verdicts(before, after, judgements, metrics, About.LIKE_THESE, confidence, kin=kin, names=names)


def judged_difference(
    tested: Tested, baseline: RunContent, run: RunContent, found: Mapping[str, ModelVerdict]
) -> Tested:
    """With what may be said of it. Of runs that were judged by others nothing is: its p is 1."""
    if told := unlike(baseline, run):
        words = f"{tested.metric}: {told}; they differ in their judges, so no difference is told to be real"
        return replace(tested, corrected_p=1.0, words=words)
    if tested.metric in found:
        return replace(tested, words=". ".join(map(first_up, found[tested.metric].words)))
    return with_mark(tested, mark_of(run.metrics))
