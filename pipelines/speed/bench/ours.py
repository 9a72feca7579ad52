"""Our own contenders, started as a user starts them: the whole job, and the HTTP service."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.base.ports import free_port
from pipelines.base.sections import GateSettings
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from pipelines.speed.bench.bench import Bench, Timed, do_job, module, timed
from pipelines.speed.bench.engines import client_job
from pipelines.speed.bench.pairs import PairSet
from pipelines.speed.bench.process import Group
from stages.core.errors import EngineError
from stages.core.metrics import Metrics
from stages.core.records import Candidates
from stages.files.rankings import read_rankings

StoreState = Literal["none", "fresh", "filled"]
POLL_S = 0.1


def job(store: StoreState, warm: bool, bench: Bench, group: Group, name: str) -> Timed:
    """`rerank-eval run`: cold, it starts Ray and the engine; `warm`, both are up.

    With the store `fresh` every score is written to a new one; `filled` is what that job left, and needs no engine.
    """
    host: dict[str, Any] = _host(bench, group, name) if warm else {"address": None, "environment": {}}
    results = bench.folder / name
    config = _written(bench, name, _changed(bench.config, _store(bench, store), results, host["address"]))
    started_s = time.time()
    group.finish(group.start(module("pipelines.run", "--config", config), host["environment"]))
    return _read_job(bench.pairs, results, started_s, time.time(), stored=store == "filled")


def service(clients: int, bench: Bench, group: Group, name: str) -> Timed:
    """`rerank-eval serve`, asked by so many clients at once."""
    port = free_port()
    http = bench.config.serve.http.model_copy(update={"port": port, "page_port": None})
    config = bench.config.model_copy(update={"serve": bench.config.serve.model_copy(update={"http": http})})
    started_s = time.time()
    running = group.start([sys.executable, "-m", "pipelines", "serve", "--config", str(_written(bench, name, config))])
    told = client_job(bench, f"http://127.0.0.1:{port}", "/v1/rerank", clients, "/ready", rerank_body)
    told |= {"out": str(bench.folder / f"{name}-told.json")}
    return timed(do_job(group, "pipelines.speed.bench.client", bench.write(name, told), beside=running), started_s)


def rerank_body(_drawn: PairSet, one: Candidates, _first: int) -> dict[str, Any]:
    """Of POST /v1/rerank."""
    return {"query": one.query, "documents": list(one.texts), "return_documents": False}


def _host(bench: Bench, group: Group, name: str) -> dict[str, Any]:
    """Start an application and wait for it; the address of its Ray, and the environment that a job there needs."""
    told = bench.folder / f"{name}-host-told.json"
    told.unlink(missing_ok=True)
    config = _written(bench, f"{name}-host", _changed(bench.config, None, bench.folder / "unused", None))
    host = group.start(module("pipelines.speed.bench.host", config, told))
    while not told.exists():
        if host.poll() is not None:
            raise EngineError(f"the application ended with code {host.returncode}: {group.reason()}")
        group.check_time()
        time.sleep(POLL_S)
    reached: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return reached


def _store(bench: Bench, store: StoreState) -> Path | None:
    folder = bench.folder / "store"
    if store == "fresh":
        shutil.rmtree(folder, ignore_errors=True)
    elif store == "filled" and not folder.is_dir():
        raise EngineError("no job with the store on went before it")
    return None if store == "none" else folder


def _changed(config: RunConfig, store: Path | None, results: Path, address: str | None) -> RunConfig:
    return config.model_copy(
        update={
            "gate": GateSettings(),  # it is timed, not judged
            "rerank": config.rerank.model_copy(update={"store": str(store) if store else None}),
            "output": config.output.model_copy(update={"dir": str(results)}),
            "serve": config.serve.model_copy(update={"ray_address": address}),
        }
    )


def _written(bench: Bench, name: str, config: RunConfig) -> Path:
    path = bench.folder / f"{name}.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    return path


def _read_job(pairs: PairSet, results: Path, started_s: float, exit_s: float, *, stored: bool) -> Timed:
    """From its run folder. Scoring ended when the rankings were written, `wall_s` after the engine was ready.

    A job that looks all scores up has no such part: it is timed as a whole.
    """
    folder = RunFolder((results / "latest").resolve())
    metrics = read_metrics(folder)
    coverage = metrics["coverage"]
    if coverage["failed_pairs"] or coverage["pairs"] != len(pairs.query_ids):
        raise EngineError(f"{coverage['pairs']} pairs were ranked, {coverage['failed_pairs']} of them failed")
    if stored and metrics["throughput"]["scored_pairs"]:
        raise EngineError(f"the store lacked {metrics['throughput']['scored_pairs']} pairs")
    scores, whole_s = _scores(pairs, folder), exit_s - started_s
    if stored:
        return Timed(started_s, started_s, exit_s, scores, whole_s=whole_s)
    began_s, ended_s = scored_between(folder, metrics)
    first_s = first_scored_s(folder, began_s)
    return Timed(started_s, began_s, ended_s, scores, first_s, metrics["tokens"]["prompt"], whole_s)


def scored_between(folder: RunFolder, metrics: Metrics) -> tuple[float, float]:
    """Unix times of the engine's readiness and of the last ranking. Raises EngineError where that is not told."""
    if (wall_s := metrics["throughput"]["wall_s"]) is None:
        raise EngineError(f"{folder.path} tells no time")  # only one of several first stages does not
    ended_s = max(file.stat().st_mtime for file in folder.rankings.glob("*.parquet"))
    return ended_s - wall_s, ended_s


def _scores(pairs: PairSet, folder: RunFolder) -> list[float]:
    found: dict[str, float] = {}
    for ranking in read_rankings(folder.rankings):
        found |= dict(zip(ranking.doc_ids, ranking.scores, strict=True))
    return [found[doc_id] for one in pairs.queries for doc_id in one.doc_ids]


def first_scored_s(folder: RunFolder, began_s: float) -> float | None:
    """When the run's timeline, which has a point a second, first sees a prompt read. None for the stand-in."""
    points = pq.read_table(folder.timeline, partitioning=None).to_pylist()
    return next((began_s + one["elapsed_s"] for one in points if one["prompt_tokens_per_s"]), None)
