"""What the grades say of the runs: each against its first stage, and of two runs the second against the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from pipelines.base.judge_config import JudgeConfig
from pipelines.grading.judge import Judge
from pipelines.grading.people import Drawn, People
from pipelines.grading.pool import Lists, PooledRun
from stages.core.grades import HIGHEST
from stages.core.records import Judgements
from stages.grading.record import Verdict
from stages.judging.kinship import kinship
from stages.judging.labelled import filled_with
from stages.judging.precision import About
from stages.judging.second_opinion import Draw, ModelVerdict, model_verdicts
from stages.quality.evaluate import evaluate
from stages.quality.unjudged import TwoLists, unjudged


class Change(NamedTuple):
    """Two lists of each query, under their names; `reranker` is what made the second one."""

    before: Lists
    after: Lists
    names: tuple[str, str]
    reranker: Mapping[str, Any]


def verdicts_of(
    config: JudgeConfig, runs: Sequence[PooledRun], judgements: Judgements, people: People, judge: Judge
) -> list[Verdict]:
    """Of each change and metric, the metric that decides first."""
    told = []
    scale = people.scale(config.judge.highest)
    highest = max((scale and scale.of_judge) or (HIGHEST, scale.highest if scale else 0))
    for change in changes_of(runs):
        own = judgements.of(change.before.keys() | change.after.keys())  # of others there is no list, and no change
        draw, about = draw_of(people.drawn, change, runs)
        kin = kinship({"name": judge.name, **judge.identity}, change.reranker)
        metrics = list(config.evaluate.metrics)
        for metric in metrics:
            fits = people.drawn is not None and people.drawn.plan.metric == metric
            found = model_verdicts(
                change.before,
                change.after,
                own,
                [metric],
                about,
                config.evaluate.confidence,
                draw if fits else None,
                kin,
                bounds=bounds_of(change, own, metric, highest),
                names=change.names,
            )
            told += [_told(one, change.names) for one in found.values()]
    return told


def changes_of(runs: Sequence[PooledRun]) -> Iterator[Change]:
    """Of two runs their own change comes first, where they have a query in common."""
    if len(runs) == 2 and runs[0].after.keys() & runs[1].after.keys():
        first, second = runs
        names = (first.run.run_id, second.run.run_id)
        yield Change(_shared(first.after, second.after), _shared(second.after, first.after), names, _model(second))
    for one in runs:
        names = ("first stage", "reranked") if len(runs) == 1 else (f"{one.run.run_id}: first stage", one.run.run_id)
        yield Change(one.before, one.after, names, _model(one))


def draw_of(drawn: Drawn | None, change: Change, runs: Sequence[PooledRun]) -> tuple[Draw | None, About]:
    """How people's queries were chosen, where a plan of this very change chose them."""
    if drawn is None:
        return None, About.LIKE_THESE
    ids = [one["run_id"] for one in drawn.plan.runs]
    own = ids == [one.run.run_id for one in runs]
    if not own or (len(ids) == 2) != (change.names == tuple(ids)):
        return None, drawn.plan.about
    return Draw(drawn.strata, drawn.judged, drawn.skipped), drawn.plan.about


def bounds_of(
    change: Change, judgements: Judgements, metric: str, highest: int = HIGHEST
) -> dict[str, tuple[float, float]]:
    """Where the change lies, whatever grades, up to `highest`, the documents had that neither the model nor people
    graded.
    """
    if not judgements.by_model:
        return {}
    pools = {one: {*change.before.get(one, ()), *change.after.get(one, ())} for one in judgements.grades}
    graded, _ = filled_with(judgements.by_model, judgements.by_people, pools)
    model = Judgements({query_id: grades for query_id, grades in graded.items() if grades})
    values = [evaluate(lists, model, [metric]) for lists in (change.before, change.after)]
    lists = [TwoLists(one, change.before.get(one, ()), change.after.get(one, ())) for one in model.grades]
    found = unjudged(lists, model, *values, highest=highest).get(metric)
    if found is None or found.difference.low is None or found.difference.high is None:
        return {}
    return {metric: (found.difference.low, found.difference.high)}


def _shared(lists: Lists, others: Lists) -> Lists:
    """Of the queries that both runs have."""
    return {query_id: ranking for query_id, ranking in lists.items() if query_id in others}


def _model(one: PooledRun) -> dict[str, Any]:
    """All that is known of a run's reranker: its names, and the digests that its identity tells."""
    metrics = one.run.metrics
    identity = dict(metrics.get("identity") or {})
    return {**identity, **{name: value for name, value in metrics["model"].items() if value is not None}}


def _told(found: ModelVerdict, names: tuple[str, str]) -> Verdict:
    """In the form of judge.json."""
    change = found.change
    tone = "unsure"
    if change.interval is not None and change.mean is not None:
        low, high = change.interval
        tone = "unsure" if low <= 0 <= high else "good" if change.mean > 0 else "bad"
    return Verdict(
        first=names[0],
        second=names[1],
        metric=found.metric,
        words=list(found.words),
        tone=tone,
        method=None if change.method is None or change.interval is None else change.method.value,
        value=change.mean if change.interval is not None else found.by_model,
        interval=None if change.interval is None else (change.interval.low, change.interval.high),
        numbers={
            "by_model": found.by_model,
            "rho": change.rho,
            "people": change.n,
            "queries": change.population,
            "unchanged": found.unchanged,
            "error": None if found.error is None else asdict(found.error),
            "kin": found.kin,
        },
    )
