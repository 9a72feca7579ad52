"""rerank-eval in Python: what a notebook user writes works, is short to look at, and fails with our own exceptions."""

from __future__ import annotations

import importlib
import io
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pipelines
from pipelines import RerankEvalError, RunConfig, compare, evaluate, open_run, run
from pipelines.base.config import load_config
from pipelines.base.process import called_with, same_again
from pipelines.runs.finished import FinishedRun
from stages.core.errors import ConfigError, DataError, TooManyFailuresError
from tests.pipelines.finished_runs import finished_run, write_analysis

ROOT = Path(__file__).parents[2]
DEMO = {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec", "depth": 10, "limit": 12}
EXPORTED = ("run", "open_run", "compare", "evaluate")

WriteConfig = Callable[[dict[str, Any]], Path]


class Notebook(io.StringIO):
    """The stream that a kernel puts in the place of stdout: it says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def done(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A job over some of the demo, scored by the stand-in, from a dict of sections."""
    here = tmp_path_factory.mktemp("api")
    sections = {
        "data": DEMO,
        "model": {"name": "overlap"},
        "tracking": {"uri": None},
        "output": {"dir": str(here / "results")},
    }
    return run(sections, quiet=True, data={"depth": 5})


def test_a_run_gives_its_numbers_as_dicts_and_tables(done: FinishedRun) -> None:
    reranked = done.metrics["quality"]["reranked"]
    assert reranked is not None and 0 < reranked["ndcg_at_10"] <= 1
    assert done.config["data"]["depth"] == 5  # what a section changes; the rest of the section stays
    assert done.config["data"]["limit"] == 12
    assert list(done.per_query["query_id"]) == list(done.rankings["query_id"].unique())
    assert done.per_query["reranked/ndcg_at_10"].mean() == pytest.approx(reranked["ndcg_at_10"])
    assert done.verdict is not None and done.verdict.startswith("ndcg@10 ")
    assert len(done.failures) == 0 and done.runs == {}


def test_its_rankings_are_those_of_run_trec_rank_by_rank(done: FinishedRun) -> None:
    written = [line.split() for line in (done.path / "run.trec").read_text().splitlines()]
    told = done.rankings
    assert list(zip(told["query_id"], told["doc_id"], told["rank"], strict=True)) == [
        (query_id, doc_id, int(rank)) for query_id, _, doc_id, rank, *_ in written
    ]
    assert told["score"].notna().sum() == done.metrics["coverage"]["pairs"]
    assert (told.loc[told["score"].isna(), "rank"] > 5).all()  # below data.depth nothing was scored


def test_what_run_returns_open_run_returns_too(done: FinishedRun) -> None:
    opened = open_run(done.path.parent / "latest")
    assert opened.path == done.path
    assert opened.metrics == done.metrics
    pd.testing.assert_frame_equal(opened.per_query, done.per_query)


def test_a_run_and_its_report_are_short_in_a_script_and_whole_in_a_notebook(done: FinishedRun) -> None:
    assert repr(done).startswith(f"<run {done.run_id}: ndcg@10 ") and len(repr(done)) < 150
    assert "<table>" in done._repr_html_() and str(done.verdict)[:20] in done._repr_html_()
    assert repr(done.report) == f"<report of {done.run_id}: {done.path}/report.html>"
    assert done.report.html.lower().startswith("<!doctype html")
    shown = done.report._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!') and "<script" not in shown


def test_a_config_may_be_a_file_a_record_or_a_dict(local_ray: None, write_config: WriteConfig) -> None:
    sections = {"data": DEMO, "model": {"name": "overlap"}, "tracking": {"uri": None}}
    path = write_config(sections)
    changes: dict[str, Any] = {"data": {"depth": 2, "limit": 3}}
    made = [run(config, quiet=True, **changes) for config in (path, str(path), load_config(path))]
    assert {one.metrics["config_digest"] for one in made} == {made[0].metrics["config_digest"]}
    assert all(isinstance(one, FinishedRun) and one.metrics["coverage"]["pairs"] == 6 for one in made)


def test_what_a_run_says_goes_where_the_caller_prints(
    local_ray: None, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Notebook()
    monkeypatch.setattr(sys, "stdout", notebook)
    run(write_config({"data": DEMO, "model": {"name": "overlap"}, "tracking": {"uri": None}}), data={"limit": 2})
    assert notebook.getvalue().startswith("candidates  2 queries")
    assert "run folder" in notebook.getvalue().splitlines()[-1]
    assert "\x1b" not in notebook.getvalue()


# --- compare, evaluate ---


def test_two_runs_are_compared_in_a_table_of_one_row_for_each_metric(tmp_path: Path) -> None:
    worse = finished_run(tmp_path / "a", [0.2, 0.4, 0.3, 0.5, 0.6, 0.1])
    finished_run(tmp_path / "b", [0.5, 0.6, 0.7, 0.9, 0.8, 0.3])
    found = compare(open_run(worse.folder.path), tmp_path / "b")
    (row,) = found.table.to_dict("records")
    assert (row["run"], row["metric"], row["baseline"]) == ("b", "ndcg@10", pytest.approx(0.35))
    assert row["difference"] == pytest.approx(0.85 / 3)
    assert row["low"] < row["difference"] < row["high"]
    assert row["significant"] and (row["wins"], row["ties"], row["losses"]) == (6, 0, 0)
    assert repr(found) == "<comparison of b against a: 6 judged queries>"
    assert "<table" in found._repr_html_() and "6 judged queries" in found._repr_html_()


def test_a_wider_confidence_gives_a_wider_interval(tmp_path: Path) -> None:
    for name, values in (("a", [0.2, 0.4, 0.3, 0.5]), ("b", [0.5, 0.6, 0.7, 0.9])):
        finished_run(tmp_path / name, values)
    tables = [compare(tmp_path / "a", tmp_path / "b", confidence=sure).table for sure in (0.8, 0.99)]
    widths = [float(table["high"][0] - table["low"][0]) for table in tables]
    assert widths[0] < widths[1]
    with pytest.raises(ConfigError, match=r"confidence 95 does not lie between 0.5 and 1: write 0.95"):
        compare(tmp_path / "a", tmp_path / "b", confidence=95)


def test_runs_over_other_candidates_are_compared_only_where_that_is_allowed(tmp_path: Path) -> None:
    finished_run(tmp_path / "a", [0.2, 0.4])
    finished_run(tmp_path / "b", [0.5, 0.6], candidates_digest="f" * 64, lists_digest="f" * 64)
    with pytest.raises(DataError, match="different candidates"):
        compare(tmp_path / "a", tmp_path / "b")
    found = compare(tmp_path / "a", tmp_path / "b", different_candidates=True)
    assert len(found.table) == 1
    assert found.notes == ["a and b reranked different candidates: the first stage differs, too"]


def test_files_and_mappings_are_evaluated_alike(tmp_path: Path) -> None:
    run_of = {"q1": {"a": 2.0, "b": 1.0}, "q2": {"x": 2.0, "c": 1.0}}
    qrels = {"q1": {"a": 1}, "q2": {"c": 1}, "q3": {"d": 1}}
    (tmp_path / "run.trec").write_text("q1 Q0 a 1 2 t\nq1 Q0 b 2 1 t\nq2 Q0 x 1 2 t\nq2 Q0 c 2 1 t\n")
    (tmp_path / "qrels.txt").write_text("q1 0 a 1\nq2 0 c 1\nq3 0 d 1\n")
    of_files = evaluate(tmp_path / "run.trec", str(tmp_path / "qrels.txt"), ("mrr", "hit_rate@1"))
    of_mappings = evaluate(run_of, qrels, ("mrr", "hit_rate@1"))
    assert of_files.means == of_mappings.means == {"mrr": pytest.approx(0.5), "hit_rate@1": pytest.approx(1 / 3)}
    assert list(of_mappings.per_query["mrr"]) == [1.0, 0.5, 0.0]
    assert list(of_mappings.per_query["answered"]) == [True, True, False]
    mind = "1 of 3 judged queries has no candidates and counts as 0, such as 'q3'"
    assert repr(of_files) == f"<evaluation: mrr 0.5000, hit_rate@1 0.3333 over 3 judged queries; mind: {mind}>"
    assert "0.5000" in of_files._repr_html_()


def test_numbers_of_numpy_and_ids_that_are_numbers_are_evaluated_as_those_of_files() -> None:
    grades = {7: {np.int64(1): np.int64(2), 2: np.float32(0.0)}, 8: {1: True}}
    scores = {7: {1: np.float32(0.5), 2: np.float32(1.5)}, 8: {1: 1}}
    told = evaluate({"7": {"1": 0.5, "2": 1.5}, "8": {"1": 1.0}}, {"7": {"1": 2, "2": 0}, "8": {"1": 1}})
    assert evaluate(scores, grades).means == told.means  # type: ignore[arg-type]
    assert told.means["mrr@10"] == pytest.approx(0.75)


# --- mistakes ---


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: run("nowhere.yaml"), ConfigError, "config nowhere.yaml: cannot be read"),
        (lambda: run({"data": DEMO}, dta={"depth": 2}), ConfigError, "unknown key dta; did you mean data?"),
        (lambda: run({"data": DEMO}, data={"dpth": 2}), ConfigError, "unknown key data.dpth; did you mean depth?"),
        (lambda: run({"data": DEMO}, data=3), ConfigError, "config: data"),
        (lambda: open_run("results/nowhere"), DataError, "nowhere"),
        (lambda: compare("results/nowhere", "results/elsewhere"), DataError, "nowhere"),
        (lambda: compare(["results/a", "results/b"]), DataError, "not by a list"),  # type: ignore[arg-type]
        (lambda: run(["mine.yaml"]), ConfigError, "not list"),  # type: ignore[arg-type]
        (lambda: evaluate(pd.DataFrame(), {"q": {"d": 1}}), DataError, "but DataFrame"),  # type: ignore[arg-type]
        (lambda: evaluate({"q": {"d": 1.0}}, {"q": ["d"]}), DataError, "qrels['q'] is no mapping"),  # type: ignore[dict-item]
        (lambda: evaluate({7: {"d": 1.0}, "7": {"d": 2.0}}, {"7": {"d": 1}}), DataError, "7 and '7'"),  # type: ignore[dict-item]
        (compare, DataError, "a baseline and at least one other run"),
        (lambda: evaluate("nowhere.trec", {"q": {"d": 1}}), DataError, "nowhere.trec"),
        (lambda: evaluate({"q": {"d": 1.0}}, {"q": {"d": 0.5}}), DataError, "is a fraction"),
        (lambda: evaluate({"q": {"d": 1.0}}, {"q": {"d": "high"}}), DataError, "qrels['q']['d']"),
        (lambda: evaluate({"q": {"d": float("nan")}}, {"q": {"d": 1}}), DataError, "NaN"),
        (lambda: evaluate({"q": {"d": "best"}}, {"q": {"d": 1}}), DataError, "run['q']: a score is not a number"),
        (lambda: evaluate({"q": {"d": 1.0}}, {}), DataError, "there is no judgement"),
        (lambda: evaluate({"q": {"d": 1.0}}, {"q": {"d": 1}}, ["ndgc@10"]), ConfigError, "ndcg@10"),
    ],
)
def test_a_mistake_is_one_of_our_exceptions_in_one_line(
    call: Callable[[], object], error: type[RerankEvalError], words: str
) -> None:
    with pytest.raises(error) as raised:
        call()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_run_with_too_many_failures_raises_and_its_folder_is_there(
    local_ray: None,
    served: dict[str, Any],
    write_config: WriteConfig,
    write_rows: Callable[[list[dict[str, Any]]], dict[str, Any]],
) -> None:
    from tests.tiny_models import POISON

    documents = [{"id": "a", "text": f"one {POISON}", "relevance": 1}, {"id": "b", "text": "two", "relevance": 0}]
    rows = [{"query_id": "q", "query": "which?", "documents": documents}]
    path = write_config(served | {"data": write_rows(rows), "tracking": {"uri": None}})
    with pytest.raises(TooManyFailuresError):
        run(path, quiet=True)
    kept = open_run(load_config(path).output.dir + "/latest")
    assert kept.metrics["coverage"]["failed_pairs"] == 1
    assert list(kept.failures["doc_id"]) == ["a"]


