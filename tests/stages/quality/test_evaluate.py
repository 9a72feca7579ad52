"""Metric values agree with trec_eval, and none of the ways to misuse ranx is open.

The first run on a machine compiles ranx's metrics (about a minute on two cores); numba keeps them on disk. Names are
tested in test_measures.py.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.order import trec_order
from stages.core.records import Judgements, QueryMetrics
from stages.quality.evaluate import evaluate, evaluate_stream, warm_up
from stages.quality.measures import SUPPORTED, nearest_metric, parse_metric
from tests.examples import THOROUGH

ROOT = Path(__file__).parents[3]
V = TypeVar("V")
TREC_EVAL_DATA = ROOT.parent / "shared" / "data" / "trec_eval"

IN_TREC_EVAL = {
    "ndcg@5": "ndcg_cut_5",
    "ndcg@10": "ndcg_cut_10",
    "ndcg@100": "ndcg_cut_100",
    "ndcg": "ndcg",
    "mrr": "recip_rank",
    "map@10": "map_cut_10",
    "map@100": "map_cut_100",
    "map": "map",
    "recall@5": "recall_5",
    "recall@1000": "recall_1000",
    "recall": "set_recall",
    "precision@5": "P_5",
    "precision@1000": "P_1000",
    "precision": "set_P",
    "f1": "set_F",
    "hit_rate@1": "success_1",
    "hit_rate@10": "success_10",
    "hits": "num_rel_ret",
    "r-precision": "Rprec",
    "bpref": "bpref",
}
ASKED = {
    *("ndcg", "ndcg_cut.5,10,100", "recip_rank", "map", "map_cut.10,100", "recall.5,1000", "set_recall", "P.5,1000"),
    *("set_P", "set_F", "success.1,10", "num_rel_ret", "Rprec", "bpref"),
}
# Every measure as it stands without a cutoff, and rbp with a persistence.
# Those of answers are not for qrels: test_prompt_tokens.py has them.
ALL = [nearest_metric(measure) for measure, takes in SUPPORTED.items() if not takes.tokens]
SHARES = [
    "ndcg@3",
    "ndcg",
    "mrr@3",
    "mrr",
    "map@3",
    "map",
    "recall@3",
    "precision@3",
    "f1@3",
    "hit_rate@3",
    "r-precision",
    "ndcg_burges@3",
    "ndcg@3-l2",
    "map-l2",
    "bpref",
    "bpref-l2",
    "rbp.8",
    "judged@3",
    "judged",
]


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up(ALL)


def in_fresh_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def of_one_query(ranking: Sequence[str], grades: Mapping[str, int], metric: str) -> float:
    return evaluate({"q": ranking}, Judgements({"q": grades}), [metric]).values[metric][0]


# --- agreement with trec_eval ---


def read_columns(name: str) -> list[list[str]]:
    path = TREC_EVAL_DATA / name
    if not path.exists():
        pytest.skip(f"trec_eval's own test data is not at {TREC_EVAL_DATA}")
    return [line.split() for line in path.read_text().splitlines()]


def test_every_query_of_trec_evals_own_test_data_gets_the_values_trec_eval_printed() -> None:
    scores: dict[str, dict[str, float]] = {}
    for query_id, _, doc_id, _, score, _ in read_columns("results.test"):
        scores.setdefault(query_id, {})[doc_id] = float(score)
    grades: dict[str, dict[str, int]] = {query_id: {} for query_id in scores}
    for query_id, _, doc_id, grade in read_columns("qrels.test"):
        if query_id in scores:
            grades[query_id][doc_id] = int(grade)
    printed = {(measure, query_id): value for measure, query_id, value in read_columns("out.test.aq")}

    rankings = {query_id: trec_order(list(of_query), list(of_query.values())) for query_id, of_query in scores.items()}
    result = evaluate(rankings, Judgements(grades), list(IN_TREC_EVAL))

    assert len(result.query_ids) == 3
    for metric, measure in IN_TREC_EVAL.items():
        for query_id, value in zip(result.query_ids, result.values[metric], strict=True):
            assert value == pytest.approx(float(printed[measure, query_id]), abs=5.1e-5), (metric, query_id)
        if metric != "hits":  # trec_eval sums counts over queries
            assert result.mean(metric) == pytest.approx(float(printed[measure, "all"]), abs=5.1e-5), metric


LETTERS = "".join(chr(c) for c in range(0x21, 0x7F)) + "éßñжяあ漢字文書हि한글עבعرب\uffee\U0001f600"


def generated_run(seed: int) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """Scores and judgements: ids of 1 to 200 letters of many scripts, ties, grades below 0, and holes: judged queries
    that are missing or have an empty list, and a ranked one that is not judged.
    """
    dice = random.Random(seed)
    pool = ["".join(dice.choices(LETTERS, k=dice.choice([1, 2, 8, 200, dice.randint(1, 200)]))) for _ in range(40)]
    pool = list(dict.fromkeys(pool))
    ties = [0.0, -0.0, -1.5, 2.129133, 2.1291331, 16777216.0, 16777217.0, 1e-50, dice.gauss(0, 1)]
    scores, grades = {}, {}
    *queries, not_judged = dice.sample(["1", "10", "2", "q", "é", "文", "\U0001f600"], k=6)
    for query_id in queries:
        judged = dice.sample(pool, k=dice.randint(1, 20))
        grades[query_id] = {doc_id: dice.choice([-2, -1, 0, 0, 1, 2, 3]) for doc_id in judged}
        grades[query_id][judged[0]] = dice.choice([0, 1, 2])  # trec_eval crashes when all grades are negative
    for query_id in [*queries, not_judged]:
        if dice.random() < 0.8:
            length = dice.randint(1, 30) if dice.random() < 0.9 else 0
            scores[query_id] = {doc_id: dice.choice(ties) for doc_id in dice.sample(pool, k=length)}
    return scores, grades


@pytest.mark.scaled
def test_values_and_means_equal_trec_evals_on_generated_runs_full_of_ties_and_holes() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier is not installed")
    at_level_2 = {f"{metric}-l2": measure for metric, measure in IN_TREC_EVAL.items() if "ndcg" not in metric}
    holes = empty = 0
    runs = 1000 if THOROUGH else 150
    for seed in range(runs):
        scores, grades = generated_run(seed)
        rankings = {query_id: trec_order(list(row), list(row.values())) for query_id, row in scores.items()}
        result = evaluate(rankings, Judgements(grades), [*IN_TREC_EVAL, *at_level_2])
        assert result.answered == tuple(bool(scores.get(query_id)) for query_id in result.query_ids)
        for level, measures in ((1, IN_TREC_EVAL), (2, at_level_2)):
            expected = pytrec_eval.RelevanceEvaluator(grades, ASKED, relevance_level=level).evaluate(scores)
            for metric, measure in measures.items():
                wanted = [expected.get(query_id, {}).get(measure, 0.0) for query_id in result.query_ids]
                assert result.values[metric] == pytest.approx(wanted, abs=1e-12), (seed, metric)
                if measure != "num_rel_ret":  # trec_eval sums counts over queries
                    mean = pytrec_eval.compute_aggregated_measure(measure, wanted)
                    assert result.mean(metric) == pytest.approx(mean, abs=1e-12), (seed, metric)
        holes += sum(query_id not in scores for query_id in grades)
        empty += sum(not row for row in scores.values())
    assert holes > runs / 2
    assert empty > runs / 5


def test_mrr_with_a_cutoff_is_zero_when_the_first_relevant_document_comes_after_it() -> None:
    assert of_one_query(["a", "b", "c"], {"c": 1}, "mrr@3") == pytest.approx(1 / 3)
    assert of_one_query(["a", "b", "c"], {"c": 1}, "mrr@2") == 0.0
    assert of_one_query(["a", "b", "c"], {"c": 1}, "mrr") == pytest.approx(1 / 3)


def test_ndcg_takes_the_grade_itself_as_gain() -> None:
    ideal = 3 + 1 / 1.584962500721156
    assert of_one_query(["a", "b"], {"a": 1, "b": 3}, "ndcg@10") == pytest.approx((1 + 3 / 1.584962500721156) / ideal)


def test_f1_is_the_harmonic_mean_of_precision_and_recall_at_the_same_cutoff() -> None:
    ranking, grades = ["a", "x", "b"], {"a": 1, "b": 1, "c": 1}
    precision, recall = (of_one_query(ranking, grades, metric) for metric in ("precision@3", "recall@3"))
    assert precision == recall == pytest.approx(2 / 3)
    assert of_one_query(ranking, grades, "f1@3") == pytest.approx(2 * precision * recall / (precision + recall))
    assert of_one_query(ranking, grades, "f1@2") == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))


def test_burges_gain_is_two_to_the_grade_less_one() -> None:
    ranking, grades = ["x", "a", "b"], {"a": 1, "b": 3, "c": 2}
    found = 1 / 1.584962500721156 + 7 / 2
    ideal = 7 + 3 / 1.584962500721156 + 1 / 2
    assert of_one_query(ranking, grades, "dcg_burges") == pytest.approx(found)
    assert of_one_query(ranking, grades, "dcg_burges@2") == pytest.approx(1 / 1.584962500721156)
    assert of_one_query(ranking, grades, "ndcg_burges@3") == pytest.approx(found / ideal)


def test_a_grade_whose_burges_gain_is_infinite_is_an_error_for_these_metrics_only() -> None:
    assert of_one_query(["a"], {"a": 1000, "b": 1000}, "ndcg_burges") == pytest.approx(1 / (1 + 1 / 1.584962500721156))
    assert of_one_query(["a"], {"a": 1001}, "ndcg") == 1.0
    with pytest.raises(DataError, match=r"'a' for query 'q' is 1001: .* grades up to 1000"):
        of_one_query(["a"], {"a": 1001}, "dcg_burges@10-l2")


def test_dcg_is_the_sum_that_ndcg_divides() -> None:
    ranking, grades = ["a", "x", "b"], {"a": 1, "b": 3}
    assert of_one_query(ranking, grades, "dcg") == pytest.approx(1 + 3 / 2)
    assert of_one_query(ranking, grades, "dcg@2") == 1.0


def test_below_its_level_a_grade_counts_0_in_ndcg_and_from_it_on_whole() -> None:
    ranking, grades = ["a", "b", "c"], {"a": 1, "b": 2, "c": 3}
    second, third = 1.584962500721156, 2.0
    ideal = 3 + 2 / second
    assert of_one_query(ranking, grades, "ndcg@10-l2") == pytest.approx((2 / second + 3 / third) / ideal)
    assert of_one_query(ranking, grades, "ndcg-l3") == pytest.approx(1 / third)
    assert of_one_query(ranking, grades, "dcg-l2") == pytest.approx(2 / second + 3 / third)


def test_rbp_weighs_ranks_by_powers_of_its_persistence_whatever_the_grade() -> None:
    ranking, grades = ["a", "x", "b", "z"], {"a": 1, "b": 3, "z": 0}
    for name, p in (("rbp.8", 0.8), ("rbp.95", 0.95), ("rbp.05", 0.05)):
        assert of_one_query(ranking, grades, name) == pytest.approx((1 - p) * (1 + p**2))
    assert of_one_query(ranking, grades, "rbp.8-l2") == pytest.approx(0.2 * 0.8**2)
    assert of_one_query(ranking, grades, "rbp.8-l4") == 0.0


def test_bpref_passes_over_what_is_not_judged() -> None:
    grades = {"a": 1, "b": 1, "n": 0, "m": 0, "spam": -2}
    assert of_one_query(["x", "a", "n", "y", "spam", "b"], grades, "bpref") == pytest.approx((1 + 1 / 2) / 2)
    assert of_one_query(["x", "a", "b"], {"a": 1, "b": 1, "c": 1}, "bpref") == pytest.approx(2 / 3)


def test_judged_is_the_share_of_the_documents_that_are_there() -> None:
    judgements = Judgements({"q": {"a": 1, "b": -1, "z": 1}, "p": {"a": 0}, "unanswered": {"a": 1}, "empty": {}})
    rankings = {"q": ["x", "a", "b"], "unjudged": ["a"], "p": ["a"], "empty": ["a"]}
    found = evaluate(rankings, judgements, ["judged@1", "judged@2", "judged@10", "judged"])
    assert found.query_ids == ("empty", "p", "q", "unanswered")
    assert found.answered == (True, True, True, False)
    assert found.values["judged@1"] == (0.0, 1.0, 0.0, 0.0)
    assert found.values["judged@2"] == (0.0, 1.0, 0.5, 0.0)
    assert found.values["judged@10"] == found.values["judged"] == pytest.approx((0.0, 1.0, 2 / 3, 0.0))


# --- the traps of ranx ---


def test_queries_are_paired_by_id_when_the_rankings_come_in_another_order() -> None:
    judgements = Judgements({"q1": {"a": 1}, "q2": {"b": 1}})
    result = evaluate({"q2": ["b", "a"], "q1": ["a", "b"]}, judgements, ["mrr"])
    assert result == QueryMetrics(("q1", "q2"), {"mrr": (1.0, 1.0)}, (True, True))


def test_a_ranking_is_taken_in_the_order_given() -> None:
    ranking = [str(number) for number in range(300)]
    for rank in (1, 17, 300):
        assert of_one_query(ranking, {ranking[rank - 1]: 1}, "mrr") == 1 / rank


def test_equal_scores_are_ordered_by_document_id_descending() -> None:
    assert trec_order(["a", "c", "b", "Z", "é", "文"], [1.0] * 6) == ("文", "é", "c", "b", "a", "Z")
    assert trec_order(["9", "10"], [1.0, 1.0]) == ("9", "10")


def test_scores_that_are_equal_in_single_precision_are_equal() -> None:
    assert trec_order(["a", "b"], [2.1291331, 2.129133]) == ("b", "a")
    assert trec_order(["a", "b"], [2.1292, 2.1291]) == ("a", "b")
    assert trec_order(["a", "b", "c"], [float("inf"), float("-inf"), 0.0]) == ("a", "c", "b")


def test_a_score_that_is_not_a_number_is_an_error_naming_the_document() -> None:
    with pytest.raises(DataError, match="'doc-7' is NaN"):
        trec_order(["doc-6", "doc-7"], [1.0, float("nan")])


def test_a_document_twice_in_a_ranking_is_an_error_naming_it_and_its_query() -> None:
    with pytest.raises(DataError, match="query 'q' holds document 'a' 2 times"):
        of_one_query(["a", "b", "a"], {"a": 1}, "ndcg@10")


@pytest.mark.parametrize("grade", [0.5, 1.0, "1", None])
def test_a_judgement_that_is_not_an_integer_is_an_error_not_truncated(grade: object) -> None:
    grades = {"b": 1, "a": grade}
    with pytest.raises(DataError, match=r"document 'a' for query 'q' is .*, not an integer"):
        of_one_query(["a"], grades, "ndcg@10")  # type: ignore[arg-type]


def test_a_judged_query_without_a_ranking_scores_zero_and_is_unanswered() -> None:
    judgements = Judgements({"absent": {"a": 1}, "empty": {"a": 1}, "found": {"a": 1}})
    for metric in ALL:
        best = 0.05 if metric == "rbp.95" else 1.0
        result = evaluate({"found": ["a"], "empty": []}, judgements, [metric])
        assert result.query_ids == ("absent", "empty", "found")
        assert result.values[metric] == pytest.approx((0.0, 0.0, best)), metric
        assert result.answered == (False, False, True)
        assert result.mean(metric) == pytest.approx(best / 3)


def test_a_ranked_query_that_is_not_judged_is_ignored() -> None:
    assert evaluate({"q": ["a"], "unjudged": ["a"]}, Judgements({"q": {"a": 1}}), ["mrr"]).query_ids == ("q",)


@pytest.mark.parametrize("grades", [{}, {"a": 0}, {"a": -1, "b": 0}])
def test_a_query_with_no_relevant_document_counts_zero_in_the_mean(grades: dict[str, int]) -> None:
    judgements = Judgements({"none": grades, "one": {"a": 1}})
    for metric in ALL:
        if parse_metric(metric).measure != "judged":
            none, one = evaluate({"none": ["a"], "one": ["a"]}, judgements, [metric]).values[metric]
            assert none == 0.0 < one, metric


def test_a_query_that_is_ranked_twice_is_an_error_unless_it_is_not_judged() -> None:
    judgements = Judgements({"q": {"a": 1}})
    with pytest.raises(DataError, match="Query 'q' is ranked twice"):
        evaluate_stream([("q", ["a"]), ("q", ["b"])], judgements, ["mrr"], queries_per_chunk=1)
    twice = [("other", ["a"]), ("q", ["a"]), ("other", ["b"])]
    assert evaluate_stream(twice, judgements, ["mrr"]).values == {"mrr": (1.0,)}


def test_nothing_judged_is_an_error() -> None:
    with pytest.raises(DataError, match="no judgements"):
        evaluate({"q": ["a"]}, Judgements({}), ["mrr"])


def test_longer_ids_and_other_shapes_compile_nothing_anew() -> None:
    from ranx.metrics.bpref import _bpref_parallel  # type: ignore[import-untyped]
    from ranx.metrics.ndcg import _ndcg_parallel  # type: ignore[import-untyped]
    from ranx.metrics.rank_biased_precision import _rank_biased_precision_parallel  # type: ignore[import-untyped]

    names = ["ndcg", "ndcg_burges@3", "ndcg-l2", "bpref", "bpref-l2", "rbp.8", "rbp.95-l3"]
    for length in (1, 9, 50, 200):
        one = Judgements({"q": {"x" * length: 2, "文" * length: 1}})
        assert evaluate({"q": ["x" * length, "y"]}, one, [f"ndcg@{length}", *names]).mean("ndcg") > 0
    evaluate({str(query): ["a"] for query in range(50)}, Judgements({str(query): {} for query in range(50)}), names)
    for compiled in (_ndcg_parallel, _bpref_parallel, _rank_biased_precision_parallel):
        assert len(compiled.signatures) == 1


def test_one_metric_with_a_cutoff_can_be_computed_alone() -> None:
    # ranx.evaluate raises KeyError for this when asked for values per query
    assert evaluate({"q": ["a"]}, Judgements({"q": {"a": 1}}), ["ndcg@10"]).values == {"ndcg@10": (1.0,)}


def test_many_threads_may_evaluate_while_another_warms_up() -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
from stages.quality.evaluate import evaluate, warm_up
from stages.core.records import Judgements
judgements = Judgements({str(q): {str(d): d % 3 for d in range(50)} for q in range(200)})
rankings = {str(q): [str((d * 7 + q) % 50) for d in range(50)] for q in range(200)}
with ThreadPoolExecutor(8) as pool:
    warm = pool.submit(warm_up, ["ndcg@10", "map"])
    results = list(pool.map(lambda _: evaluate(rankings, judgements, ["ndcg@10", "map"]), range(24)))
warm.result()
assert all(result == results[0] for result in results)
print(len(results))
"""
    process = in_fresh_process(code)
    assert (process.returncode, process.stdout) == (0, "24\n"), process.stderr


