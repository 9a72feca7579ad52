"""One run -> its report, in the order a reader asks: what was compared, did it help and how sure is that, where, how
deep, at what cost, how did the system behave, can the scores be trusted, what was set aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.core.judges import mark_of
from stages.core.metrics import CoveragePart, Metrics
from stages.core.words import (
    count,
    interval,
    is_significant,
    key_name,
    metric_value,
    p_value,
    percent,
    tone_of,
    wins_ties_losses,
    written_name,
)
from stages.report import figures
from stages.report.by_model import marked
from stages.report.document import Block, Cell, Column, Document, Figure, Section, Table, Text, change
from stages.report.run.depth import depth_section
from stages.report.run.fused import fused_blocks, fused_lead
from stages.report.run.harm import first_told, harm_section
from stages.report.run.passages import passages_section
from stages.report.run.prompt import prompt_section
from stages.report.run.settings import settings_section
from stages.report.run.stages import stages_section
from stages.report.run.system import cost_section, set_aside_section, system_section, trust_section
from stages.report.run.where import where_section
from stages.report.second_opinion import TITLE as INFERRED
from stages.report.second_opinion import inference_lead, inference_section
from stages.report.unjudged import OpenRow, doubts, unjudged_blocks

OF_MODEL = " All of it is of the model's judgements: their own errors are in no interval, and in no p."
OF_NO_JUDGEMENT = ("How did the system behave?", "What was set aside?", "With what settings?", INFERRED)
"""Sections without a number that comes of judgements; and the one that tells such numbers apart by itself."""


@dataclass(frozen=True, slots=True)
class RunNumbers:
    """The contents of a run folder's files. `analysis` may lack any key, `timeline` and `per_query` may be empty."""

    metrics: Metrics
    analysis: Mapping[str, Any]
    timeline: Sequence[Mapping[str, Any]]
    per_query: Mapping[str, Sequence[Any]]
    environment: Mapping[str, Any]
    config: Mapping[str, Any]
    config_text: str

    @property
    def main(self) -> str | None:
        """The metric that decides; None where nothing was compared."""
        tested = self.analysis.get("significance") or {}
        return next((metric for metric in self.analysis.get("metrics") or [] if metric in tested), None)


def run_document(run: RunNumbers) -> Document:
    """The whole report. `config` must hold no secret any more."""
    sections = [
        _quality_section(run),
        inference_section(run.analysis),
        prompt_section(run.analysis),
        harm_section(run.analysis),
        stages_section(run.metrics),
        where_section(run.analysis, run.main),
        depth_section(run.analysis, run.main),
        passages_section(run.analysis, run.metrics),
        cost_section(run.analysis, run.metrics, run.main),
        system_section(run.metrics, run.timeline),
        trust_section(run.analysis, run.metrics),
        set_aside_section(run.analysis, run.metrics),
        settings_section(run.metrics, run.environment, run.config_text),
    ]
    document = Document(_title(run), [*_lead(run)], [section for section in sections if section is not None])
    told = bool(run.analysis.get("inference"))
    return marked(document, mark_of(run.metrics), plain=OF_NO_JUDGEMENT, told=told)


def _title(run: RunNumbers) -> str:
    model = str(run.metrics["model"]["name"]).rstrip("/").rpartition("/")[2]
    return f"{run.environment.get('dataset', 'candidates')} reranked by {model}"


def _lead(run: RunNumbers) -> Iterator[Text]:
    """The verdict first."""
    inferred = (run.analysis.get("inference") or {}).get(run.main)
    if inferred is not None:
        yield from inference_lead(inferred)
    elif run.main is None:
        yield fused_lead(run.analysis) or Text(_no_verdict(run), "unsure")
    else:
        told = run.analysis["significance"][run.main]
        doubted = doubts((run.analysis.get("unjudged") or {}).get(run.main))
        yield Text(_verdict(told), tone_of(told) if is_significant(told) and not doubted else "unsure")
    for remark in (*(run.metrics["model"].get("remarks") or ()), *(run.analysis.get("remarks") or ())):
        yield Text(f"Mind: {remark}.", "unsure")
    yield Text(_what(run))


def _verdict(told: Mapping[str, Any]) -> str:
    if told["ties"] == told["n"]:
        head = "Reranking changed nothing"
    elif not is_significant(told):
        head = "Not proven either way"
    else:
        head = "Reranking helps" if told["difference"] > 0 else "Reranking does harm"
    return f"{head}: {told['words']}."


def _no_verdict(run: RunNumbers) -> str:
    if run.metrics["quality"]["first_stage"]:
        return "The run has no analysis, so how sure the change is cannot be said. Run the job again to have it."
    if run.metrics["quality"]["reranked"]:
        return (
            "Several first stages were reranked together. Whether that helped each of them stands in its own report, "
            "under runs/."
        )
    return (
        "No query is judged, so whether reranking helped cannot be said. Give judgements (data.qrels), or answers "
        "(data.columns.answers), to find out."
    )


