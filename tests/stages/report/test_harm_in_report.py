"""The report says first how many lists changed and whether the reranker tells nothing; then what was pushed out."""

from __future__ import annotations

from typing import Any

import pytest

from stages.analysis.assemble import AnalysisSettings, analyse
from stages.core.records import Judgements, QueryMetrics
from stages.quality.evaluate import warm_up
from stages.report.beside_harms import beside_harms, named_useless
from stages.report.document import Block, Table, Text, cell
from stages.report.run.harm import first_told, harm_section
from stages.report.run.report import RunNumbers, run_document
from tests.analysis_inputs import COMPILED, METRICS, Collection, collection, one_query
from tests.pipelines.finished_runs import METRICS as RUN_METRICS

NONE = QueryMetrics((), {}, ())


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up([*COMPILED, "judged@10"])


@pytest.fixture(scope="module")
def made() -> Collection:
    """The reranker turns every list of five upside down; one of three queries is judged otherwise than the others."""
    queries = [one_query(f"q{number}", {f"d{place}": float(place) for place in range(5)}) for number in range(3)]
    return collection(queries, {"q0": {"d0": 1}, "q1": {"d0": 1, "d4": 1}, "q2": {"d3": 1}})


def analysed(made: Collection, *, judged: bool = True, **settings: Any) -> dict[str, Any]:
    told = AnalysisSettings(**({"metrics": METRICS, "depths": [2]} | settings))
    if not judged:
        return analyse(lambda: iter(made.pairs), Judgements({}), NONE, NONE, told)
    return analyse(lambda: iter(made.pairs), made.judgements, made.first, made.reranked, told)


def rows(block: Block) -> list[list[str]]:
    assert isinstance(block, Table)
    return [[cell(one).text for one in row] for row in block.rows]


def first_section(analysis: dict[str, Any]) -> list[Block]:
    quality = {"first_stage": None, "reranked": None, "delta": None}
    metrics: Any = RUN_METRICS | {"run_id": "run", "quality": quality}
    document = run_document(RunNumbers(metrics, analysis, [], {}, {"dataset": "small"}, {}, ""))
    return list(document.sections[0].blocks)


@pytest.mark.parametrize("judged", [True, False])
def test_the_first_section_begins_with_the_name_of_a_useless_reranker_and_what_changed(
    made: Collection, judged: bool
) -> None:
    logits: dict[str, float | None] = {f"d{place:02}": float(place) for place in range(40)}
    upside_down = [one_query(f"q{number}", logits) for number in range(3)]
    long = collection(upside_down, made.judgements.grades)
    named, changed, *_ = first_section(analysed(long, judged=judged))
    assert isinstance(named, Text)
    assert isinstance(changed, Text)
    assert named.tone == "bad"
    assert named.text == (
        "This reranker tells nothing new: the order is the first stage's, reversed: 100.0% of 2,340 pairs of "
        "candidates with different scores stand the other way round. The sign of the scores may be turned. Of "
        "rerankers that do something no more than 0.5 % are named so."
    )
    assert changed.text == "Among the first 3 are other documents than before in 3 of 3 lists, and another order in 3."


def test_that_no_set_can_change_is_said_there_with_the_metrics_that_it_leaves(made: Collection) -> None:
    (changed,) = first_told(analysed(made, judged=False, metrics=["recall@5"]))
    assert changed.tone == "unsure"
    assert changed.text.endswith("recall@5 is what the first stage made it: no order of these candidates changes it.")


def test_what_cannot_be_told_of_an_order_is_a_doubt_and_no_name() -> None:
    told = list(first_told({"useless": {"name": None, "words": "the order cannot be told from a random one"}}))
    assert told == [Text("Mind: the order cannot be told from a random one.", "unsure")]


def test_a_run_of_before_it_was_told_has_neither_sentence_nor_section() -> None:
    assert list(first_told({})) == []
    assert harm_section({}) is None


def test_the_section_has_the_lists_by_prompt_size_then_harm_by_first_places_and_by_band(made: Collection) -> None:
    section = harm_section(analysed(made))
    assert section is not None
    lists, _, places, _, bands = section.blocks
    assert rows(lists)[:2] == [
        ["top 1", "3 (100.0%)", "3 (100.0%)", "3 (100.0%)"],
        ["top 3", "3 (100.0%)", "3 (100.0%)", "3 (100.0%)"],
    ]
    assert rows(lists)[2] == ["top 5", "0 (0.0%)", "0 (0.0%)", "3 (100.0%)"]
    assert rows(places)[1] == [
        "top 3",
        "100.0% (34.2% to 100.0%), 2 of 2",
        "100.0% (34.2% to 100.0%), 2 of 2",
        "100.0% (34.2% to 100.0%), 2 of 2",
    ]
    assert rows(places)[2][3] == "none there"
    assert [row[:5] for row in rows(bands)] == [["1", "2", "0", "0", "2"], ["4-5", "2", "2", "0", "0"]]
    assert [row[5].partition(":")[0] for row in rows(bands)] == ["left", "came"]


def test_without_judgements_the_section_has_the_lists_and_says_that_this_is_all(made: Collection) -> None:
    section = harm_section(analysed(made, judged=False))
    assert section is not None
    lists, said = section.blocks
    assert isinstance(lists, Table)
    assert isinstance(said, Text)
    assert said.text.startswith("Without judgements that is all")


def test_without_a_relevant_candidate_it_says_so() -> None:
    section = harm_section(analysed(collection([one_query("q", {"a": 0.0, "b": 1.0})], {"q": {"z": 1}})))
    assert section is not None
    assert isinstance(section.blocks[-1], Text)
    assert section.blocks[-1].text.startswith("No relevant document is among the candidates")


def test_where_the_candidates_had_no_order_nothing_changed_or_was_pushed_out(made: Collection) -> None:
    analysis = analysed(made, has_first_stage=False)
    assert (analysis["changes"], analysis["harm"], analysis["useless"]["tau"]) == (None, None, None)
    assert harm_section(analysis) is None


def test_runs_stand_beside_each_other_each_at_its_own_places(made: Collection) -> None:
    harms = {
        "a": analysed(made),
        "b": analysed(made, metrics=["mrr"], judged=False),
        "old": {"changes": None, "harm": None, "useless": None},
    }
    (section,) = beside_harms(harms)
    assert rows(section.blocks[0]) == [
        ["a", "3", "3 of 3", "3 of 3", *["100.0% (34.2% to 100.0%)"] * 3],
        ["b", "10", "0 of 3", "3 of 3", "–", "–", "–"],
    ]
    assert list(beside_harms({"old": harms["old"]})) == []


def test_a_useless_one_among_them_is_named_with_its_label() -> None:
    harms = {"a": {"useless": {"name": "constant", "words": "the scores are constant"}}, "b": {"useless": None}}
    assert list(named_useless(harms)) == [Text("Mind: a: the scores are constant.", "bad")]
