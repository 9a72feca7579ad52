"""The command line as a user meets it: quick help, and one line on stderr with an exit code for every mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from pipelines.cli.app import main

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
HEAVY = ("ray", "torch", "vllm", "mlflow", "numba", "ranx", "transformers", "pyarrow")
COMMAND = "from pipelines.cli.app import main; main()"
# Prints, at the end, which heavy libraries were loaded.
LOADED = (
    "import atexit, sys\n"
    f"atexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr))\n"
)
# Prints, at the end, how many modules were loaded.
COUNTED = "import atexit, sys\natexit.register(lambda: print(len(sys.modules), file=sys.stderr))\n"


def rerank_eval(
    folder: Path, *arguments: str, code: str = COMMAND, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a fresh process that works in `folder`."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small collection in BEIR layout, a run config, and two models that cannot be used."""
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text('{"_id": "a", "text": "red"}\n{"_id": "b", "text": "blue"}\n')
    (data / "queries.jsonl").write_text('{"_id": "q1", "text": "red"}\n')
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\n")
    (data / "run.trec").write_text("q1 Q0 b 1 2.0 x\nq1 Q0 a 2 1.0 x\n")
    config = {"data": {"format": "beir", "path": "data", "run": "data/run.trec"}, "model": {"name": "overlap"}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "config.json").write_text('{"architectures": ["MambaForCausalLM"]}')
    return tmp_path


# --- help ---


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["evaluate", "--help"], ["sync", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str], tmp_path: Path) -> None:
    told = rerank_eval(tmp_path, *arguments, code=LOADED + COMMAND)
    assert told.returncode == 0
    assert "Usage:" in told.stdout
    assert told.stderr.strip() == "[]"


def test_help_answers_at_once(tmp_path: Path) -> None:
    """It loads what draws it, which is 350 modules, and nothing that takes long to load has so few."""
    told = rerank_eval(tmp_path, "--help", code=COUNTED + COMMAND)
    for command in ("run", "evaluate", "sync"):
        assert command in told.stdout
    assert 100 < int(told.stderr) < 450


@pytest.mark.parametrize("code", [COMMAND, "import runpy; runpy.run_module('pipelines', run_name='__main__')"])
def test_the_version_is_that_of_the_package_and_loads_no_heavy_library(code: str, tmp_path: Path) -> None:
    """`rerank-eval --version` and `python -m pipelines --version`."""
    told = rerank_eval(tmp_path, "--version", code=LOADED + code)
    assert told.stdout == f"rerank-eval {version('rerank-eval')}\n"
    assert (told.returncode, told.stderr.strip()) == (0, "[]")


def test_no_library_reports_home_unless_the_user_says_so(tmp_path: Path) -> None:
    code = (
        "import atexit, os\n"
        "atexit.register(lambda: print(os.environ['RAY_USAGE_STATS_ENABLED'], os.environ['DO_NOT_TRACK']))\n" + COMMAND
    )
    told = rerank_eval(tmp_path, "--help", code=code, RAY_USAGE_STATS_ENABLED="1")
    assert told.stdout.splitlines()[-1] == "1 1"


# --- mistakes ---