def _what(run: RunNumbers) -> str:
    coverage, data = run.metrics["coverage"], run.config.get("data", {})
    depth = data.get("depth")
    top = f"the top {depth}" if depth else "all candidates"
    made = run.metrics.get("first_stage_made") or {}
    given = [*(data.get("runs") or {}).values()] or [*filter(None, [data.get("run")])]
    first = ", ".join([*(str(one) for one in given), *(one["words"] for one in made.values())]) or data.get("path")
    if (stage := run.metrics.get("stage")) and stage > 1:
        top, first = f"the top {depth} of what stage {stage - 1} left", f"here what stage {stage - 1} left"
    for further in (run.metrics.get("stages") or [])[1:]:
        top += f", then the top {further['depth']} of that,"
    told = f"{count(coverage['pairs'])} pairs: {top} of each of {count(coverage['queries'])} queries"
    if unasked := coverage.get("unasked_pairs"):
        told += f", less {count(unasked)} candidates that nothing could score"
    if run.main:
        told += f", of which {count(run.analysis['significance'][run.main]['n'])} are judged"
    if coverage["unanswered"]:
        told += f"; {count(coverage['unanswered'])} went unanswered: {_unanswered(coverage)}"
    order = ", an order without scores" if run.analysis.get("order_only_queries") else ""
    return f"{told}. First stage: {first}{order}. Run {run.metrics['run_id']}."


def _unanswered(coverage: CoveragePart) -> str:
    """What that means; before candidates that nothing could score kept their places it was another thing."""
    if "unasked_pairs" not in coverage:
        return "they count as 0"
    return "a list that nothing could score stays as it was given, a query without candidates counts as 0"


def _quality_section(run: RunNumbers) -> Section:
    title = "Did it help, and how sure is that?"
    if run.main is None:
        plain = [*fused_blocks(run.analysis)] or [_plain_quality(run.metrics)]
        return Section(title, [*first_told(run.analysis), *plain])
    tested = run.analysis["significance"]
    blocks: list[Block] = [
        *first_told(run.analysis),
        _quality_table(run.analysis),
        Text(_how_tested(tested) + (OF_MODEL if mark_of(run.metrics) else "")),
        *_unjudged(run),
    ]
    deltas = run.per_query.get(f"delta/{key_name(run.main)}")
    if deltas is not None and any(deltas):
        told = tested[run.main]
        main, values = run.main, list(deltas)
        blocks.append(
            Figure(
                "differences",
                f"Change of {main} of each query, sorted",
                lambda: figures.sorted_differences(values, main),
                f"{told['wins']:,} queries gained, {told['losses']:,} lost, {told['ties']:,} stayed as they were.",
            )
        )
    return Section(title, blocks)


def _unjudged(run: RunNumbers) -> list[Block]:
    """Runs of before it was told have none."""
    rows = [OpenRow("", metric, found) for metric, found in (run.analysis.get("unjudged") or {}).items()]
    return unjudged_blocks(rows, "first stage", "reranked")


def _quality_table(analysis: Mapping[str, Any]) -> Table:
    tested = analysis["significance"]
    unproven = not all(map(is_significant, tested.values()))
    sure = f"{percent(next(iter(tested.values()))['confidence'])} interval"
    columns = ["metric", "first stage", "reranked", "change", sure, "corrected p", "gained / same / lost"]
    columns += ["detectable from"] if unproven else []
    rows = [
        [metric, *_quality_row(told), *([_detectable(told)] if unproven else [])] for metric, told in tested.items()
    ]
    return Table([Column(name, numeric=name != "metric") for name in columns], rows)


def _quality_row(told: Mapping[str, Any]) -> list[Cell | str]:
    return [
        metric_value(told["mean_baseline"]),
        metric_value(told["mean_system"]),
        change(told),
        interval(told["interval"]),
        p_value(told["corrected_p"]),
        wins_ties_losses(told),
    ]


def _detectable(told: Mapping[str, Any]) -> str:
    if is_significant(told):
        return ""
    smallest = told["minimum_detectable"]
    return "too few queries" if smallest is None else f"± {smallest:.3f}"


def _how_tested(tested: Mapping[str, Mapping[str, Any]]) -> str:
    """What the columns mean, once."""
    told = next(iter(tested.values()))
    text = (
        f"Means are over all {told['n']:,} judged queries. The interval of the change holds the true one with "
        f"{percent(told['confidence'])} confidence. p is of the paired randomization test: how "
        "often chance alone would change as much."
    )
    if len(tested) > 1:
        text += (
            f" It is corrected by Holm over the {len(tested)} metrics; the intervals are not corrected, so one may "
            "leave out 0 though its change is not significant."
        )
    if not all(map(is_significant, tested.values())):
        text += " Where p is too large, the last column says which change these queries would probably have shown."
    return text


def _plain_quality(metrics: Metrics) -> Block:
    reranked = metrics["quality"]["reranked"] or {}
    if not reranked:
        return Text("There are no judgements, so there is no quality to show.")
    sides = {"first stage": metrics["quality"]["first_stage"], "reranked": reranked}
    known = {side: means for side, means in sides.items() if means}
    rows = [[written_name(name), *(metric_value(means.get(name)) for means in known.values())] for name in reranked]
    return Table([Column("metric", numeric=False), *map(Column, known)], rows)
