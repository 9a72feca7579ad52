"""Two checkouts of this repository, and jobs and services of either, started as a user of it would."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.base.ports import free_port
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from pipelines.speed.bench.bench import Bench, Timed, do_job, module, timed
from pipelines.speed.bench.engines import client_job
from pipelines.speed.bench.ours import first_scored_s, rerank_body, scored_between
from pipelines.speed.bench.process import Group
from stages.core.errors import EngineError
from stages.files.rankings import read_rankings

ROOT = Path(__file__).parents[2]
LIMIT_S = 3600.0
# The command line, wherever a release keeps it.
COMMANDS = """
try:
    from pipelines.cli.app import main
except ImportError:
    from pipelines.cli import main
main()
"""
Figures = dict[str, float]
Sections = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. Whatever it starts imports from `root`, wherever this environment's installation points."""

    name: str
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.root), "HF_HUB_OFFLINE": "1"}

    def of_random_weights(self, name: str) -> dict[str, str]:
        """A config's `model`: such weights make no sense of anything, which 0.1.0 did not ask for."""
        settings = (self.root / "serve_app" / "settings.py").read_text(encoding="utf-8")
        return {"name": name, "canaries": "finite"} if "canaries:" in settings else {"name": name}


@dataclass(frozen=True, slots=True)
class Done:
    """A finished job: its times, how many pairs it scored, and the value that ranked each pair."""

    timed: Timed
    pairs: int
    scores: Mapping[tuple[str, str], float]
    group: Group

    @property
    def figures(self) -> Figures:
        """Of the scoring, from the engine's readiness to the last ranking, and of the whole command."""
        seconds = self.timed.ended_s - self.timed.began_s
        found = {"scoring, s": seconds, "whole command, s": self.timed.whole_s or 0.0}
        if self.pairs:
            found["pairs/s"] = self.pairs / seconds
        if self.timed.first_s is not None:
            found["first scored pair, s"] = self.timed.first_s - self.timed.started_s
        return found | costs(self.group, self.timed, self.pairs)


def costs(group: Group, done: Timed, pairs: int) -> Figures:
    """The most memory at once, and processor seconds per 1,000 pairs."""
    found = {"peak memory, MiB": group.watch.peak_mib}
    spent = group.watch.between(done.began_s, done.ended_s)
    if spent and pairs:
        each = {role: seconds / pairs * 1000 for role, seconds in spent.items()}
        core = each.get("engine core", 0.0) + each.get("engine worker", 0.0)
        found |= {"engine core, s per 1,000": core, "all others, s per 1,000": sum(each.values()) - core}
        if "replica" in each:
            found["replica, s per 1,000"] = each["replica"]
    return found


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Side]:
    """`commit` in a work tree of its own, which goes at the end. Raises EngineError where git knows none such."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "checkout"
        told = _git("worktree", "add", "--detach", str(root), commit)
        if told.returncode:
            raise EngineError(f"{commit}: {told.stderr.strip().splitlines()[-1]}")
        try:
            yield Side("old", root)
        finally:
            _git("worktree", "remove", "--force", str(root))


def job(side: Side, folder: Path, name: str, sections: Sections) -> Done:
    """`rerank-eval run` of that checkout. `sections` are of a config that both understand. Raises EngineError."""
    results = folder / name
    config = _written(folder / f"{name}.yaml", {**sections, "output": {"dir": str(results)}})
    with Group(folder / f"{name}.log", LIMIT_S) as group:
        started_s = time.time()
        group.finish(group.start(module("pipelines.run", "--config", config), side.environment, side.root))
        exit_s = time.time()
    return _read(results, started_s, exit_s, group)


def _read(results: Path, started_s: float, exit_s: float, group: Group) -> Done:
    folder = RunFolder((results / "latest").resolve())
    metrics = read_metrics(folder)
    pairs = metrics["throughput"]["scored_pairs"] or 0
    if metrics["coverage"]["failed_pairs"]:
        raise EngineError(f"{folder.path} has failed pairs")
    began_s, ended_s = scored_between(folder, metrics) if pairs else (started_s, exit_s)
    first_s = first_scored_s(folder, began_s) if pairs else None
    told = Timed(started_s, began_s, ended_s, (), first_s, whole_s=exit_s - started_s)
    return Done(told, pairs, _scores(folder), group)


def _scores(folder: RunFolder) -> dict[tuple[str, str], float]:
    """What ranked each pair: its logit, or its score where there is none."""
    found = {}
    for one in read_rankings(folder.rankings):
        for doc_id, score, logit in zip(one.doc_ids, one.scores, one.logits, strict=True):
            found[one.query_id, doc_id] = score if logit is None else logit
    return found


def service(side: Side, bench: Bench, sections: Sections, clients: int, name: str) -> tuple[Timed, Group]:
    """`rerank-eval serve` of that checkout, asked by so many clients at once. Raises EngineError."""
    port = free_port()
    config = _written(bench.folder / f"{name}.yaml", {**sections, "serve": {"http": {"port": port, "page_port": None}}})
    with Group(bench.folder / f"{name}.log", LIMIT_S) as group:
        started_s = time.time()
        command = [sys.executable, "-c", COMMANDS, "serve", "--config", str(config)]
        running = group.start(command, side.environment, side.root)
        told = client_job(bench, f"http://127.0.0.1:{port}", "/v1/rerank", clients, "/ready", rerank_body)
        told["out"] = str(bench.folder / f"{name}-told.json")
        answers = do_job(group, "pipelines.speed.bench.client", bench.write(name, told), beside=running)
        return timed(answers, started_s), group


def _written(path: Path, sections: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump({"tracking": {"uri": None}, **sections}, allow_unicode=True), encoding="utf-8")
    return path


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