DRY_RUN = ("run", "--config", "run.yaml", "--dry-run")
EVALUATE = ("evaluate", "--run", "data/run.trec", "--qrels", "data/qrels/test.tsv")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--config", "none.yaml"), ["config none.yaml", "Give an existing YAML file"]),
        (("run", "-c", "run.yaml", "--set", "data.dpth=5"), ["unknown key data.dpth", "did you mean depth?"]),
        (("run", "-c", "run.yaml", "--set", "serve.replicas=0"), ["serve.replicas", "greater than 0"]),
        (("run", "-c", "run.yaml", "--gpu", "H100"), ["--gpu names a GPU to forecast for: add --dry-run"]),
        ((*DRY_RUN, "--gpu", "potato"), ["GPU potato is not known here. Known: V100,"]),
        ((*DRY_RUN, "--set", "data.path=nowhere"), ["data.path: nowhere is not a folder"]),
        ((*DRY_RUN, "--set", "data.run=none.trec"), ["data.run", "none.trec"]),
        ((*DRY_RUN, "--set", "evaluate.metrics=[ndgc@10]"), ["Unknown metric 'ndgc@10'", "Choose from: ndcg"]),
        ((*DRY_RUN, "--set", "model.name=./none"), ["model.name ./none: no such folder"]),
        (("run", "-c", "run.yaml", "--set", "model.name=./none"), ["model.name ./none: no such folder"]),
        ((*DRY_RUN, "--set", "model.name=data"), ["model.name", "cannot read config.json"]),
        (
            (*DRY_RUN, "--set", "model.name=./strange"),
            ["MambaForCausalLM", "A recipe can read GemmaForCausalLM"],
        ),
        ((*EVALUATE, "--metrics", "mrr,ndgc@10"), ["Unknown metric 'ndgc@10'", "'ndcg@10'"]),
        ((*EVALUATE[:2], "none.trec", *EVALUATE[3:]), ["none.trec"]),
        ((*EVALUATE[:-1], "none.tsv"), ["none.tsv"]),
        (("sync", "data"), ["data is not the folder of a finished run", "config.yaml is missing"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_exit_code_2_and_one_line_that_says_what_and_where(
    arguments: tuple[str, ...],
    told: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("rerank-eval: ")
    for words in told:
        assert words in line
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("arguments", [(*DRY_RUN, "--set", "model.name=./strange"), (*EVALUATE[:-1], "none.tsv")])
def test_in_a_process_of_its_own_a_mistake_is_that_line_alone_too(arguments: tuple[str, ...], folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = rerank_eval(folder, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("rerank-eval: ")
    assert sorted(folder.rglob("*")) == before


def test_a_bug_keeps_its_traceback(folder: Path) -> None:
    code = "import pipelines.base.config\ndel pipelines.base.config.load_config\n" + COMMAND
    done = rerank_eval(folder, *DRY_RUN, code=code)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ImportError" in done.stderr


def test_ctrl_c_is_heard_where_python_drops_it_too(tmp_path: Path) -> None:
    """A connection is closed in a finalizer, and Python only writes of what is raised there."""
    code = """
import signal, sys, time
from pipelines.cli import app as cli

class Connection:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        time.sleep(1)

@cli.app.command()
def wait():
    Connection()
    print("the finalizer has ended", flush=True)
    time.sleep(60)

cli.main(["wait"])
"""
    done = rerank_eval(tmp_path, code=code)
    assert (done.returncode, done.stdout) == (130, "the finalizer has ended\n")
    assert done.stderr == "rerank-eval: interrupted\n"


# --- commands ---


def test_a_dry_run_prints_the_plan_as_json_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = rerank_eval(folder, *DRY_RUN, "--json", "--set", "data.depth=1")
    assert (done.returncode, done.stderr) == (0, "")
    plan = json.loads(done.stdout)
    assert (plan["queries"], plan["pairs"]) == (1, 1)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("out", ["2024-06-01", "a: b"])
def test_a_folder_for_results_may_have_any_name(
    out: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / out).write_text("a file where the folder should be")
    with pytest.raises(SystemExit) as ended:
        main(["run", "-c", "run.yaml", "--out", out])
    assert ended.value.code == 2
    assert f"output.dir {out}: cannot make a run folder" in capfd.readouterr().err


def test_evaluate_prints_a_number_for_each_metric(folder: Path) -> None:
    done = rerank_eval(folder, *EVALUATE, "--metrics", "mrr,hit_rate@1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == ["mrr\tall\t0.5000", "hit_rate_at_1\tall\t0.0000"]


def test_evaluate_as_json_keeps_bad_lines_apart(folder: Path) -> None:
    with (folder / "data" / "run.trec").open("a") as run:
        run.write("too short\n")
    done = rerank_eval(folder, *EVALUATE, "--metrics", "mrr", "--json", "--per-query")
    assert json.loads(done.stdout)["per_query"] == {"q1": {"mrr": 0.5}}
    assert done.stderr == "set aside data/run.trec:3: a run has 6 columns, this line 2\n"
