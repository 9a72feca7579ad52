"""The measurements of a diagnosis: watch the service at work, put it under pressure, do the same without vLLM."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base.config import ServeConfig
from pipelines.direct.prompts import Pair
from pipelines.direct.scorer import DirectScorer
from pipelines.service.diagnose.machine.watch import MachineWatch
from pipelines.service.load.payload_shape import ShapePayloads, parse_shape
from pipelines.service.load.plan import LoadPlan
from pipelines.service.load.run import WAS_INTERRUPTED, run_load
from pipelines.service.scrape import between, look_at, since_start
from pipelines.service.target import Target
from serve_app.engine.models import describe
from stages.core.errors import InterruptedRunError
from stages.diagnosis.direct import SideBySide
from stages.telemetry.load import LoadResult
from stages.telemetry.machine import Machine
from stages.telemetry.traffic import Traffic

# Does anybody ask? So long is looked before the command sends something itself.
GLANCE_S = 3.0
PROBE_CLIENTS = 8
STEP_S, WARM_UP_S, PRESSURE_S = 3.0, 1.0, 16.0
DIRECT_S = 5.0
# Coarser than `rerank-eval verify` measures it: here a difference is to show that something is wrong, not what.
TOLERANCE = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 2e-2}
# Requests that scores are compared on; that Transformers takes at once (batches are made of all); that it gets at most.
COMPARED, GROUP, MOST_REQUESTS = 2, 4, 64


@dataclass(frozen=True, slots=True)
class Worked:
    """The service at work: `traffic` while it was watched; `asked` the requests that tell what its callers send, never
    a probe's; `machine` is None where the service is not on this one. `words` say whether a probe was watched.
    """

    traffic: Traffic
    asked: Traffic
    machine: Machine | None
    probed: bool
    words: str


def watch_work(target: Target, seconds: float, probe: str | None, config: ServeConfig | None) -> Worked:
    """Watch its own traffic, or `probe` (a shape) where it has none and one may be sent.

    Raises ConfigError for what is no shape, EngineError where the service does not answer.
    """
    payloads = _payloads(probe) if probe is not None else None
    before = look_at(target)
    time.sleep(GLANCE_S)
    first = look_at(target)
    own = not between(before, first).idle
    watch = MachineWatch(target.port, _weights(config)) if target.is_local else None
    with watch or nullcontext():
        if own or payloads is None:
            time.sleep(seconds)
            words = f"Its own traffic was watched for {seconds:.0f} s." if own else "It had no traffic; none was sent."
        else:
            held = LoadPlan(start=PROBE_CLIENTS, highest=PROBE_CLIENTS, step_s=seconds, warm_up_s=0, max_s=seconds)
            _under_load(target, payloads, held)
            words = f"It had no traffic; {PROBE_CLIENTS} clients sent a probe for {seconds:.0f} s ({payloads.words})."
        last = look_at(target)
    traffic = between(first, last)
    return Worked(traffic, traffic if own else since_start(first), watch.result() if watch else None, not own, words)


def press(target: Target, probe: str) -> LoadResult:
    """A short load test: clients double from one on until the service is saturated."""
    return _under_load(target, _payloads(probe), LoadPlan(step_s=STEP_S, warm_up_s=WARM_UP_S, max_s=PRESSURE_S))


def side_by_side(target: Target, config: ServeConfig, probe: str) -> SideBySide:
    """The same requests through the service, under load, and straight through Transformers with the same weights.

    Raises ConfigError where the model has none, RuntimeError where it does not fit beside the engine.
    """
    dtype = str(target.model().get("dtype") or "float32")
    scorer = DirectScorer(describe(config.model), config.model, dtype)
    held = LoadPlan(start=PROBE_CLIENTS, highest=PROBE_CLIENTS, step_s=DIRECT_S, warm_up_s=WARM_UP_S, max_s=DIRECT_S)
    payloads = _payloads(probe)
    served = _under_load(target, payloads, held).steps[0]
    requests = [json.loads(payloads.take(None).body) for _ in range(MOST_REQUESTS)]
    differences = [one for request in requests[:COMPARED] for one in _differences(target, scorer, request)]
    pairs, seconds = _timed(scorer, requests)
    return SideBySide(
        pairs,
        served.pairs_per_s,
        pairs / seconds,
        max(differences, default=None),
        TOLERANCE.get(dtype, max(TOLERANCE.values())),
    )


def _under_load(target: Target, payloads: ShapePayloads, plan: LoadPlan) -> LoadResult:
    """Raises InterruptedRunError where a load test alone would end with what it has: a diagnosis of a part is none."""
    result = run_load(target, payloads, plan)
    if result.ended == WAS_INTERRUPTED:
        raise InterruptedRunError("interrupted: nothing is left of the diagnosis")
    return result


def _payloads(probe: str) -> ShapePayloads:
    return ShapePayloads(parse_shape(probe))


def _weights(config: ServeConfig | None) -> Path | None:
    """The model's folder on this machine, where it is one."""
    if config is None:
        return None
    path = Path(describe(config.model).path)
    return path if path.is_dir() else None


def _differences(target: Target, scorer: DirectScorer, request: dict[str, Any]) -> Iterator[float]:
    """Of each pair that both could score."""
    direct = scorer.score(request["query"], request["documents"])
    for one in target.rerank(request["query"], request["documents"])["results"]:
        expected = direct[one["index"]].score
        if expected is not None:
            yield abs(one["relevance_score"] - expected)


def _timed(scorer: DirectScorer, requests: list[dict[str, Any]]) -> tuple[int, float]:
    """(pairs, seconds) of Transformers over requests in groups, as long as DIRECT_S; the model is warm by then."""
    began_s, pairs = time.perf_counter(), 0
    for start in range(0, len(requests), GROUP):
        group = requests[start : start + GROUP]
        made = [Pair(one["query"], text, None) for one in group for text in one["documents"]]
        scorer.score_all(made)
        pairs += len(made)
        if time.perf_counter() - began_s > DIRECT_S:
            break
    return pairs, time.perf_counter() - began_s
