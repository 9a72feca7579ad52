"""Metrics are compiled meanwhile, and what they cannot be without is told at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = """
from stages.core.errors import ConfigError
from stages.quality.compiling import Compiling
compiling = Compiling(["mrr"])
try:
    compiling.require_loaded()
except ConfigError as error:
    print(error)
compiling.finish()
"""


@pytest.mark.heavy
def test_a_folder_that_cannot_be_written_is_told_where_it_is_asked_for_and_not_in_a_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env=os.environ | {"IR_DATASETS_HOME": "/dev/null/datasets"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "set the environment variables NUMBA_CACHE_DIR" in done.stdout and done.stderr == ""
