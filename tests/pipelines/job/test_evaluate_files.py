"""`rerank-eval evaluate`: TREC files get the values that trec_eval gives them, and bad lines are told, not hidden."""

from __future__ import annotations

import json
import random
from math import log2
from pathlib import Path
from typing import Any

import pytest
import pytrec_eval

from pipelines.cli.app import main
from pipelines.job.evaluate_files import evaluate_run
from pipelines.job.evaluate_printed import print_evaluation
from stages.core.errors import ConfigError, DataError

IN_TREC_EVAL = {
    "ndcg@10": "ndcg_cut_10",
    "mrr": "recip_rank",
    "map": "map",
    "recall@5": "recall_5",
    "precision@10": "P_10",
    "r-precision": "Rprec",
    "bpref": "bpref",
}
Numbers = dict[str, dict[str, Any]]
SHARED = Path(__file__).parents[4] / "shared" / "data"
REAL = {
    "scifact": ("scifact/runs/bm25.trec", "scifact/qrels/test.tsv"),
    "epqa-dev": ("epqa-dev/runs/bm25.trec", "epqa-dev/qrels/test.tsv"),
    "xquad-zh": ("xquad-zh/runs/bm25.trec", "xquad-zh/qrels/test.tsv"),
    "trec_eval": ("trec_eval/results.test", "trec_eval/qrels.test"),
}


@pytest.fixture
def judged() -> Numbers:
    """40 queries; every fourth is not in the run."""
    chance = random.Random(7)
    return {f"q{n}": {f"d{chance.randrange(40)}": chance.randrange(-1, 3) for _ in range(6)} for n in range(40)}


@pytest.fixture
def scored() -> Numbers:
    """30 judged queries and 10 others; scores of one decimal, so that many tie."""
    chance = random.Random(8)
    numbers = [n for n in range(50) if n % 4 or n >= 40]
    return {f"q{n}": {f"d{d}": round(chance.random(), 1) for d in chance.sample(range(40), 15)} for n in numbers}


def write(folder: Path, scored: Numbers, judged: Numbers) -> tuple[Path, Path]:
    run, qrels = folder / "run.trec", folder / "qrels.txt"
    lines = [f"{q} Q0 {d} 0 {score} x\n" for q, documents in scored.items() for d, score in documents.items()]
    run.write_text("".join(lines))
    qrels.write_text(
        "".join(f"{q} 0 {d} {grade}\n" for q, documents in judged.items() for d, grade in documents.items())
    )
    return run, qrels


@pytest.fixture
def files(tmp_path: Path, scored: Numbers, judged: Numbers) -> tuple[Path, Path]:
    return write(tmp_path, scored, judged)


def small(folder: Path) -> tuple[Path, Path]:
    """q1 is answered well, q2 badly, q3 not at all."""
    return write(
        folder, {"q1": {"a": 2, "b": 1}, "q2": {"x": 2, "c": 1}}, {"q1": {"a": 1}, "q2": {"c": 1}, "q3": {"d": 1}}
    )


def shown(files: tuple[Path, Path], *metrics: str, per_query: bool = False, as_json: bool = False) -> None:
    print_evaluation(*files, metrics, per_query=per_query, as_json=as_json)


def test_each_query_has_the_value_that_trec_eval_gives_it(
    files: tuple[Path, Path], scored: Numbers, judged: Numbers
) -> None:
    values = evaluate_run(*files, tuple(IN_TREC_EVAL)).values
    evaluator = pytrec_eval.RelevanceEvaluator(judged, set(IN_TREC_EVAL.values()))
    expected = evaluator.evaluate({query_id: documents for query_id, documents in scored.items() if query_id in judged})
    assert len(expected) == 30 and len(values.query_ids) == 40
    for ours, theirs in IN_TREC_EVAL.items():
        told = dict(zip(values.query_ids, values.values[ours], strict=True))
        assert {query_id: told[query_id] for query_id in expected} == pytest.approx(
            {query_id: of_query[theirs] for query_id, of_query in expected.items()}
        )
        assert all(told[query_id] == 0 for query_id in judged.keys() - expected.keys())


