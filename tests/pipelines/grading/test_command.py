"""`rerank-eval judge` as a user runs it, over a stub of somebody else's API: pool, grades, store, samples, verdicts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.cli.app import main
from pipelines.grading.console import Pace
from pipelines.grading.judge import Progress
from pipelines.runs.folder import RunFolder
from stages.core.records import Judgements, QueryMetrics
from stages.files.judgements import write_judgements
from stages.files.tables import read_candidates, write_candidates
from stages.sources.formats.nested import read_any_qrels
from stages.store.replies import ReplyStore
from tests.chat_api import ChatStub, chat_api
from tests.hosted_api import Fault
from tests.pipelines.unjudged_runs import fill, unjudged_run
from tests.wheels import ROOT

KEY = "secret-key-0123456789"
QUERIES, DOCUMENTS = 12, 6


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setattr("pipelines.hosted.patience.FIRST_WAIT_S", 0.001)
    return tmp_path


def grade_of(query_id: str, doc_id: str) -> int:
    """What people think of a document: all grades occur, relevant ones further down."""
    return (int(query_id[1:]) * 7 + int(doc_id[-2:]) * 3) % 4


def said_by(of: Callable[[str, str], int | str] = grade_of) -> Callable[[str, str], int | str]:
    """A judge that grades a document by the id that stands in it."""

    def judge(_query: str, document: str) -> int | str:
        found = re.search(r"Document (q\d+)-(d\d+)\.", document)
        assert found is not None
        return of(found[1], f"{found[1]}-{found[2]}")

    return judge


def write(stub: ChatStub, *, judge: dict[str, Any] | None = None, **sections: Any) -> Path:
    """judge.yaml of a judge behind the stub."""
    own = {"url": stub.url, "served_as": "stub-judge", "key_env": "KEY", "repeat": 5, "planted": 4}
    content = {"judge": own | (judge or {}), "evaluate": {"metrics": ["ndcg@6"]}, "tracking": {"uri": None}, **sections}
    path = Path("judge.yaml")
    path.write_text(yaml.safe_dump(content))
    return path


def called(*arguments: object, command: str = "judge") -> int:
    with pytest.raises(SystemExit) as ended:
        main([command, *map(str, arguments)])
    return int(ended.value.code or 0)


def run_judge(*arguments: object, out: str = "judged", code: int = 0) -> dict[str, Any]:
    assert called("run", *arguments, "--config", "judge.yaml", "--out", out) == code
    found: dict[str, Any] = json.loads(Path(out, "judge.json").read_text())
    return found


def refused(capfd: pytest.CaptureFixture[str], *arguments: object, command: str = "judge", code: int = 2) -> str:
    capfd.readouterr()
    assert called(*arguments, command=command) == code
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("rerank-eval: ")
    return line


def judged_run(path: Path = Path("run"), judged: int = QUERIES, depth: int = DOCUMENTS) -> dict[str, dict[str, int]]:
    """A run whose first `judged` queries people judged, each to `depth` of its documents."""
    run = unjudged_run(path, QUERIES, DOCUMENTS, same=2)
    people = {
        f"q{number:03}": {
            doc_id: grade_of(f"q{number:03}", doc_id)
            for doc_id in (f"q{number:03}-d{place:02}" for place in range(depth))
        }
        for number in range(judged)
    }
    if people:
        values = QueryMetrics(tuple(people), {"ndcg@6": (0.5,) * judged}, (True,) * judged)
        run.folder.write_per_query(values, values)
        write_judgements(Judgements(people), RunFolder(path).judgements)
        told = json.loads(run.folder.metrics.read_text()) | {"judgements_digest": Judgements(people).digest}
        run.folder.metrics.write_text(json.dumps(told))
        (Path("qrels.tsv")).write_text(
            "query-id\tcorpus-id\tscore\n"
            + "".join(f"{q}\t{d}\t{g}\n" for q, grades in people.items() for d, g in grades.items())
        )
    return people


# --- grades ---


def test_the_top_of_every_list_is_graded_once_and_everything_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by()) as stub:
        write(stub)
        found = run_judge()
    pooled = {(query, document) for query, document in stub.pairs if "is all about it" not in document}
    assert (
        len({document for _, document in pooled if document.startswith("Document")}) >= found["counts"]["pairs"] == 72
    )
    rows = pq.read_table("judged/grades.parquet").to_pylist()
    assert len(rows) == found["counts"]["pairs"] == found["counts"]["graded"] == sum(found["grades"])
    assert all(row["grade"] == grade_of(row["query_id"], row["doc_id"]) for row in rows)
    judgements = read_any_qrels(Path("judged/qrels.tsv"), lambda _: None)
    assert judgements.judge == f"stub-judge@{found['judge']['digest']}" and not judgements.by_people
    assert sum(map(len, judgements.by_model.values())) == len(rows)
    assert found["repeatability"]["pairs"] == 5 and found["repeatability"]["identical"]["value"] == 1.0
    assert found["planted"]["pairs"] == 4 and found["agreement"] is None
    assert found["cost"]["requests"] == stub.tries == len(rows) + 5 + 2 * 4
    shown = capfd.readouterr().out
    assert "no interval covers the judge's own error" in shown and "by model judgement (stub-judge@" in shown
    assert yaml.safe_load(Path("judged/judge.yaml").read_text())["judge"]["max_chars"] == 20_000
    assert not any(KEY.encode() in file.read_bytes() for file in Path("judged").rglob("*") if file.is_file())


def test_where_people_grade_on_a_shorter_scale_the_judge_is_told_on_theirs(capfd: pytest.CaptureFixture[str]) -> None:
    """Gains of two scales cannot be added, and to people who say yes or no a related document is not relevant."""
    people = judged_run()
    yes_or_no = {q: {d: int(g >= 2) for d, g in grades.items()} for q, grades in people.items()}
    lines = [f"{q}\t{d}\t{g}\n" for q, grades in yes_or_no.items() for d, g in grades.items()]
    Path("short.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    with chat_api(judge=said_by()) as stub:
        write(stub)
        found = run_judge("--qrels", "short.tsv")
    judgements = read_any_qrels(Path("judged/qrels.tsv"), lambda _: None)
    assert judgements.by_model == judgements.by_people  # this judge says what people said before they said yes or no
    raw = {row["grade"] for row in pq.read_table("judged/grades.parquet").to_pylist()}
    assert raw == {0, 1, 2, 3}
    assert any("qrels.tsv the judge's 0 is 0, 1 is 0, 2 is 1, 3 is 1" in note for note in found["notes"])


def test_people_and_judge_agree_as_their_grades_do_and_the_verdict_has_an_interval() -> None:
    judged_run()
    with chat_api(judge=said_by()) as stub:
        write(stub)
        found = run_judge()
    assert found["agreement"]["kappa"]["value"] == pytest.approx(1.0)
    assert found["counts"]["by_people"] == found["counts"]["pairs"]
    (verdict,) = found["verdicts"]
    assert verdict["method"] is not None and verdict["numbers"]["people"] == QUERIES
    assert read_any_qrels(Path("judged/qrels.tsv"), lambda _: None).by_people.keys() == {
        f"q{number:03}" for number in range(QUERIES)
    }


def test_without_overlap_nothing_that_people_judged_is_asked_for() -> None:
    people = judged_run(judged=4)
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"overlap": 0, "repeat": 0, "planted": 0})
        found = run_judge()
    assert found["counts"]["asked"] == len(stub.pairs) and found["agreement"] is None
    asked = {row["query_id"] for row in pq.read_table("judged/grades.parquet").to_pylist()}
    assert not asked & people.keys() and len(asked) == QUERIES - 4


def test_an_overlap_of_some_queries_is_drawn_by_the_seed() -> None:
    people = judged_run(judged=8)
    both = []
    for out in ("first", "again"):
        with chat_api(judge=said_by()) as stub:
            write(stub, judge={"overlap": 3, "repeat": 0, "planted": 0})
            run_judge(out=out)
        both.append({row["query_id"] for row in pq.read_table(f"{out}/grades.parquet").to_pylist()} & people.keys())
    assert both[0] == both[1] and len(both[0]) == 3


def test_qrels_of_a_file_stand_for_what_people_judged() -> None:
    judged_run(judged=3)
    Path("run/judgements.parquet").unlink()
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        found = run_judge("--qrels", "qrels.tsv")
    assert found["agreement"]["queries"] == 3


# --- replies without a grade ---


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("I cannot help with that.", "the reply has no grade in the form that was asked for"),
        ("There is no 3 here, but a 1", "the reply has no grade in the form that was asked for"),
        ("", "the reply is empty"),
        ("4", "the grade is out of range"),
    ],
)
def test_a_reply_without_a_grade_is_missing_and_never_zero(said: str, reason: str) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by(lambda q, d: said if q == "q000" else 2)) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        found = run_judge()
    assert found["missing"] == {reason: 6}
    rows = pq.read_table("judged/grades.parquet").to_pylist()
    assert {row["grade"] for row in rows if row["query_id"] == "q000"} == {None}
    assert "q000" not in Path("judged/qrels.tsv").read_text()


def spoilt(**choice: Any) -> Fault:
    return Fault(spoilt=lambda told: told | {"choices": [told["choices"][0] | choice]})


@pytest.mark.parametrize(
    ("fault", "missing"),
    [
        (spoilt(finish_reason="length"), "the reply was cut at the limit of tokens"),
        (spoilt(finish_reason="content_filter"), "the judge, or a filter before it, withheld the reply"),
        (spoilt(message={"content": None, "refusal": "no"}), "the judge, or a filter before it, withheld the reply"),
    ],
)
def test_a_reply_that_was_withheld_or_cut_is_missing_and_not_asked_for_again(fault: Fault, missing: str) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by(), faults=[fault]) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        found = run_judge()
        tries = stub.tries
        again = run_judge()
    assert found["missing"] == again["missing"] == {missing: 1} and stub.tries == tries


@pytest.mark.parametrize(
    "fault",
    [
        Fault(spoilt=lambda told: told | {"choices": []}),
        Fault(spoilt=lambda told: {"error": "x"}),
        spoilt(message={"content": None}),
        spoilt(message={"content": None, "tool_calls": [{"id": "x"}]}, finish_reason="tool_calls"),
        Fault(400, {}, {"error": {"message": "bad"}}),
    ],
)
def test_an_answer_that_is_none_is_a_failure_told_and_asked_for_by_the_next_try(
    fault: Fault, capfd: pytest.CaptureFixture[str]
) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by(), faults=[fault]) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        found = run_judge(code=3)
        assert "1 of 72 pairs got no reply" in capfd.readouterr().err
        tries = stub.tries
        again = run_judge()
    assert found["missing"] == {"the judge gave no reply": 1} and not again["missing"]
    assert stub.tries == tries + 1


def test_so_many_failures_as_are_allowed_are_told_alone() -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by(), faults=[Fault(400, {}, {"error": {"message": "bad"}})]) as stub:
        write(stub, judge={"repeat": 0, "planted": 0, "max_failed_share": 0.1})
        assert run_judge()["counts"]["missing"] == 1


def test_what_passes_is_asked_again_and_redirects_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by(), faults=[Fault(429, {"retry-after": "0"}), Fault(503), Fault(dropped=True)]) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        assert not run_judge()["missing"]
        assert stub.tries == 72 + 3
    with chat_api(faults=[Fault(307, {"location": "http://elsewhere/"})] * 99) as stub:
        write(stub)
        line = refused(capfd, "run", "--config", "judge.yaml", "--out", "other", code=1)
    assert "go on to http://elsewhere/" in line and "See judge.url and judge.served_as" in line


def test_a_document_that_is_too_long_is_halved_and_told_as_cut() -> None:
    unjudged_run(Path("run"), 2, 3, same=0, text="{} " + "word " * 400)
    with chat_api(judge=lambda query, document: min(3, len(document) // 1000), most_characters=2500) as stub:
        write(stub, judge={"repeat": 0, "planted": 0, "max_chars": 1500})
        found = run_judge()
    assert found["counts"]["truncated"] == found["counts"]["pairs"] == 6
    assert all(len(document) <= 1500 for _, document in stub.pairs)


# --- money and the store ---


def test_a_budget_ends_the_run_and_the_same_command_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by()) as stub:
        write(stub, hosted={"max_requests": 30}, judge={"repeat": 0, "planted": 0})
        line = refused(capfd, "run", "--config", "judge.yaml", "--out", "judged", code=1)
        assert "hosted.max_requests 30 are sent. 30 of 72 pairs have a reply" in line and stub.tries == 30
        assert not Path("judged/judge.json").exists()
        write(stub, judge={"repeat": 0, "planted": 0})
        found = run_judge()
    assert stub.tries == 72 == len(set(stub.pairs)) and found["counts"]["stored"] == 30
    assert (found["cost"]["asked"], found["cost"]["stored"]) == (42, 30) and found["cost"]["stored_prompt_tokens"] > 0


def test_prompt_and_reply_have_prices_of_their_own() -> None:
    judged_run(judged=0)
    prices = {"price_per_million_tokens": 2.0, "price_per_million_generated_tokens": 10.0}
    with chat_api(judge=said_by()) as stub:
        write(stub, hosted=prices, judge={"repeat": 0, "planted": 0})
        cost = run_judge()["cost"]
    assert cost["generated_tokens"] == 72
    assert cost["money"] == pytest.approx((2 * cost["prompt_tokens"] + 10 * 72) / 1e6)


def test_another_judging_finds_what_a_shared_store_knows_and_asks_the_samples_anew() -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"store": "shared"})
        first = run_judge(out="one")
        tries = stub.tries
        second = run_judge(out="two")
        assert stub.tries == tries + 5 + 2 * 4 and second["counts"]["stored"] == 72
        run_judge(out="two")
        assert stub.tries == tries + 5 + 2 * 4
        write(stub, judge={"store": "shared", "seed": 1, "repeat": 0, "planted": 0})
        run_judge(out="three")
    assert stub.tries == tries + 5 + 2 * 4 + 72 and first["grades"] == second["grades"]


def test_a_damaged_store_is_set_aside_and_another_is_begun(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    Path("shared").mkdir()
    Path("shared/replies.sqlite").write_bytes(b"no database" * 1000)
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"store": "shared", "repeat": 0, "planted": 0})
        run_judge()
    assert "set aside as replies.sqlite.corrupt-" in capfd.readouterr().out


def test_where_a_reply_cannot_be_kept_no_more_is_paid_for(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"repeat": 0, "planted": 0}, hosted={"concurrency": 2})
        ReplyStore(Path("judged/store")).close()
        Path("judged/.judging").write_text('{"word": "x"}')
        with sqlite3.connect("judged/store/replies.sqlite") as database:
            database.execute(
                "CREATE TRIGGER full BEFORE INSERT ON batches BEGIN SELECT RAISE(FAIL, 'disk is full'); END"
            )
        line = refused(capfd, "run", "--config", "judge.yaml", "--out", "judged")
        assert "a reply cannot be kept (disk is full)" in line and "0 of 72 pairs have a reply" in line
        assert stub.tries < 72 / 2  # those under way when the first could not be kept
        with sqlite3.connect("judged/store/replies.sqlite") as database:
            database.execute("DROP TRIGGER full")
        assert run_judge()["counts"]["graded"] == 72


def test_a_folder_of_another_judging_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        run_judge()
        line = refused(capfd, "run", "--config", "judge.yaml", "--out", "judged", "--set", "judge.seed=7")
        assert "holds another judging (another judge)" in line
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("KEY")
            assert "judge.key_env KEY" in refused(capfd, "run", "--config", "judge.yaml", "--out", "tried")
        write(stub, judge={"repeat": 0, "planted": 0, "seed": 3})
        run_judge(out="tried")
    assert "is not empty" in refused(capfd, "run", "--config", "judge.yaml", "--out", "run")


# --- prefill over an API ---


def test_the_probabilities_of_the_grades_are_read_where_they_are_asked_for() -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"answer": "prefill", "repeat": 0, "planted": 0})
        run_judge()
    assert {(body["max_tokens"], body["logprobs"], body["top_logprobs"]) for body in stub.bodies} == {(1, True, 20)}
    row = pq.read_table("judged/grades.parquet").to_pylist()[0]
    assert row["grade"] == grade_of(row["query_id"], row["doc_id"])
    assert row["probabilities"][row["grade"]] == pytest.approx(0.8 / 0.9) and row["entropy"] > 0


def test_a_server_without_probabilities_is_refused_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by(), gives_logprobs=False) as stub:
        write(stub, judge={"answer": "prefill"}, hosted={"concurrency": 1})
        line = refused(capfd, "run", "--config", "judge.yaml", "--out", "judged", code=1)
    assert "has no probabilities (logprobs). Set judge.answer to text" in line and stub.tries < 10


@pytest.mark.parametrize(
    ("choice", "code"),
    [({"logprobs": None, "finish_reason": "content_filter"}, 0), ({"logprobs": None}, 3)],
    ids=["withheld", "left out"],
)
def test_one_answer_without_probabilities_among_others_does_not_end_the_judging(
    choice: dict[str, Any], code: int
) -> None:
    judged_run(judged=0)
    faults = [Fault(), Fault(), spoilt(**choice)]
    with chat_api(judge=said_by(), faults=faults) as stub:
        write(stub, judge={"answer": "prefill", "repeat": 0, "planted": 0}, hosted={"concurrency": 1})
        found = run_judge(code=code)
    assert found["counts"]["graded"] == 71 and found["counts"]["missing"] == 1


def test_a_key_of_a_digit_hides_no_grade(monkeypatch: pytest.MonkeyPatch) -> None:
    judged_run(judged=0)
    monkeypatch.setenv("KEY", "2")
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        found = run_judge()
    assert found["counts"]["graded"] == 72 and not found["missing"]


# --- what is refused, and the plan ---


@pytest.mark.parametrize(
    ("judge", "sections", "words"),
    [
        ({"url": None}, {}, "model and url are both missing"),
        ({"model": "x"}, {}, "model and url are both given"),
        ({"max_length": 99}, {}, "max_length: is of a judge computed here"),
        ({"promt": "x"}, {}, "unknown key judge.promt"),
        ({"prompt": "gradde"}, {}, "judge.prompt gradde"),
        ({"prompt": "reasoned", "answer": "prefill"}, {}, "asks for reasons"),
        ({"depth": 3}, {}, "judge.depth 3: ndcg@6 looks deeper"),
        ({"served_as": "a\tb"}, {}, "judge.served_as: 'a\\tb': a name has no tabs"),
        ({"key_env": "NONE_SUCH"}, {}, "judge.key_env NONE_SUCH: the environment variable is not set"),
        ({"url": f"http://h/?key={KEY}"}, {}, "judge.url http://h/?key=***: "),
        ({}, {"engine": {"dtype": "float32"}}, "engine, serve: a hosted judge has none here"),
        ({}, {"hosted": {"recheck_pairs": 3}}, "hosted.recheck_pairs: is about hosted rerankers"),
        ({}, {"evaluate": {"metrics": ["map"]}}, "evaluate.metrics: map has no cutoff"),
        ({}, {"data": {"path": "x"}}, "unknown key data"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused_in_one_line(
    judge: dict[str, Any], sections: dict[str, Any], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    judged_run(judged=0)
    with chat_api() as stub:
        write(stub, judge=judge, **sections)
        assert words in refused(capfd, "run", "--config", "judge.yaml", "--out", "judged")
    assert stub.tries == 0 and not Path("judged/judge.json").exists()


def test_a_dry_run_tells_pairs_requests_and_money_and_asks_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=4)
    with chat_api(judge=said_by()) as stub:
        write(stub, hosted={"price_per_million_tokens": 1.0, "requests_per_minute": 60})
        assert called("run", "--config", "judge.yaml", "--out", "judged", "--dry-run", "--json") == 0
        plan = json.loads(capfd.readouterr().out)
        assert stub.tries == 0 and not Path("judged").exists()
        assert called("run", "--config", "judge.yaml", "--out", "judged", "--dry-run") == 0
        assert "requests    85, if each is answered at once" in capfd.readouterr().out
        write(stub)
        run_judge()
        assert called("run", "--config", "judge.yaml", "--out", "judged", "--dry-run", "--json") == 0
    capfd.readouterr()
    assert (plan["new_pairs"], plan["stored_pairs"], plan["sample_pairs"], plan["requests"]) == (72, 0, 13, 85)
    assert plan["overlap_queries"] == 4 and plan["overlap_share"] == pytest.approx(24 / 72)
    assert 0 < plan["money"] < 1 and plan["least_s"] == 85


def test_a_dry_run_counts_a_pair_of_texts_once_whatever_its_ids(capfd: pytest.CaptureFixture[str]) -> None:
    run = unjudged_run(Path("run"), 4, 6, text="the same")
    rows = [replace(one, query="same?") for one in read_candidates(run.folder.candidates)]
    shutil.rmtree(run.folder.candidates)
    write_candidates(rows, run.folder.candidates)
    with chat_api() as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        assert called("run", "--config", "judge.yaml", "--out", "judged", "--dry-run", "--json") == 0
        plan = json.loads(capfd.readouterr().out)
        assert (plan["asked_pairs"], plan["new_pairs"], plan["requests"]) == (24, 1, 1)
        run_judge()
    assert stub.tries == 1


def test_an_id_that_would_be_read_as_another_is_not_in_the_qrels_and_told(capfd: pytest.CaptureFixture[str]) -> None:
    run = unjudged_run(Path("run"), 2, 6)
    rows = [replace(one, query_id=f" {one.query_id}") for one in read_candidates(run.folder.candidates)]
    shutil.rmtree(run.folder.candidates)
    write_candidates([rows[0], *rows[1:]], run.folder.candidates)
    with chat_api(judge=said_by()) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        run_judge()
    assert "12 pairs are not in judged/qrels.tsv" in capfd.readouterr().out
    assert " q0" not in Path("judged/qrels.tsv").read_text()


def test_two_runs_over_other_data_are_told_each_as_by_itself() -> None:
    unjudged_run(Path("one"), 8, 6)
    folder = unjudged_run(Path("two"), 12, 6, seed=3).folder
    rows = [replace(one, query_id=f"x{one.query_id}") for one in read_candidates(folder.candidates)]
    shutil.rmtree(folder.candidates)
    write_candidates(rows, folder.candidates)
    (file,) = folder.rankings.glob("*.parquet")
    table = pq.read_table(file)
    ids = pa.array([f"x{one}" for one in table["query_id"].to_pylist()], table.schema.field("query_id").type)
    pq.write_table(table.set_column(table.schema.get_field_index("query_id"), "query_id", ids), file)
    values, found = [], dict[str, Any]()
    with chat_api(judge=lambda query, document: int(document[-2]) % 4) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        for runs in (["one"], ["two"], ["one", "two"]):
            out = Path("of", *runs)
            assert called(*runs, "--config", "judge.yaml", "--out", out) == 0
            found = json.loads((out / "judge.json").read_text())
            values.append([verdict["value"] for verdict in found["verdicts"]])
            shutil.rmtree(out)
    assert values[2] == [*values[0], *values[1]] and all(values[2])
    assert "no query in common" in found["notes"][0]


def test_a_run_that_kept_no_texts_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    from stages.files.untexted import write_without_texts

    candidates = RunFolder(Path("run")).candidates
    candidates.rename("whole")
    write_without_texts(Path("whole"), candidates, set())
    with chat_api() as stub:
        write(stub)
        assert "output.texts: false" in refused(capfd, "run", "--config", "judge.yaml", "--out", "judged")


# --- two judges ---


def test_two_judges_stand_side_by_side_and_a_run_beside_a_judging_is_refused(
    capfd: pytest.CaptureFixture[str],
) -> None:
    judged_run(judged=6)
    with chat_api(judge=said_by()) as stub:
        write(stub)
        run_judge(out="good")
    with chat_api(judge=said_by(lambda q, d: min(3, grade_of(q, d) + 1))) as stub:
        write(stub, judge={"served_as": "lenient"})
        run_judge(out="lenient")
    capfd.readouterr()
    assert called("good", "lenient", "--json", command="compare") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["together"]["pairs"] == 72 and found["together"]["difference"]["value"] > 0.5
    assert found["people"][0]["kappa"]["value"] == 1.0 > found["people"][1]["kappa"]["value"]
    assert called("good", "lenient", command="compare") == 0
    assert "Cohen's kappa" in capfd.readouterr().out
    assert "run is none" in refused(capfd, "good", "run", command="compare")


# --- killed, stopped, and gone on with ---


@pytest.mark.heavy
def test_killed_and_called_again_nothing_that_was_answered_is_asked_again() -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by(), delay_s=0.03) as stub:
        write(stub, hosted={"concurrency": 2})
        command = [sys.executable, "-m", "pipelines", "judge", "run", "--config", "judge.yaml", "--out", "judged"]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
        deadline = time.monotonic() + 240
        while len(stub.asked) < 76:  # among them some that are asked for twice
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = Counter(stub.pairs)
        found = run_judge()
    # Of the requests that were under way, and of the replies that were not yet kept, nobody knows.
    again = Counter(stub.pairs) - before
    assert sum(again.values()) <= 72 + 5 + 2 * 4 - 76 + 4
    assert found["counts"]["graded"] == 72 and found["repeatability"]["pairs"] == 5


def test_a_first_signal_lets_requests_under_way_end_and_be_kept(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=0)
    with chat_api(judge=said_by(), delay_s=0.01) as stub:
        write(stub, hosted={"concurrency": 1}, judge={"repeat": 0, "planted": 0})
        stub.when_answered = lambda: os.kill(os.getpid(), signal.SIGINT) if len(stub.asked) == 3 else None
        line = refused(capfd, "run", "--config", "judge.yaml", "--out", "judged", code=130)
        assert "of 72 pairs have a reply, which judged/store keeps: the same command goes on" in line.replace(
            str(Path.cwd()) + "/", ""
        )
        asked = len(stub.pairs)
        run_judge()
    assert 3 <= asked < 72 == len(set(stub.pairs)) == len(stub.pairs)


# --- of a plan, and in MLflow ---


def test_a_plan_that_is_not_finished_is_refused_and_a_finished_one_says_how_its_queries_were_drawn(
    capfd: pytest.CaptureFixture[str],
) -> None:
    unjudged_run(Path("run"), 40, 8)
    assert called("run", "--metric", "ndcg@6", "--width", 0.2, "--out", "plan", command="plan-judging") == 0
    with chat_api(judge=lambda query, document: len(document) % 4) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        line = refused(capfd, "run", "--config", "judge.yaml", "--out", "judged", "--plan", "plan")
        assert "0 of 30 queries are judged, and no verdict is made. End it first" in line and stub.tries == 0
        for _ in range(9):
            fill(Path("plan/tasks.jsonl"))
            assert called("plan", command="plan-judging") == 0
            if Path("plan/verdict.json").exists():
                break
        found = run_judge("--plan", "plan")
    (verdict,) = found["verdicts"]
    assert verdict["method"] is not None and not any("nobody told" in one for one in verdict["words"])
    assert "plan plan" in capfd.readouterr().out


def judge_a_plan(*options: object) -> None:
    """Made, filled in and ended."""
    assert called("run", "--metric", "ndcg@6", "--out", "plan", *options, command="plan-judging") == 0
    while not Path("plan/verdict.json").exists():
        fill(Path("plan/tasks.jsonl"))
        assert called("plan", command="plan-judging") == 0


def test_a_stratified_plan_that_holds_a_part_of_the_queries_has_its_interval() -> None:
    languages = ["en" if number % 3 else "zh" for number in range(60)]
    unjudged_run(Path("run"), 60, 12, same=0, fields={"language": languages})
    judge_a_plan("--width", 0.5, "--stratify", "language")
    plan = json.loads(Path("plan/plan.json").read_text())
    assert len(plan["order"]) < sum(plan["sizes"].values()) == 60 - plan["unchanged"] and len(plan["sizes"]) == 2
    with chat_api(judge=lambda query, document: len(document) % 4) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        found = run_judge("--plan", "plan")
    (verdict,) = found["verdicts"]
    assert verdict["method"] is not None and verdict["numbers"]["queries"] == 60, verdict["words"]


def test_what_people_judged_of_other_data_is_refused_and_a_plan_of_another_run_told(
    capfd: pytest.CaptureFixture[str],
) -> None:
    unjudged_run(Path("run"), 40, 8)
    judge_a_plan("--width", 0.5)
    unjudged_run(Path("other"), 40, 8)
    Path("qrels.tsv").write_text("query-id\tcorpus-id\tscore\nx1\td1\t1\n")
    with chat_api(judge=lambda query, document: len(document) % 4) as stub:
        write(stub, judge={"repeat": 0, "planted": 0})
        asked = ("run", "--config", "judge.yaml", "--out", "judged")
        line = refused(capfd, *asked, "--qrels", "qrels.tsv")
        assert "qrels.tsv judges none of the runs' 40 queries" in line and "'x1'" in line and stub.tries == 0
        assert called("other", *asked[1:], "--plan", "plan") == 0
    (note,) = json.loads(Path("judged/judge.json").read_text())["notes"]
    assert "how it drew tells nothing of another change" in note


def test_a_judging_is_a_run_in_mlflow_that_says_who_judged() -> None:
    judged_run(judged=3)
    uri = "sqlite:///tracked.db"
    with chat_api(judge=said_by()) as stub:
        write(stub, tracking={"uri": uri, "experiment": "e", "tags": {"team": "a"}})
        found = run_judge()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    (logged,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    digest = found["judge"]["digest"]
    assert logged.data.tags["judged_by"] == f"model:stub-judge@{digest}" and logged.data.tags["team"] == "a"
    assert logged.data.metrics["agreement/kappa"] == pytest.approx(1.0)
    assert {file.path for file in client.list_artifacts(logged.info.run_id)} >= {"judge.json", "qrels.tsv"}


def test_ctrl_c_while_the_engine_starts_does_not_wait_for_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.grading.served import OwnJudge

    def made(judge: Any, config: Any, _prompt: object, _answer: object, store: object, *_: object) -> None:
        judge.name, judge.identity, judge._store, judge._app = "judge", {}, store, None
        judge._cluster = contextlib.nullcontext()

    def starts(_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        raise AssertionError("the start went on")

    monkeypatch.setattr(OwnJudge, "__init__", made)
    monkeypatch.setattr(OwnJudge, "_start", starts)
    judged_run(judged=0)
    Path("judge.yaml").write_text("{judge: {model: some}, evaluate: {metrics: [ndcg@6]}, tracking: {uri: null}}")
    assert called("run", "--config", "judge.yaml", "--out", "judged") == 130
    assert "stopping" not in capfd.readouterr().out


def test_the_pace_is_that_of_asking_and_not_of_the_engines_start(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    pace = Pace()
    now_s += 60
    assert pace.words(Progress()) == "0.0 pairs/s, 0 from the store"
    now_s += 10
    assert pace.words(Progress(pairs=20, failed=1)) == "2.0 pairs/s, 0 from the store, 1 failed"


def test_two_judgings_by_one_model_are_told_apart_by_their_folders(capfd: pytest.CaptureFixture[str]) -> None:
    judged_run(judged=6)
    for out, chars in (("first", 20_000), ("second", 19_000)):
        with chat_api(judge=said_by(lambda *_: 2)) as stub:
            write(stub, judge={"max_chars": chars})
            run_judge(out=out)
    capfd.readouterr()
    assert called("first", "second", "--json", command="compare") == 0
    first, second = json.loads(capfd.readouterr().out)["judges"]
    assert first.endswith(" (first)") and second.endswith(" (second)") and first[:23] != second[:23]
    assert called("first", "second", command="compare") == 0
    assert "kappa with each other is not defined" in " ".join(capfd.readouterr().out.split())
