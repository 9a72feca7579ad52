"""`run --dry-run`: the job hop by hop, with its columns and counts. Reads the data; starts no engine, writes
nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.base.config import RunConfig
from pipelines.base.redaction import redacted_text
from pipelines.job.forecast import Forecaster
from pipelines.job.forecast_words import forecast_lines
from pipelines.job.lists import require_whole_lists
from pipelines.job.prepare import all_candidates
from pipelines.job.remarks import data_remarks
from pipelines.tracking.uri import check_tracking
from pipelines.verdict.gate import check_pinned
from pipelines.verdict.slices import refuse_unknown
from serve_app.engine.models import ModelInfo, describe
from serve_app.settings import Backend, ModelSettings
from stages.core.records import SetAside
from stages.core.withheld import told_row
from stages.core.words import counted
from stages.files.rankings import RANKING_SCHEMA
from stages.files.tables import SCHEMA
from stages.sources import open_source


def make_plan(config: RunConfig, gpu: str | None = None) -> dict[str, Any]:
    """What a run would do, forecast for `gpu` where that names one. Raises ConfigError or DataError, as a run does."""
    model = describe(config.model, config.engine.backend)
    _require_procedure(model, config.model)
    require_whole_lists(config, model)
    source = open_source(config.data)
    set_aside: list[SetAside] = []
    report = set_aside.append if config.output.texts else lambda row: set_aside.append(told_row(row))
    judgements, meetings = source.judgements(report), source.meetings()
    check_pinned(config)
    remarks = [remark] if (remark := check_tracking(config.tracking.uri)) else []
    forecaster = Forecaster(config, model, gpu)
    values: dict[str, set[str]] = {field: set() for field in config.gate.slices}
    queries = pairs = judged = 0
    for candidates in all_candidates(source, config.data.depth, report):
        forecaster.add(candidates)
        queries += 1
        pairs += len(candidates.doc_ids)
        judged += candidates.query_id in judgements.grades
        for field in values.keys() & candidates.attributes.keys():
            values[field].add(candidates.attributes[field])
    refuse_unknown(config.gate.slices, values)
    return {
        "dataset": source.name,
        "first_stages": list(source.names),
        "queries": queries,
        "pairs": pairs,
        "judged_queries": len(judgements),
        "judged_queries_with_candidates": judged,
        "set_aside_rows": len(set_aside),
        "remarks": [*remarks, *data_remarks(meetings, judgements, set_aside, config.data.limit)],
        "set_aside_reasons": dict(Counter(row.reason for row in set_aside).most_common(5)),
        "model": _model(model, config.engine.backend),
        "replicas": config.serve.replicas,
        "metrics": list(config.evaluate.metrics),
        "config_digest": config.digest,
        "hops": _hops(config, queries, pairs, len(judgements)),
        "forecast": forecaster.tell(),
    }


def _model(model: ModelInfo, backend: Backend) -> dict[str, Any]:
    return {
        "name": model.name,
        "family": model.family,
        "recipe": model.recipe and model.recipe.name,
        "max_length": model.max_length,
        "backend": None if model.recipe is None else backend,
        "remarks": list(model.remarks),
    }


def _require_procedure(model: ModelInfo, settings: ModelSettings) -> None:
    if isinstance(settings.recipe, dict):  # only then does a plan need what tokenizes
        from serve_app.engine.procedure import require_procedure

        require_procedure(model, settings)


def _hops(config: RunConfig, queries: int, pairs: int, judged: int) -> list[dict[str, str]]:
    candidates, rankings = ", ".join(SCHEMA.names), ", ".join(RANKING_SCHEMA.names)
    metrics, judgements = ", ".join(config.evaluate.metrics), counted(judged, "judged query", "judged queries")
    rows = (
        ("1 sources", f"{config.data.format} -> queries with candidates, judgements", judgements),
        ("2 prepare", candidates, f"{counted(queries, 'query', 'queries')}, {counted(pairs, 'pair')}"),
        ("3 Ray Data", "the same, streamed", f"batches of {counted(config.rerank.batch_queries, 'query', 'queries')}"),
        ("4 rerank", "query, texts, instruction -> pairs to score", counted(pairs, "pair")),
        ("5 Ray Serve", "prompts -> score, logit, token counts", f"{config.serve.replicas} replica(s)"),
        ("6 rank", rankings, counted(queries, "ranking")),
        ("7 evaluate", f"{metrics} -> metrics.json, per_query.parquet", judgements),
        ("8 track", "the run folder -> MLflow", redacted_text(config.tracking.uri or "off")),
    )
    return [{"hop": hop, "columns": columns, "counts": counts} for hop, columns, counts in rows]


def print_plan(config: RunConfig, *, as_json: bool, gpu: str | None = None) -> None:
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
    for remark in (*plan["model"]["remarks"], *plan["remarks"]):
        console.print(f"mind        {escape(remark)}", soft_wrap=True)
    console.print(table)
    for line in forecast_lines(plan["forecast"]):
        console.print(escape(line), soft_wrap=True)
    if plan["set_aside_rows"]:
        reasons = "; ".join(f"{count:,} x {reason}" for reason, count in plan["set_aside_reasons"].items())
        console.print(f"set aside   {counted(plan['set_aside_rows'], 'row')}: {reasons}", soft_wrap=True)
