"""The names, tags, texts and files of a run folder that MLflow is to hold."""

from __future__ import annotations

import dataclasses
import json
import posixpath
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.flatten import flatten
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent
from pipelines.tracking.content import (
    artifact_files,
    artifacts,
    legal_name,
    run_note,
    run_params,
    run_tags,
)
from stages.core.records import QueryMetrics
from tests.logged_folders import ANALYSIS, DIGEST, ENVIRONMENT, METRICS, make_folder

CONFIG: dict[str, Any] = {
    "data": {"depth": 20, "run": "runs/bm25.trec"},
    "model": {"instruction": None, "template": "blank_line"},
    "rerank": {"max_failed_share": 0.1},
}
NO_VALUES = QueryMetrics((), {}, ())
CONTENT = RunContent(
    folder=RunFolder(Path("nowhere")),
    metrics=METRICS,  # type: ignore[arg-type]
    config=CONFIG,
    first_stage=NO_VALUES,
    reranked=NO_VALUES,
    environment=ENVIRONMENT,
    analysis=ANALYSIS,
)


def content(**changes: Any) -> RunContent:
    return dataclasses.replace(CONTENT, **changes)


def significance(**changes: Any) -> RunContent:
    tested = ANALYSIS["significance"]["ndcg@10"] | changes
    return content(analysis=ANALYSIS | {"significance": {"ndcg@10": tested}})


def test_params_are_the_flattened_config_with_versions_and_hardware_as_strings() -> None:
    config = {"data": {"depth": 20, "columns": {}}, "evaluate": {"metrics": ["mrr"]}, "model": {"revision": None}}
    assert run_params(content(config=config)) == {
        "data.depth": "20",
        "data.columns": "{}",
        "evaluate.metrics": "['mrr']",
        "model.revision": "None",
        "version.ray": "2.60.0",
        "version.mlflow": "3.17.2",
        "hardware.processor": "a processor",
        "hardware.cores": "2",
        "hardware.memory_gib": "8.0",
    }


def test_a_long_param_is_cut_to_what_mlflow_takes() -> None:
    assert run_params(content(config={"model": {"instruction": "x" * 7000}}))["model.instruction"] == "x" * 6000


def test_tags_are_what_runs_are_filtered_by() -> None:
    assert run_tags(CONTENT) == {
        "model": "tiny",
        "family": "embedding",
        "weights_digest": "d",
        "dtype": "float32",
        "max_length": "256",
        "instruction": "default",
        "dataset": "small",
        "depth": "20",
        "first_stage": "bm25",
        "git_commit": "abc123",
        "config_digest": "c" * 16,
        "candidates_digest": DIGEST,
        "outcome": "complete",
        "verdict": "better",
    }


def test_the_template_is_a_tag_of_the_models_that_have_one() -> None:
    qwen = METRICS | {"model": METRICS["model"] | {"family": "qwen3-reranker"}}
    assert run_tags(content(metrics=qwen))["template"] == "blank_line"
    assert "template" not in run_tags(CONTENT)


def test_an_instruction_is_a_tag_in_short_form_with_a_digest_of_the_whole() -> None:
    one, other = (run_tags(content(config={"model": {"instruction": "x" * 300 + end}})) for end in "ab")
    assert one["instruction"] == other["instruction"] == "x" * 100
    assert re.fullmatch("[0-9a-f]{8}", one["instruction_digest"])
    assert one["instruction_digest"] != other["instruction_digest"]


def test_a_part_of_a_job_is_tagged_with_its_first_stage() -> None:
    assert run_tags(CONTENT, "dense")["first_stage"] == "dense"
    assert "first_stage" not in run_tags(content(config={"data": {"run": None}}))


@pytest.mark.parametrize(("failed", "outcome"), [(0, "complete"), (4, "some_failed"), (5, "too_many_failed")])
def test_the_outcome_tells_whether_pairs_failed_and_more_than_allowed(failed: int, outcome: str) -> None:
    metrics = METRICS | {"coverage": METRICS["coverage"] | {"failed_pairs": failed}}
    assert run_tags(content(metrics=metrics))["outcome"] == outcome


