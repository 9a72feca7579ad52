"""A user whom the system does not know, with HOME=/ (as OpenShift runs containers): everything works, or says so first.

Real users of this machine: a process of another number, which no /etc/passwd has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
USER = 987_654
# They may read everything, as in an image: this interpreter may lie in root's home.
THEY = (
    *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        os.getuid() != 0 or not shutil.which("setpriv"), reason="becomes another user, as root alone can"
    ),
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """That user's working directory, right in the system's folder for temporary files: pytest's own is nobody else's.
    What is compiled for it once stays, in its TMPDIR.
    """
    with tempfile.TemporaryDirectory(prefix="theirs-") as made:
        folder = Path(made)
        (folder / "tmp").mkdir()
        for one in (folder, folder / "tmp"):
            os.chown(one, USER, USER)
        yield folder


def as_them(folder: Path, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    told = {"HOME": "/", "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")}
    return subprocess.run(
        [*THEY, sys.executable, "-m", "pipelines", *command],
        cwd=folder,
        env=told | {"HF_HUB_OFFLINE": "1"} | environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=540,
    )


def config_in(folder: Path, **sections: Any) -> str:
    rows = [{"query_id": str(n), "query": f"word{n}", "documents": ["none", f"a word{n}"]} for n in range(3)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "run.yaml").write_text(json.dumps({"data": {"format": "jsonl", "path": "rows.jsonl"}} | sections))
    return "run.yaml"


@pytest.mark.thorough
def test_a_run_ends_with_its_metrics_and_in_mlflow(folder: Path) -> None:
    done = as_them(folder, ["run", "--config", config_in(folder, model={"name": "overlap"})])
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "note        / cannot be written: what libraries keep goes to" in done.stdout
    assert (folder / "mlflow.db").is_file() and (folder / "results" / "latest" / "metrics.json").is_file()


@pytest.mark.thorough
def test_a_run_file_is_evaluated(folder: Path) -> None:
    (folder / "run.trec").write_text("q1 Q0 a 1 2.0 x\nq1 Q0 b 2 1.0 x\n")
    (folder / "qrels").write_text("q1 0 b 1\n")
    done = as_them(folder, ["evaluate", "--run", "run.trec", "--qrels", "qrels", "--metrics", "mrr", "--json"])
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "0.5" in done.stdout


def test_where_nothing_can_be_kept_that_is_said_before_anything_is_scored(folder: Path) -> None:
    config = config_in(folder, model={"name": "overlap"})
    done = as_them(folder, ["run", "--config", config, "--out", "refused"], IR_DATASETS_HOME="/proc/nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("rerank-eval: ranx could not be loaded") and done.stderr.count("\n") == 1
    assert not list((folder / "refused").rglob("*.parquet"))


@pytest.mark.thorough
def test_an_engine_starts_in_a_ray_of_its_own_under_a_tmpdir_too_long_for_sockets(
    folder: Path, tiny_qwen3: Path
) -> None:
    shutil.copytree(tiny_qwen3, folder / "model")
    long = folder / "tmp" / ("t" * 80)
    long.mkdir()
    os.chown(long, USER, USER)
    config = config_in(folder, model={"name": "./model", "canaries": "finite"})
    done = as_them(folder, ["run", "--config", config], TMPDIR=str(long))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "engine      ready after" in done.stdout
