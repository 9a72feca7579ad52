"""`rerank-eval compare` as a user runs it: files that agree, JSON alone on request, a run in MLflow with links."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipelines.base.ports import free_port
from pipelines.base.sections import TrackingSettings
from pipelines.cli.app import main
from pipelines.runs.folder import RunFolder
from pipelines.tracking.client import IMPATIENT, KIND_TAG, track
from tests.patience import waits_from_now_on
from tests.pipelines.finished_runs import finished_run, write_analysis

pytestmark = pytest.mark.heavy

BEFORE = [0.5, 0.4, 0.6, 0.5, 0.3, 0.7, 0.5, 0.45, 0.55, 0.5]
BETTER = [0.6, 0.5, 0.7, 0.6, 0.4, 0.8, 0.6, 0.55, 0.55, 0.4]  # eight won, one tied, one lost
SAME_CANDIDATES_BUT = {"candidates_digest": "e" * 64, "lists_digest": "f" * 64}
FILES = ["comparison.html", "comparison.json", "comparison.md", "comparison.tex", "figures"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_of(name: str, values: list[float], **changed: Any) -> Path:
    """A finished run in the folder `name`, with an engine of its own."""
    model = {"model": {"name": f"models/{name}"}, "tracking": {"experiment": "compared"}}
    return write_analysis(finished_run(Path(name).resolve(), values, config=model, **changed)).folder.path


def exit_code(*arguments: object) -> int:
    """The command's, 0 where it ends without one."""
    with pytest.raises(SystemExit) as ended:
        main(["compare", *(str(argument) for argument in arguments)])
    return int(ended.value.code or 0)


