"""A run's report says first whether reranking helped, and warns of what speaks against its scores."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from stages.comparison import compare_systems
from stages.records import QueryMetrics
from stages.report.comparison_report import Compared, comparison_document
from stages.report.document import Block, Details, Document, Table, Text, cell
from stages.report.html import to_html
from stages.report.run_report import RunNumbers, run_document
from tests.pipelines.finished_runs import ANALYSIS, ENVIRONMENT, METRICS

QUALITY = {side: {"ndcg_at_10": 0.5} for side in ("first_stage", "reranked", "delta")}
IDS = tuple(f"q{number}" for number in range(40))
NOISE = np.random.default_rng(3).normal(size=40)


def values(of_queries: Any) -> QueryMetrics:
    return QueryMetrics(IDS, {"ndcg@10": tuple(float(value) for value in of_queries)}, (True,) * len(IDS))


def difference_of(change: Any) -> dict[str, Any]:
    (found,) = compare_systems(values(np.full(40, 0.5)), {"reranked": values(0.5 + change)}, ["ndcg@10"])
    return asdict(found.difference) | {"corrected_p": found.corrected_p, "words": found.words, "system": found.system}


def numbers(change: Any = 0.1 + 0.01 * NOISE, **changed: dict[str, Any]) -> RunNumbers:
    """A run whose metric changed so for each query; `changed` replaces parts of its metrics and analysis."""
    metrics = copy.deepcopy(METRICS) | {"run_id": "r1", "quality": QUALITY}
    analysis = copy.deepcopy(ANALYSIS) | {"significance": {"ndcg@10": difference_of(change)}}
    for name, value in changed.items():
        content = metrics if name in metrics else analysis
        content[name] = content[name] | value
    config = {"data": {"depth": 10, "run": "bm25.trec"}}
    return RunNumbers(metrics, analysis, [], {"delta/ndcg@10": [0.1] * 40}, ENVIRONMENT, config, "data: {depth: 10}")


def texts(document: Document) -> list[Text]:
    def inside(blocks: Any) -> list[Text]:
        found: list[Text] = []
        for block in blocks:
            found += [block] if isinstance(block, Text) else []
            found += inside(block.blocks) if isinstance(block, Details) else []
        return found

    return [*document.lead, *(text for section in document.sections for text in inside(section.blocks))]


def rows(document: Document) -> dict[str, list[str]]:
    """First cell -> the others, of all tables that are not folded."""
    blocks: list[Block] = [block for section in document.sections for block in section.blocks]
    tables = [block for block in blocks if isinstance(block, Table)]
    return {cell(row[0]).text: [cell(one).text for one in row[1:]] for table in tables for row in table.rows}


@pytest.mark.parametrize(
    ("change", "tone", "words"),
    [
        (0.1 + 0.01 * NOISE, "good", "Reranking helps: ndcg@10 rises by 0."),
        (-0.1 + 0.01 * NOISE, "bad", "Reranking does harm: ndcg@10 falls by 0."),
        (0.001 + 0.1 * NOISE, "unsure", "Not proven either way: ndcg@10 "),
        (np.zeros(40), "unsure", "Reranking changed nothing: ndcg@10 is the same for every query"),
    ],
)
def test_the_verdict_is_read_first_in_the_tone_of_what_it_means(change: Any, tone: str, words: str) -> None:
    verdict = run_document(numbers(change)).lead[0]
    assert (verdict.tone, verdict.text.startswith(words)) == (tone, True), verdict


def test_sections_come_in_the_order_in_which_a_reader_asks() -> None:
    told = [section.title for section in run_document(numbers()).sections]
    asked = [
        "Did it help",
        "Where does",
        "How deep",
        "At what cost",
        "How did the system",
        "Can the scores",
        "What was set",
    ]
    assert [title.startswith(start) for title, start in zip(told, asked, strict=False)] == [True] * len(asked)


def test_a_metric_stands_with_its_interval_and_only_what_is_unproven_with_what_could_have_been_shown() -> None:
    proven, unproven = numbers(), numbers(0.001 + 0.1 * NOISE)
    assert len(rows(run_document(proven))["ndcg@10"]) == 6
    *_, shown = rows(run_document(unproven))["ndcg@10"]
    smallest = unproven.analysis["significance"]["ndcg@10"]["minimum_detectable"]
    assert shown == f"± {smallest:.3f}"


@pytest.mark.parametrize("missing", [*ANALYSIS, "everything"])
def test_whatever_was_not_analysed_the_rest_is_told(missing: str) -> None:
    run = numbers()
    kept = {} if missing == "everything" else {name: value for name, value in run.analysis.items() if name != missing}
    if missing == "metrics":
        kept = {"ties": run.analysis["ties"]}
    run = RunNumbers(run.metrics, kept, [], {}, {}, {}, "")
    assert "<h1>" in to_html(run_document(run))


def test_without_judgements_the_report_says_that_it_cannot_be_told() -> None:
    run = numbers(quality={"first_stage": None, "reranked": None, "delta": None})
    document = run_document(RunNumbers(run.metrics, {"ties": ANALYSIS["ties"]}, [], {}, ENVIRONMENT, {}, ""))
    assert document.lead[0].tone == "unsure" and "No query is judged" in document.lead[0].text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ties": {"tied_neighbours": 0.3}}, "30.0% of neighbours have the same score"),
        ({"ties": {"saturated": 0.5}}, "50.0% of the probabilities are 0 or 1"),
        ({"position": {"largest": 0.2}}, "A score changed by 0.200 when the candidates were shuffled"),
        ({"coverage": {"failed_pairs": 4}}, "4 pairs have no score"),
        ({"coverage": {"truncated_pairs": 20}}, "50.0% of the documents were cut"),
        ({"tokens": {"generation": 7}}, "generated 7 tokens"),
        ({"judged": {"reranked": {"judged@10": 0.2}}}, "Of the reranked top 10 20.0% are judged"),
    ],
)
def test_what_speaks_against_the_scores_is_a_warning(changed: dict[str, Any], words: str) -> None:
    calm, warned = run_document(numbers()), run_document(numbers(**changed))
    assert not [text for text in texts(calm) if words in text.text]
    assert [text.tone for text in texts(warned) if words in text.text] == ["bad"]


def test_what_was_not_measured_is_no_zero() -> None:
    shown = rows(
        run_document(numbers(throughput={"scored_pairs": 0, "pairs_per_s": None, "prompt_tokens_per_s": None}))
    )
    assert "pairs per second" not in shown
    assert any(
        "cost the engine nothing" in text.text for text in texts(run_document(numbers(throughput={"scored_pairs": 0})))
    )


def compared(notes: list[str], cost: float | None) -> Compared:
    several = [difference_of(0.1 + 0.01 * NOISE) | {"system": name, "metric": "ndcg@10"} for name in ("b", "c")]
    content = {
        "baseline": "a",
        "runs": {"a": "r1", "b": "r2", "c": "r3"},
        "queries": 40,
        "metrics": ["ndcg@10"],
        "differing": {"data.depth": [10, 20, 50]},
        "notes": notes,
        "tested": several,
    }
    costs = {name: {"engine_s_per_query": cost, "money_per_1000_queries": None} for name in "abc"}
    return Compared(content, dict.fromkeys("abc", METRICS), costs)


def test_a_comparison_has_a_sentence_for_each_system_and_the_notes() -> None:
    document = comparison_document(compared(["a and c reranked different candidates"], 0.5))
    assert document.title == "b, c against a"
    assert [text.text.split(":")[0] for text in document.lead[:2]] == ["b", "c"]
    assert document.lead[-1] == Text("Mind: a and c reranked different candidates.", "bad")
    assert rows(document)["ndcg@10"][:2] == ["a", "0.5000"]
    assert "<svg" in to_html(document)


def test_a_run_that_measured_no_cost_is_said_to_have_none() -> None:
    told = [text.text for text in texts(comparison_document(compared([], None)))]
    assert any("measured no cost of its own" in text for text in told)
