"""A job of the stand-in scores in its own process: no Ray is started, nor imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.job.stand_in import scores_here
from serve_app.engine.models import describe
from serve_app.settings import OVERLAP, DeploymentSettings, ModelSettings

ROOT = Path(__file__).parents[3]
RUN = """
import json, sys
from pipelines import run
config, store = map(json.loads, sys.argv[1:])
for kept in (None, store, store):
    finished = run(config | {"rerank": {"store": kept}}, quiet=True)
    found = finished.metrics["cache"]["score_store_hits"], finished.metrics["coverage"]["answered"]
    print(json.dumps([*found, "ray" in sys.modules]))
"""


@pytest.mark.heavy
def test_a_job_of_the_stand_in_starts_no_ray_and_keeps_its_scores(tmp_path: Path) -> None:
    rows = [{"query_id": str(n), "query": f"word{n}", "documents": ["none", f"a word{n}"]} for n in range(3)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    config: dict[str, Any] = {
        "data": {"format": "jsonl", "path": str(tmp_path / "rows.jsonl")},
        "model": {"name": OVERLAP},
        "tracking": {"uri": None},
        "output": {"dir": str(tmp_path / "results")},
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(config), json.dumps(str(tmp_path / "store"))],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [None, 3, False],
        [0, 3, False],
        [6, 3, False],
    ], done.stderr


def test_on_a_cluster_that_is_named_it_is_fed_as_an_engine_is(
    monkeypatch: pytest.MonkeyPatch, tiny_qwen3: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("pipelines.job.stand_in.in_cluster", lambda: False)
    stand_in = describe(ModelSettings(name=OVERLAP))
    assert scores_here(stand_in, DeploymentSettings())
    assert not scores_here(describe(ModelSettings(name=str(tiny_qwen3))), DeploymentSettings())
    assert not scores_here(stand_in, DeploymentSettings(ray_address="head:6379"))
    monkeypatch.setattr("pipelines.job.stand_in.in_cluster", lambda: True)
    assert not scores_here(stand_in, DeploymentSettings())
