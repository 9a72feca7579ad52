"""`rerank-eval plan-judging` as a user runs it: from runs without judgements to the verdict, by files filled in."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.cli.app import main
from pipelines.job.evaluate_files import evaluate_run
from stages.core.records import Judgements
from stages.files.judgements import write_judgements
from stages.quality.evaluate import evaluate
from tests.pipelines.finished_runs import finished_run
from tests.pipelines.unjudged_runs import fill, grade_of, unjudged_run

ASKED = ("--metric", "ndcg@10", "--width", "0.08", "--out", "plan")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["plan-judging", *(str(argument) for argument in arguments)])
    return int(ended.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert exit_code(*arguments, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert exit_code(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rerank-eval: ")
    return line


def judge_all(capsys: pytest.CaptureFixture[str], plan: str = "plan") -> dict[str, Any]:
    """Fill in and read back until there is a verdict."""
    for _ in range(20):
        fill(Path(plan, "tasks.jsonl"))
        found = told(capsys, plan)
        if found["verdict"]:
            return found
    raise AssertionError(found)


# --- a new plan ---


def test_a_plan_says_what_is_judged_how_many_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), 60, same=12)
    assert exit_code("run", *ASKED, "--seed", 3) == 0
    shown, minded = capsys.readouterr()
    assert minded == ""
    assert "population  60 queries; of 12 it sees the same before and after, so they need no judgement" in shown
    assert "number      30 queries, the pilot; its spread decides on the rest" in shown
    assert "width       not known yet, asked +-0.08" in shown
    assert "tasks       plan/tasks.jsonl" in shown
    assert "mind        relevant documents that no list has among its first 10" in shown
    plan = json.loads(Path("plan/plan.json").read_text())
    assert (plan["seed"], plan["metric"], plan["width"], plan["first"], plan["population"]) == (
        3,
        "ndcg@10",
        0.08,
        30,
        60,
    )
    assert len(plan["order"]) == len(set(plan["order"])) == 48
    (run,) = plan["runs"]
    assert run["run_id"] == "run" and len(run["metrics_sha256"]) == 64 and run["candidates_digest"]


def test_the_tasks_are_the_pool_of_the_first_drawn_queries_and_tell_nothing_of_ranks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = unjudged_run(Path("run"), 60, documents=14, same=0)
    exit_code("run", *ASKED)
    rows = [json.loads(line) for line in Path("plan/tasks.jsonl").read_text().splitlines()]
    order = json.loads(Path("plan/plan.json").read_text())["order"]
    assert list(dict.fromkeys(row["query_id"] for row in rows)) == order[:30]
    assert {tuple(row) for row in rows} == {("query_id", "doc_id", "query", "document", "grade")}
    assert {row["grade"] for row in rows} == {None}
    lists = {line.split()[0]: [] for line in run.folder.trec_run.read_text().splitlines()}
    for line in run.folder.trec_run.read_text().splitlines():
        lists[line.split()[0]].append(line.split()[2])
    for query_id in order[:30]:
        first_stage = [f"{query_id}-d{place:02}" for place in range(10)]
        mine = [row["doc_id"] for row in rows if row["query_id"] == query_id]
        assert set(mine) == {*first_stage, *lists[query_id][:10]}
        assert mine not in (sorted(mine), [one for one in lists[query_id] if one in mine])


def test_two_runs_are_judged_on_the_pool_of_all_four_lists(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("a"), 40, documents=20, seed=1, same=0)
    unjudged_run(Path("b"), 40, documents=20, seed=2, same=0)
    assert exit_code("a", "b", *ASKED) == 0
    plan = json.loads(Path("plan/plan.json").read_text())
    assert (plan["before"], plan["after"]) == ("a", "b")
    rows = [json.loads(line) for line in Path("plan/tasks.jsonl").read_text().splitlines()]
    assert 14 < len(rows) / 30 <= 20


def test_the_same_seed_draws_the_same_and_another_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"))
    for out, seed in (("one", 1), ("same", 1), ("other", 2)):
        exit_code("run", "--metric", "ndcg@10", "--width", "0.1", "--out", out, "--seed", seed)
    tasks = {out: Path(out, "tasks.jsonl").read_text() for out in ("one", "same", "other")}
    assert tasks["one"] == tasks["same"] != tasks["other"]


def test_strata_are_told_and_drawn_in_proportion(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), 90, same=0, fields={"language": ["en"] * 60 + ["zh"] * 30})
    assert exit_code("run", *ASKED, "--stratify", "language") == 0
    assert "strata      language: en 60, zh 30" in capsys.readouterr().out
    order = json.loads(Path("plan/plan.json").read_text())["order"]
    assert sum(int(query_id[1:]) < 60 for query_id in order[:30]) == 20
    verdict = judge_all(capsys)["verdict"]
    assert verdict["reach"] <= 0.08 and verdict["low"] < verdict["change"] < verdict["high"]


# --- to the verdict ---


def test_filled_tasks_lead_to_the_verdict_which_is_the_change_over_the_drawn_queries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = unjudged_run(Path("run"), 150, same=30)
    exit_code("run", *ASKED)
    verdict = judge_all(capsys)["verdict"]
    assert verdict["reach"] <= 0.08 and verdict["broken"] == [] and verdict["source"] == "people"
    # Over the drawn ones by the qrels it wrote; the 30 unchanged ones have no change.
    qrels = Path("plan/qrels.tsv")
    after = evaluate_run(run.folder.trec_run, qrels, ["ndcg@10"]).values
    before = {query_id: [f"{query_id}-d{place:02}" for place in range(12)] for query_id in after.query_ids}
    grades: dict[str, dict[str, int]] = {}
    for line in qrels.read_text().splitlines()[1:]:
        query_id, doc_id, grade = line.split("\t")
        grades.setdefault(query_id, {})[doc_id] = int(grade)
        assert int(grade) == grade_of(query_id, doc_id)
    first = evaluate(before, Judgements(grades), ["ndcg@10"]).mean("ndcg@10")
    assert len(after.query_ids) == verdict["number"]
    assert verdict["change"] == pytest.approx((after.mean("ndcg@10") - first) * 120 / 150)
    assert json.loads(Path("plan/verdict.json").read_text()) == verdict


def test_the_estimate_is_told_nowhere_before_the_number_is_reached(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), 150, same=30)
    exit_code("run", *ASKED)
    fill(Path("plan/tasks.jsonl"), 25)
    capsys.readouterr()
    assert exit_code("plan") == 0
    shown = capsys.readouterr().out
    assert re.search(r"width       \+-0\.\d{4} so far, asked \+-0\.08", shown)
    assert "verdict" not in shown and "rises" not in shown and "falls" not in shown
    found = told(capsys, "plan")
    assert found["verdict"] is None and found["progress"]["done"] == 25
    assert set(found["progress"]) == {
        *("number", "done", "skipped", "pairs", "judged", "reused", "asked", "reach", "complete", "finished")
    }
    assert not Path("plan/verdict.json").exists()


def test_after_the_verdict_no_grade_changes(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), 60, same=0)
    exit_code("run", *ASKED)
    row = json.loads(Path("plan/tasks.jsonl").read_text().splitlines()[0])
    found = judge_all(capsys)
    before = Path("plan/qrels.tsv").read_bytes()
    row["grade"] = (grade_of(row["query_id"], row["doc_id"]) + 1) % 4
    Path("late.jsonl").write_text(json.dumps(row) + "\n")
    assert "the verdict is made" in refused(capsys, "plan", "--read", "late.jsonl", "--overwrite")
    assert Path("plan/qrels.tsv").read_bytes() == before
    assert told(capsys, "plan")["verdict"] == found["verdict"]


def test_of_exactly_these_queries_fewer_are_judged(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), 90, same=0)
    numbers = {}
    for about in ("these", "like-these"):
        exit_code("run", "--metric", "ndcg@10", "--width", "0.045", "--out", about, "--about", about)
        numbers[about] = judge_all(capsys, about)["verdict"]["number"]
    assert numbers["these"] < numbers["like-these"]


def test_a_width_that_the_queries_do_not_give_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), 40, same=0)
    exit_code("run", "--metric", "ndcg@10", "--width", "0.01", "--out", "plan")
    verdict = judge_all(capsys)["verdict"]
    assert verdict["number"] == 40 and verdict["reach"] > 0.01
    assert any("+-0.01 was asked for" in one and "no more to draw" in one for one in verdict["broken"])


# --- what was judged before ---


def write_rows(run: Path, queries: int, graded: int, highest: int = 2) -> None:
    """The data of a run, judged for its first `graded` queries, and a run folder that was evaluated with it."""
    made = unjudged_run(run, queries, same=0)
    rows = []
    for number in range(queries):
        query_id = f"q{number:03}"
        documents = [
            {"id": f"{query_id}-d{place:02}", "text": f"Document {query_id}-d{place:02}."}
            | ({"relevance": grade_of(query_id, f"{query_id}-d{place:02}", highest)} if number < graded else {})
            for place in range(12)
        ]
        rows.append({"query_id": query_id, "query": f"question {number}?", "documents": documents})
    data = run / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made.folder.config.write_text(f"data: {{format: jsonl, path: {data}}}\n")


def test_pairs_that_people_judged_before_are_not_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), 60, same=0)
    known = [f"q{number:03}" for number in range(30)]
    Path("known.tsv").write_text(
        "".join(
            f"{one}\t{one}-d{place:02}\t{grade_of(one, f'{one}-d{place:02}', 2)}\n"
            for one in known
            for place in range(12)
        )
    )
    found = told(capsys, "run", *ASKED, "--qrels", "known.tsv")
    asked = {json.loads(line)["query_id"] for line in Path("plan/tasks.jsonl").read_text().splitlines()}
    assert asked and not asked & set(known)
    assert found["progress"]["reused"] > 0
    plan = json.loads(Path("plan/plan.json").read_text())
    assert plan["highest"] == 2 and plan["sd"] > 0 and plan["sd_source"] == "of the judgements of known.tsv"
    assert any(line.startswith(tuple(known)) for line in Path("plan/qrels.tsv").read_text().splitlines())


def test_what_answers_judged_is_not_taken_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = unjudged_run(Path("run"), 60, same=0).folder.metrics
    finished_run(Path("judged"), [0.5] * 60)
    content = json.loads(metrics.read_text())
    content["judgements"] = {"kind": "answers", "match": "words"}
    metrics.write_text(json.dumps(content))
    shutil.copy(Path("judged/per_query.parquet"), Path("run/per_query.parquet"))
    found = told(capsys, "run", *ASKED)
    assert found["progress"]["reused"] == 0 and found["verdict"] is None
    assert any("judged by answers, not by people" in remark for remark in found["remarks"])


def test_what_people_judged_is_read_as_the_run_kept_it_though_its_data_is_gone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = unjudged_run(Path("run"), 60, same=0).folder
    finished_run(Path("judged"), [0.5] * 60)
    shutil.copy(Path("judged/per_query.parquet"), Path("run/per_query.parquet"))
    kept = Judgements({f"q{number:03}": {f"q{number:03}-d01": 1} for number in range(60)})
    write_judgements(kept, folder.judgements)
    folder.metrics.write_text(json.dumps(json.loads(folder.metrics.read_text()) | {"judgements_digest": kept.digest}))
    assert told(capsys, "run", *ASKED)["progress"]["reused"] > 0
    folder.judgements.write_bytes(b"no table")
    found = told(capsys, "run", *ASKED[:-1], "again")
    assert found["progress"]["reused"] == 0 and any("cannot be read again" in one for one in found["remarks"])


def test_a_width_that_all_queries_together_do_not_give_is_told_before_anybody_judges(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unjudged_run(Path("run"), 60, same=0)
    asked = ("run", "--metric", "ndcg@10", "--sd", "0.2", "--width")
    found = told(capsys, *asked, "0.01", "--out", "narrow")
    assert any("--width 0.01 is out of reach: with this spread all 60 queries" in one for one in found["remarks"])
    found = told(capsys, *asked, "0.1", "--out", "wide")
    assert not any("out of reach" in one for one in found["remarks"])


def test_grades_of_another_scale_than_the_known_ones_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"))
    Path("known.tsv").write_text("q001\tq001-d00\t1\n")
    line = refused(capsys, "run", *ASKED, "--qrels", "known.tsv", "--highest", 3)
    assert "go up to 1, and gains of two scales cannot be added" in line
    assert not Path("plan").exists()


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--width", "0.03", "--out", "plan"), "needs --metric, --width and --out"),
        (("run", "--metric", "map", "--width", "0.03", "--out", "plan"), "has no cutoff"),
        (("run", "--metric", "ndgc@10", "--width", "0.03", "--out", "plan"), "Unknown metric"),
        (("run", "--metric", "ndcg@10", "--width", "0", "--out", "plan"), "--width 0"),
        (("run", "--metric", "ndcg@10", "--width", "3", "--out", "plan"), "cannot change by more than 1"),
        (("run", *ASKED, "--pilot", "5"), "fewer than 20 queries tell no spread"),
        (("run", *ASKED, "--sd", "-1"), "--sd -1"),
        (("run", *ASKED, "--about", "all"), "choose from these, like-these"),
        (("run", *ASKED, "--highest", "12"), "--highest 12"),
        (("run", *ASKED, "--confidence", "95"), "--confidence 95"),
        (("run", *ASKED, "--stratify", "langage"), "the queries have no such field; did you mean language?"),
        (("run", *ASKED, "--serve", "--host", "0.0.0.0"), "lets others on the network"),
        (("run", *ASKED, "--serve", "--json"), "give one of them"),
        (("run", "run", *ASKED), "given twice"),
        (("run", "run", "run", *ASKED), "give one run"),
        (("nowhere", *ASKED), "nowhere is not the folder of a finished run"),
        (("run", *ASKED, "--qrels", "none.tsv"), "none.tsv"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    unjudged_run(Path("run"), fields={"language": ["en"] * 40})
    before = sorted(Path().rglob("*"))
    assert words in refused(capsys, *arguments)
    assert sorted(Path().rglob("*")) == before


def test_a_plan_is_not_written_over_and_not_changed(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"))
    exit_code("run", *ASKED)
    assert "holds a plan already" in refused(capsys, "run", *ASKED)
    assert "--width: plan is a plan, which is fixed" in refused(capsys, "plan", "--width", "0.2")
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    assert "not empty" in refused(capsys, "run", *ASKED[:-1], "full")
    assert Path("full/mine.txt").read_text() == "mine"


def test_lists_that_are_all_the_same_need_no_judge(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), 30, same=30)
    assert "it does not change, whatever anybody judges" in refused(capsys, "run", *ASKED)


def test_a_run_that_kept_no_texts_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from stages.files.untexted import write_without_texts

    run = unjudged_run(Path("run"))
    write_without_texts(run.folder.candidates, Path("bare"), frozenset())
    for file in run.folder.candidates.iterdir():
        file.unlink()
    for file in Path("bare").iterdir():
        file.rename(run.folder.candidates / file.name)
    Path("bare").rmdir()
    assert "output.texts: false" in refused(capsys, "run", *ASKED)


def test_documents_without_a_text_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    unjudged_run(Path("run"), same=0)
    assert exit_code("run", "--metric", "map", "--pool", "12", "--width", "0.1", "--out", "plan") == 0
    assert "what lies below 12 in every list is not judged" in capsys.readouterr().out


def test_the_runs_own_judgements_are_found_and_reused(capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stages.sources import DataSettings, open_source

    write_rows(Path("run"), 60, 25)
    digest = open_source(DataSettings(format="jsonl", path="run/rows.jsonl")).judgements(lambda _: None).digest
    metrics = json.loads(Path("run/metrics.json").read_text())
    values = {"query_id": ["q000"], "answered": [True], "reranked/ndcg_at_10": [0.5], "first_stage/ndcg_at_10": [0.4]}
    pq.write_table(pa.table(values), "run/per_query.parquet")
    for known, told_digest in ((True, digest), (False, "e" * 64)):
        Path("run/metrics.json").write_text(json.dumps(metrics | {"judgements_digest": told_digest}))
        out = f"plan-{known}"
        found = told(capsys, "run", *ASKED[:-1], out)
        assert (found["progress"]["reused"] > 0) is known
        assert any("cannot be read again" in remark for remark in found["remarks"]) is not known
    plan = json.loads(Path("plan-True/plan.json").read_text())
    assert plan["sd_source"] == "of the judgements of the data of run" and plan["first"] >= 20
    assert np.isfinite(plan["sd"])
