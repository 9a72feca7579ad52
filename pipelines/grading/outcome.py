"""What a judging found, in the form of judge.json."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pipelines.base.judge_config import JudgeConfig
from pipelines.grading.folder import Row
from pipelines.grading.judge import Asked, Judge, digest_of
from pipelines.grading.people import People
from pipelines.grading.pool import Pair, PooledRun, Wanted
from pipelines.grading.samples import Sampled
from pipelines.runs.read import RunContent
from pipelines.verdict.queries import groups_of
from stages.core.grades import HIGHEST
from stages.core.judge_prompt import JudgePrompt
from stages.core.records import Judgements
from stages.core.words import counted
from stages.grading.agreement import agreement
from stages.grading.record import Cost, Counts, Judged, JudgeRecord, Pool, Verdict
from stages.grading.record import Judge as JudgePart
from stages.grading.reply import grade_of, reason_of
from stages.grading.scale import Scale

NO_TEXT = "no run has a text of the pair"


class Found(NamedTuple):
    """All that a judging met, before it is told."""

    config: JudgeConfig
    runs: Sequence[PooledRun]
    people: People
    wanted: Wanted
    prompt: JudgePrompt
    answer: str
    judge: Judge
    asked: Asked
    rows: Sequence[Row]
    without_text: Sequence[Pair]
    sampled: Sampled


def rows_of(asked: Asked, prompt: JudgePrompt) -> list[Row]:
    """Each pair that was asked for, with the grade that was read in its reply, in the order of their ids."""
    return [
        Row(pair.query_id, pair.doc_id, one.reply, replace(grade_of(one.reply, prompt), stored=one.stored))
        for pair, one in sorted(asked.told.items())
    ]


def called(judge: Judge) -> str:
    """NAME@DIGEST: what a judge is called wherever its grades stand."""
    return f"{judge.name}@{digest_of(judge.identity)}"


def by_model(rows: Sequence[Row], scale: Scale | None = None) -> dict[str, dict[str, int]]:
    """Query id -> document id -> grade, of the pairs that have one; on people's `scale` where it is given and known, as
    gains of two scales cannot be added.
    """
    on_scale = (scale and scale.of_judge) or range(HIGHEST + 1)
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.graded.grade is not None:
            found.setdefault(row.query_id, {})[row.doc_id] = on_scale[row.graded.grade]
    return found


def judgements_of(
    judge: str, rows: Sequence[Row], people: People, queries: Mapping[str, object], scale: Scale | None
) -> Judgements:
    """People's grades of the runs' queries, and the judge's elsewhere, on people's scale."""
    model = by_model(rows, scale)
    own = {query_id: dict(grades) for query_id, grades in people.grades.items() if query_id in queries}
    grades = {query_id: {**model.get(query_id, {}), **own.get(query_id, {})} for query_id in sorted({*model, *own})}
    return Judgements(grades, judge=judge, by_model=model, by_people=own)


def record_of(found: Found, verdicts: Sequence[Verdict], notes: Sequence[str]) -> JudgeRecord:
    """Everything but what is written of it."""
    config, judge, rows, evaluate = found.config, found.judge, found.rows, found.config.evaluate
    groups = groups_of([one.run for one in found.runs])
    grades = Counter(row.graded.grade for row in rows if row.graded.grade is not None)
    missing = Counter(reason_of(row.graded.missing) for row in rows if row.graded.missing is not None)
    missing.update({NO_TEXT: len(found.without_text)} if found.without_text else {})
    return JudgeRecord(
        runs=[_judged(one.run) for one in found.runs],
        judge=JudgePart(
            name=judge.name,
            digest=digest_of(judge.identity),
            mode=found.answer,
            prompt=found.prompt.name,
            prompt_digest=found.prompt.digest,
            identity=dict(judge.identity),
        ),
        pool=Pool(config.depth, len(found.wanted.pool), list(_lists(found.runs))),
        counts=_counts(found),
        grades=[grades[grade] for grade in range(HIGHEST + 1)],
        missing=dict(missing.most_common()),
        agreement=agreement(
            found.people.grades,
            by_model(rows),
            highest=config.judge.highest or found.people.highest,
            slices=groups,
            seed=evaluate.seed,
            confidence=evaluate.confidence,
        ),
        repeatability=found.sampled.repeatability,
        planted=found.sampled.planted,
        cost=_cost(found),
        verdicts=verdicts,
        notes=notes,
    )


def _of_scale(scale: Scale | None) -> Iterator[str]:
    """Where the judge's grades are told on people's scale, or cannot be."""
    raw = range(HIGHEST + 1)
    if scale is None or tuple(scale.of_judge or ()) == tuple(raw):
        return
    if scale.of_judge is None:
        yield (
            f"people's grades go from 0 to {scale.highest} and the judge's to {HIGHEST}: what metrics make of both "
            "together is of two scales, and means nothing"
        )
        return
    mapped = ", ".join(f"{grade} is {scale.of_judge[grade]}" for grade in raw)
    yield (
        f"people's grades go from 0 to {scale.highest} (judge.highest says otherwise), so in metrics, verdicts and "
        f"qrels.tsv the judge's {mapped}; grades.parquet has them as it gave them"
    )


def notes_of(found: Found) -> Iterator[str]:
    """What a reader has to mind, beside agreement and verdicts."""
    yield from found.people.remarks
    yield from _of_scale(found.people.scale(found.config.judge.highest))
    if found.without_text:
        yield (
            f"{counted(len(found.without_text), 'pair has', 'pairs have')} no text in any run, as they lie below "
            "data.depth or have none: nobody was asked"
        )
    shallow = [
        one.run.run_id
        for one in found.runs
        if ((one.run.config.get("data") or {}).get("depth") or found.config.depth) < found.config.depth
    ]
    if shallow:
        told = ", ".join(shallow)
        yield f"{told} reranked less deep than the pool, which is the top {found.config.depth} of each list"
    if len(found.runs) == 2 and not found.runs[0].after.keys() & found.runs[1].after.keys():
        yield "the runs have no query in common: nothing is told of the second against the first"
    if found.wanted.skipped:
        yield f"{counted(found.wanted.skipped, 'pair')} that people judged: not asked for (judge.overlap)"


def _counts(found: Found) -> Counts:
    rows = found.rows
    stored = sum(row.graded.stored for row in rows)
    pooled = {query_id: set(ids) for query_id, ids in found.wanted.pool.items()}
    people = found.people.grades
    return Counts(
        pairs=sum(map(len, pooled.values())),
        asked=len(rows) - stored,
        stored=stored,
        graded=sum(row.graded.grade is not None for row in rows),
        missing=sum(row.graded.grade is None for row in rows) + len(found.without_text),
        by_people=sum(len(ids & people.get(query_id, {}).keys()) for query_id, ids in pooled.items()),
        truncated=sum(row.reply.truncated for row in rows),
    )


def _cost(found: Found) -> Cost:
    """Of this run, both samples among it; what the store knew cost nothing."""
    all_asked = [found.asked, *found.sampled.asked]
    every = [one for asked in all_asked for one in asked.told.values()]
    fresh, known = ([one.reply for one in every if one.stored is stored] for stored in (False, True))
    seconds = sum(asked.seconds for asked in all_asked)
    told: Mapping[str, Any] = found.judge.cost()
    return Cost(
        asked=len(fresh),
        prompt_tokens=sum(reply.prompt_tokens for reply in fresh),
        generated_tokens=sum(reply.generated_tokens for reply in fresh),
        seconds=seconds,
        pairs_per_s=len(fresh) / seconds if fresh and seconds > 0 else None,
        requests=told.get("requests"),
        money=told.get("cost"),
        stored=len(known),
        stored_prompt_tokens=sum(reply.prompt_tokens for reply in known),
        stored_generated_tokens=sum(reply.generated_tokens for reply in known),
    )


def _judged(run: RunContent) -> Judged:
    digest = hashlib.sha256(run.folder.metrics.read_bytes()).hexdigest()
    return Judged(run.run_id, str(run.folder.path), digest, run.metrics["model"]["name"])


def _lists(runs: Sequence[PooledRun]) -> Iterator[str]:
    for one in runs:
        yield f"{one.run.run_id}: first stage"
        yield f"{one.run.run_id}: reranked"
