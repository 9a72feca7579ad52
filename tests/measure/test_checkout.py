"""What is started of another checkout is that checkout's own code, and its jobs and services are timed."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.speed.bench.process import Group, Watch
from stages.core.errors import EngineError
from tests.faults.jobs import write_rows
from tests.measure.checkout import ROOT, Side, checked_out, costs, job

PATIENCE_S = 120.0

pytestmark = pytest.mark.heavy


def test_what_is_started_of_a_checkout_imports_that_checkout(tmp_path: Path) -> None:
    """And so does what it starts in turn, as a replica is: neither the folder nor an installation decides."""
    inner = "import pipelines, serve_app, stages; print(pipelines.__file__, serve_app.__file__, stages.__file__)"
    outer = f"import os, subprocess, sys; os.chdir('/'); subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    with checked_out("HEAD") as old, Group(tmp_path / "log", PATIENCE_S) as group:
        group.finish(group.start([sys.executable, "-c", outer], old.environment, old.root))
        root = str(old.root)
    paths = (tmp_path / "log").read_text(encoding="utf-8").split()
    assert [path.removeprefix(root) for path in paths] == [
        f"/{package}/__init__.py" for package in ("pipelines", "serve_app", "stages")
    ]


def test_random_weights_need_not_make_sense_where_a_checkout_asks_for_that(tmp_path: Path) -> None:
    (tmp_path / "serve_app").mkdir()
    (tmp_path / "serve_app" / "settings.py").write_text("name: str", encoding="utf-8")
    assert Side("old", tmp_path).of_random_weights("m") == {"name": "m"}
    assert Side("new", ROOT).of_random_weights("m") == {"name": "m", "canaries": "finite"}


def test_processor_time_is_told_of_the_core_of_the_replica_and_of_all_but_the_core() -> None:
    spent = Counter({"engine core": 2.0, "engine worker": 1.0, "replica": 0.5, "driver": 0.25})
    group: Any = SimpleNamespace(watch=Watch([(0.0, Counter()), (10.0, spent)], peak_mib=7.0))
    times: Any = SimpleNamespace(began_s=0.0, ended_s=10.0)
    assert costs(group, times, 500) == {
        "peak memory, MiB": 7.0,
        "engine core, s per 1,000": pytest.approx(6.0),
        "all others, s per 1,000": pytest.approx(1.5),
        "replica, s per 1,000": pytest.approx(1.0),
    }
    assert costs(group, times, 0) == {"peak memory, MiB": 7.0}


@pytest.mark.thorough
def test_a_job_is_timed_and_one_that_finds_all_pairs_stored_scores_none(tmp_path: Path) -> None:
    """Ray, but no engine: half a minute."""
    sections = {
        "data": write_rows(tmp_path / "rows.jsonl", queries=3, documents=4),
        "model": {"name": "overlap"},
        "rerank": {"store": str(tmp_path / "store")},
    }
    side = Side("new", ROOT)
    first, second = (job(side, tmp_path, name, sections) for name in ("first", "second"))
    assert (first.pairs, second.pairs) == (12, 0)
    assert first.scores == second.scores
    assert len(first.scores) == 12
    assert 0 < first.figures["scoring, s"] < first.figures["whole command, s"]
    assert "pairs/s" in first.figures
    assert "pairs/s" not in second.figures


@pytest.mark.thorough
def test_a_job_that_fails_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"exit code 2: .*no/such"):
        job(Side("new", ROOT), tmp_path, "lost", {"data": {"format": "jsonl", "path": "no/such"}})
