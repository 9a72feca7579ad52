"""What decides a point's results is found in the folder of a run as it is foretold of the data, and told in words."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import RunConfig
from pipelines.job.prepare import prepare_data
from pipelines.runs.folder import RunFolder
from pipelines.sweep.key import PointKey, key_of_run, keys_of_now
from serve_app.engine.identity import foresee_identity
from serve_app.engine.models import describe
from stages.sources import open_source
from tests.pipelines.finished_runs import METRICS

DEMO = Path(__file__).parents[3] / "configs" / "demo"


def config_of(runs: dict[str, str], **data: Any) -> RunConfig:
    given = {"run": runs["a"]} if len(runs) == 1 else {"runs": runs}
    sections = {"format": "beir", "path": str(DEMO), "depth": 5, "limit": 4} | given | data
    return RunConfig.model_validate({"data": sections, "model": {"name": "overlap"}})


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, str]:
    """The demo's first stage, and another that has every other of its documents."""
    lines = (DEMO / "runs" / "bm25.trec").read_text().splitlines(keepends=True)
    (tmp_path / "a.trec").write_text("".join(lines))
    (tmp_path / "b.trec").write_text("".join(lines[::2]))
    return {name: str(tmp_path / f"{name}.trec") for name in "ab"}


def finished(path: Path, config: RunConfig) -> RunFolder:
    """What a run of the config would leave, as far as it tells what decided its results."""
    folder = RunFolder(path)
    path.mkdir()
    prepared = prepare_data(open_source(config.data), config, folder, lambda _: None)
    model = {"name": "overlap", "revision": None, "family": "overlap", "weights_digest": None, "max_length": 8192}
    for one, manifest in ((folder, prepared.manifest), *((folder.child(k), v) for k, v in prepared.runs.items())):
        told = {
            "config_digest": config.digest,
            "candidates_digest": manifest.digest,
            "judgements_digest": prepared.judgements.digest,
            "model": model | {"dtype": None},
            "identity": asdict(foresee_identity(describe(config.model), config.model, config.engine, "cpu")),
        }
        one.metrics.write_text(json.dumps(METRICS | {"run_id": one.run_id, "quality": {}} | told))
    return folder


@pytest.mark.parametrize("names", ["a", "ab"])
def test_the_key_of_a_run_is_the_one_foretold_until_something_is_edited(
    names: str, runs: dict[str, str], tmp_path: Path
) -> None:
    config = config_of({name: runs[name] for name in names})
    key = key_of_run(finished(tmp_path / "run", config))
    now = keys_of_now()(config)
    assert key == now and len(key.candidates) == (1 if names == "a" else 3)
    edited = Path(runs[names[-1]])
    lines = edited.read_text().splitlines(keepends=True)
    edited.write_text("".join(lines[1:]))
    changed = keys_of_now()(config)
    assert changed is not None and key.changed(changed) == "its data was edited"


def test_of_several_first_stages_an_order_that_makes_the_same_pairs_is_an_edit_too(
    runs: dict[str, str], tmp_path: Path
) -> None:
    config = config_of(runs)
    key = key_of_run(finished(tmp_path / "run", config))
    second = Path(runs["b"])
    lines = [line.split() for line in second.read_text().splitlines()]
    second.write_text("".join(f"{line[0]} Q0 {line[2]} 1 {float(line[4]) / 2} x\n" for line in lines))
    now = keys_of_now()(config)
    assert now is not None and now.candidates[""] == key.candidates[""], "each pair is scored as before"
    assert key.changed(now) == "its data was edited"


def test_data_or_a_model_that_cannot_be_read_has_no_key(runs: dict[str, str]) -> None:
    now = keys_of_now()
    assert now(config_of({"a": "nowhere.trec"})) is None
    config = config_of({"a": runs["a"]})
    assert now(config.model_copy(update={"model": config.model.model_copy(update={"name": "./none"})})) is None


def test_all_that_changed_is_told() -> None:
    key = PointKey("c", {"": "d"}, "j", ("w",))
    assert key.changed(key) is None
    assert key.changed(replace(key, candidates={"": "e"}, judgements=None)) == (
        "its data was edited and its judgements were edited"
    )
    assert key.changed(replace(key, scoring=("v",))) == "what decides its scores changed"
