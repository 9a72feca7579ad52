"""A job of a hosted model: the numbers of a local one, nothing paid for twice, a bill, and no key in any file."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import RunConfig
from pipelines.comparing.command import Wanted, print_comparison
from pipelines.job.connection import LateCluster
from pipelines.job.console import JobConsole
from pipelines.job.dry_run import make_plan, print_plan
from pipelines.job.run import run
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from pipelines.verdict.runs import Allowed
from stages.core.errors import ConfigError, EngineError, RerankEvalError
from stages.files.rankings import read_rankings
from tests.hosted_api import Fault, StubApi, stub_api

ROOT = Path(__file__).parents[3]
KEY = "secret-key-0123456789"
QUERIES, DOCUMENTS = 12, 5
DAY_S = 86_400
RUN = (
    "import json, sys; from pipelines import run; run(json.loads(sys.argv[1]), quiet=True); print('ray' in sys.modules)"
)


@pytest.fixture
def stub() -> Iterator[StubApi]:
    with stub_api("jina") as one:
        yield one


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTED_KEY", KEY)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("pipelines.hosted.patience.FIRST_WAIT_S", 0.001)


def sections(folder: Path, stub: StubApi | None, **more: dict[str, Any]) -> dict[str, Any]:
    """A config over queries of which each has one relevant document; without a stub, the stand-in scores here."""
    data, qrels = folder / "rows.jsonl", folder / "qrels.txt"
    if not data.exists():
        rows = [
            {
                "query_id": f"q{n}",
                "query": f"word{n} red fox",
                "documents": [f"a fox {place} of {n}" + " red" * (place % 2) for place in range(DOCUMENTS - 1)]
                + [f"the red fox word{n}"],
            }
            for n in range(QUERIES)
        ]
        data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        qrels.write_text("".join(f"q{n} 0 d{DOCUMENTS} 1\n" for n in range(QUERIES)), encoding="utf-8")
    model = {"name": "overlap"}
    if stub is not None:
        model = {"name": stub.url, "api": stub.api, "served_as": "m", "key_env": "HOSTED_KEY"}
    given: dict[str, Any] = {
        "data": {"format": "jsonl", "path": str(data), "qrels": str(qrels)},
        "model": model,
        "rerank": {"store": str(folder / ("store" if stub else "local-store"))},
        "tracking": {"uri": None},
        "output": {"dir": str(folder / "results")},
    }
    return {name: given.get(name, {}) | more.get(name, {}) for name in {**given, **more}}


def done(config: dict[str, Any]) -> tuple[RunFolder, str]:
    """Run it; the folder, and what was said."""
    said = io.StringIO()
    checked = RunConfig.model_validate(config)
    return run(checked, JobConsole(file=said), cluster=LateCluster(checked.serve)), said.getvalue()


def ranked(folder: RunFolder) -> dict[str, Any]:
    return {
        one.query_id: (one.doc_ids, [round(score, 6) for score in one.scores]) for one in read_rankings(folder.rankings)
    }


def hosted(folder: RunFolder) -> Any:
    return read_metrics(folder)["hosted"]


def age_all(store: Path, days: float) -> None:
    """As if what is stored were so many days older."""
    with sqlite3.connect(store / "scores.sqlite") as database:
        database.execute("UPDATE batches SET written_s = written_s - ?", (int(days * DAY_S),))
    database.close()


def test_the_rankings_are_those_of_the_same_model_scored_here(tmp_path: Path, stub: StubApi) -> None:
    here, _ = done(sections(tmp_path, None))
    there, said = done(sections(tmp_path, stub, hosted={"batch_documents": 2, "price_per_million_tokens": 1.0}))
    assert ranked(here) == ranked(there)
    told = read_metrics(there)
    assert (
        said.splitlines()[0]
        == f"sends       queries and documents to {stub.url}/v1/rerank (jina, model m, not encrypted)"
    )
    assert told["hosted"]["requests"] == stub.tries == QUERIES * 3
    assert told["hosted"]["latency_ms"]["p95"] and told["latency"]["query_ms"]["p95"]
    assert told["hosted"]["cost"] == pytest.approx(told["hosted"]["billed_units"] / 1_000_000)
    assert (told["tokens"]["prompt"], told["coverage"]["truncated_pairs"]) == (None, None)
    assert "latency of a request" in there.report.read_text(encoding="utf-8")


@pytest.mark.heavy
def test_no_ray_is_imported(tmp_path: Path, stub: StubApi) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(sections(tmp_path, stub))],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert ended.stdout.strip() == "False", ended.stderr


def test_the_key_is_in_no_file_and_no_word(tmp_path: Path, stub: StubApi) -> None:
    stub.faults = [Fault(400, {}, {"detail": f"what is {KEY}?"})]
    with pytest.raises(RerankEvalError) as refused:
        done(sections(tmp_path, stub))
    assert KEY not in str(refused.value) and f"Bearer {KEY}" in stub.keys
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


# --- nothing is paid for twice ---


@pytest.mark.heavy
def test_killed_and_run_again_nothing_that_was_answered_is_asked_again(tmp_path: Path, stub: StubApi) -> None:
    config = sections(tmp_path, stub, hosted={"batch_documents": 2, "concurrency": 1, "recheck_pairs": 0})
    stub.delay_s = 0.05
    process = subprocess.Popen([sys.executable, "-c", RUN, json.dumps(config)], cwd=ROOT)
    deadline = time.monotonic() + 240
    while len(stub.asked) < 8:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    paid = len(stub.pairs)
    age_all(tmp_path / "store", 1)  # and a midnight lies between
    folder, _ = done(config)
    assert len(set(stub.pairs)) == QUERIES * DOCUMENTS and paid > 10
    # Of the one request that was under way nobody knows the answer.
    assert len(stub.pairs) - len(set(stub.pairs)) <= 2
    assert read_metrics(folder)["coverage"]["answered"] == QUERIES
    here, _ = done(sections(tmp_path, None))
    assert ranked(here) == ranked(folder)


def test_a_budget_stops_the_run_and_the_same_command_goes_on(tmp_path: Path, stub: StubApi) -> None:
    with pytest.raises(RerankEvalError, match=r"hosted.max_requests 7 are sent.*goes on from there") as stopped:
        done(sections(tmp_path, stub, hosted={"max_requests": 7}))
    assert stopped.value.exit_code == 1 and stub.tries == 7
    folder, _ = done(sections(tmp_path, stub, hosted={"recheck_pairs": 0}))
    assert stub.tries == QUERIES and read_metrics(folder)["coverage"]["answered"] == QUERIES


def test_an_outage_stops_the_run_with_what_was_scored_kept(tmp_path: Path, stub: StubApi) -> None:
    stub.faults = [Fault()] * 4 + [Fault(503)] * 10_000
    with pytest.raises(EngineError, match=r"HTTP 503.*The scores are in"):
        done(sections(tmp_path, stub, hosted={"retry_for_s": 0.2, "concurrency": 1}))
    stub.faults, paid = [], len(stub.asked)
    done(sections(tmp_path, stub, hosted={"recheck_pairs": 0}))
    assert paid == 4 and len(stub.asked) == QUERIES


# --- how old a score may be, and whether it moved ---


def test_scores_are_used_for_as_many_days_as_set(tmp_path: Path, stub: StubApi) -> None:
    done(sections(tmp_path, stub))
    age_all(tmp_path / "store", 29)
    folder, said = done(sections(tmp_path, stub))
    assert read_metrics(folder)["cache"]["score_store_hits"] == QUERIES * DOCUMENTS
    assert (hosted(folder)["requests"], hosted(folder)["rechecked_pairs"], hosted(folder)["largest_move"]) == (
        1,
        5,
        0.0,
    )
    assert "scores moved" not in said
    age_all(tmp_path / "store", 2)
    again, _ = done(sections(tmp_path, stub))
    assert read_metrics(again)["cache"]["score_store_hits"] == 0
    assert make_plan(RunConfig.model_validate(sections(tmp_path, stub)))["forecast"]["new_pairs"] == 0


def test_a_move_of_stored_scores_is_told(tmp_path: Path, stub: StubApi) -> None:
    done(sections(tmp_path, stub))
    stub.shift = 0.25
    folder, said = done(sections(tmp_path, stub))
    assert hosted(folder)["largest_move"] == pytest.approx(0.25)
    assert "scores moved" in said and "rerank.store_days 0" in said


def test_another_model_behind_the_same_address_has_scores_of_its_own(tmp_path: Path) -> None:
    with stub_api("tei", info={"/info": {"model_id": "a", "model_sha": "1"}}) as stub:
        config = sections(tmp_path, stub)
        config["model"].pop("served_as")
        done(config)
        stub.info["/info"]["model_sha"] = "2"
        folder, _ = done(config)
    told = read_metrics(folder)
    assert told["cache"]["score_store_hits"] == 0
    assert told["identity"]["settings"]["server.model_sha"] == '"2"'


# --- before anybody is asked ---


def test_a_dry_run_tells_where_to_how_much_and_the_money_and_asks_nobody(
    tmp_path: Path, stub: StubApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOSTED_KEY")
    config = sections(tmp_path, stub, hosted={"batch_documents": 2, "price_per_1000_requests": 1.0})
    print_plan(RunConfig.model_validate(config), as_json=False)
    said = capsys.readouterr().out
    assert said.startswith(f"sends       queries and documents to {stub.url}/v1/rerank (jina")
    assert f"{QUERIES * DOCUMENTS} pairs, of which 0 stored; {QUERIES * 3} requests" in said
    assert "about 0.036" in said and "tokens: a guess" in said
    assert stub.paths == []


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"key_env": "NOT_SET"}, "NOT_SET: the environment variable is not set"),
        ({"name": "https://user:pw12345@host/v1"}, "holds a secret"),
        ({"name": "https://host/v1?api_key=abcdefgh"}, "holds a secret"),
        ({"name": "not-an-address"}, "give the address"),
        ({"served_as": None}, "must be told which model"),
        ({"instruction": "be kind"}, "takes no instruction"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    tmp_path: Path, stub: StubApi, model: dict[str, Any], told: str
) -> None:
    config = sections(tmp_path, stub)
    config["model"] |= model
    with pytest.raises(ConfigError, match=told) as refused:
        done(config)
    assert "pw12345" not in str(refused.value) and "abcdefgh" not in str(refused.value) and stub.paths == []


def test_a_first_signal_lets_requests_under_way_end_and_be_kept(tmp_path: Path, stub: StubApi) -> None:
    stub.delay_s = 0.05
    stub.when_answered = lambda: os.kill(os.getpid(), signal.SIGINT) if len(stub.asked) == 3 else None
    with pytest.raises(RerankEvalError, match="interrupted") as stopped:
        done(sections(tmp_path, stub, hosted={"concurrency": 1}))
    assert stopped.value.exit_code == 130
    stub.delay_s = 0
    done(sections(tmp_path, stub, hosted={"recheck_pairs": 0}))
    assert len(stub.pairs) == len(set(stub.pairs)) == QUERIES * DOCUMENTS


def test_compare_puts_both_in_one_table_and_one_figure(tmp_path: Path, stub: StubApi) -> None:
    here, _ = done(sections(tmp_path, None, cost={"per_hour": 36.0}))
    stub.shift = 0.5
    there, _ = done(sections(tmp_path, stub, hosted={"price_per_1000_requests": 2.0}))
    wanted = Wanted(tmp_path / "out", "md", None, tracked=False)
    print_comparison([str(here.path), str(there.path)], [], Allowed(), wanted)
    (folder,) = (tmp_path / "out").iterdir()
    lines = (folder / "comparison.md").read_text(encoding="utf-8").splitlines()
    head = next(line for line in lines if "query p95, ms" in line)
    assert "ndcg@10" in head and "interval" in head and "money per 1,000 queries" in head
    row = lines[lines.index(head) + 3]
    assert "2.00" in row and ": m (jina) |" in row and ": overlap |" in lines[lines.index(head) + 2], row
    assert list((folder / "figures").glob("hosted.*"))


# --- what is told while it runs, and of what it found ---


def test_before_the_first_answer_it_is_told_who_is_waited_for(
    tmp_path: Path, stub: StubApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.job.console.LOG_EVERY_S", 0.0)
    monkeypatch.setattr("pipelines.job.hosted_stream.POLL_S", 0.05)
    stub.delay_s = 0.5
    _, said = done(sections(tmp_path, stub, hosted={"concurrency": 4}))
    assert f" s for {stub.url.removeprefix('http://')}, 4 requests under way" in said
    assert " of 12 queries, " in said and "prompts" not in said


def test_while_a_server_asks_to_wait_that_is_told(
    tmp_path: Path, stub: StubApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.job.console.LOG_EVERY_S", 0.0)
    monkeypatch.setattr("pipelines.job.hosted_stream.POLL_S", 0.05)
    stub.faults = [Fault(), Fault(429, {"retry-after": "1"}, {"detail": "[/slow] down"})]
    folder, said = done(sections(tmp_path, stub, hosted={"concurrency": 1}))
    assert re.search(r"asks to wait \d s more \(HTTP 429: \[/slow\] down\)", said)
    assert hosted(folder)["retried"] == {"HTTP 429": 1}


def test_a_move_is_in_metrics_report_and_analysis_too_and_what_seeing_it_cost_is_apart(
    tmp_path: Path, stub: StubApi
) -> None:
    priced = {"price_per_1000_requests": 1000.0}
    done(sections(tmp_path, stub, hosted=priced))
    with sqlite3.connect(tmp_path / "store" / "scores.sqlite") as database:
        database.execute("DELETE FROM batches WHERE id > 6")
    database.close()
    stub.shift = 0.25
    folder, said = done(sections(tmp_path, stub, hosted=priced))
    told = hosted(folder)
    assert (told["largest_move"], told["recheck_cost"], told["cost"]) == (pytest.approx(0.25), 1.0, 7.0)
    analysis = json.loads(folder.analysis.read_text(encoding="utf-8"))
    assert any("scores moved" in remark for remark in analysis["remarks"])
    assert "scores moved" in folder.report.read_text(encoding="utf-8") and "note        scores moved" in said
    assert analysis["cost"]["money_per_1000_queries"] == pytest.approx(1000.0)


def test_too_few_requests_at_once_for_the_rate_are_told(tmp_path: Path, stub: StubApi) -> None:
    stub.delay_s = 0.02
    fast = {"concurrency": 1, "requests_per_minute": 1_000_000, "batch_documents": 1}
    _, said = done(sections(tmp_path, stub, hosted=fast))
    assert "hosted.concurrency 1 lets about" in said


def test_a_price_of_what_the_api_does_not_bill_is_refused(tmp_path: Path, stub: StubApi) -> None:
    with pytest.raises(ConfigError, match="price_per_1000_search_units: jina's API bills tokens"):
        done(sections(tmp_path, stub, hosted={"price_per_1000_search_units": 2.0}))


@pytest.mark.parametrize("words", ["[/bold]", "\ud800", "\x1b[2J"])
def test_no_words_of_a_server_end_a_job(tmp_path: Path, stub: StubApi, words: str) -> None:
    done(sections(tmp_path, stub))
    stub.faults = [Fault(400, {}, {"detail": f"no {words}"})]
    _, said = done(sections(tmp_path, stub))
    assert "could not be asked for again" in said and "\x1b" not in said


# --- a server that says what it is, and then nothing ---


@pytest.fixture
def tei() -> Iterator[StubApi]:
    with stub_api("tei", info={"/info": {"model_id": "a", "model_sha": "1", "max_client_batch_size": 2}}) as one:
        yield one


def of_tei(folder: Path, stub: StubApi, **more: dict[str, Any]) -> dict[str, Any]:
    config = sections(folder, stub, **more)
    config["model"].pop("served_as")
    return config


def test_the_servers_own_limit_is_kept(tmp_path: Path, tei: StubApi) -> None:
    done(of_tei(tmp_path, tei))
    assert {len(documents) for _, documents in tei.asked} == {1, 2} and len(tei.asked) == QUERIES * 3


def test_stored_scores_need_no_server_and_no_score_of_one_that_does_not_say_what_it_is_is_kept(
    tmp_path: Path, tei: StubApi
) -> None:
    done(of_tei(tmp_path, tei))
    paid, tei.told_status = len(tei.asked), 503
    folder, said = done(of_tei(tmp_path, tei, hosted={"retry_for_s": 0.1}))
    assert read_metrics(folder)["cache"]["score_store_hits"] == QUERIES * DOCUMENTS
    assert "Stored scores of what it said last are used" in said and len(tei.asked) == paid
    age_all(tmp_path / "store", 31)
    with pytest.raises(EngineError, match="HTTP 503"):
        done(of_tei(tmp_path, tei, hosted={"retry_for_s": 0.1}))
    assert len(tei.asked) == paid


def test_a_run_whose_scores_are_never_used_again_does_not_say_that_it_goes_on(tmp_path: Path, stub: StubApi) -> None:
    config = sections(tmp_path, stub, hosted={"max_requests": 3})
    config["rerank"]["store_days"] = 0
    with pytest.raises(RerankEvalError, match=r"store_days 0 asks for all of them again"):
        done(config)


def test_a_store_that_is_only_read_is_left_as_it_is(tmp_path: Path, stub: StubApi) -> None:
    config = sections(tmp_path, stub, hosted={"recheck_pairs": 0})
    done(config)
    config["rerank"]["store_mode"] = "read_only"
    age_all(tmp_path / "store", 31)
    before = (tmp_path / "store" / "scores.sqlite").read_bytes()
    folder, _ = done(config)
    assert (tmp_path / "store" / "scores.sqlite").read_bytes() == before
    assert read_metrics(folder)["cache"]["score_store_hits"] == 0


@pytest.mark.heavy
def test_two_jobs_at_once_over_one_store_both_end_with_all_scores(tmp_path: Path, stub: StubApi) -> None:
    stub.delay_s = 0.05
    config = sections(tmp_path, stub, hosted={"batch_documents": 2, "recheck_pairs": 0})
    both = [subprocess.Popen([sys.executable, "-c", RUN, json.dumps(config)], cwd=ROOT) for _ in range(2)]
    assert [one.wait(timeout=240) for one in both] == [0, 0]
    paid = len(stub.pairs)
    folder, _ = done(config)
    here, _ = done(sections(tmp_path, None))
    assert ranked(folder) == ranked(here) and len(stub.pairs) == paid