def comparison_in(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The only comparison there, and the content of its JSON."""
    (found,) = folder.iterdir()
    content: dict[str, Any] = json.loads((found / "comparison.json").read_text(encoding="utf-8"))
    return found, content


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rerank-eval: ")
    return line


# --- files ---


def test_two_runs_leave_a_folder_with_the_numbers_against_the_first(here: Path) -> None:
    assert exit_code(run_of("a", BEFORE), run_of("b", BETTER), "--no-track") == 0
    folder, content = comparison_in(here / "comparisons")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert (content["baseline"], content["queries"], content["metrics"]) == ("name a", 10, ["ndcg@10"])
    assert content["runs"] == {"name a": "a", "name b": "b"}
    assert content["differing"] == {"model.name": ["models/a", "models/b"]}
    (tested,) = content["tested"]
    assert (tested["system"], tested["metric"]) == ("name b", "ndcg@10")
    assert tested["difference"] == pytest.approx(0.07)
    low, high = tested["interval"]
    assert low < 0.07 < high
    assert (tested["wins"], tested["ties"], tested["losses"]) == (8, 1, 1)
    assert 0 < tested["p_randomization"] == tested["corrected_p"] < 1


def test_the_forms_on_disk_say_what_the_json_says(here: Path) -> None:
    exit_code(run_of("a", BEFORE), run_of("b", BETTER), "--no-track")
    folder, content = comparison_in(here / "comparisons")
    markdown, latex, page = ((folder / f"comparison.{end}").read_text("utf-8") for end in ("md", "tex", "html"))
    assert markdown.startswith("# name b against name a\n")
    for text in (markdown, latex, page):
        assert "8 / 1 / 1" in text
        assert f"{content['tested'][0]['difference']:+.4f}" in text
    assert re.findall(r"\\begin\{(\w+)\}", latex).count("longtable") == latex.count(r"\end{longtable}") > 0
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    drawn = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert set(drawn) == {"difference-ndcg-10.png", "cost.png"}
    assert page.count("<svg") == len(drawn)
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())
    for named in re.findall(r"figures/[\w.-]+", markdown):
        assert (folder / named).is_file()


def test_of_three_runs_the_first_is_the_baseline_and_p_is_corrected_over_both(here: Path) -> None:
    runs = [run_of("c", BETTER), run_of("a", BEFORE), run_of("b", [0.9 * value for value in BETTER])]
    assert exit_code(*runs, "--no-track", "--out", "elsewhere") == 0
    _, content = comparison_in(here / "elsewhere")
    assert content["baseline"] == "name c"
    assert [told["system"] for told in content["tested"]] == ["name a", "name b"]
    assert content["tested"][0]["difference"] == pytest.approx(-0.07)
    assert all(told["corrected_p"] >= told["p_randomization"] for told in content["tested"])
    assert any(told["corrected_p"] > told["p_randomization"] for told in content["tested"])


def test_the_same_comparison_again_takes_the_place_of_the_first_and_another_order_does_not(here: Path) -> None:
    one, other = run_of("a", BEFORE), run_of("b", BETTER)
    for runs in ((one, other), (one, other), (other, one)):
        assert exit_code(*runs, "--no-track") == 0
    assert len(list((here / "comparisons").iterdir())) == 2


def test_an_older_run_without_an_analysis_is_compared_too(here: Path) -> None:
    old = run_of("a", BEFORE)
    (old / "analysis.json").unlink()
    assert exit_code(old, run_of("b", BETTER), "--no-track") == 0
    assert comparison_in(here / "comparisons")[1]["tested"][0]["wins"] == 8


# --- terminal ---


def test_the_terminal_shows_the_verdict_and_where_the_files_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(run_of("a", BEFORE), run_of("b", BETTER), "--no-track") == 0
    shown, told = capsys.readouterr()
    folder, _ = comparison_in(here / "comparisons")
    lines = shown.splitlines()
    assert lines[0] == "name b against name a"
    assert lines[1].startswith("name b: ndcg@10 ")
    assert lines[-1] == f"comparison  {folder.relative_to(here)}"
    assert told == ""


@pytest.mark.parametrize(("form", "ending"), [("md", "md"), ("latex", "tex"), ("json", "json")])
def test_other_forms_on_the_terminal_are_the_file_and_nothing_else(
    form: str, ending: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(run_of("a", BEFORE), run_of("b", BETTER), "--no-track", "--format", form) == 0
    folder, _ = comparison_in(here / "comparisons")
    assert capsys.readouterr().out == (folder / f"comparison.{ending}").read_text(encoding="utf-8")


@pytest.mark.parametrize("more", [[], ["--format", "md"]])
def test_with_json_the_numbers_are_printed_alone_also_while_logging(
    more: list[str], here: Path, store: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(run_of("a", BEFORE), run_of("b", BETTER), "--uri", store, "--json", *more) == 0
    assert json.loads(capfd.readouterr().out) == comparison_in(here / "comparisons")[1]


# --- mistakes ---


def test_other_candidates_are_refused_until_they_are_allowed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = run_of("a", BEFORE), run_of("b", BETTER, **SAME_CANDIDATES_BUT)
    assert exit_code(*runs, "--no-track") == 2
    assert "a and b reranked different candidates" in (line := one_line(capsys)) and "--different-candidates" in line
    assert not (here / "comparisons").exists()
    assert exit_code(*runs, "--no-track", "--different-candidates") == 0
    folder, content = comparison_in(here / "comparisons")
    assert content["notes"] == ["a and b reranked different candidates: the first stage differs, too"]
    assert "the first stage differs, too" in (folder / "comparison.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a"], "at least one other run"),
        (["a", "a"], "given twice: a"),
        (["a", "none/here"], "none/here: no such run folder"),
        (["a", "b", "--metrics", "mrr"], "mrr was not computed in every run; they share ndcg@10"),
        (["a", "b", "--metrics", "ndgc@10"], "Unknown metric 'ndgc@10'"),
        (["a", "b", "--format", "pdf"], "--format pdf: choose from terminal, md, latex, json"),
        (["a", "b", "--out", "a/metrics.json"], "--out a/metrics.json: cannot be written"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of("a", BEFORE)
    run_of("b", BETTER)
    assert exit_code(*arguments, "--no-track") == 2
    assert told in one_line(capsys)
    assert not (here / "comparisons").exists()


# --- MLflow ---


def comparisons_at(uri: str, run_id: str) -> list[Run]:
    """Those in the experiment of the runs that start with this one."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("compared")
    if experiment is None:
        return []
    found = client.search_runs([experiment.experiment_id], f"tags.`{KIND_TAG}` = 'comparison'")
    return [run for run in found if run.data.tags["baseline"] == run_id]


def logged(store: str, *runs: Path) -> list[str]:
    """Log them; returns MLflow's ids."""
    ids = [track(RunFolder(path), TrackingSettings(uri=store, experiment="compared")) for path in runs]
    return [mlflow_id for mlflow_id in ids if mlflow_id is not None]


def test_a_comparison_is_a_run_in_mlflow_that_links_to_what_it_compares_and_is_there_once(
    here: Path, store: str
) -> None:
    runs = run_of("first", BEFORE), run_of("second", BETTER)
    ids = logged(store, *runs)
    for _ in range(2):
        assert exit_code(*runs, "--uri", store) == 0
    folder, content = comparison_in(here / "comparisons")
    (found,) = comparisons_at(store, "first")
    assert (found.info.run_name, found.info.status) == (content["comparison_id"], "FINISHED")
    assert [found.data.tags[f"compared.{place}"] for place in (1, 2)] == ids
    note = found.data.tags["mlflow.note.content"]
    for mlflow_id, name in zip(ids, ("first", "second"), strict=True):
        assert f"[{name}](#/experiments/{found.info.experiment_id}/runs/{mlflow_id})" in note
    assert content["tested"][0]["words"] in note
    assert found.data.params["model.name"] == "models/first | models/second"
    (tested,) = content["tested"]
    assert found.data.metrics == {
        "delta/ndcg_at_10": tested["difference"],
        "significance/ndcg_at_10_p": tested["corrected_p"],
        "significance/ndcg_at_10_ci_low": tested["interval"][0],
        "significance/ndcg_at_10_ci_high": tested["interval"][1],
    }
    assert sorted(file.path for file in MlflowClient(store).list_artifacts(found.info.run_id)) == FILES
    kept = MlflowClient(store).download_artifacts(found.info.run_id, "comparison.json", str(here))
    assert json.loads(Path(kept).read_text(encoding="utf-8")) == content
    assert folder.name == found.info.run_name


def test_runs_are_compared_by_their_names_and_ids_in_mlflow(here: Path, store: str) -> None:
    runs = run_of("named", BEFORE), run_of("numbered", BETTER)
    ids = logged(store, *runs)
    assert exit_code("named", ids[1], "--uri", store, "--no-track", "--out", "fetched") == 0
    assert exit_code(*runs, "--no-track", "--out", "local") == 0
    assert comparison_in(here / "fetched")[1] == comparison_in(here / "local")[1]


def test_runs_that_mlflow_does_not_know_are_compared_there_without_links(here: Path, store: str) -> None:
    assert exit_code(run_of("unknown-a", BEFORE), run_of("unknown-b", BETTER), "--uri", store) == 0
    (found,) = comparisons_at(store, "unknown-a")
    assert not [tag for tag in found.data.tags if tag.startswith("compared.")]


def test_with_no_track_nothing_is_logged(here: Path, store: str) -> None:
    assert exit_code(run_of("quiet-a", BEFORE), run_of("quiet-b", BETTER), "--uri", store, "--no-track") == 0
    assert comparisons_at(store, "quiet-a") == []
    assert not list(here.glob("*.db"))


def test_a_dead_server_costs_no_file_and_is_exit_code_4_soon(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in IMPATIENT:
        monkeypatch.delenv(name, raising=False)
    uri = f"http://127.0.0.1:{free_port()}"
    runs = run_of("a", BEFORE), run_of("b", BETTER)
    waits = waits_from_now_on(monkeypatch)
    assert exit_code(*runs, "--uri", uri) == 4
    assert 0 < sum(waits) <= 20
    folder, _ = comparison_in(here / "comparisons")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    shown, told = capfd.readouterr()
    assert shown.startswith("name b against name a\n")
    (line,) = told.splitlines()
    assert line.startswith("rerank-eval: ")
    assert uri in line and f"The comparison is complete in {folder.relative_to(here)}" in line
