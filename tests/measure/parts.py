"""What of two checkouts is measured: each part gives the figures of one side in one round."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.base.console import Console
from pipelines.speed.bench import engines
from pipelines.speed.bench.bench import Bench, Timed, timed
from pipelines.speed.bench.command import open_bench
from pipelines.speed.bench.order import BenchmarkOrder
from pipelines.speed.bench.pairs import PairOrder
from pipelines.speed.bench.process import Group
from stages.core.errors import EngineError
from tests.faults.scale import DEPTH, write_corpus, write_queries
from tests.measure.checkout import LIMIT_S, ROOT, Figures, Side, costs, job, service

MEASURE_ALONE = Path(__file__).with_name("alone.py")
# Of 50 documents each: ten seconds of scoring and more, as processor time is read twice a second.
QUERIES = {"nano": 400, "tiny": 150, "small": 40}
STORED = 10_000  # pairs
DEMO = ROOT / "configs" / "demo"
# vLLM's own LLM class, or server, with today's settings: no checkout has a part in it.
BARE = Side("bare", ROOT)


@dataclass(slots=True)
class Lab:
    """A folder to work in, how many queries of 50 documents (None: QUERIES), and what was made for earlier rounds."""

    folder: Path
    queries: int | None
    pairs_of_a_million: int
    made: dict[str, Any] = field(default_factory=dict)
    largest_difference: dict[str, float] = field(default_factory=dict)

    def bench(self, model: str, queries: int | None = None, *overrides: str) -> Bench:
        """The pairs and settings of a made model, the same for all sides and rounds."""
        number = queries or self.queries or QUERIES[model]
        key = f"{model}-{number}"
        if key not in self.made:
            work = self.folder / key
            work.mkdir()
            order = BenchmarkOrder(model, pairs=PairOrder(queries=number), overrides=overrides)
            self.made[key] = open_bench(order, work, self.folder, Console(quiet=True))
        found: Bench = self.made[key]
        return found

    def compare(self, what: str, scores: Mapping[Any, float]) -> None:
        """Note how far these are from the scores that came first."""
        first = self.made.setdefault(f"scores of {what}", scores)
        if first.keys() != scores.keys():
            raise EngineError(f"{what}: other pairs were ranked")
        largest = max(abs(scores[key] - first[key]) for key in first)
        self.largest_difference[what] = max(self.largest_difference.get(what, 0.0), largest)


@dataclass(frozen=True, slots=True)
class Part:
    """`measure` one side; `bare`: whether there is a bare engine or server to measure, too."""

    measure: Callable[[Lab, Side, str], Figures]
    bare: bool = False


def sections_of(bench: Bench, side: Side) -> dict[str, Any]:
    """What a config of that checkout needs to score a bench's pairs; all else is its own default."""
    config = bench.config
    return {
        "data": {"format": "jsonl", "path": config.data.path, "depth": None},
        "model": side.of_random_weights(config.model.name),
        "engine": config.engine.model_dump(mode="json", exclude_defaults=True),
    }


def whole_job(model: str, lab: Lab, side: Side, name: str) -> Figures:
    bench = lab.bench(model)
    if side is BARE:
        return _timed(lab, partial(engines.offline, "ours", False), bench, name)
    done = job(side, lab.folder, name, sections_of(bench, side))
    lab.compare(model, done.scores)
    return done.figures


def demo(lab: Lab, side: Side, name: str) -> Figures:
    """An embedding model, and documents that several queries share."""
    data = {"format": "beir", "path": str(DEMO), "run": str(DEMO / "runs" / "bm25.trec"), "depth": 50}
    model = {"name": "embedded:all-MiniLM-L6-v2"}
    done = job(side, lab.folder, name, {"data": data, "model": model, "engine": {"compile": False}})
    lab.compare("demo", done.scores)
    return done.figures


