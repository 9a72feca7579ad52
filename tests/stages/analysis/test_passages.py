"""What cutting documents costs: the lists of a run that read them in passages, against those of one that cuts them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.analysis.assemble import analyse
from stages.analysis.compared import AnalysisSettings
from stages.analysis.passages import cut_and_read
from stages.analysis.strata import IN_PASSAGES
from stages.core.records import PairScore, QueryMetrics
from stages.core.rerank import rank
from stages.core.scoring import sigmoid
from stages.quality.comparison import compare_systems
from stages.quality.evaluate import evaluate, warm_up
from tests.analysis_inputs import COMPILED, METRICS, NUMBERS, Collection, collection, collections, one_query
from tests.examples import examples


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up([*COMPILED, "judged@10"])


def in_passages(made: Collection, cut: dict[str, float], passages: int = 3) -> Collection:
    """The same, where cutting these documents had given them another logit."""

    def read(doc_id: str, pair: PairScore) -> PairScore:
        if doc_id not in cut or pair.score is None:
            return pair
        return replace(pair, passages=passages, cut_score=sigmoid(cut[doc_id]), cut_logit=cut[doc_id])

    scores = tuple(
        tuple(read(doc_id, pair) for doc_id, pair in zip(candidates.doc_ids, pairs, strict=True))
        for candidates, pairs in zip(made.candidates, made.scores, strict=True)
    )
    return replace(made, scores=scores)


def cut_of(made: Collection) -> Collection:
    """What the same scorer gives where it cuts."""
    scores = tuple(
        tuple(pair if pair.passages == 1 else PairScore(pair.cut_score, pair.cut_logit) for pair in pairs)
        for pairs in made.scores
    )
    return replace(made, scores=scores)


@examples(60)
@given(collections(), st.dictionaries(st.sampled_from([f"d{place}" for place in range(12)]), NUMBERS))
def test_it_is_the_comparison_with_a_run_that_cuts_over_the_queries_with_such_documents(
    made: Collection, cut: dict[str, float]
) -> None:
    read = in_passages(made, cut)
    found = cut_and_read(read.outcomes, read.judgements, METRICS, seed=3)
    affected = {
        candidates.query_id: place
        for place, (candidates, pairs) in enumerate(zip(read.candidates, read.scores, strict=True))
        if any(pair.passages > 1 for pair in pairs)
    }
    if not affected:
        assert found is None
        return
    assert found is not None
    judgements = replace(made.judgements, grades={name: made.judgements.grades[name] for name in affected})
    sides = [
        evaluate({name: side.pairs[place][1].ordered() for name, place in affected.items()}, judgements, METRICS)
        for side in (cut_of(read), read)
    ]
    assert list(found.tested) == compare_systems(sides[0], {"passages": sides[1]}, METRICS, seed=3)
    several = [pair for pairs in read.scores for pair in pairs if pair.passages > 1]
    assert (found.queries, found.documents, found.passages) == (len(affected), len(several), 3 * len(several))


@pytest.fixture
def made() -> Collection:
    """c is relevant, and its end says so; the beginning of d does not matter. e is not judged, f failed."""
    queries = [
        one_query("p", {"a": 1.0, "b": 0.0, "c": 2.0}, tail=["t"]),
        one_query("q", {"d": 0.0, "g": 3.0}),
        one_query("r", {"f": None, "h": 1.0}),
        one_query("u", {"e": 1.0}),
    ]
    grades = {"p": {"c": 1}, "q": {"d": 1}, "r": {"h": 1}, "elsewhere": {"x": 1}}
    return in_passages(collection(queries, grades), {"c": -1.0, "d": -5.0, "e": 0.0, "f": 0.0})


def analysed(made: Collection, first: QueryMetrics | None = None) -> dict[str, Any]:
    return analyse(
        lambda: iter(made.pairs),
        made.judgements,
        made.first if first is None else first,
        made.reranked,
        AnalysisSettings(METRICS, depths=[1]),
    )


def test_the_analysis_tells_it_with_its_counts_and_sentences(made: Collection) -> None:
    told = analysed(made)["long_documents"]
    assert {name: told[name] for name in ("queries", "documents", "passages", "better")} == {
        "queries": 2,
        "documents": 2,
        "passages": 6,
        "better": 2,
    }
    mrr = told["significance"]["mrr"]
    assert (mrr["n"], mrr["mean_baseline"], mrr["mean_system"]) == (2, (1 / 3 + 1 / 2) / 2, (1 + 1 / 2) / 2)
    assert mrr["words"].startswith("mrr rises by 0.3333")


def test_it_is_told_where_there_is_no_first_stage_to_compare_with(made: Collection) -> None:
    none = QueryMetrics((), {}, ())
    assert analysed(made, none)["long_documents"] == analysed(made)["long_documents"]


def test_a_run_that_cuts_tells_nothing_of_it(made: Collection) -> None:
    found = analysed(cut_of(made))
    assert "long_documents" not in found
    assert IN_PASSAGES not in {one["column"] for one in found["strata"]}
    assert {one["group"]: one["queries"] for one in analysed(made)["strata"] if one["column"] == IN_PASSAGES}


def test_what_is_evaluated_is_the_runs_own_list(made: Collection) -> None:
    told = analysed(made)["long_documents"]["significance"]
    over_two = QueryMetrics(("p", "q"), {name: made.reranked.values[name] for name in METRICS}, (True, True))
    places = [made.reranked.query_ids.index(name) for name in ("p", "q")]
    for name in METRICS:
        values = [over_two.values[name][place] for place in places]
        assert told[name]["mean_system"] == pytest.approx(sum(values) / 2)


def test_a_failed_document_is_in_neither_list(made: Collection) -> None:
    ranking = rank(made.candidates[2], made.scores[2])
    assert ranking.doc_ids == ("h",)
    assert asdict(ranking)["passages"] == ()
