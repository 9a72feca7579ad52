"""A light install, without Ray, torch and vLLM and on a system that lacks what Linux has: what is promised works, and
everything else says in one line what it needs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.base.extras import JOB
from stages.core.records import Candidates, Judgements, Ranking
from stages.files.judgements import write_judgements
from stages.files.rankings import rankings_table
from stages.files.tables import write_candidates
from tests.declared import home, third_party
from tests.light_install import make_environment
from tests.pipelines.finished_runs import finished_run, write_analysis
from tests.wheels import COMMANDS, ROOT, Installed, install

# Calls several commands in one process, as each would have its own.
CALL = """
import contextlib, io, json, sys
from as_on_macos import our_modules
from pipelines.cli.app import main

def call(arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as stop:
            return {"code": stop.code or 0, "out": out.getvalue(), "err": err.getvalue()}

told = {"said": [call(arguments) for arguments in json.loads(sys.argv[1])]}
"""
# And then what a notebook would.
NOTEBOOK = """
from pipelines import RerankEvalError, compare, evaluate, open_run, run
import pipelines.sweep.tracking  # what `sync` uses for a sweep

a, b = open_run("a"), open_run("b")
try:
    run("run.yaml")
except RerankEvalError as error:
    told["raised"] = [type(error).__name__, str(error), error.exit_code]
told |= {
    "metrics": a.metrics["quality"]["reranked"], "queries": len(a.per_query), "verdict": a.verdict,
    "page": a.report.html[:15].lower(), "shown": a._repr_html_()[:3],
    "compared": compare(a, b).table.to_dict("records"),
    "evaluated": evaluate({"q": {"x": 2.0, "d": 1.0}}, {"q": {"d": 1}}, ["mrr"]).means,
    "modules": our_modules(),
}
"""
# Of `data.first_stage: bm25`, which looks for them before it imports any, and says what installs them.
LOOKED_FOR = {"bm25s", "Stemmer"}
PRINT = "print(json.dumps(told, default=float))"
WORKS: list[tuple[str, str]] = [
    ("evaluate --run run.trec --qrels qrels.txt --metrics mrr", "mrr\tall\t0.5000"),
    ("data run.trec qrels.txt", "a TREC run"),
    ("export a --to jsonl --first-stage --out a.jsonl", "1 query"),
    ("report a", "ndcg@10"),
    ("report a --format html --out a.html", "a.html"),
    ("report a --format md", "# "),
    ("report a --format latex", r"\begin"),
    ("report a --format json", "ndcg_at_10"),
    ("compare a b --no-track", "comparison"),
    ("compare a b --uri sqlite:///tracked.db", "comparison"),
    ("gate b --against a --max-drop ndcg_at_10=0.01 --min-queries 6", "passed"),
    ("plan-judging a --metric ndcg@10 --width 0.1 --out plan", "1 query, the pilot"),
    ("frontier c", "Quality against cost"),
    ("sync a --uri sqlite:///tracked.db", "logged as MLflow run"),
    ("handbook", "Choos"),
]
NEEDS: list[tuple[str, str]] = [
    ("run --config run.yaml", "Ray"),
    ("serve --config run.yaml", "Ray"),
    ("submit --config run.yaml", "Ray"),
    ("schedule --config run.yaml --once", "APScheduler"),
    ("sweep --config run.yaml --grid data.depth=[1,2]", "Ray"),
    ("diagnose", "psutil"),
    ("watch --once", "httpx"),
    ("loadtest", "httpx"),
    ("verify --config run.yaml", "httpx"),
    ("benchmark --quick", "tokenizers"),
    ("tune --config run.yaml", "tokenizers"),
    ("models", "tokenizers"),
    ("judge a --config judge.yaml --out judged", "httpx"),
]


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Two finished runs lie in its folder, a run and judgements to evaluate, and the config of a run."""
    environment = tmp_path_factory.mktemp("light") / "environment"
    make_environment(environment)
    made = install(wheel, environment, tmp_path_factory.mktemp("light") / "work")
    first = finished_run(made.folder / "a", [0.2, 0.4, 0.3, 0.5, 0.6, 0.1])
    write_analysis(first)
    write_candidates([Candidates("q1", "why?", ("a", "b"), ("Sun.", "Rain."), (2.0, 1.0))], first.folder.candidates)
    first.folder.rankings.mkdir()
    turned = Ranking("q1", ("b", "a"), (2.0, 1.0), (None, None))
    pq.write_table(rankings_table([turned]), first.folder.rankings / "part-00000.parquet")
    write_analysis(finished_run(made.folder / "b", [0.5, 0.6, 0.7, 0.9, 0.8, 0.3]))
    _judged_run(made.folder / "c")
    (made.folder / "run.trec").write_text("q1 Q0 a 1 2 t\nq1 Q0 b 2 1 t\n")
    (made.folder / "qrels.txt").write_text("q1 0 b 1\n")
    demo = {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec"}
    asked = {"url": "http://127.0.0.1:1/v1", "served_as": "m"}
    (made.folder / "judge.yaml").write_text(yaml.safe_dump({"judge": asked}))
    (made.folder / "run.yaml").write_text(yaml.safe_dump({"data": demo, "model": {"name": "overlap"}}))
    return made


def _judged_run(path: Path) -> None:
    """One of six queries with candidates, rankings and the judgements that it kept."""
    folder = finished_run(path, [1.0] * 6).folder
    kept = Judgements({f"q{number}": {"b": 1} for number in range(6)})
    candidates = [Candidates(one, "why?", ("a", "b"), ("Sun.", "Rain."), (2.0, 1.0)) for one in kept.grades]
    write_candidates(candidates, folder.candidates)
    folder.rankings.mkdir()
    turned = [Ranking(one, ("b", "a"), (2.0, 1.0), (None, None)) for one in kept.grades]
    pq.write_table(rankings_table(turned), folder.rankings / "part-00000.parquet")
    write_judgements(kept, folder.judgements)
    told = json.loads(folder.metrics.read_text("utf-8")) | {"judgements_digest": kept.digest}
    folder.metrics.write_text(json.dumps(told), encoding="utf-8")


def called(light: Installed, commands: Sequence[Sequence[str]], then: str = "") -> dict[str, Any]:
    """What each of the commands `said`; and what was found by the code that comes `then`."""
    code = CALL + then + PRINT
    done = light.call("python", "-c", code, json.dumps([list(words) for words in commands]))
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told | {"said": [Said(**one) for one in told["said"]]}


@pytest.fixture(scope="module")
def worked(light: Installed) -> dict[str, Any]:
    """What is promised, all in one process: libraries are imported once."""
    return called(light, [command.split() for command, _ in WORKS], NOTEBOOK)


@pytest.mark.parametrize("package", ["ray", "torch", "vllm", "transformers", "gradio", "httpx", "pytest", "tests"])
def test_it_lacks_what_an_extra_brings(package: str, light: Installed) -> None:
    done = light.call("python", "-c", f"import importlib.util as u; print(u.find_spec({package!r}))")
    assert done.stdout == "None\n" and find_spec(package) is not None


def test_it_lacks_what_macos_lacks_and_ours_may_not_import_what_is_of_unix_alone(light: Installed) -> None:
    code = "import os, pathlib; print(hasattr(os, 'sched_getaffinity')); pathlib.Path('/proc/cpuinfo').read_text()"
    done = light.call("python", "-c", code)
    assert done.stdout == "False\n" and "FileNotFoundError" in done.stderr
    code = "__name__ = 'stages.locking'\nimport fcntl"
    assert "stages.locking imports fcntl" in light.call("python", "-c", code).stderr


@pytest.mark.parametrize(("command", "words"), WORKS, ids=[command for command, _ in WORKS])
def test_what_is_on_finished_runs_works(command: str, words: str, worked: dict[str, Any]) -> None:
    said = worked["said"][[one for one, _ in WORKS].index(command)]
    assert (said.code, said.err) == (0, ""), said.err
    assert words in said.out


def test_the_python_api_works_on_finished_runs(worked: dict[str, Any]) -> None:
    assert worked["metrics"] == {"ndcg_at_10": pytest.approx(0.35)} and worked["queries"] == 6
    assert worked["verdict"].startswith("ndcg@10 ")
    assert worked["page"] == "<!doctype html>" and worked["shown"] == "<p>"
    (row,) = worked["compared"]
    assert (row["run"], row["difference"]) == ("b", pytest.approx(0.85 / 3))
    assert worked["evaluated"] == {"mrr": 0.5}


def test_in_python_a_run_says_what_it_needs(worked: dict[str, Any]) -> None:
    assert worked["raised"] == ["NotInstalledError", f"run needs Ray, which this install lacks: {JOB}", 2]


def test_every_other_command_says_in_one_line_what_it_needs_and_leaves_nothing(light: Installed) -> None:
    before = sorted(light.folder.rglob("*"))
    found = called(light, [command.split() for command, _ in NEEDS])["said"]
    expected = [
        Said(2, "", f"rerank-eval: {command.split()[0]} needs {package}, which this install lacks: {JOB}\n")
        for command, package in NEEDS
    ]
    assert found == expected
    assert sorted(light.folder.rglob("*")) == before


def test_the_demos_model_is_named_with_what_installs_it(light: Installed) -> None:
    done = light.call("rerank-eval", "run", "--config", "demo", "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "embedded:all-MiniLM-L6-v2" in done.stderr and done.stderr.endswith(f": {JOB}\n")


def test_every_command_is_among_these_and_says_what_it_does(light: Installed) -> None:
    said = called(light, [(*words, "--help") for words in COMMANDS])["said"]
    assert [(one.code, one.err, "Usage: " in one.out) for one in said] == [(0, "", True)] * len(COMMANDS)
    mine = {command.split()[0] for command, _ in (*WORKS, *NEEDS)}
    assert mine | {"scores"} == {words[0] for words in COMMANDS if words}


def test_whatever_these_import_even_inside_a_function_is_of_the_core(worked: dict[str, Any]) -> None:
    modules = set(worked["modules"])
    assert {"pipelines.verdict.gate", "pipelines.tracking.client", "stages.report.html"} <= modules
    files = [path for name in modules for path in _files(name)]
    assert len(files) == len(modules)
    imported = {module for path in files for module in third_party(path.read_text("utf-8"))}
    assert {module: home(module) for module in imported - LOOKED_FOR if home(module) != "core"} == {}


def _files(module: str) -> list[Path]:
    path = ROOT.joinpath(*module.split("."))
    return [one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()]
