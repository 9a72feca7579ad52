"""Jobs on a cluster: a real head with its job server, and commands in processes of their own."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from pipelines.base.config import load_config
from pipelines.base.ports import free_port
from pipelines.nightly.submit import describe_job, exit_code
from stages.core.errors import ConfigError
from tests.mlflow_database import new_database

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
ENVIRONMENT = Path(sys.executable).parent
DATE = datetime.date(2026, 11, 23)
TONIGHT = ("--date", DATE.isoformat())
ROWS = [
    {"id": "a", "text": "blue", "relevance": 0},
    {"id": "b", "text": "red fox", "relevance": 1},
]


# --- a cluster ---


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The job server's address, on a head of its own that is ended with all its processes."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets lie in it, and their paths must be short
    dashboard, agent, client = (free_port() for _ in range(3))
    command = [ENVIRONMENT / "ray", "start", "--head", "--block", "--port=0", f"--temp-dir={folder}", "--num-cpus=4"]
    command += ["--disable-usage-stats", "--include-dashboard=true", "--dashboard-host=127.0.0.1"]
    command += [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    command += [f"--ray-client-server-port={client}", "--min-worker-port=0", "--max-worker-port=0"]
    command += ["--object-store-memory=100000000"]
    # As on a node where the project is installed: its Python comes first. A busy machine may take its time.
    environment = clean_environment(PATH=f"{ENVIRONMENT}{os.pathsep}{os.environ['PATH']}")
    environment["RAY_raylet_start_wait_time_s"] = "300"
    log = Path(folder) / "head.log"
    with log.open("w") as output:
        process = psutil.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until(lambda: "runtime started" in log.read_text() or process.poll() is not None, 400)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{dashboard}"
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


def end(process: psutil.Popen) -> None:
    """End a process and all that it started."""
    family = [*process.children(recursive=True), process] if process.poll() is None else []
    for member in reversed(family):
        try:
            member.terminate()
        except psutil.NoSuchProcess:
            continue
    for member in psutil.wait_procs(family, timeout=3)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended just now
            member.kill()


def clean_environment(**more: str) -> dict[str, str]:
    """Nothing of an active virtual environment, nor of another cluster."""
    strange = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "VIRTUAL_ENV", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name not in strange}
    path = os.pathsep.join(part for part in kept["PATH"].split(os.pathsep) if Path(part) != ENVIRONMENT)
    return kept | {"PATH": path, "RAY_AUTH_MODE": "disabled"} | more


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    deadline_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {seconds} s"
        time.sleep(0.2)


def jobs(head: str) -> dict[str, dict[str, Any]]:
    """What the job server knows, by submission id."""
    listed = httpx.get(f"{head}/api/jobs/", timeout=120, trust_env=False).json()
    return {job["submission_id"]: job for job in listed if job["submission_id"]}


# --- the command ---


def start(head: str, config: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`rerank-eval submit` in the config's folder, with its output in one pipe."""
    return subprocess.Popen(
        [ENVIRONMENT / "rerank-eval", "submit", "--config", config.name, "--address", head, *arguments],
        cwd=config.parent,
        env=clean_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


def told(process: subprocess.Popen[str]) -> Told:
    out, err = process.communicate(timeout=500)
    return Told(process.returncode, out, err)


def submitted(head: str, config: Path, *arguments: str, **environment: str) -> Told:
    return told(start(head, config, *arguments, **environment))


def write_project(folder: Path, **changes: Any) -> Path:
    """A folder with data and a config that needs no engine; results lie beside it."""
    work = folder / "work"
    work.mkdir()
    row = {"query_id": "q1", "query": "red fox", "documents": ROWS}
    (work / "rows.jsonl").write_text(json.dumps(row) + "\n")
    sections = {
        "data": {"format": "jsonl", "path": "rows.jsonl"},
        "model": {"name": "overlap"},
        "tracking": {"uri": new_database(folder / "mlflow.db")},
        "output": {"dir": str(folder / "results")},
    }
    config = work / "small.yaml"
    config.write_text(yaml.safe_dump(sections | changes))
    return config


# --- one night on it ---


@dataclass(frozen=True)
class Night:
    """One date, on which the same command was given time and again."""

    config: Path
    first: Told
    beside: Told  # with --json, while the first was running
    left: Told  # interrupted while the first was running
    later: Told  # when it was over


@pytest.fixture(scope="module")
def night(head: str, tmp_path_factory: pytest.TempPathFactory) -> Night:
    config = write_project(tmp_path_factory.mktemp("night"))
    first = start(head, config, *TONIGHT)
    assert first.stdout is not None
    greeting = first.stdout.readline()
    beside, left = start(head, config, *TONIGHT, "--json"), start(head, config, *TONIGHT)
    assert left.stdout is not None
    heard = left.stdout.readline()
    left.send_signal(signal.SIGINT)
    left_told = told(left)
    first_told = told(first)
    return Night(
        config,
        Told(first_told.code, greeting + first_told.out, first_told.err),
        told(beside),
        Told(left_told.code, heard + left_told.out, left_told.err),
        submitted(head, config, *TONIGHT),
    )


def name_of(config: Path) -> str:
    return f"rerank-eval-small-{load_config(config).digest[:8]}-{DATE.isoformat()}"


def test_a_job_is_followed_to_its_end_and_leaves_its_results(night: Night) -> None:
    assert night.first.code == 0, night.first
    assert night.first.out.startswith(f"job         {name_of(night.config)}: submitted\n")
    folder = re.findall(r"^run folder +(\S+)$", night.first.out, re.MULTILINE)
    assert len(folder) == 1
    metrics = json.loads((Path(folder[0]) / "metrics.json").read_text())
    assert metrics["quality"]["reranked"]["ndcg_at_10"] == 1.0
    assert night.first.err == ""


def test_a_night_is_run_once_however_often_it_is_submitted(night: Night, head: str) -> None:
    results = night.config.parents[1] / "results"
    assert len([folder for folder in results.iterdir() if not folder.is_symlink()]) == 1
    assert "runs already, nothing is submitted (--again" in night.beside.err
    assert "has succeeded already, nothing is submitted (--again" in night.later.out
    assert night.beside.code == night.later.code == 0
    assert night.later.out.splitlines()[-1] == night.first.out.splitlines()[-1]


def test_as_json_the_outcome_alone_is_printed(night: Night) -> None:
    expected = {"submission_id": name_of(night.config), "status": "SUCCEEDED", "exit_code": 0}
    assert json.loads(night.beside.out) == expected
    assert "run folder" in night.beside.err


def test_interrupted_it_says_that_the_job_goes_on_and_how_to_stop_it(night: Night, head: str) -> None:
    assert night.left.code == 130
    assert "The job goes on." in night.left.out
    assert f"ray job stop --address {head} {name_of(night.config)}" in night.left.out
    assert night.left.err == "rerank-eval: interrupted\n"


def test_the_cluster_is_told_what_runs_and_no_library_reports_home(night: Night, head: str) -> None:
    job = jobs(head)[name_of(night.config)]
    digest = load_config(night.config).digest
    assert job["metadata"] == {"config": "small.yaml", "config_digest": digest, "date": DATE.isoformat()}
    assert job["entrypoint"] == "python -m pipelines.run --config small.yaml"
    assert job["runtime_env"]["env_vars"].items() >= {"RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "1"}.items()


def test_again_repeats_what_has_succeeded_and_refuses_what_runs(night: Night, head: str) -> None:
    second = submitted(head, night.config, *TONIGHT, "--again", "--no-wait", "--json")
    submission_id = f"{name_of(night.config)}-2"
    assert json.loads(second.out)["submission_id"] == submission_id
    assert json.loads(second.out)["exit_code"] is None
    assert f"ray job logs --follow --address {head} {submission_id}" in second.err
    refused = submitted(head, night.config, *TONIGHT, "--again")
    assert refused.code == 2
    assert refused.err == f"rerank-eval: --again: {submission_id} runs; stop it first: ray job stop {submission_id}\n"
    following = start(head, night.config, *TONIGHT)
    assert following.stdout is not None
    assert f"{submission_id}: runs already" in following.stdout.readline()
    assert httpx.post(f"{head}/api/jobs/{submission_id}/stop", timeout=120, trust_env=False).json() == {"stopped": True}
    stopped = told(following)
    assert (stopped.code, "stopped" in stopped.out) == (130, True)


def test_a_job_that_fails_gives_its_exit_code_and_may_be_tried_again(head: str, tmp_path: Path) -> None:
    config = write_project(tmp_path, data={"format": "jsonl", "path": "gone.jsonl"})
    before = datetime.datetime.now().date()
    first = submitted(head, config)
    after = datetime.datetime.now().date()
    assert first.code == 2
    assert "rerank-eval: data.path: gone.jsonl matches no file" in first.out
    ((name, date),) = re.findall(r"^job +(\S+-(\d{4}-\d\d-\d\d)): submitted$", first.out, re.MULTILINE)
    assert date in (before.isoformat(), after.isoformat())
    second = submitted(head, config, "--date", date)
    assert second.code == 2
    assert second.out.startswith(f"job         {name}-2: submitted; attempt 1 failed\n")


def test_a_job_with_its_gate_s_verdict_exits_with_it_and_is_followed_not_repeated(head: str, tmp_path: Path) -> None:
    config = write_project(tmp_path, gate={"min": {"ndcg@10": 2}})
    first = submitted(head, config, *TONIGHT)
    assert first.code == 6, first
    assert "rerank-eval: regressed: quality.reranked.ndcg_at_10 is 1, under the limit of 2" in first.out
    second = submitted(head, config, *TONIGHT)
    assert second.code == 6
    told = rf"job +{name_of(config)}(-\d)?: has its verdict, regressed, already, nothing is submitted"
    assert re.match(told, second.out), second.out
    assert len([one for one in (tmp_path / "results").iterdir() if not one.is_symlink()]) == 1


def test_plain_ray_job_submit_runs_the_code_that_was_sent_as_the_docs_write_it(head: str, tmp_path: Path) -> None:
    copy = tmp_path / "work"
    config = write_project(tmp_path)
    for name in ("stages", "serve_app", "pipelines", "configs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".rayignore", ".gitignore", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    with (copy / "pipelines" / "__init__.py").open("a") as code:
        code.write("\nprint('code from', __file__)\n")
    (written,) = re.findall(r"^\$ (ray job submit .*)$", (ROOT / "docs" / "cluster.md").read_text(), re.MULTILINE)
    assert "--working-dir . -- python -m pipelines.run --config configs/nightly.yaml" in written
    command = written.replace("http://HEAD:8265", head).replace("configs/nightly.yaml", config.name)
    program, *arguments = shlex.split(command)
    done = subprocess.run(
        [ENVIRONMENT / program, *arguments],
        cwd=copy,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^code from \S+/_ray_pkg_\w+/pipelines/__init__.py$", done.stdout, re.MULTILINE)
    assert (tmp_path / "results" / "latest" / "metrics.json").is_file()


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("--address", "http://127.0.0.1:1"), 1, "no Ray job server answers at http://127.0.0.1:1 (ConnectionError)"),
        (("--address", "auto"), 2, "--address auto: not a job server's"),
        (("--set", "data.dpth=5"), 2, "unknown key data.dpth; did you mean depth?"),
        (("--set", "output.dir=results"), 2, "would be lost with the job's own folder on the cluster: output.dir resu"),
        (("--working-dir", "/usr/lib"), 2, "config small.yaml lies outside /usr/lib"),
        (("--set", "tracking.uri=http://me:secret@host"), 2, "--set tracking.uri: holds a password"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_within_seconds(
    arguments: tuple[str, ...], code: int, expected: str, tmp_path: Path
) -> None:
    """Seconds of this process: a busy machine may let it wait."""
    told = submitted("http://127.0.0.1:1", write_project(tmp_path), *arguments)
    assert (told.code, told.out) == (code, "")
    assert told.err.startswith(f"rerank-eval: {'config ' if 'dpth' in expected else ''}")
    assert expected in told.err
    assert told.err.count("\n") == 1
    assert "secret" not in told.err


def test_a_missing_token_is_said_in_one_line(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    told = submitted("http://127.0.0.1:1", config, RAY_AUTH_MODE="token", HOME=str(tmp_path))
    assert told.code == 1
    assert re.fullmatch(r"rerank-eval: .*: no token, or the wrong one.*RAY_AUTH_MODE=disabled\n", told.err)


def test_the_address_given_wins_over_rays_variables(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    variables = {"RAY_ADDRESS": "http://127.0.0.1:2", "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:3"}
    assert "at http://127.0.0.1:1 " in submitted("http://127.0.0.1:1", config, **variables).err


# --- what is sent ---


def test_a_submission_id_is_made_of_config_and_date_and_of_nothing_secret(tmp_path: Path) -> None:
    uri = "postgresql://me:secret@host/mlflow"
    config = write_project(tmp_path, tracking={"uri": uri})
    job = describe_job(config, (), config.parent, DATE)
    assert job == describe_job(config, (), config.parent, DATE)
    assert job.name != describe_job(config, ("data.depth=7",), config.parent, DATE).name
    assert job.name != describe_job(config, (), config.parent, DATE + datetime.timedelta(days=1)).name
    assert "secret" not in repr(job)
    assert {"RAY_USAGE_STATS_ENABLED", "DO_NOT_TRACK"} <= set(job.runtime_env["env_vars"])


def test_overrides_reach_the_job_as_they_were_written(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    override = "evaluate.metrics=[ndcg@10, 'map']"
    job = describe_job(config, (override,), tmp_path, DATE)
    assert shlex.split(job.entrypoint)[3:] == ["--config", "work/small.yaml", "--set", override]


def test_configs_whose_names_have_no_latin_letter_are_jobs_of_their_own(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    names = set()
    for name in ("夜.yaml", "昼.yaml"):
        path = config.with_name(name)
        path.write_text(config.read_text())
        names.add(describe_job(path, (), tmp_path, DATE).name)
    assert len(names) == 2
    assert all(name.isascii() for name in names)


LASTING = ("output.dir=/srv/results", "tracking.uri=null")


def test_a_bundled_config_is_sent_where_the_folder_holds_it() -> None:
    job = describe_job(Path("qwen3-reranker-0.6b"), LASTING, ROOT, DATE)
    assert shlex.split(job.entrypoint)[3:5] == ["--config", "configs/qwen3-reranker-0.6b.yaml"]
    assert job.name.startswith("rerank-eval-qwen3-reranker-0-6b-")
    by_path = describe_job(ROOT / "configs" / "qwen3-reranker-0.6b.yaml", LASTING, ROOT, DATE)
    assert job.metadata == by_path.metadata, "the paths that it means are those in the folder that is sent"


def test_a_bundled_config_elsewhere_is_refused_with_the_folder_that_holds_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        describe_job(Path("demo"), LASTING, tmp_path, DATE)
    assert str(raised.value) == (
        f"config demo lies outside {tmp_path}, and only that folder travels to the cluster. "
        f"Name a folder that holds it: --working-dir {ROOT}"
    )
    assert "--config configs/demo.yaml" in describe_job(Path("demo"), LASTING, ROOT, DATE).entrypoint


@pytest.mark.parametrize(
    ("key", "place", "lasts"),
    [
        ("output.dir", "results", False),
        ("output.dir", "/srv/results", True),
        ("rerank.store", "scores", False),
        ("rerank.store", "null", True),
        ("tracking.uri", "sqlite:///mlflow.db", False),
        ("tracking.uri", "sqlite:////srv/mlflow.db", True),
        ("tracking.uri", "mlruns", False),
        ("tracking.uri", "file:./mlruns", False),
        ("tracking.uri", "file:///srv/mlruns", True),
        ("tracking.uri", "http://mlflow.internal:5000", True),
        ("tracking.uri", "databricks", True),
        ("tracking.uri", "null", True),
    ],
)
def test_a_place_that_goes_with_the_job_is_refused(key: str, place: str, lasts: bool, tmp_path: Path) -> None:
    config = write_project(tmp_path)
    if lasts:
        assert describe_job(config, (f"{key}={place}",), config.parent, DATE)
        return
    with pytest.raises(ConfigError, match=f"{key} {re.escape(place)}.*--set {key}="):
        describe_job(config, (f"{key}={place}",), config.parent, DATE)


@pytest.mark.parametrize(
    ("status", "driver", "expected"),
    [
        ("SUCCEEDED", 0, 0),
        ("FAILED", 3, 3),
        ("FAILED", -9, 137),
        ("FAILED", None, 1),
        ("STOPPED", None, 130),
        ("RUNNING", None, None),
        ("PENDING", None, None),
    ],
)
def test_the_exit_code_is_the_jobs(status: str, driver: int | None, expected: int | None) -> None:
    from ray.job_submission import JobDetails

    assert exit_code(JobDetails(type="SUBMISSION", status=status, entrypoint="", driver_exit_code=driver)) == expected


@pytest.mark.parametrize(
    "override", ["tracking.uri=http://me:pw@host", "engine.extra.hf_token=abc", "engine.extra={nested: {api_key: abc}}"]
)
def test_a_secret_in_an_override_is_refused_as_everybody_would_see_it(override: str, tmp_path: Path) -> None:
    config = write_project(tmp_path)
    with pytest.raises(ConfigError, match=r"--set [\w.]+: holds a password, and the cluster shows"):
        describe_job(config, (override,), config.parent, DATE)


def test_the_configs_of_earlier_runs_do_not_travel_but_the_one_to_run_does(tmp_path: Path) -> None:
    mine = write_project(tmp_path)
    names = [f"{run}/{part}config.yaml" for run in RUNS for part in ("", "runs/bm25/")]
    for name in (*names, f"{RUNS[0]}/run.trec", "configs/config.yaml"):
        (mine.parent / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(mine, mine.parent / name)
    (secret := mine.parent / names[0]).chmod(0o600)
    for config in (mine, secret):
        job = describe_job(config, (), mine.parent, DATE)
        package = tmp_path / f"{config.stem}.zip"
        sent = packed(mine.parent, package, excludes=job.runtime_env["excludes"])
        assert {f"{RUNS[0]}/run.trec", "configs/config.yaml", config.relative_to(mine.parent).as_posix()} <= set(sent)
        assert set(names) & set(sent) == ({names[0]} if config == secret else set())
    mode = zipfile.ZipFile(package).getinfo(names[0]).external_attr >> 16
    assert mode & 0o777 == 0o600


RUNS = ("results/20260101-000000-a-0a1b", "20260101-000000-sweep-a/points/20260101-000000-b-0a1b")


def packed(folder: Path, package: Path, *, include_gitignore: bool = True, excludes: Sequence[str] = ()) -> list[str]:
    """The files that Ray packs of a folder."""
    from ray._private.runtime_env.packaging import create_package

    create_package(str(folder), package, include_gitignore=include_gitignore, excludes=list(excludes))
    return zipfile.ZipFile(package).namelist()


def test_what_travels_is_small_and_runs_the_demo(tmp_path: Path) -> None:
    package = tmp_path / "sent.zip"
    sent = packed(ROOT, package)
    size_kib = package.stat().st_size / 1024
    print(f"{size_kib:.0f} KiB in {len(sent)} files travel")
    assert size_kib < 4 * 1024
    data = load_config(ROOT / "configs" / "demo.yaml").data
    assert data.path is not None
    assert {"pipelines/run.py", "configs/demo.yaml", str(data.run), f"{data.path}/corpus.jsonl"} <= set(sent)
    known = ("stages", "serve_app", "pipelines", "configs", "pyproject.toml", "LICENSE", ".rayignore", ".gitignore")
    assert {name.split("/")[0] for name in sent} <= set(known)


def test_environments_results_stores_and_caches_do_not_travel(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    left = [".venv/lib/x.py", ".git/config", "tests/test_x.py", "docs/report.png", "results/r/metrics.json"]
    left += [
        "mlruns/0/meta.yaml",
        "mlflow.db",
        "scores/a/b.bin",
        "scores-8b/a.bin",
        ".mypy_cache/x",
        "stages/__pycache__/x.pyc",
        "build/x.py",
    ]
    kept = ["stages/scores.py", "pipelines/run.py", "configs/demo/corpus.jsonl", "data/nightly/queries.tsv"]
    for name in left + kept:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    shutil.copy(ROOT / ".rayignore", folder)
    assert sorted(packed(folder, tmp_path / "sent.zip", include_gitignore=False)) == sorted([*kept, ".rayignore"])
