"""Ctrl-C or SIGTERM in a benchmark: what is finished is kept and told, and whoever is at work is ended. No engine."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import app as cli
from pipelines.speed.bench.bench import Bench, Contender, Timed
from pipelines.speed.bench.contenders import Chosen
from pipelines.speed.bench.models import make_model
from pipelines.speed.bench.process import Group

SMALL = ("--queries", "2", "--documents", "4", "--tokens", "150", "--rounds", "2")
Command = Callable[..., tuple[int, list[Path]]]


def finished(bench: Bench, _group: Group, _name: str) -> Timed:
    now_s = time.time()
    return Timed(now_s, now_s, now_s + 2, [0.5] * len(bench.pairs.prompts))


def fails(*_: object) -> Timed:
    raise OSError("it broke")


def interrupted_by(number: signal.Signals, in_round: int, started: list[Any]) -> Callable[..., Timed]:
    """A contender that the user interrupts in that round while a process of it is at work."""

    def run(bench: Bench, group: Group, name: str) -> Timed:
        if not name.endswith(f"-{in_round}"):
            return finished(bench, group, name)
        started.append(group.start([sys.executable, "-c", "import time; time.sleep(600)"]))
        signal.raise_signal(number)
        raise AssertionError("it went on")

    return run


@pytest.fixture
def command(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`rerank-eval benchmark` with contenders of the test's own; gives its exit code and the folders that it left."""
    planned = {"arguments": {"dtype": "float32", "block_size": 32}, "environment": {}}
    plan = {"ours": planned, "defaults": planned, "device": "cpu", "device_name": "a processor"}
    models = tmp_path_factory.getbasetemp() / "models"
    make_model("tiny", models)
    monkeypatch.setattr("pipelines.speed.bench.models.user_cache", lambda: models)
    monkeypatch.setattr("pipelines.speed.bench.command.ask_plan", lambda *_: plan)
    monkeypatch.setattr("pipelines.speed.bench.rounds.matrix_flops", lambda *_: 1e12)

    def run(*runs: Callable[..., Timed], more: tuple[str, ...] = ()) -> tuple[int, list[Path]]:
        names = ("engine-ours", "job-cold", "transformers")
        made = tuple(
            Contender(name, f"title of {name}", "engine", True, one) for name, one in zip(names, runs, strict=False)
        )
        monkeypatch.setattr("pipelines.speed.bench.command.choose", lambda *_, **__: Chosen(made, ()))
        with pytest.raises(SystemExit) as ended:
            cli.main(["benchmark", *SMALL, "--out", str(tmp_path), *more])
        assert isinstance(ended.value.code, int)
        return ended.value.code, [path for path in tmp_path.iterdir() if not path.is_symlink()]

    return run


def measured(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_finished_is_kept_and_told_and_whoever_is_at_work_is_ended(
    number: signal.Signals, command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []
    before = signal.getsignal(signal.SIGTERM)
    code, (folder,) = command(finished, interrupted_by(number, 2, started), finished)
    assert code == 130
    found = measured(folder)
    assert found["interrupted"] is True
    assert {one["name"]: len(one["rounds"]) for one in found["measurements"]} == {
        "engine-ours": 2,
        "job-cold": 1,
        "transformers": 1,
    }
    assert found["results"]["contenders"]["job-cold"]["pairs_per_s"] == pytest.approx(4.0)
    assert found["notes"][-1] == "interrupted in round 2 of 2, which lacks: job-cold, transformers"
    assert "It was interrupted" in (folder / "report.html").read_text(encoding="utf-8")
    assert not (folder / "work").exists()
    assert started[0].poll() is not None
    told = capfd.readouterr()
    assert told.err.splitlines()[-1] == f"rerank-eval: interrupted: what was finished by then is in {folder}"
    assert "title of job-cold" in told.out and "It was interrupted" in told.out
    assert signal.getsignal(signal.SIGTERM) is before


def test_json_is_all_that_is_printed_to_stdout_though_it_is_interrupted(
    command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    code, (folder,) = command(finished, interrupted_by(signal.SIGINT, 1, []), more=("--json",))
    assert code == 130
    assert json.loads(capfd.readouterr().out) == measured(folder)


@pytest.mark.parametrize("earlier", [(), (fails,)], ids=["nobody before", "one that failed"])
def test_where_there_is_no_figure_yet_nothing_is_kept(
    earlier: tuple[Callable[..., Timed], ...], command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []
    code, left = command(*earlier, interrupted_by(signal.SIGTERM, 1, started))
    assert (code, left) == (130, [])
    assert started[0].poll() is not None
    assert capfd.readouterr().err.splitlines() == [
        "rerank-eval: interrupted before any figure was kept: nothing is left of it"
    ]


def test_one_that_is_not_interrupted_says_nothing_of_it(command: Command) -> None:
    code, (folder,) = command(finished)
    assert code == 0
    assert measured(folder)["interrupted"] is False
    assert measured(folder)["notes"] == []
