"""`run --dry-run`: the job hop by hop, with its columns and counts. Reads the data; starts no engine, writes
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.base.config import RunConfig
from pipelines.base.reachable import require_cluster
from pipelines.base.redaction import redacted_text
from pipelines.hosted.endpoint import endpoint_of
from pipelines.hosted.places import Places
from pipelines.job.checks import check_before_scoring
from pipelines.job.device import cluster_address, in_cluster
from pipelines.job.prepare import counted_candidates, judged, order_only, with_causes
from pipelines.job.remarks import data_remarks
from pipelines.job.slices import slicings
from pipelines.job.stage_forecasts import Forecasts, told_forecast
from pipelines.verdict.gate import check_judge_of
from pipelines.verdict.slices import refuse_unknown
from serve_app.engine.models import ModelInfo
from stages.analysis.groups import GroupedQuery, group_queries
from stages.core.errors import EngineError, NothingLeftError
from stages.core.judges import judged_by
from stages.core.listed import ListCounts, order_in_words
from stages.core.prepare import Report
from stages.core.reasons import kinds, told_kinds
from stages.core.records import Candidates, SetAside
from stages.core.withheld import told_row
from stages.core.words import counted
from stages.files.rankings import RANKING_SCHEMA
from stages.files.tables import SCHEMA
from stages.sources import FIRST_STAGE, Source


def make_plan(config: RunConfig, gpu: str | None = None) -> dict[str, Any]:
    """What a run would do, forecast for `gpu` where that names one. Raises ConfigError or DataError, as a run does."""
    models, source, notes = check_before_scoring(config)
    notes += _dead_cluster(config)
    set_aside: list[SetAside] = []
    report = set_aside.append if config.output.texts else lambda row: set_aside.append(told_row(row))
    judging, meetings = judged(source, config.answers.match, config.evaluate.metrics, report)
    check_judge_of(config, judging.judgements)
    forecasts = Forecasts(config, models, gpu)
    counts = ListCounts()
    values: dict[str, set[str]] = {field: set() for field in config.gate.slices}
    with_candidates, judged_queries, queries = 0, judging.judgements.grades.keys(), list[GroupedQuery]()
    for candidates in _candidates(source, config, counts, report, set_aside):
        forecasts.add(candidates)
        judging.see(candidates)
        with_candidates += candidates.query_id in judged_queries
        if config.evaluate.slices:
            queries.append(GroupedQuery(candidates.query_id, candidates.query, candidates.attributes))
        for field in values.keys() & candidates.attributes.keys():
            values[field].add(candidates.attributes[field])
    judgements = judging.judgements
    left_out: list[str] = []
    own = group_queries(queries, slicings(config.evaluate.slices), judgements.grades, left_out.append)
    refuse_unknown(config.gate.slices, values | {name: set(own[name].values()) for name in own.keys() & values.keys()})
    return {
        "dataset": source.name,
        "first_stages": list(source.names),
        "queries": counts.queries,
        "pairs": counts.pairs,
        "unasked_pairs": counts.candidates - counts.pairs,
        "first_stage_made": {name: {**made.part(), "index": made.index()} for name, made in source.made.items()},
        "order_only_queries": order_only(counts, meetings.get(FIRST_STAGE)),
        "judged_queries": len(judgements),
        "judged_by": asdict(judged_by(judgements)),
        "judged_queries_with_candidates": with_candidates,
        "set_aside_rows": len(set_aside),
        "remarks": [
            *notes,
            *(judging.answers.remarks(texts=config.output.texts) if judging.answers else ()),
            *data_remarks(meetings, judgements, counts, set_aside, config.data.limit, source.made),
            *left_out,
        ],
        "set_aside_reasons": {kind.reason: kind.rows for kind in kinds(set_aside)},
        "set_aside": list(told_kinds(set_aside)),
        "model": _model(models[0], config.stages()[0]),
        **_stages(config, models),
        "replicas": config.stages()[0].serve.replicas,
        "metrics": list(config.evaluate.metrics),
        "config_digest": config.digest,
        "hops": _hops(config, counts.queries, counts.pairs, len(judgements)),
        "forecast": forecasts.tell(),
    }


def _candidates(
    source: Source, config: RunConfig, counts: ListCounts, report: Report, set_aside: Sequence[SetAside]
) -> Iterator[Candidates]:
    """Counted. Raises DataError, as the run does, where nothing is left to rerank."""
    try:
        yield from counted_candidates(source, config.data.depth, report, counts)
    except NothingLeftError as error:
        raise with_causes(error, set_aside) from error


def _dead_cluster(config: RunConfig) -> Iterator[str]:
    """What a run would end with that needs an engine; one whose scores are all stored needs none. Raises ConfigError
    for an address that is none.
    """
    address = cluster_address(config.serve)
    asked = any(one.model.api is None for one in config.stages())
    if address in (None, "auto", "local") or in_cluster() or not asked:  # what auto finds, only Ray knows
        return
    try:
        require_cluster(address)
    except EngineError as error:
        yield str(error)


def _stages(config: RunConfig, models: Sequence[ModelInfo]) -> dict[str, Any]:
    """Of a cascade, whose first model stands under `model` as well."""
    if config.rerank.stages is None:
        return {}
    several = zip(config.stages(), models, strict=True)
    return {"stages": [{"depth": one.data.depth, "model": _model(model, one)} for one, model in several]}


def _model(model: ModelInfo, config: RunConfig) -> dict[str, Any]:
    return {
        "name": model.name,
        "family": model.family,
        "recipe": model.recipe and model.recipe.name,
        "max_length": model.max_length,
        "backend": None if model.recipe is None else config.engine.backend,
        "remarks": list(model.remarks),
    }


def _hops(config: RunConfig, queries: int, pairs: int, judged: int) -> list[dict[str, str]]:
    candidates, rankings = ", ".join(SCHEMA.names), ", ".join(RANKING_SCHEMA.names)
    metrics, judgements = ", ".join(config.evaluate.metrics), counted(judged, "judged query", "judged queries")
    rows = (
        ("1 sources", f"{config.data.format} -> queries with candidates, judgements", judgements),
        ("2 prepare", candidates, f"{counted(queries, 'query', 'queries')}, {counted(pairs, 'pair')}"),
        *_scoring_hops(config, pairs),
        ("6 rank", rankings, counted(queries, "ranking")),
        ("7 evaluate", f"{metrics} -> metrics.json, per_query.parquet", judgements),
        ("8 track", "the run folder -> MLflow", redacted_text(config.tracking.uri or "off")),
    )
    return [{"hop": hop, "columns": columns, "counts": counts} for hop, columns, counts in rows]


def _scoring_hops(config: RunConfig, pairs: int) -> Iterator[tuple[str, str, str]]:
    """Hops 3 to 5, of each stage of a cascade: how many pairs a further stage has is what its depth leaves of them."""
    several = config.stages()
    for number, one in enumerate(several, 1):
        stage = "" if len(several) == 1 else f", stage {number}"
        fed = "the same, streamed", f"batches of {counted(one.rerank.batch_queries, 'query', 'queries')}"
        how, asked = (
            "Ray Data",
            ("Ray Serve", "prompts -> score, logit, token counts", f"{one.serve.replicas} replica(s)"),
        )
        if one.model.api is not None:
            how, fed = "read", ("the same, streamed", "query by query")
            asked = "HTTP", "query, texts -> scores", f"up to {counted(Places(one.hosted).most, 'request')} at once"
        told = counted(pairs, "pair") if number == 1 else f"the top {one.data.depth} of stage {number - 1}"
        yield (f"3 {how}{stage}", *fed)
        yield (f"4 rerank{stage}", "query, texts, instruction -> pairs to score", told)
        yield (f"5 {asked[0]}{stage}", *asked[1:])


def print_plan(config: RunConfig, *, as_json: bool, gpu: str | None = None) -> None:
    for one in config.stages():
        if one.model.api is not None and not as_json:
            print(endpoint_of(one.model, keyless=True).sent_to())
    plan = make_plan(config, gpu)
    if as_json:
        print(json.dumps(plan, indent=2, ensure_ascii=False))
        return
    table = Table(
        "hop", "takes, gives", "counts", title=f"{plan['dataset']}: nothing was started", title_justify="left"
    )
    for hop in plan["hops"]:
        table.add_row(hop["hop"], hop["columns"], hop["counts"])
    console = Console(highlight=False)
    for made in plan["first_stage_made"].values():
        console.print(f"first stage {escape(made['words'])}", soft_wrap=True)
        console.print(f"            {escape(made['index'])}", soft_wrap=True)
    if plan["set_aside_rows"]:
        console.print(f"set aside   {counted(plan['set_aside_rows'], 'row')}")
    for kind in plan["set_aside"]:
        console.print(f"            {escape(kind)}", soft_wrap=True)
    if plan["order_only_queries"]:
        console.print(f"order only  {order_in_words(plan['order_only_queries'], plan['queries'])}")
    models = [one["model"] for one in plan.get("stages") or [plan]]
    for remark in (*(remark for one in models for remark in one["remarks"]), *plan["remarks"]):
        console.print(f"mind        {escape(remark)}", soft_wrap=True)
    console.print(table)
    for line in told_forecast(config, plan["forecast"]):
        console.print(escape(line), soft_wrap=True)
