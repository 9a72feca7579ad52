"""`rerank-eval frontier` as a user runs it: files that agree, costs from what runs measured, refusals in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import load_config
from pipelines.cli.app import main
from pipelines.runs.folder import RunFolder
from stages.core.records import Judgements
from tests.frontier_inputs import Scored, drawn
from tests.pipelines.frontier.made_runs import made_run

MADE = drawn(40, 12)
FILES = ["figures", "frontier.html", "frontier.json", "frontier.md", "frontier.tex"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["frontier", *(str(argument) for argument in arguments)])
    return int(ended.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """The JSON that the command prints."""
    assert exit_code(*arguments, "--json") == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def one_line(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a refusal."""
    assert exit_code(*arguments) == 2
    shown, said = capsys.readouterr()
    (line,) = said.splitlines()
    assert shown == "" and line.startswith("rerank-eval: ")
    return str(line)


def both(here: Path, **changed: Any) -> tuple[Path, Path]:
    """A cheap run and a dear one; `changed` is of the second."""
    return made_run(here / "cheap", MADE, 0), made_run(here / "dear", MADE, 1, **changed)


# --- what it tells ---


def test_two_runs_leave_files_that_agree_and_a_table_on_the_terminal(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*both(here), "--depths", "3,6") == 0
    shown = capsys.readouterr().out
    (folder,) = (here / "frontiers").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == FILES
    content = json.loads((folder / "frontier.json").read_text("utf-8"))
    assert [run["letter"] for run in content["runs"]] == ["A", "B"]
    assert content["unit"] == "processor seconds" and content["metrics"] == ["ndcg@10", "mrr@10"]
    for text in (shown, (folder / "frontier.md").read_text("utf-8"), (folder / "frontier.html").read_text("utf-8")):
        assert content["reference"] in text and "cannot certify" in text
    assert shown.splitlines()[0].startswith("ndcg@10 against processor seconds: A = cheap, B = dear")
    assert shown.splitlines()[-1] == f"frontier    {folder.relative_to(here)}"
    assert [path.name for path in (folder / "figures").iterdir()] == ["frontier.png"]


