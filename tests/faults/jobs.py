"""Jobs for the fault scripts: started as a user would, watched from outside, their results compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from pipelines.runs.folder import RunFolder
from stages.core.records import Ranking
from stages.files.rankings import read_rankings
from stages.files.tables import read_candidates

ROOT = Path(__file__).parents[2]
EPQA = ROOT.parent / "shared" / "data" / "epqa-dev"
MARK = "RERANK_EVAL_FAULT_JOB"  # in the environment of a job, which every process of it inherits
TINY_ENGINE = {"compile": False, "kv_cache_gib": 0.5}


class Claims:
    """Prints each claim with what was seen; `exit_code` is 1 once one did not hold."""

    def __init__(self) -> None:
        self.exit_code = 0

    def check(self, claim: str, holds: bool, seen: object = "") -> None:
        print(f"{'ok    ' if holds else 'FAILED'}  {claim}{f': {seen}' if seen != '' else ''}", flush=True)
        self.exit_code |= not holds


@dataclass(slots=True)
class Job:
    """`python -m pipelines.run` as a process of its own. What it prints goes to `log`."""

    config: Path
    log: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_s: float = field(default_factory=time.monotonic)
    process: subprocess.Popen[bytes] = field(init=False)
    _started: list[psutil.Process] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "pipelines.run", "--config", str(self.config)]
        environment = os.environ | {MARK: self.mark, "HF_HUB_OFFLINE": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def finish(self, timeout_s: float = 600) -> int:
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """As the kernel does to a process that took too much memory."""
        self._started = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()

    def still_there(self) -> list[psutil.Process]:
        """What a killed job had started, wherever it hangs in the process tree by now. Ray's titles may overwrite a
        process's environment, and what it starts late is no child of the job: so both ways are looked.
        """
        marked = [one for one in psutil.process_iter() if _environment(one).get(MARK) == self.mark]
        return [one for one in {*marked, *self._started} if _runs(one)]

    def left_over(self, patience_s: float) -> list[str]:
        """What still runs after some seconds."""
        wait_until(lambda: not self.still_there(), patience_s)
        return [str(one) for one in self.still_there()]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _environment(process: psutil.Process) -> Mapping[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def wait_until(happened: Callable[[], object], patience_s: float, every_s: float = 0.2) -> bool:
    deadline = time.monotonic() + patience_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def write_config(path: Path, results: Path, **sections: dict[str, Any]) -> Path:
    """A run config that logs nowhere; `results` is its output.dir."""
    mine = {"tracking": {"uri": None}, "output": {"dir": str(results)}}
    path.write_text(yaml.safe_dump(mine | sections, allow_unicode=True), encoding="utf-8")
    return path


def write_rows(path: Path, queries: int, documents: int) -> dict[str, Any]:
    """Made-up queries, each with documents of about 130 tokens of its own, and the `data` section that reads them."""
    with path.open("w", encoding="utf-8") as lines:
        for query in range(queries):
            texts = [
                f"document {query}.{place}: " + f"{place} ships on a calm sea, " * 20 for place in range(documents)
            ]
            lines.write(json.dumps({"query_id": f"q{query}", "query": f"ships {query}", "documents": texts}) + "\n")
    return {"format": "jsonl", "path": str(path)}


def latest(results: Path) -> RunFolder:
    """The run folder that was made last, finished or not."""
    return RunFolder(max((one for one in results.iterdir() if not one.is_symlink()), key=lambda one: one.name))


def metrics_of(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.metrics.read_text(encoding="utf-8"))
    return content


def distinct_pairs(folder: RunFolder) -> int:
    """How many different pairs of texts the candidates hold: what must be scored, once each."""
    return len({(one.query, text) for one in read_candidates(folder.candidates) for text in one.texts})


def check_complete(claims: Claims, folder: RunFolder, failed: frozenset[str] = frozenset()) -> None:
    """Every pair of the candidates is ranked exactly once; only pairs with a document in `failed` have failed."""
    wanted = sorted((one.query_id, doc_id) for one in read_candidates(folder.candidates) for doc_id in one.doc_ids)
    rankings = list(read_rankings(folder.rankings))
    ranked = sorted((one.query_id, doc_id) for one in rankings for doc_id in (*one.doc_ids, *one.failed))
    claims.check("every pair is in the rankings exactly once", ranked == wanted, f"{len(ranked):,} of {len(wanted):,}")
    reasons = {doc_id: reason for one in rankings for doc_id, reason in one.failed.items()}
    claims.check("no pair failed that should not", reasons.keys() == failed, reasons or "none failed")


def compare(expected: Iterable[Ranking], found: Iterable[Ranking]) -> tuple[int, float, float]:
    """Of two sets of rankings: queries whose order differs, the largest difference of two logits of the same pair, and
    the largest difference of logits, in `expected`, of two documents that changed places.
    """
    others = {one.query_id: one for one in found}
    orders, noise, swapped = 0, 0.0, 0.0
    for one in expected:
        other = others[one.query_id]
        before, after = _keys(one), _keys(other)
        noise = max([noise, *(abs(before[doc_id] - after[doc_id]) for doc_id in before)])
        orders += one.doc_ids != other.doc_ids
        moved = zip(one.doc_ids, other.doc_ids, strict=True)
        swapped = max([swapped, *(abs(before[a] - before[b]) for a, b in moved)])
    return orders, noise, swapped


def _keys(ranking: Ranking) -> dict[str, float]:
    """What ranked each document: its logit, or its score where there are none."""
    both = zip(ranking.doc_ids, ranking.scores, ranking.logits, strict=True)
    return {doc_id: score if logit is None else logit for doc_id, score, logit in both}