def stored(lab: Lab, side: Side, name: str) -> Figures:
    """10,000 pairs of which a job before wrote every score; that job counts for nothing."""
    bench = lab.bench("nano", STORED // 50)
    store = lab.folder / f"store-{side.name}"
    sections = sections_of(bench, side) | {"rerank": {"store": str(store)}}
    if not store.is_dir():
        job(side, lab.folder, f"{name}-before", sections)
    done = job(side, lab.folder, name, sections)
    if done.pairs:
        raise EngineError(f"the store lacked {done.pairs} pairs")
    return {"whole command, s": done.figures["whole command, s"], "peak memory, MiB": done.group.watch.peak_mib}


def million(lab: Lab, side: Side, name: str) -> Figures:
    """Scored by the stand-in, the score store on: tests.faults.scale's collection."""
    folder = lab.folder / "million"
    if not folder.is_dir():
        folder.mkdir()
        rng = random.Random(7)
        write_queries(folder, write_corpus(folder, rng), lab.pairs_of_a_million // DEPTH, False, rng)
    sections = {
        "data": {"format": "beir", "path": str(folder), "run": str(folder / "run.trec"), "depth": DEPTH},
        "model": {"name": "overlap"},
        "rerank": {"store": str(lab.folder / f"{name}-store")},
    }
    return job(side, lab.folder, name, sections).figures


def one_query(model: str, lab: Lab, side: Side, name: str) -> Figures:
    """A query of 50 documents at a time, in the engine's own process: no Serve, no HTTP."""
    bench = lab.bench(model)
    if side is BARE:
        return _timed(lab, partial(engines.offline, "ours", True), bench, name)
    out = lab.folder / f"{name}-told.json"
    told = {
        "model": side.of_random_weights(bench.config.model.name),
        "engine": bench.config.engine.model_dump(mode="json", exclude_defaults=True),
        "warm_up": [(one.query, one.texts) for one in bench.warm_up.queries],
        "queries": [(one.query, one.texts) for one in bench.pairs.queries],
        "out": str(out),
    }
    with Group(lab.folder / f"{name}.log", LIMIT_S) as group:
        started_s = time.time()
        command = [sys.executable, str(MEASURE_ALONE), str(bench.write(name, told))]
        environment = bench.plan["ours"]["environment"] | side.environment
        group.finish(group.start(command, environment, side.root))
        done = timed(json.loads(out.read_text(encoding="utf-8")), started_s)
    return {"pairs/s": _rate(done)}


def served(model: str, clients: int, lab: Lab, side: Side, name: str) -> Figures:
    """Texts over HTTP; bare is vLLM's own server with our settings."""
    bench = lab.bench(model)
    if side is BARE:
        return _timed(lab, partial(engines.server, "ours", "text", clients), bench, name)
    done, group = service(side, bench, sections_of(bench, side), clients, name)
    return {"pairs/s": _rate(done)} | costs(group, done, len(done.scores))


def _timed(lab: Lab, run: Callable[[Bench, Group, str], Timed], bench: Bench, name: str) -> Figures:
    with Group(lab.folder / f"{name}.log", LIMIT_S) as group:
        done = run(bench, group, name)
    found = {"pairs/s": _rate(done), "whole command, s": done.whole_s or 0.0} | costs(group, done, len(done.scores))
    return found | {"first scored pair, s": (done.first_s or 0.0) - done.started_s}


def _rate(done: Timed) -> float:
    return len(done.scores) / (done.ended_s - done.began_s)


PARTS: Mapping[str, Part] = {
    **{model: Part(partial(whole_job, model), bare=True) for model in ("nano", "tiny", "small")},
    "demo": Part(demo),
    "stored": Part(stored),
    "one_query": Part(partial(one_query, "nano"), bare=True),
    "million": Part(million),
    **{
        f"service-{model}-{clients}": Part(partial(served, model, clients), bare=True)
        for model in ("nano", "tiny")
        for clients in (8, 100)
    },
}