def test_means_are_over_all_judged_queries_and_those_without_an_answer_are_counted(tmp_path: Path) -> None:
    summary = evaluate_run(*small(tmp_path), ("mrr", "hit_rate@1")).summary()
    assert summary.pop("judged_by")["by"] == "people"
    assert summary == {
        "means": {"mrr": pytest.approx((1 + 0.5 + 0) / 3), "hit_rate_at_1": pytest.approx(1 / 3)},
        "queries": 3,
        "answered": 2,
        "unanswered": 1,
        "unjudged": {"top": 1, "share": 0.5},
        "set_aside_rows": 0,
        "remarks": ["1 of 3 judged queries has no candidates and counts as 0, such as 'q3'"],
    }


def test_a_table_of_means_goes_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown(small(tmp_path), "mrr", " hit_rate@1")
    told = capsys.readouterr()
    assert told.out == (
        "mrr\tall\t0.5000\nhit_rate_at_1\tall\t0.3333\n"
        "queries\tall\t3\nunanswered\tall\t1\nunjudged_at_1\tall\t0.5000\n"
    )
    assert told.err == "mind: 1 of 3 judged queries has no candidates and counts as 0, such as 'q3'\n"


def test_per_query_values_come_before_the_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown(small(tmp_path), "mrr", per_query=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["mrr\tq1\t1.0000", "mrr\tq2\t0.5000", "mrr\tq3\t0.0000", "mrr\tall\t0.5000"]


def test_json_is_all_of_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown(small(tmp_path), "mrr", per_query=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["per_query"] == {"q1": {"mrr": 1.0}, "q2": {"mrr": 0.5}, "q3": {"mrr": 0.0}}
    assert told["means"] == {"mrr": 0.5}
    shown(small(tmp_path), "mrr", as_json=True)
    assert "per_query" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("metrics", "top", "share"),
    [(("mrr",), 10, 0.75), (("mrr", "ndcg@1", "map@2-l2"), 2, 0.5), (("hit_rate@1", "mrr"), 1, 0.0)],
)
def test_the_unjudged_share_is_of_the_largest_cutoff_and_of_answered_queries(
    tmp_path: Path, metrics: tuple[str, ...], top: int, share: float
) -> None:
    files = write(tmp_path, {"q1": {"a": 4, "x": 3, "y": 2, "z": 1}}, {"q1": {"a": 0}, "unanswered": {"a": 1}})
    summary = evaluate_run(*files, metrics).summary()
    assert summary["unjudged"] == {"top": top, "share": share}


def test_where_no_judged_query_is_answered_there_is_no_unjudged_share() -> None:
    summary = evaluate_run({"q2": {}}, {"q2": {"a": 1}}, ("mrr",)).summary()
    assert summary["unjudged"] == {"top": 10, "share": None}
    assert summary["unanswered"] == 1


@pytest.mark.parametrize(
    ("scored", "judged", "told"),
    [
        ({"q1": {"a": 1}}, {"q2": {"a": 1}}, "the one has 'q1', the other 'q2'. Give"),
        ({"q1": {"a": 1}}, {"1": {"a": 1}}, "the one has 'q1', the other '1', which is the same id in another form"),
        ({"q1": {"doc1": 1}}, {"q1": {"1": 1}}, "'doc1' is a candidate, '1' is judged, the same id in another form"),
    ],
)
def test_a_run_and_judgements_that_do_not_meet_are_refused_with_an_id_of_each_side(
    scored: Numbers, judged: Numbers, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, qrels = write(tmp_path, scored, judged)
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "--run", str(run), "--qrels", str(qrels)])
    shown_lines = capsys.readouterr()
    assert (stopped.value.code, shown_lines.out, shown_lines.err.count("\n")) == (2, "", 1)
    assert told in shown_lines.err and str(run) in shown_lines.err and str(qrels) in shown_lines.err
    with pytest.raises(DataError, match="the run"):
        evaluate_run(scored, judged, ("mrr",))