def test_what_a_model_judged_is_marked_in_every_form(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grades = MADE.judgements.grades
    judged = replace(MADE, judgements=Judgements(grades, judge="tiny@0123456789ab", by_model=grades))
    assert exit_code(made_run(here / "cheap", judged, 0), "--depths", "3,6") == 0
    shown = capsys.readouterr().out
    (folder,) = (here / "frontiers").iterdir()
    assert json.loads((folder / "frontier.json").read_text("utf-8"))["mark"] == "by model judgement (tiny@0123456789ab)"
    for text in (shown, (folder / "frontier.md").read_text("utf-8"), (folder / "frontier.html").read_text("utf-8")):
        assert "By model judgement (tiny@0123456789ab)" in text
        assert "no interval covers the judge" in " ".join(text.split())


def test_a_whole_run_is_foretold_to_cost_what_it_cost_and_to_be_as_good_as_it_was(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dear = {"throughput": {"engine_processor_s": 300.0}}
    content = told(capsys, *both(here, **dear))
    points = {point["id"]: point for point in content["points"]}
    assert (points["A12"]["cost"], points["B12"]["cost"]) == (pytest.approx(12.0), pytest.approx(300.0))
    for name, run in (("A12", "cheap"), ("B12", "dear")):
        own = RunFolder(here / run)
        from pipelines.runs.read import read_per_query

        reranked = read_per_query(own.per_query)[1]
        assert points[name]["quality"] == {metric: reranked.mean(metric) for metric in reranked.values}


def test_a_part_of_the_pairs_costs_its_own_tokens_not_the_average_pairs(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*both(here), "--write", "c.yaml", "--point", "A4", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    tokens = [sum(20 + int(doc_id[1:]) for doc_id in one.doc_ids) for one in MADE.candidates]
    top = [sum(20 + int(doc_id[1:]) for doc_id in one.doc_ids[:4]) for one in MADE.candidates]
    assert found["cost"] == pytest.approx(12.0 * sum(top) / sum(tokens))
    assert found["steps"] == [{"run": "A", "depth": 4, "pairs": 160}]


def test_a_model_that_computes_a_document_once_pays_for_each_text_once(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made_run(here / "embedding", MADE, 0, family="embedding", throughput={"engine_processor_s": 9.0})
    content = told(capsys, run)
    # All documents of these queries say the same, so that any depth costs one text.
    assert {point["cost"] for point in content["points"] if point["steps"] and point["skipped"] is None} == {
        points["cost"] for points in content["points"] if points["id"] == "A12"
    }


def test_a_run_answered_by_the_store_takes_the_rate_of_one_beside_it_that_scored_alike(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(here / "results" / "first", MADE, 0, throughput={"engine_processor_s": 36.0})
    later = made_run(here / "results" / "later", MADE, 0, throughput={"scored_pairs": 0, "engine_processor_s": None})
    content = told(capsys, later)
    assert next(point["cost"] for point in content["points"] if point["id"] == "A12") == pytest.approx(36.0)
    assert any("rate is that of run first" in note for note in content["notes"])


def test_where_nobody_measured_a_single_run_is_told_by_pairs_and_two_ask_for_the_seconds(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cheap, dear = both(here, throughput={"engine_processor_s": None})
    content = told(capsys, dear)
    assert content["unit"] == "pairs" and any("--no-store" in note for note in content["notes"])
    line = one_line(capsys, cheap, dear)
    assert "B (dear) does not know what its pairs cost" in line and "--seconds-per-1000-pairs B=SECONDS" in line
    content = told(capsys, cheap, dear, "--seconds-per-1000-pairs", "B=1000")
    assert next(point["cost"] for point in content["points"] if point["id"] == "B12") == pytest.approx(480.0)


def test_with_a_price_cost_is_the_engines_hours(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = told(capsys, *both(here), "--price-per-hour", "3.6")
    assert content["unit"] == "money"
    assert next(point["cost"] for point in content["points"] if point["id"] == "A12") == pytest.approx(
        20.0 * 3.6 / 3600
    )


def test_a_hosted_run_costs_what_its_requests_are_billed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hosted: dict[str, Any] = {
        "config": {
            "model": {"name": "https://host/v2/rerank", "api": "cohere", "served_as": "m"},
            "hosted": {"price_per_1000_search_units": 2.0, "batch_documents": 5},
        },
        "hosted": {"api": "cohere", "billed_units": 120.0, "billed_unit": "search_units", "cost": 0.24},
    }
    content = told(capsys, *both(here, **hosted), "--price-per-hour", "3.6")
    points = {point["id"]: point for point in content["points"]}
    assert points["B12"]["cost"] == pytest.approx(40 * 3 * 2.0 / 1000), "three requests of five documents a query"


def test_failed_pairs_are_taken_to_fail_again_and_that_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = tuple(
        {
            doc: replace(pair, score=None, error="aborted") if place == 0 else pair
            for place, (doc, pair) in enumerate(of.items())
        }
        for of in MADE.scores[0]
    )
    made = Scored(MADE.candidates, (scores, MADE.scores[1]), MADE.judgements)
    run = made_run(here / "run", made, 0, coverage={"failed_pairs": 40})
    assert any("40 pairs of A failed" in note for note in told(capsys, run)["notes"])


# --- configs ---


def test_a_depths_config_is_the_runs_own_at_that_depth(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*both(here), "--write", "new/b5.yaml", "--point", "B5") == 0
    shown = capsys.readouterr().out
    assert "point       B5: B to depth 5" in shown and "run it: rerank-eval run --config new/b5.yaml" in shown
    config = load_config(Path("new/b5.yaml"))
    assert (config.data.depth, config.model.name) == (5, "models/dear")
    assert not (here / "frontiers").exists()


@pytest.mark.parametrize(
    ("point", "reason"),
    [("A6-skip50", "no config can hold it: a job reranks every query"), ("first", "reranks nothing")],
)
def test_a_point_that_no_job_runs_is_refused_plainly(
    here: Path, point: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in one_line(capsys, *both(here), "--write", "c.yaml", "--point", point)
    assert not (here / "c.yaml").exists()


# --- refusals ---


def test_runs_over_other_candidates_or_judgements_are_refused_by_name(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = drawn(40, 12, seed=1)
    cheap = made_run(here / "cheap", MADE, 0)
    line = one_line(capsys, cheap, made_run(here / "other", other, 1))
    assert "cheap and other have different judgements and candidates" in line
    unlike = Scored(MADE.candidates, MADE.scores, Judgements({"q0000": {"d000": 1}}))
    assert "have different judgements:" in one_line(capsys, cheap, made_run(here / "unlike", unlike, 1))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"family": "listwise"}, "scores a list as a whole"),
        ({"device": "cuda"}, "A: processor seconds, B: GPU seconds). Give --price-per-hour"),
    ],
)
def test_runs_that_cannot_stand_together_are_refused(
    here: Path, changed: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in one_line(capsys, *both(here, **changed))


def test_a_cascade_is_no_run_of_one_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cheap, dear = both(here)
    (dear / "stages").mkdir()
    assert "dear is a cascade: its later stages scored only" in one_line(capsys, cheap, dear)


def test_only_the_first_stage_of_a_cascade_is_a_run_of_its_model_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = made_run(here / "cascade" / "stages" / "2", MADE, 1)
    assert "2 is a later stage of a cascade" in one_line(capsys, second)
    assert "is a later stage" in one_line(capsys, second, "--write", "point.yaml", "--point", "A3")


def test_judgements_that_changed_since_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_run(here / "run", MADE, 0, judgements_digest="d" * 64)
    assert "no longer those that it was evaluated with" in one_line(capsys, run)
    (run / "judgements.parquet").unlink()
    assert "its judgements cannot be read" in one_line(capsys, run)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["cheap", "cheap"], "given twice: cheap"),
        (["nowhere"], "is not the folder of a finished run"),
        (["cheap", "--depths", "5,x"], "--depths 5,x: write whole numbers"),
        (["cheap", "--alpha", "1.5"], "--alpha 1.5: a loss to certify lies between 0 and 1"),
        (["cheap", "--metric", "bpref"], "not of bpref"),
        (["cheap", "--metric", "ndgc@10"], "Unknown metric 'ndgc@10'"),
        (["cheap", "--price-per-hour", "0"], "--price-per-hour 0: a price is more than 0"),
        (["cheap", "--seconds-per-1000-pairs", "3"], "write a run's letter and its seconds"),
        (["cheap", "--write", "c.yaml"], "--write FILE and --point ID belong together"),
        (["cheap", "--write", "c.yaml", "--point", "A99"], "depths fall from 12"),
        (["cheap", "--format", "pdf"], "choose from terminal, md, latex, json"),
    ],
)
def test_a_mistake_ends_in_one_line(
    here: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(here / "cheap", MADE, 0)
    assert reason in one_line(capsys, *arguments)


def test_a_folder_that_lost_a_part_is_refused_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_run(here / "cheap", MADE, 0)
    (run / "rankings" / "part-00000.parquet").write_bytes(b"no Parquet")
    assert "rankings: cannot be read" in one_line(capsys, run)
    (run / "rankings" / "part-00000.parquet").unlink()
    assert "its rankings are missing" in one_line(capsys, run)


def test_a_metric_that_no_run_measured_is_measured_now(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = told(capsys, *both(here), "--metric", "recall@5")
    assert content["metric"] == "recall@5" and set(content["points"][0]["quality"]) == {"recall@5", "ndcg@10", "mrr@10"}
