"""`rerank-eval report` as a user runs it: every form, runs in folders and in MLflow, and no secret in any of them."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.sections import TrackingSettings
from pipelines.cli.app import main
from pipelines.runs.folder import RunFolder
from pipelines.runs.report import FORMS, try_report
from pipelines.tracking.client import track
from tests.pipelines.finished_runs import finished_run, write_analysis

pytestmark = pytest.mark.heavy

GAINED = [0.6, 0.7, 0.9, 0.5, 0.8, 0.65, 0.75, 0.85, 0.6, 0.7]
FIGURES = {"differences", "strata", "depth", "fusion", "timeline", "calibration"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def logged(store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """A run, and the id that MLflow has for it."""
    run = write_analysis(finished_run(tmp_path_factory.mktemp("results") / "20260101-000000-logged-0a1b", GAINED))
    mlflow_id = track(run.folder, TrackingSettings(uri=store, experiment="reports"))
    assert mlflow_id is not None
    return run.folder, mlflow_id


@pytest.fixture
def analysed(tmp_path: Path) -> RunFolder:
    return write_analysis(finished_run(tmp_path / "20260102-000000-small-0a1b", GAINED)).folder


def exit_code(*arguments: object) -> int:
    """The command's, 0 where it ends without one."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


class Page(HTMLParser):
    """What a page holds: every start tag, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


# --- forms ---


def test_the_terminal_shows_the_verdict_first_and_every_section(
    analysed: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("report", analysed.path) == 0
    shown, told = capsys.readouterr()
    title, verdict, *rest = shown.splitlines()
    assert (title, told) == ("small reranked by tiny", "")
    assert verdict.startswith("Reranking helps: ndcg@10")
    for section in ("Did it help", "Where does it help", "How deep", "At what cost?", "Can the scores be trusted?"):
        assert any(line.startswith(section) for line in rest), section


def test_markdown_has_a_heading_for_each_section_and_tables_of_equal_width(
    analysed: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("report", analysed.path, "--format", "md") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# small reranked by tiny"
    assert sum(line.startswith("## ") for line in lines) == 8
    rows = [line for line in lines if line.startswith("|")]
    assert any("| ndcg@10 | 0.5000 | 0.7050 | +0.2050 |" in row for row in rows)
    for above, row in itertools.pairwise(lines):
        if above.startswith("|") and row.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", above)), row


def test_latex_is_balanced_and_escapes_what_the_user_wrote(
    analysed: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("report", analysed.path, "--format", "latex") == 0
    text = capsys.readouterr().out
    begun, ended = (re.findall(rf"\\{word}\{{(\w+\*?)\}}", text) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    assert "longtable" in begun
    bare = re.sub(r"\\[{}\\]", "", re.sub(r"\\begin\{verbatim\}.*?\\end\{verbatim\}", "", text, flags=re.DOTALL))
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"(?<!\\)%", re.sub(r"^%.*$", "", bare, flags=re.MULTILINE))


def test_json_is_the_run_s_own_numbers_and_nothing_else(
    analysed: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("report", analysed.path, "--format", "json") == 0
    shown, told = capsys.readouterr()
    assert json.loads(shown) == {
        "metrics": json.loads(analysed.metrics.read_text()),
        "analysis": json.loads(analysed.analysis.read_text()),
    }
    assert told == ""


def test_html_is_one_page_in_the_run_folder_with_every_figure_beside_it(
    analysed: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("report", analysed.path, "--format", "html") == 0
    assert capsys.readouterr().out.splitlines() == [str(analysed.report.resolve())]
    text = analysed.report.read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("svg") == len(FIGURES)
    assert not {"script", "link", "img", "b"} & set(page.tags)
    assert "100 % of <b>R&D</b>_budget" in page.text
    assert not re.search(r"(?:src|href)=\"(?!#)", text)
    assert {path.stem for path in analysed.figures.iterdir()} == FIGURES
    assert all(path.read_bytes().startswith(PNG) for path in analysed.figures.iterdir())


@pytest.mark.parametrize("form", FORMS)
def test_each_form_goes_into_a_file_whose_folder_is_made(
    form: str, analysed: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder" / "report.out"
    assert exit_code("report", analysed.path, "--format", form, "--out", out) == 0
    text = out.read_text(encoding="utf-8")
    assert "ndcg" in text
    for figure in re.findall(r"\bfigures/[\w.-]+", text):
        assert (out.parent / figure).read_bytes().startswith(PNG)
    assert ("figures/depth.png" in text) == (form in ("terminal", "md", "latex"))
    assert capsys.readouterr().out in ("", f"{out}\n")
    assert not analysed.report.exists()


# --- runs in MLflow ---


@pytest.mark.parametrize("named", ["name", "id"])
def test_a_run_in_mlflow_is_reported_by_its_name_and_by_its_id_as_its_folder_is(
    named: str, logged: tuple[RunFolder, str], store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mlflow_id = logged
    assert exit_code("report", folder.path, "--format", "md") == 0
    from_folder = capsys.readouterr().out
    reference = folder.run_id if named == "name" else mlflow_id
    assert exit_code("report", reference, "--uri", store, "--format", "md") == 0
    assert capsys.readouterr() == (from_folder, "")


def test_the_page_of_a_run_in_mlflow_is_a_file_that_stays(
    logged: tuple[RunFolder, str],
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code("report", logged[1], "--uri", store, "--format", "html") == 0
    (shown,) = capsys.readouterr().out.splitlines()
    assert Path(shown) == Path("reports") / logged[0].run_id / "report.html"
    assert Page(Path(shown).read_text(encoding="utf-8")).tags.count("svg") == len(FIGURES)


# --- mistakes ---


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    shown, told = capsys.readouterr()
    assert shown == ""
    (line,) = told.splitlines()
    assert line.startswith("rerank-eval: ")
    return line


def test_a_run_that_mlflow_does_not_know_is_one_line_with_the_remedy(
    store: str, logged: tuple[RunFolder, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("report", "no-such-run", "--uri", store) == 2
    line = one_line(capsys)
    assert "no run no-such-run" in line and "rerank-eval sync FOLDER" in line


def test_where_no_database_is_none_is_made_to_look_a_run_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert exit_code("report", "no-such-run") == 2
    assert "no-such-run: no such run folder" in (line := one_line(capsys)) and "--uri" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reference", ["none/of/these", "."])
def test_a_folder_that_is_none_of_a_finished_run_is_one_line(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code("report", reference) == 2
    assert reference in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_form_lists_the_choices(analysed: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("report", analysed.path, "--format", "pdf") == 2
    assert "--format pdf: choose from terminal, md, latex, html, json" in one_line(capsys)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_cannot_be_written_is_one_line(
    form: str, analysed: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    out = tmp_path / "file" / "report"
    assert exit_code("report", analysed.path, "--format", form, "--out", out) == 2
    assert f"--out {out}: cannot be written" in one_line(capsys)


def test_a_damaged_file_of_the_run_is_one_line_that_names_the_folder(
    analysed: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    analysed.analysis.write_text('{"metrics": [')
    assert exit_code("report", analysed.path) == 2
    assert str(analysed.path) in one_line(capsys)


# --- older runs, secrets ---


@pytest.mark.parametrize("form", FORMS)
def test_a_run_without_an_analysis_is_reported_too(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished_run(tmp_path / "20250101-000000-old-0a1b", GAINED).folder
    assert exit_code("report", folder.path, "--format", form, "--out", tmp_path / "out") == 0
    assert "0.7" in (tmp_path / "out").read_text(encoding="utf-8")


def test_no_form_of_the_report_holds_a_secret_of_the_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secrets = {
        "tracking": {"uri": "https://me:hunter22@mlflow.example/", "tags": {"api_key": "hunter23"}},
        "engine": {"extra": {"hf_token": "hunter24"}},
    }
    folder = write_analysis(finished_run(tmp_path / "20260103-000000-secret-0a1b", GAINED, config=secrets)).folder
    assert "hunter22" in folder.config.read_text()
    for form in FORMS:
        assert exit_code("report", folder.path, "--format", form) == 0
        told = capsys.readouterr()
        text = folder.report.read_text(encoding="utf-8") if form == "html" else told.out
        assert "hunter" not in text + told.err, form
        # The whole config is a part of the forms that people read, folded away on the terminal.
        assert ("mlflow.example" in text) == (form not in ("json", "terminal")), form


def test_at_the_end_of_a_job_a_report_that_fails_costs_the_page_alone(analysed: RunFolder) -> None:
    assert try_report(analysed) is None
    assert Page(analysed.report.read_text(encoding="utf-8")).tags.count("svg") == len(FIGURES)
    analysed.report.unlink()
    analysed.analysis.write_text("{")
    told = try_report(analysed)
    assert told is not None
    assert "the results are complete" in told and f"rerank-eval report {analysed.path} --format html" in told
    assert "\n" not in told
    assert not analysed.report.exists()