def test_what_meets_in_part_is_told_beside_the_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write(tmp_path, {"q1": {"a": 1}, "q5": {"a": 1}}, {"q1": {"a": 1}, "q3": {"a": 1}})
    remarks = [
        "1 of 2 judged queries has no candidates and counts as 0, such as 'q3'",
        "1 of 2 queries with candidates is not judged, such as 'q5'",
    ]
    shown(files, "mrr", as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out)["remarks"] == remarks
    assert told.err.splitlines() == [f"mind: {remark}" for remark in remarks]
    found = evaluate_run(*files, ("mrr",))
    assert all(remark in repr(found) for remark in remarks)
    assert found._repr_html_().count("<p>Mind: ") == 2


def test_judged_documents_that_were_not_retrieved_count_as_0_and_this_is_told() -> None:
    found = evaluate_run({"q": {"a": 1}}, {"q": {"b": 1}}, ("mrr",))
    assert found.means == {"mrr": 0.0}
    assert "no judged document is among the candidates" in found.remarks[0]


def test_judged_can_be_named_like_any_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown(small(tmp_path), "judged@1", "rbp.5", per_query=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["judged_at_1\tq1\t1.0000", "rbp.5\tq1\t0.5000"]
    assert "judged_at_1\tq2\t0.0000" in lines
    assert "judged_at_1\tall\t0.3333" in lines


def test_graded_and_binary_judgements_are_both_taken(tmp_path: Path) -> None:
    scored = {"q": {"a": 3, "b": 2, "c": 1}}
    graded = evaluate_run(*write(tmp_path, scored, {"q": {"a": 1, "b": 3, "c": 0}}), ("ndcg@3", "mrr-l2")).summary()
    assert graded["means"] == pytest.approx({"ndcg_at_3": (1 + 3 / log2(3)) / (3 + 1 / log2(3)), "mrr-l2": 0.5})
    binary = evaluate_run(*write(tmp_path, scored, {"q": {"a": 0, "b": 1, "c": 0}}), ("ndcg@3", "mrr-l2")).summary()
    assert binary["means"] == pytest.approx({"ndcg_at_3": 1 / log2(3), "mrr-l2": 0.0})


def test_a_fractional_judgement_is_refused_in_one_line_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, qrels = write(tmp_path, {"q": {"a": 1}}, {"q": {"a": 1, "b": 0.5}})
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "--run", str(run), "--qrels", str(qrels)])
    told = capsys.readouterr()
    assert (stopped.value.code, told.out) == (2, "")
    assert told.err == (
        f"rerank-eval: {qrels}:2: judgement 0.5 is a fraction; grades are integers: multiply or round them first\n"
    )


def test_bad_lines_are_told_on_stderr_with_file_and_line_and_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, qrels = small(tmp_path)
    run.write_text(run.read_text() + "q1 Q0 c 3\nq1 Q0 d 4 nan x\n")
    qrels.write_text(qrels.read_text() + "q1 0 z\n")
    shown((run, qrels), "mrr", as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out)["set_aside_rows"] == 3
    assert json.loads(told.out)["means"] == {"mrr": 0.5}
    assert told.err.splitlines() == [
        f"set aside {qrels}:4: judgement is not an integer: 'z'",
        f"set aside {run}:5: a run has 6 columns, this line 4",
        f"set aside {run}:6: score is not a finite number: 'nan'",
        "mind: 1 of 3 judged queries has no candidates and counts as 0, such as 'q3'",
    ]


def test_a_query_s_own_document_is_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    files = write(tmp_path, {"q1": {"q1": 2, "a": 1}}, {"q1": {"a": 1}})
    assert evaluate_run(*files, ("mrr",)).means == {"mrr": 0.5}
    found = evaluate_run(*files, ("mrr",), drop_self=True)
    assert found.means == {"mrr": 1.0}
    assert [(row.query_id, row.doc_id) for row in found.set_aside] == [("q1", "q1")]


def test_bad_lines_of_one_kind_are_told_once_with_the_first_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, qrels = small(tmp_path)
    run.write_text(run.read_text() + "too short\n" * 1012)
    shown((run, qrels), "mrr")
    lines = capsys.readouterr().err.splitlines()
    told = "1,012 x a run has … columns, this line …, first at"
    assert lines[0] == f"set aside {told} {run}:5: a run has 6 columns, this line 2"
    assert len(lines) == 2