# --- what is exported ---


def test_every_exported_name_is_the_functions_own_after_every_module_was_imported() -> None:
    for module in pkgutil.walk_packages(pipelines.__path__, "pipelines."):
        if module.name not in ("pipelines.run", "pipelines.__main__"):  # commands
            importlib.import_module(module.name)
    api = importlib.import_module("pipelines.api")
    assert all(getattr(pipelines, name) is getattr(api, name) for name in EXPORTED)
    assert pipelines.RunConfig is RunConfig
    assert set(pipelines.__all__) <= set(dir(pipelines))


def test_the_shim_is_a_command_and_says_so_instead_of_taking_the_functions_place() -> None:
    with pytest.raises(ImportError, match="from pipelines import run"):
        importlib.import_module("pipelines.run")
    assert callable(pipelines.run)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'rerun'"):
        pipelines.rerun  # noqa: B018


@pytest.mark.parametrize("module", ["pipelines.run", "pipelines"])
def test_the_commands_answer_as_modules(module: str) -> None:
    arguments = ["--help"] if module == "pipelines.run" else ["run", "--help"]
    told = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Rerank the candidates" in told.stdout


def test_how_to_go_on_is_this_command_and_in_python_the_same_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.base.process._command", [])
    assert same_again() == "the same call"
    assert same_again("--name", "x") == "the same call with --name x"
    called_with(["run", "--config", "my file.yaml"])
    assert same_again("--name", "x") == "rerank-eval run --config 'my file.yaml' --name x"


def test_the_main_tests_sentence_is_the_verdict(tmp_path: Path) -> None:
    made = write_analysis(finished_run(tmp_path / "a", [0.9, 0.8, 0.7], first=[0.1, 0.2, 0.3]))
    assert open_run(made.folder.path).verdict == made.analysis["significance"]["ndcg@10"]["words"]
    assert open_run(finished_run(tmp_path / "b", [0.9]).folder.path).verdict is None