def test_the_verdict_is_that_of_the_corrected_test_of_the_main_metric() -> None:
    assert run_tags(significance(difference=-0.1))["verdict"] == "worse"
    assert run_tags(significance(corrected_p=0.06))["verdict"] == "no_difference"
    assert run_tags(significance(corrected_p=0.06, confidence=0.9))["verdict"] == "better"
    assert "verdict" not in run_tags(significance(corrected_p=None))
    assert "verdict" not in run_tags(content(analysis={}))
    by_model = METRICS | {"judgements": {"kind": "qrels", "by": "both", "judge": "tiny"}}
    assert run_tags(content(metrics=by_model))["verdict"] == "not_told"


def test_the_description_tells_what_was_compared_the_verdict_and_the_numbers() -> None:
    assert run_note(CONTENT) == (
        "**tiny** reranked the top 20 of 4 queries of **small**, retrieved by bm25.\n\n"
        "ndcg@10 rises by 0.25.\n\nDepth 10 is best here.\n\n"
        "| | first stage | reranked | change |\n|---|---|---|---|\n"
        "| ndcg@10 | 0.5000 | 0.7500 | +0.2505 |\n| mrr | 0.2500 | 0.3750 | +0.1250 |"
    )


def test_without_analysis_and_judgements_the_description_says_so() -> None:
    metrics = METRICS | {"quality": {"first_stage": None, "reranked": None, "delta": None}}
    note = run_note(content(metrics=metrics, analysis={}, config={"data": {"depth": None}}))
    assert note == (
        "**tiny** reranked all candidates of 4 queries of **small**.\n\n"
        "Without judgements: scores and cost, no quality."
    )


def test_artifacts_are_all_that_is_there_but_the_candidates_texts(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    folder.failures.unlink()
    assert {path.name for path in artifacts(folder)} == {
        "config.yaml",
        "metrics.json",
        "analysis.json",
        "report.html",
        "figures",
        "environment.json",
        "per_query.parquet",
        "timeline.parquet",
        "system.parquet",
        "run.trec",
        "rankings",
    }


def test_no_file_that_is_copied_holds_a_secret_and_without_one_none_is_changed(tmp_path: Path) -> None:
    plain = make_folder(tmp_path / "plain", "https://host")
    secret = make_folder(tmp_path / "secret", "https://me:hunter<22@host")
    secret.report.write_text("<p>logged to https://me:hunter&lt;22@host</p>")
    secret.write_json(secret.environment, ENVIRONMENT | {"engines": [{"hf_token": "hf_x", "dtype": "x"}]})
    copied = []
    for folder in (plain, secret):
        scratch = tmp_path / f"scratch-{folder.run_id}"
        scratch.mkdir()
        files = {file.name: file for file in artifact_files(folder, scratch) if file.is_file()}
        copied.append({name: file.read_bytes() for name, file in files.items()})
    assert copied[0].keys() == copied[1].keys()
    assert not any(b"hunter" in content or b"hf_x" in content for content in copied[1].values())
    assert yaml.safe_load(copied[1]["config.yaml"])["tracking"]["uri"] == "https://***@host"
    assert json.loads(copied[1]["environment.json"])["engines"] == [{"hf_token": "***", "dtype": "x"}]
    assert copied[1]["report.html"] == b"<p>logged to https://me:***@host</p>"
    for name in ("metrics.json", "report.html", "environment.json", "run.trec", "per_query.parquet"):
        assert copied[0][name] == (plain.path / name).read_bytes()
    assert yaml.safe_load(copied[0]["config.yaml"]) == yaml.safe_load(plain.config.read_text())
    assert "hunter<22" in secret.config.read_text()


@given(st.text(min_size=1, max_size=300))
def test_any_name_becomes_one_that_mlflow_takes(name: str) -> None:
    told = legal_name(name)
    assert re.fullmatch(r"[/\w.\- :]*", told)
    assert posixpath.normpath(told) == told
    assert not told.startswith(("/", ".."))
    assert 0 < len(told) <= 250
    assert legal_name(told) == told


def test_flattening_keeps_every_leaf() -> None:
    assert dict(flatten({"a": {"b": 1, "c": {}}, "d": [2]})) == {"a.b": 1, "a.c": {}, "d": [2]}


def test_a_useless_reranker_is_found_by_its_tag() -> None:
    assert run_tags(content(metrics=METRICS | {"harm": {"useless": "constant"}}))["useless"] == "constant"
    assert "useless" not in run_tags(content(metrics=METRICS | {"harm": {"useless": None}}))
    assert "useless" not in run_tags(CONTENT)