def test_bad_lines_are_handed_to_the_caller(tmp_path: Path) -> None:
    run, qrels = small(tmp_path)
    run.write_text(run.read_text() + "too short\n")
    assert [row.where.line for row in evaluate_run(run, qrels, ("mrr",)).set_aside] == [5]


def test_an_unknown_metric_is_refused_before_the_files_are_read() -> None:
    with pytest.raises(ConfigError, match="the nearest one is 'ndcg@10'"):
        evaluate_run(Path("no run"), Path("no qrels"), ("ndgc@10",))


def test_a_document_that_a_query_retrieves_twice_is_refused(tmp_path: Path) -> None:
    run, qrels = small(tmp_path)
    run.write_text(run.read_text() + "q1 Q0 a 3 0 x\n")
    with pytest.raises(DataError, match="query 'q1' holds document 'a' 2 times"):
        evaluate_run(run, qrels, ("mrr",))


def read_numbers(path: Path, doc: int, number: int, take: type[int] | type[float]) -> Numbers:
    found: Numbers = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[number] != "score":  # BEIR's header
            found.setdefault(fields[0], {})[fields[doc]] = take(fields[number])
    return found


def perturbed(scored: Numbers, seed: int) -> Numbers:
    """Seed 0 is the run itself. The others add noise, round so that many scores tie, and lose documents and queries."""
    if not seed:
        return scored
    chance = random.Random(seed)
    return {
        query_id: {
            doc_id: round(score * chance.uniform(0.5, 1.5), 1)
            for doc_id, score in documents.items()
            if chance.random() < 0.9
        }
        for query_id, documents in scored.items()
        if chance.random() < 0.95
    }


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", REAL)
def test_a_real_run_gets_the_values_of_trec_eval_for_every_query(name: str, seed: int, tmp_path: Path) -> None:
    run, qrels = (SHARED / path for path in REAL[name])
    if not run.exists():
        pytest.skip(f"the collections are not at {SHARED}")
    judged = read_numbers(qrels, -2, -1, int)
    scored = perturbed(read_numbers(run, 2, 4, float), seed)
    if seed:
        run, _ = write(tmp_path, scored, {})
    found = evaluate_run(run, qrels, tuple(IN_TREC_EVAL))
    values = found.values
    expected = pytrec_eval.RelevanceEvaluator(judged, set(IN_TREC_EVAL.values())).evaluate(scored)
    assert found.set_aside == ()
    assert found.summary()["queries"] == len(judged)
    # The same from mappings, as a notebook has them.
    assert evaluate_run(scored, judged, tuple(IN_TREC_EVAL)).means == found.means
    for ours, theirs in IN_TREC_EVAL.items():
        wanted = [expected[query_id][theirs] if query_id in expected else 0.0 for query_id in values.query_ids]
        assert values.values[ours] == pytest.approx(wanted, abs=5e-5), ours
        assert values.mean(ours) == pytest.approx(sum(wanted) / len(judged), abs=5e-5), ours


def test_what_a_model_judged_has_another_name_and_a_word_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, qrels = small(tmp_path)
    header = "query-id\tcorpus-id\tscore\tjudged-by\tby-model\n"
    qrels.write_text(f"{header}q1\ta\t1\tpeople\t0\nq2\tc\t1\tmodel:tiny@0123456789ab\t1\n", encoding="utf-8")
    found = evaluate_run(run, qrels, ["mrr"])
    assert found.mark == "by model judgement (tiny@0123456789ab) of 1 of 2 queries"
    assert found.mark in repr(found) and found.mark in found._repr_html_()
    assert found.per_query["judged_by"].tolist() == ["people", "model"]
    shown((run, qrels), "mrr", per_query=True)
    told = capsys.readouterr()
    assert told.out.splitlines()[:3] == ["mrr\tq1\t1.0000", "by_model/mrr\tq2\t0.5000", "by_model/mrr\tall\t0.7500"]
    assert "no interval covers the judge's own error" in told.err
    shown((run, qrels), "mrr", per_query=True, as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert (content["judged_by"]["by"], content["judged_by"]["judge"]) == ("both", "tiny@0123456789ab")
    assert content["per_query"]["q2"] == {"mrr": 0.5, "judged_by": "model"}
