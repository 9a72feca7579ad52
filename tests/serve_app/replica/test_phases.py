"""What an engine is at is read from what it prints."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.replica.facts import phase_of_start
from serve_app.replica.phases import PHASES, phase_of

ROOT = Path(__file__).parents[3]
# Lines of vLLM 0.32's own log, of a CPU's engine.
LOG = """\
(EngineCore pid=3802) INFO 11-30 19:38:57 [cpu_model_runner.py:68] Starting to load model some/model...
(EngineCore pid=3802) INFO 11-30 19:38:58 [default_loader.py:501] Loading weights took 0.13 seconds
(EngineCore pid=3802) INFO 11-30 19:39:00 [utils.py:347] Using LBHNC KV cache layout.
(EngineCore pid=3802) INFO 11-30 19:39:00 [cpu_model_runner.py:87] Warming up model for the compilation...
(EngineCore pid=3802) INFO 11-30 19:39:05 [cpu_model_runner.py:91] Warming up done.
(EngineCore pid=3802) INFO 11-30 19:39:05 [core.py:402] init engine (profile, create kv cache, warmup model) took 5 s
""".splitlines()


@pytest.mark.parametrize(
    ("lines", "phase"),
    [
        (0, None),
        (1, "the model is loaded"),
        (2, "the engine takes its memory"),
        (3, "the engine takes its memory"),
        (4, "the engine compiles"),
        (5, "the engine warms up"),
        (6, "the engine is nearly ready"),
    ],
)
def test_the_last_line_that_says_anything_counts(lines: int, phase: str | None) -> None:
    assert phase_of(LOG[:lines]) == phase


def test_the_installed_vllm_still_says_what_is_looked_for() -> None:
    found = importlib.util.find_spec("vllm")  # importing it takes half a minute
    assert found is not None and found.origin is not None
    source = (Path(found.origin).parent / "v1" / "worker" / "cpu_model_runner.py").read_text(encoding="utf-8")
    for words in ("Starting to load model", "Warming up model for the compilation", "Warming up done"):
        assert words in source and words in dict(PHASES)


def test_a_new_phase_is_told_once_while_it_is_printed(tmp_path: Path) -> None:
    code = """
import sys, time
from serve_app.replica import phases
phases.LOOK_EVERY_S = 0.01
told = []
with phases.telling_phases(told.append):
    for words in ("Starting to load model x", "nothing new", "Warming up model for the compilation..."):
        print(words, flush=True)
        deadline = time.monotonic() + 20
        while phases.phase_of([words]) not in (None, *told) and time.monotonic() < deadline:
            time.sleep(0.01)
sys.exit(" ".join(told))
"""
    with (tmp_path / "out").open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr.strip() == "the model is loaded the engine compiles"


def test_the_phase_of_a_start_is_that_of_the_engine_that_began_last() -> None:
    ready = {"ended_s": None, "ready_s": 3.0, "phase": None}
    assert phase_of_start([]) is None and phase_of_start([ready]) is None
    dead, starting = {"ended_s": 2.0, "phase": "a"}, {"ended_s": None, "phase": "b"}
    assert phase_of_start([starting, dead, ready]) == "b"
