"""Hop 7 of a cascade: the folders of its stages -> everything that the folder of the whole run holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.job.analysed import with_analysed
from pipelines.job.analysis import BesideCandidates, Findings, tell_tokenizer, write_told
from pipelines.job.ranked import (
    evaluate_lists,
    evaluate_rankings,
    failed_pairs,
    query_ids_of,
    write_findings,
    write_trec,
)
from pipelines.job.remarks import moved_remark
from pipelines.job.scored import Scored, work_of
from pipelines.job.second_opinion import tell_second_opinion
from pipelines.job.summary import Coverage
from pipelines.job.whole_metrics import WholeFacts, cascade_metrics, stage_part, whole_cost
from pipelines.job.write import write_results
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from stages.analysis.assemble import analyse_lists
from stages.analysis.compared import AnalysisSettings
from stages.core.records import SetAside
from stages.files.columns import read_first_stage
from stages.files.rankings import read_answered


def write_cascade(folder: RunFolder, config: RunConfig, scored: Sequence[Scored]) -> None:
    """Complete the folder of each stage, as of a job of its own, and that of the whole. Its rankings are those of the
    last stage, whose tail is the list of the stage before.
    """
    folders = [folder.stage(number) for number in range(1, len(scored) + 1)]
    coverages = []
    for stage, one in zip(folders, scored, strict=True):
        one.prepared.judgements = scored[0].prepared.judgements  # with the tokens that the first one counted
        coverages.append(write_results(stage, one))
    shutil.copytree(folders[-1].rankings, folder.rankings)
    write_trec(folder)
    answered = frozenset(query_id for stage in folders for query_id in read_answered(stage.rankings))
    found = _findings(folder, config, scored, coverages, answered)
    write_findings(folder, config, found, scored[0].dataset, [engine for one in scored for engine in one.engines])
    costs = [json.loads(stage.analysis.read_text(encoding="utf-8"))["cost"] for stage in folders]
    gains = {name: found.reranked.mean(name) - found.first_stage.mean(name) for name in found.first_stage.values}
    cost = whole_cost(costs, [one.hosted is not None for one in scored], gains)
    told = _write_analysis(folder, config, found, _cut(folders), cost)
    facts = _facts(folder, config, scored, found, len(answered), sum(one.prompt_tokens for one in coverages))
    stages = [
        stage_part(read_metrics(stage), one.config.data.depth, work_of(coverage, one).engine_s, cost)
        for stage, one, coverage, cost in zip(folders, scored, coverages, costs, strict=True)
    ]
    metrics = with_analysed(cascade_metrics(facts, stages), told)
    if (made := read_metrics(folders[0]).get("first_stage_made")) is not None:
        metrics["first_stage_made"] = made
    folder.write_json(folder.metrics, metrics)


def _findings(
    folder: RunFolder,
    config: RunConfig,
    scored: Sequence[Scored],
    coverages: Sequence[Coverage],
    answered: frozenset[str],
) -> Findings:
    prepared = scored[0].prepared
    return Findings(
        judgements=prepared.judgements,
        first_stage=evaluate_lists(read_first_stage(folder.candidates), prepared.judgements, config),
        reranked=evaluate_rankings(folder, answered, prepared.judgements, config),
        failures=[*prepared.set_aside, *_failed(folder.stage(number) for number in range(1, len(scored) + 1))],
        work=None,
        position=None,
        remarks=[*prepared.remarks(), *_failed_remarks(coverages), *_moved_remarks(scored)],
        labels=prepared.labels,
        order_only=prepared.order_only(),
        slices=scored[0].slices,
        has_first_stage=prepared.has_first_stage(),
        reranker=_rerankers(scored),
    )


def _facts(
    folder: RunFolder,
    config: RunConfig,
    scored: Sequence[Scored],
    found: Findings,
    answered: int,
    prompt_tokens: int,
) -> WholeFacts:
    prepared = scored[0].prepared
    return WholeFacts(
        run_id=folder.run_id,
        started=scored[0].started,
        config_digest=config.digest,
        candidates_digest=prepared.manifest.digest,
        lists_digest=prepared.manifest.lists_digest,
        judgements=found.judgements,
        answers=prepared.answers,
        first_stage=found.first_stage,
        reranked=found.reranked,
        queries=len(frozenset(query_ids_of(folder)) | set(found.judgements.grades)),
        answered=answered,
        identities=[(one.identity, one.config.data.depth) for one in scored],
        prompt_tokens=prompt_tokens,
    )


def _write_analysis(
    folder: RunFolder, config: RunConfig, found: Findings, cut: frozenset[str], cost: Mapping[str, Any]
) -> dict[str, Any]:
    """What the order of the lists tells: scores of several models are of no one scale. Those of each stage are in its
    own folder's analysis.
    """
    asked = config.evaluate
    settings = AnalysisSettings(
        asked.metrics,
        asked.depths,
        asked.confidence,
        asked.seed,
        slices=found.slices,
        has_first_stage=found.has_first_stage,
    )
    pairs = BesideCandidates(folder, found.labels)
    told = analyse_lists(pairs, found.judgements, found.first_stage, found.reranked, settings, cut)
    tell_tokenizer(told, config)
    tell_second_opinion(told, folder, config, found.judgements, found.reranker)
    return write_told(folder, told | {"position": None, "cost": dict(cost)}, found)


def _rerankers(scored: Sequence[Scored]) -> dict[str, Any]:
    """What is known of the models of all stages, any of which may be the judge's relative."""
    names, identities = [one.model.name for one in scored], [one.identity.model for one in scored]
    return {
        "name": " > ".join(names),
        "model": " > ".join(identities),
        "weights": [one.model.digest for one in scored if one.model.digest],
    }


def _failed(folders: Iterable[RunFolder]) -> Iterator[SetAside]:
    for number, folder in enumerate(folders, 1):
        for one in failed_pairs(folder):
            yield replace(one, reason=f"stage {number}: {one.reason}")


def _failed_remarks(coverages: Sequence[Coverage]) -> Iterator[str]:
    for number, done in enumerate(coverages, 1):
        if done.failed_pairs:
            yield (
                f"stage {number}: {done.failed_pairs:,} of {done.pairs:,} pairs could not be scored: their documents "
                "stand right behind those that this stage scored, in the order that it was given"
            )


def _moved_remarks(scored: Sequence[Scored]) -> Iterator[str]:
    for number, one in enumerate(scored, 1):
        for told in moved_remark(one.hosted):
            yield f"stage {number}: {told}"


def _cut(folders: Sequence[RunFolder]) -> frozenset[str]:
    """The queries a document of which was not read to its end, by any stage."""
    found: set[str] = set()
    for folder in folders:
        for file in sorted(folder.rankings.glob("*.parquet")):
            table = pq.read_table(file, columns=["query_id", "truncated_pairs"], partitioning=None)
            found.update(table.filter(pc.greater(table["truncated_pairs"], 0)).column("query_id").to_pylist())
    return frozenset(found)
