"""A judge computed here, end to end: a tiny model on vLLM behind Ray Serve, fed by Ray Data, its replies kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from stages.core.errors import DataError
from stages.store.replies import ReplyStore
from tests.pipelines.unjudged_runs import unjudged_run
from tests.tiny_models import make_judge
from tests.wheels import ROOT

pytestmark = [pytest.mark.heavy, pytest.mark.thorough]
PAIRS = 30 * 6
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def command() -> list[str]:
    return [sys.executable, "-m", "pipelines", "judge", "run", "--config", "judge.yaml", "--out", "judged"]


def replies(store: Path) -> int:
    """How many are kept; 0 while the file is made."""
    try:
        return len(ReplyStore(store, read_only=True))
    except DataError:
        return 0


def judge(folder: Path) -> tuple[str, dict[str, Any]]:
    """What the command printed, and judge.json."""
    done = subprocess.run(command(), check=False, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "judged" / "judge.json").read_text())


def test_killed_and_called_again_it_asks_for_what_is_left_and_a_third_time_starts_nothing(
    poisoned_qwen3: Path, tmp_path: Path
) -> None:
    unjudged_run(tmp_path / "run", 30, 6, same=0)
    content = {
        "judge": {
            "model": str(make_judge(poisoned_qwen3, tmp_path / "tiny-judge")),
            "answer": "text",
            "max_length": 400,
            "max_generated_tokens": 4,
            "repeat": 10,
            "planted": 5,
        },
        "engine": {"compile": False, "kv_cache_gib": 0.5},
        "evaluate": {"metrics": ["ndcg@6"]},
        "tracking": {"uri": None},
    }
    (tmp_path / "judge.yaml").write_text(yaml.safe_dump(content))
    store = tmp_path / "judged" / "store"
    with subprocess.Popen(command(), cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as killed:
        try:
            deadline = time.monotonic() + 400
            while not replies(store):
                assert time.monotonic() < deadline and killed.poll() is None
                time.sleep(0.05)
        finally:
            killed.send_signal(signal.SIGKILL)
    kept = replies(store)
    shown, found = judge(tmp_path)
    assert "engine      ready after" in shown
    assert found["counts"]["pairs"] == found["counts"]["graded"] == PAIRS and found["counts"]["stored"] >= kept > 0
    assert found["repeatability"]["pairs"] == 10 and found["planted"]["pairs"] == 5
    assert found["judge"]["identity"]["answer"] == "text" and found["judge"]["name"] == "tiny-judge"
    rows = pq.read_table(tmp_path / "judged" / "grades.parquet").to_pylist()
    assert all(row["reply"] == str(row["grade"]) and row["prompt_tokens"] > 0 for row in rows)
    shown, again = judge(tmp_path)
    assert "engine" not in shown and again["cost"]["asked"] == 0
    assert (again["grades"], again["judge"]["digest"]) == (found["grades"], found["judge"]["digest"])
