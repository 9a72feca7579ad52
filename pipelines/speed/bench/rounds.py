"""Every contender once a round, one after the other, and what all rounds come to."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.base.console import Console
from pipelines.base.environment import describe_hardware
from pipelines.base.redaction import redacted
from pipelines.runs.folder import RunFolder
from pipelines.speed.bench.bench import Bench, Contender, Timed
from pipelines.speed.bench.contenders import REFERENCE, Chosen
from pipelines.speed.bench.engines import matrix_flops
from pipelines.speed.bench.order import QUICK_LAST_START_S, BenchmarkOrder
from pipelines.speed.bench.pairs import PairSet, describe_pairs, shape_of_model
from pipelines.speed.bench.process import Group
from serve_app.engine.models import ModelInfo
from stages.core.errors import EngineError, RerankEvalError, first_line
from stages.quality.agreement import agreement
from stages.speed.benchmark import MOST_DIFFERENCE, Benchmark, Measurement, Round

# What a contender may come to, and what its processes may have left unfinished.
FAILURES = (RerankEvalError, OSError, ValueError, KeyError)


class Rounds:
    """Runs the contenders, and keeps what each gave."""

    def __init__(
        self, bench: Bench, folder: RunFolder, order: BenchmarkOrder, console: Console, began_s: float
    ) -> None:
        self._bench, self._folder, self._order, self._console = bench, folder, order, console
        self._began_s = began_s
        self._rounds: dict[str, list[Round]] = {}
        self._scores: dict[str, Timed] = {}
        self._matrix: list[float] = []
        self._notes: list[str] = []
        self._interrupted = False
        self._started = datetime.now().astimezone().isoformat(timespec="seconds")

    def go(self, chosen: Chosen) -> Benchmark:
        """All rounds. Ctrl-C ends them with what is finished; KeyboardInterrupt is raised where that is no figure."""
        number = 0
        try:
            for number in range(1, self._order.rounds + 1):
                self._go_round(number, chosen)
        except KeyboardInterrupt:
            if not any(one.seconds for done in self._rounds.values() for one in done):
                raise
            self._interrupted = True
            self._notes.append(self._what_is_missing(number, chosen))
        return self._benchmark(chosen)

    def _what_is_missing(self, number: int, chosen: Chosen) -> str:
        left = [one.name for one in chosen.contenders if len(self._rounds.get(one.name, ())) < number]
        return f"interrupted in round {number} of {self._order.rounds}, which lacks: {', '.join(left) or 'nobody'}"

    def _go_round(self, number: int, chosen: Chosen) -> None:
        """The machine's matrix rate, then every contender once."""
        self._measure_matrix(number)
        for one in chosen.contenders:
            if self._order.quick and time.monotonic() - self._began_s > QUICK_LAST_START_S:
                self._notes.append(f"{one.name}: the three minutes of --quick were nearly over")
                continue
            with self._console.working(f"round {number} of {self._order.rounds}: {one.title}"):
                done = self._once(one, number)
            self._rounds.setdefault(one.name, []).append(done)
            self._console.say(f"round {number}     {one.title}: {_told(done)}")

    def _benchmark(self, chosen: Chosen) -> Benchmark:
        bench, order = self._bench, self._order
        shape = shape_of_model(_local(bench.model))
        block = bench.plan["ours"]["arguments"].get("block_size")
        measured = [self._measurement(one) for one in chosen.contenders if one.name in self._rounds]
        return Benchmark(
            started=self._started,
            model={"name": order.model, **_facts(bench.model), "layers": asdict(shape)},
            machine=describe_hardware() | {"device": bench.plan["device_name"]},
            settings={name: redacted(bench.plan[name]) for name in ("ours", "defaults")},
            pairs=describe_pairs(order.pairs, bench.pairs, shape, block),
            prefix_caching=bool(bench.plan["ours"]["arguments"].get("enable_prefix_caching")),
            matrix_flops=tuple(self._matrix),
            measurements=tuple(measured),
            reference=self._reference(),
            quick=order.quick,
            interrupted=self._interrupted,
            notes=(*chosen.notes, *self._notes),
        )

    def _measure_matrix(self, number: int) -> None:
        try:
            with self._group(f"matrix-{number}") as group:
                self._matrix.append(matrix_flops(self._bench, group, f"matrix-{number}"))
        except FAILURES as error:
            self._notes.append(f"matrix rate, round {number}: {first_line(error)}")

    def _once(self, one: Contender, number: int) -> Round:
        """A failure is a result: whatever goes wrong inside is told as its reason."""
        name = f"{one.name}-{number}"
        try:
            group = self._group(name)
            with group:  # which looks until the last process is gone
                timed = one.run(self._bench, group, name)
            done = round_of(number, timed, group, self._bench.pairs)
        except FAILURES as error:
            return Round(number, error=first_line(error))
        self._scores.setdefault(one.name, timed)
        return done

    def _group(self, name: str) -> Group:
        limit_s = self._order.limit_s
        if self._order.quick:
            limit_s -= time.monotonic() - self._began_s
        return Group(self._folder.logs / f"{name}.log", limit_s)

    def _reference(self) -> str | None:
        """Whose scores the others are compared with: the bare engine with our settings, else who came first."""
        return REFERENCE if REFERENCE in self._scores else next(iter(self._scores), None)

    def _measurement(self, one: Contender) -> Measurement:
        found = Measurement(one.name, one.title, one.kind, one.ours, tuple(self._rounds[one.name]), one.clients)
        reference = self._reference()
        if reference is None or one.name not in self._scores:
            return found
        mine, theirs = self._scores[one.name], self._scores[reference]
        pairs = self._bench.pairs
        expected = sum(map(len, pairs.token_ids))
        near = agreement(pairs.query_ids, mine.scores, theirs.scores, MOST_DIFFERENCE, probabilities=True)
        return replace(found, agreement=near, more_tokens=(mine.tokens or expected) - expected)


def round_of(number: int, timed: Timed, group: Group, pairs: PairSet) -> Round:
    """What one contender came to. Raises EngineError where it did not score each pair."""
    if len(timed.scores) != len(pairs.prompts):
        raise EngineError(f"{len(timed.scores)} scores for {len(pairs.prompts)} pairs")
    return Round(
        number,
        pairs=len(pairs.prompts),
        tokens=timed.tokens or sum(map(len, pairs.token_ids)),
        seconds=timed.ended_s - timed.began_s,
        start_up_s=None if timed.first_s is None else timed.first_s - timed.started_s,
        whole_s=timed.whole_s,
        peak_mib=group.watch.peak_mib or None,
        peak_gpu_mib=group.watch.gpus.peak_mib,
        processor_s=group.watch.between(timed.began_s, timed.ended_s),
    )


def _told(done: Round) -> str:
    if done.error or done.pairs_per_s is None:
        return f"failed: {done.error}"
    started = f", first pair after {done.start_up_s:.0f} s" if done.start_up_s is not None else ""
    return f"{done.pairs_per_s:,.1f} pairs/s{started}"


def _facts(model: ModelInfo) -> dict[str, Any]:
    return {"family": model.family, "max_length": model.max_length, "weights_digest": model.digest}


def _local(model: ModelInfo) -> str:
    """The folder of the model's config.json, wherever the hub's client keeps it."""
    if Path(model.path).is_dir():
        return model.path
    from huggingface_hub import hf_hub_download

    return str(Path(hf_hub_download(model.path, "config.json", revision=model.revision)).parent)