# --- loading ---


def test_the_judged_share_alone_does_without_ranx() -> None:
    code = """
import sys
from stages.quality.evaluate import evaluate
from stages.core.records import Judgements
print(evaluate({"q": ["a", "b"]}, Judgements({"q": {"a": 1}}), ["judged@5"]).values, "ranx" in sys.modules)
"""
    process = in_fresh_process(code)
    assert process.stdout == "{'judged@5': (0.5,)} False\n", process.stderr


def test_importing_the_module_loads_neither_ranx_nor_numba() -> None:
    heavy = "('numba', 'ranx', 'pandas', 'torch')"
    code = f"import sys, stages.quality.evaluate; print([m for m in {heavy} if m in sys.modules])"
    process = in_fresh_process(code)
    assert process.stdout == "[]\n", process.stderr


def test_a_folder_that_cannot_be_written_is_an_error_naming_the_variables_to_set() -> None:
    code = """
from stages.core.errors import ConfigError
from stages.quality.evaluate import warm_up
try:
    warm_up(["mrr"])
except ConfigError as error:
    print(error)
"""
    process = in_fresh_process(code, IR_DATASETS_HOME="/dev/null/datasets")
    assert "set the environment variables NUMBA_CACHE_DIR" in process.stdout, process.stderr


def test_nothing_is_printed_and_no_warning_is_shown_while_a_metric_is_compiled(tmp_path: Path) -> None:
    code = "from stages.quality.evaluate import warm_up; warm_up(['mrr'])"
    process = in_fresh_process(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert list(tmp_path.rglob("reciprocal_rank*.nbc"))
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")


# --- properties ---

DOCUMENTS = st.integers(0, 12).map(str)
GRADES = st.dictionaries(
    st.sampled_from("abcdef"), st.dictionaries(DOCUMENTS, st.integers(-2, 4), max_size=10), min_size=1
)
RANKINGS = st.dictionaries(st.sampled_from("abcdefg"), st.lists(DOCUMENTS, unique=True, max_size=13))


@given(GRADES, RANKINGS)
def test_every_value_lies_between_0_and_1(grades: dict[str, dict[str, int]], rankings: dict[str, list[str]]) -> None:
    result = evaluate(rankings, Judgements(grades), SHARES)
    assert all(0.0 <= value <= 1.0 for values in result.values.values() for value in values)
    assert result.query_ids == tuple(sorted(grades))


@given(GRADES, st.integers(1, 15))
def test_the_ideal_ranking_has_ndcg_1(grades: dict[str, dict[str, int]], cutoff: int) -> None:
    ideal = {query_id: sorted(row, key=lambda doc_id: -row[doc_id]) for query_id, row in grades.items()}
    result = evaluate(ideal, Judgements(grades), ["ndcg", f"ndcg@{cutoff}"])
    wanted = tuple(float(any(grade > 0 for grade in grades[query_id].values())) for query_id in result.query_ids)
    assert result.values == {"ndcg": wanted, f"ndcg@{cutoff}": wanted}


@given(GRADES, RANKINGS, st.randoms(use_true_random=False))
def test_the_order_of_dicts_changes_nothing(
    grades: dict[str, dict[str, int]], rankings: dict[str, list[str]], dice: random.Random
) -> None:
    def shuffled(mapping: Mapping[str, V]) -> dict[str, V]:
        return {key: mapping[key] for key in dice.sample(list(mapping), k=len(mapping))}

    permuted = {query_id: shuffled(row) for query_id, row in shuffled(grades).items()}
    assert evaluate(rankings, Judgements(grades), SHARES) == evaluate(shuffled(rankings), Judgements(permuted), SHARES)


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, width=32)))
def test_the_order_of_trec_eval_does_not_depend_on_the_order_of_the_input(scores: dict[str, float]) -> None:
    ordered = trec_order(list(scores), list(scores.values()))
    assert sorted(ordered) == sorted(scores)
    assert ordered == trec_order(list(scores)[::-1], list(scores.values())[::-1])
    for above, below in pairwise(ordered):
        assert (scores[above], above) > (scores[below], below)


@given(GRADES, RANKINGS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_chunks_of_any_size_in_any_order_give_the_values_of_the_whole(
    grades: dict[str, dict[str, int]], rankings: dict[str, list[str]], size: int, dice: random.Random
) -> None:
    stream = iter(dice.sample(list(rankings.items()), k=len(rankings)))
    whole = evaluate(rankings, Judgements(grades), SHARES)
    assert evaluate_stream(stream, Judgements(grades), SHARES, queries_per_chunk=size) == whole
