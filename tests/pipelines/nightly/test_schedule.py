"""`rerank-eval schedule` as a user meets it: real runs without an engine, one line for every mistake."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import main

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "configs" / "systemd" / "rerank-eval-nightly.service"
NIGHTLY = ("--cron", "0 2 * * *")
ROWS = [
    {
        "query_id": "q1",
        "query": "red",
        "documents": [{"id": "a", "text": "red", "relevance": 1}, {"id": "b", "text": "blue", "relevance": 0}],
    },
]


def command(folder: Path, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        "from pipelines.cli.app import main; main()",
        "schedule",
        "--config",
        str(folder / "config.yaml"),
        *arguments,
    ]


def environment() -> dict[str, str]:
    """A job starts a Ray of its own."""
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | {"PYTHONPATH": str(ROOT)}


def schedule(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def folder(
    tmp_path: Path,
    write_config: Callable[[dict[str, Any]], Path],
    write_rows: Callable[[list[dict[str, Any]]], dict[str, Any]],
) -> Path:
    write_config(
        {
            "data": write_rows(ROWS),
            "model": {"name": "overlap"},
            "rerank": {"store": str(tmp_path / "scores")},
            "tracking": {"uri": None},
        }
    )
    return tmp_path


def status(folder: Path) -> dict[str, Any]:
    """In this process, as it only reads."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), pytest.raises(SystemExit) as ended:
        main(command(folder, "--status", "--json")[3:])
    assert not ended.value.code
    content: dict[str, Any] = json.loads(told.getvalue())
    return content


def test_the_schedule_of_a_bundled_config_has_its_name_and_file(tmp_path: Path) -> None:
    overlap = ("--set", "model.name=overlap", "--set", "data.limit=2", "--set", "tracking.uri=null")
    done = schedule(tmp_path, *NIGHTLY, "--once", *overlap, "--config", "demo")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    state = json.loads((tmp_path / "results" / "schedule" / "demo.json").read_text())
    assert state["config"] == str(ROOT / "configs" / "demo.yaml")
    assert state["occurrences"][0]["outcome"] == "done"


def test_a_night_is_run_and_a_second_time_nothing_happens(folder: Path) -> None:
    first = schedule(folder, *NIGHTLY, "--once")
    assert (first.returncode, first.stderr) == (0, ""), first.stdout
    [night] = status(folder)["state"]["occurrences"]
    assert (night["outcome"], night["exit_code"], night["attempts"]) == ("done", 0, 1)
    assert json.loads((Path(night["run_folder"]) / "metrics.json").read_text())["coverage"]["answered"] == 1
    assert "1 query, 2 pairs" in Path(night["log"]).read_text()
    second = schedule(folder, *NIGHTLY, "--once")
    assert (second.returncode, second.stdout.count("nothing to do")) == (0, 1)
    assert len(list((folder / "results").glob("2*"))) == 1
    told = schedule(folder, "--status").stdout
    assert "config: 0 2 * * *" in told and "not running" in told and "done (1 attempt, exit code 0)" in told


def test_results_that_cannot_be_logged_are_logged_when_the_server_is_back(folder: Path) -> None:
    uri = f"sqlite:///{folder}/later/mlflow.db"
    options = ("--once", *NIGHTLY, "--set", f"tracking.uri={uri}", "--backoff-s", "0.1")
    (folder / "later").write_text("a file where the folder should be")
    failed = schedule(folder, *options, "--retries", "1")
    assert failed.returncode == 4, failed.stdout
    assert "logging is tried again in 0.1 s" in failed.stdout
    (folder / "later").unlink()
    (folder / "later").mkdir()
    mended = schedule(folder, *options)
    assert mended.returncode == 0, mended.stdout
    assert (folder / "later" / "mlflow.db").is_file()
    assert len(list((folder / "results").glob("2*"))) == 1, "logged from the folder, not run again"


def test_the_systemd_unit_s_night_ends_with_its_gate_s_verdict_and_is_not_repeated(folder: Path) -> None:
    """Its command, with this folder's config and store."""
    line = re.search(r"^ExecStart=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    _, command, *words = shlex.split(line[1])
    assert command == "schedule" and "--retries" not in words
    options = [
        word.replace("/srv/rerank-eval", str(folder))
        for word in words
        if word not in ("--config", "configs/nightly.yaml")
    ]
    options += ["--set", "gate.min={ndcg@10: 2}"]
    done = schedule(folder, *options)
    assert done.returncode == 6, done.stdout
    assert "attempt 1 ended with exit code 6" in done.stdout and "tried again" not in done.stdout
    [night] = status(folder)["state"]["occurrences"]
    assert (night["outcome"], night["exit_code"], night["attempts"]) == ("regressed", 6, 1)
    assert "rerank-eval: regressed: quality.reranked.ndcg_at_10 is 1, under the limit" in Path(night["log"]).read_text()
    assert json.loads((Path(night["run_folder"]) / "gate.json").read_text())["outcome"] == "regressed"
    again = schedule(folder, *options)
    assert (again.returncode, again.stdout.count("nothing to do")) == (6, 1)
    assert len(list((folder / "results").glob("2*"))) == 1


def test_a_config_that_a_job_refuses_is_not_retried(folder: Path) -> None:
    done = schedule(folder, *NIGHTLY, "--once", "--set", "data.path=none.jsonl")
    assert done.returncode == 2
    assert "not retried: the config, the data or the model cannot be used" in done.stdout
    assert done.stdout.count("ended with exit code") == 1


def test_a_store_that_is_missing_is_warned_of(folder: Path) -> None:
    done = schedule(folder, *NIGHTLY, "--once", "--set", "rerank.store=null", "--set", "data.path=none.jsonl")
    assert "warning: rerank.store is null, a retried run scores everything again" in done.stdout


def test_a_daemon_says_what_is_next_and_ends_when_asked_to(folder: Path) -> None:
    daemon = subprocess.Popen(
        command(folder, "--cron", "0 0 29 2 *", "--timezone", "Europe/Berlin"),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    assert re.search(r"next occurrence 20\d\d-02-29 00:00:00\+01:00", daemon.stdout.readline())
    assert status(folder)["at_work"]
    refused = schedule(folder, *NIGHTLY, "--once")
    assert refused.returncode == 1
    assert f"the schedule config is at work already (process {daemon.pid})" in refused.stderr
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(120) == 0  # long before its next occurrence
    assert daemon.stdout.read().rstrip().endswith("stopped")
    assert status(folder)["at_work"] is False


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--once",), "--cron is missing"),
        (("--cron", "0 2 * *"), "4 fields, not 5"),
        ((*NIGHTLY, "--timezone", "Mars/Olympus"), "--timezone Mars/Olympus: not known here"),
        ((*NIGHTLY, "--set", "data.dpth=3"), "did you mean depth?"),
        ((*NIGHTLY, "--state", "config.yaml"), "config.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_exit_code_2_and_nothing_is_started(
    arguments: tuple[str, ...],
    told: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main(command(folder, *arguments)[3:])
    assert ended.value.code == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("rerank-eval: ") and told in line
    assert sorted(folder.rglob("*")) == before


def test_the_state_of_another_config_is_not_taken_over(folder: Path) -> None:
    schedule(folder, *NIGHTLY, "--once", "--set", "data.path=none.jsonl")
    other = folder / "other"
    other.mkdir()
    (other / "config.yaml").write_text((folder / "config.yaml").read_text())
    done = schedule(other, *NIGHTLY, "--once")
    assert done.returncode == 2
    assert f"is the schedule of {folder / 'config.yaml'}. Choose another --name" in done.stderr
