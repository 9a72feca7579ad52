"""Which earlier run measured an engine like a config's: the newest of the same model, settings and machine."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import RunConfig
from pipelines.base.environment import describe_hardware
from pipelines.job.rates import Measured, last_measured
from stages.speed.forecast import Load
from tests.pipelines.finished_runs import finished_run
from tests.stages.core.test_identity import IDENTITY

BEGAN = datetime(2026, 2, 1, tzinfo=UTC)


def config_of(folder: Path, **sections: Any) -> RunConfig:
    told = {"data": {"format": "jsonl", "path": "rows.jsonl"}, "output": {"dir": str(folder)}}
    return RunConfig.model_validate(told | sections)


def run_of(config: RunConfig, name: str, **changed: Any) -> None:
    """A finished run of the config: 1,000 pairs of 20 tokens in 50 s, its engine ready 30 s after it began."""
    metrics: dict[str, Any] = {
        "started": BEGAN.isoformat(),
        "identity": asdict(IDENTITY) | {"digest": IDENTITY.digest},
        "throughput": {"wall_s": 50.0, "scored_pairs": 1000, "pairs_per_s": 20.0},
        "tokens": {"prompt": 20_000},
    }
    folder = Path(config.output.dir) / name
    finished_run(folder, [0.5], config=config.model_dump(mode="json"), **(metrics | changed))
    told = {"hardware": describe_hardware(), "engines": [{"ready_s": BEGAN.timestamp() + 30, "device": "a GPU"}]}
    (folder / "environment.json").write_text(json.dumps(told))


def test_what_it_did_is_read_from_its_folder(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    run_of(config, "run")
    assert last_measured(config, IDENTITY) == Measured("run", Load(1000, 20.0), 50.0, 30.0, "a GPU")


def test_of_an_embedding_model_the_documents_count_that_were_read(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    run_of(config, "run", cache={"reused_vectors": 600})
    found = last_measured(config, IDENTITY)
    assert found is not None
    assert found.load == Load(1000, 50.0, 400)
    run_of(config, "known", cache={"reused_vectors": 950}, started=BEGAN.replace(month=3).isoformat())
    assert last_measured(config, IDENTITY) == found, "50 documents measure little"


def test_the_newest_counts_and_of_a_run_itself_those_before_it(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    for name, month in (("a", 3), ("b", 5), ("c", 4)):
        run_of(config, name, started=BEGAN.replace(month=month).isoformat())
    (tmp_path / "latest").symlink_to("a", target_is_directory=True)
    found = [last_measured(config, IDENTITY, before=BEGAN.replace(month=month)) for month in (2, 3, 4, 5, 6)]
    assert [one and one.run_id for one in found] == [None, None, "a", "c", "b"]


def test_an_engine_that_ran_already_tells_no_start(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    run_of(config, "run", started=BEGAN.replace(hour=1).isoformat())
    found = last_measured(config, IDENTITY)
    assert found is not None
    assert (found.start_s, found.pairs_per_s) == (None, 20.0)


@pytest.mark.parametrize("field", ["model", "recipe", "backend", "device", "dtype", "long_documents"])
def test_another_engine_measures_nothing_here(field: str, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    run_of(config, "run")
    assert last_measured(config, replace(IDENTITY, **{field: "other"})) is None
    assert last_measured(config, replace(IDENTITY, instruction="other", max_length=99, vllm="1")) is not None


def test_where_the_device_is_not_known_here_any_measures(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    run_of(config, "run")
    other = replace(IDENTITY, device="cuda", dtype="float16")
    assert last_measured(config, other) is None
    assert last_measured(config, other, any_device=True) is not None


@pytest.mark.parametrize(
    "sections",
    [
        {"engine": {"compile": False}},
        {"engine": {"extra": {"max_loras": 3}}},
        {"serve": {"replicas": 2}},
        {"serve": {"accelerator_type": "A100"}},
    ],
)
def test_a_run_that_was_set_otherwise_measures_nothing_here(sections: dict[str, Any], tmp_path: Path) -> None:
    run_of(config_of(tmp_path), "run")
    assert last_measured(config_of(tmp_path, rerank={"batch_queries": 3}), IDENTITY) is not None
    assert last_measured(config_of(tmp_path, **sections), IDENTITY) is None


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"throughput": {"wall_s": 1.0, "scored_pairs": 99}}, id="too few pairs"),
        pytest.param({"throughput": {"wall_s": None, "scored_pairs": None}}, id="a part of a job"),
        pytest.param({"identity": None}, id="a version that told no identity"),
        pytest.param({"started": None}, id="a version that told no time"),
    ],
)
def test_a_run_that_measured_nothing_is_passed_over(changed: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(tmp_path)
    run_of(config, "run", **changed)
    assert last_measured(config, IDENTITY) is None


def test_another_machine_and_what_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    for name in ("elsewhere", "broken", "torn", "unset"):
        run_of(config, name)
    elsewhere = {"hardware": describe_hardware() | {"cores": 999}, "engines": []}
    (tmp_path / "elsewhere" / "environment.json").write_text(json.dumps(elsewhere))
    (tmp_path / "broken" / "metrics.json").write_text("{")
    (tmp_path / "torn" / "environment.json").write_text("[]")
    (tmp_path / "unset" / "config.yaml").write_text("engine: {max_num_seqs: -1}")
    (tmp_path / "file").write_text("no folder")
    assert last_measured(config, IDENTITY) is None
    assert last_measured(config_of(tmp_path / "none"), IDENTITY) is None
