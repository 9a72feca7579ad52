"""What the run cost, how the system behaved, whether its scores can be trusted, and what was set aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.core.metrics import CoveragePart, Metrics
from stages.core.words import NONE, count, number, share, signed
from stages.report import figures
from stages.report.document import Block, Column, Figure, Section, Table, Text
from stages.report.run.hosted import hosted_cost_section

# From here on ties and saturation are worth a warning: about one place in ten is then filled by id.
MANY_TIES = 0.1
# Of low precision in a batch of another shape; more is a document whose place matters.
LARGE_POSITION_EFFECT = 0.05
FEW_JUDGED = 0.5
# From here on the model has not read what it ranks.
MANY_CUT = 0.2
COST = "At what cost?"


def cost_section(analysis: Mapping[str, Any], metrics: Metrics, metric: str | None) -> Section | None:
    cost, whole = analysis.get("cost"), metrics.get("part_of")
    if whole:
        together = "Its pairs were scored together with those of the job's other first stages."
        return Section(COST, [Text(f"{together} Cost and speed are in the report of run {whole}.")])
    if hosted := metrics.get("hosted"):
        return hosted_cost_section(COST, analysis, metrics, hosted)
    if not cost:
        return None
    rows = [
        ["pairs per query", number(cost["pairs_per_query"])],
        ["prompt tokens per query", number(cost["tokens_per_query"])],
        ["engine seconds per query", number(cost["engine_s_per_query"])],
    ]
    if metric and (gain := cost["gain_per_engine_s"].get(metric)) is not None:
        rows.append([f"{metric} gained per engine second", signed(gain)])
    if cost["money"] is not None:
        rate = "" if cost["per_hour"] is None else f", at {cost['per_hour']:g} an hour"
        rows.append([f"this run{rate}", number(cost["money"])])
        rows.append(["1,000 queries", number(cost["money_per_1000_queries"])])
    blocks: list[Block] = [_table(rows)]
    if not metrics["throughput"]["scored_pairs"]:
        blocks.insert(
            0, Text("Every score came from the store: this run cost the engine nothing, and measured nothing.")
        )
    elif cost["money"] is None:
        blocks.append(Text("Set cost.per_hour, the price of one engine for an hour, to see it in money."))
    return Section(COST, blocks)


def system_section(metrics: Metrics, timeline: Sequence[Mapping[str, Any]]) -> Section | None:
    throughput, queue, cache = metrics["throughput"], metrics["queue"], metrics["cache"]
    if throughput["wall_s"] is None:
        return None
    quantiles = queue["time_ms"]["p50"], queue["time_ms"]["p95"], queue["time_ms"]["p99"]
    rows = [
        ["scored", f"{count(throughput['scored_pairs'])} pairs in {number(throughput['wall_s'], ' s')}"],
        ["pairs per second", number(throughput["pairs_per_s"])],
        ["prompt tokens per second", number(throughput["prompt_tokens_per_s"])],
        ["scoring, by the rates of the run before", _foretold(metrics)],
        ["time in the engine's queue, p50 / p95 / p99", " / ".join(map(number, quantiles)) + " ms"],
        ["pairs waiting at most", count(queue["waiting_max"])],
        ["prompt tokens reused from the cache", share(cache["prefix_hit_rate"])],
        ["engine's cache at its fullest", share(cache["kv_usage_peak"])],
        ["scores found in the store", _hits(cache)],
        ["pairs whose document's vector was known", _reused(cache)],
        ["tokens generated (a reranker writes none)", count(metrics["tokens"]["generation"])],
    ]
    blocks: list[Block] = [_table([row for row in rows if not row[1].startswith(NONE)])]
    if len(timeline) > 1 and figures.timeline_panels(timeline):
        blocks.append(
            Figure("timeline", "Throughput, queue and cache over the run", lambda: figures.timeline(timeline))
        )
    return Section("How did the system behave?", blocks)


def _foretold(metrics: Metrics) -> str:
    forecast = metrics.get("forecast")
    if not forecast or forecast["scoring_s"] is None or forecast["error"] is None:
        return NONE
    return f"{number(forecast['scoring_s'], ' s')} ({forecast['error']:+.0%} in truth)"


def trust_section(analysis: Mapping[str, Any], metrics: Metrics) -> Section:
    warnings = [Text(told, "bad") for told in _warnings(analysis, metrics)]
    calm = Text("Nothing here speaks against the scores.", "good")
    blocks: list[Block] = [*(warnings or [calm]), _table([*_trust_rows(analysis, metrics)])]
    if calibration := analysis.get("calibration"):
        bins = calibration["bins"]
        blocks.append(
            Figure(
                "calibration",
                "Share of relevant pairs by the probability that the model gave",
                lambda: figures.calibration(bins),
                f"Over {count(calibration['pairs'])} judged pairs, {count(calibration['relevant'])} of them relevant; "
                f"a larger dot stands for more pairs. Expected calibration error {number(calibration['ece'])}.",
            )
        )
    return Section("Can the scores be trusted?", blocks)


def set_aside_section(analysis: Mapping[str, Any], metrics: Metrics) -> Section:
    failures = analysis.get("failures") or []
    title = "What was set aside?"
    if not failures:
        return Section(title, [Text("Nothing: every row was used, and every pair got a score.")])
    rows = [[one["reason"], count(one["rows"])] for one in failures]
    aside, failed = metrics["coverage"]["set_aside_rows"], metrics["coverage"]["failed_pairs"]
    unused = "" if aside is None else f"{count(aside)} rows of the data were set aside, "
    told = f"{unused}{count(failed)} pairs failed."
    where = "Each with its file and line is in failures.parquet."
    return Section(title, [Text(f"{told} {where}"), Table([Column("reason", numeric=False), Column("rows")], rows)])


def _trust_rows(analysis: Mapping[str, Any], metrics: Metrics) -> Iterator[list[str]]:
    ties, coverage, judged = analysis.get("ties") or {}, metrics["coverage"], analysis.get("judged") or {}
    yield ["built-in pairs scored sensibly", _canaries(metrics)]
    if (drift := metrics["scores"].get("canary_drift")) is not None:
        tolerance = metrics["scores"].get("canary_tolerance")
        yield ["built-in pairs off their known scores", f"by at most {drift:.2g} ({tolerance:g} is rounding)"]
    yield ["neighbours with the same score", share(ties.get("tied_neighbours"))]
    yield ["lists with one score throughout", share(ties.get("all_equal_lists"))]
    if ties.get("saturated") is not None:
        yield ["probabilities at 0 or 1", share(ties["saturated"])]
    for name, value in (judged.get("reranked") or {}).items():
        before = (judged.get("first_stage") or {}).get(name)
        yield [f"judged among the top {name.partition('@')[2]}, before / after", f"{share(before)} / {share(value)}"]
    if position := analysis.get("position"):
        yield ["change of a score when candidates are shuffled", _position(position)]
    yield ["queries unanswered", count(coverage["unanswered"])]
    yield ["pairs that failed", count(coverage["failed_pairs"])]
    if unasked := coverage.get("unasked_pairs"):
        yield ["candidates that nothing could score", count(unasked)]
    if (in_passages := coverage.get("pairs_in_passages")) is not None:
        told = f"{count(in_passages)} of {count(coverage['pairs'])}, in {count(coverage.get('passages'))} passages"
        yield ["documents read in passages", told]
    if coverage["truncated_pairs"] is not None:
        yield ["documents cut to fit", f"{count(coverage['truncated_pairs'])} of {count(coverage['pairs'])}"]


def _canaries(metrics: Metrics) -> str:
    passed = metrics["scores"].get("canaries_passed")
    if metrics.get("hosted"):
        return "not asked: the model is hosted elsewhere"
    if passed and metrics["scores"].get("canaries_asked") == "finite":
        return "not asked: model.canaries is finite, so any numbers do"
    if passed is not None:
        return "yes" if passed else "no"
    return "not asked: no engine was needed" if metrics["throughput"]["scored_pairs"] == 0 else "not recorded"


def _position(position: Mapping[str, Any]) -> str:
    failed = f", {count(position['failed'])} failed" if position["failed"] else ""
    if not position["pairs"]:
        return f"not known: no pair was scored twice{failed}"
    largest = f"at most {number(position['largest'])}" if position["largest"] else "none"
    meant = ": the model reads a list as a whole, its order matters by design" if position.get("listwise") else ""
    return f"{largest} over {count(position['pairs'])} pairs{failed}{meant}"


def _warnings(analysis: Mapping[str, Any], metrics: Metrics) -> Iterator[str]:
    ties, position, coverage = analysis.get("ties") or {}, analysis.get("position"), metrics["coverage"]
    if (ties.get("tied_neighbours") or 0) > MANY_TIES:
        yield (
            f"{share(ties['tied_neighbours'])} of neighbours have the same score: their order is by document id and "
            "says nothing about relevance."
        )
    if (ties.get("saturated") or 0) > MANY_TIES:
        yield f"{share(ties['saturated'])} of the probabilities are 0 or 1 in single precision: rank by the logit."
    if position and not position.get("listwise") and position["largest"] > LARGE_POSITION_EFFECT:
        yield (
            f"A score changed by {number(position['largest'])} when the candidates were shuffled: it depends on what "
            "else is in the batch. Try engine.dtype float32."
        )
    reranked = (analysis.get("judged") or {}).get("reranked") or {}
    first = (analysis.get("judged") or {}).get("first_stage") or {}
    for name, value in list(reranked.items())[:1]:
        if value < FEW_JUDGED and first.get(name, 0) - value > 0.05:
            yield (
                f"Of the reranked top {name.partition('@')[2]} {share(value)} are judged, of the first stage's "
                f"{share(first[name])}: what no judge saw counts as not relevant, so the reranker may be better than "
                "it looks."
            )
    if coverage["pairs"] and (cut := (coverage["truncated_pairs"] or 0) / coverage["pairs"]) > MANY_CUT:
        yield f"{share(cut)} of the documents were cut to fit model.max_length{_what_to_do(coverage)}."
    if failed := coverage["failed_pairs"]:
        yield f"{count(failed)} pairs have no score; their documents {_where_they_stand(coverage)}."
    if unasked := coverage.get("unasked_pairs"):
        yield (
            f"{count(unasked)} of {count(coverage['pairs'] + unasked)} candidates could not be scored, as they or "
            "their query have no text: they stand behind those that were, in the first stage's order. What reranking "
            "would have made of them cannot be said."
        )
    if metrics["tokens"]["generation"]:
        generated = count(metrics["tokens"]["generation"])
        yield f"The engine generated {generated} tokens: it is used for more than reranking."


def _where_they_stand(coverage: CoveragePart) -> str:
    """Runs of before they were ranked left them out."""
    return "stand behind the others" if "unasked_pairs" in coverage else "are missing from the lists"


def _what_to_do(coverage: CoveragePart) -> str:
    if coverage.get("pairs_in_passages") is None:
        return (
            ": the model read their beginnings alone. A run with model.long_documents passages reads them whole, and "
            "says what cutting cost"
        )
    return " in model.max_passages passages: what lies behind these was not read"


def _hits(cache: Mapping[str, Any]) -> str:
    if cache["score_store_hits"] is None:
        return NONE
    return f"{count(cache['score_store_hits'])} ({share(cache['score_store_hit_rate'])})"


def _reused(cache: Mapping[str, Any]) -> str:
    if cache.get("reused_vectors") is None:
        return NONE
    return f"{count(cache['reused_vectors'])} ({share(cache['reused_vector_rate'])})"


def _table(rows: Sequence[Sequence[str]]) -> Table:
    return Table([Column("", numeric=False), Column("")], rows)
