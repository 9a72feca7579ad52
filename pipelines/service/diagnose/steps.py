"""The measurements of a diagnosis: watch the service at work, put it under pressure, do the same without vLLM."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
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
from pipelines.service.tolerance import CALIBRATION_PAIRS, DTYPES, Tolerance, measured_tolerance, require_second_path
from serve_app.engine.models import describe
from stages.core.errors import ConfigError, InterruptedRunError
from stages.diagnosis.direct import SideBySide
from stages.quality.agreement import Agreement, agreement
from stages.telemetry.load import LoadResult
from stages.telemetry.machine import Machine
from stages.telemetry.traffic import Traffic

# Does anybody ask? So long is looked before the command sends something itself.
GLANCE_S = 3.0
PROBE_CLIENTS = 8
STEP_S, WARM_UP_S, PRESSURE_S = 3.0, 1.0, 16.0
DIRECT_S = 5.0
# Requests that Transformers takes at once (batches are made of all), and that it gets at most.
GROUP, MOST_REQUESTS = 4, 64


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

    Speed is compared in the service's own dtype, scores with float32. Raises ConfigError where the model has no
    weights, nobody says the dtype, or the service computes with Transformers too; RuntimeError where the model does not
    fit beside the engine.
    """
    require_second_path(config.engine.backend, config.model.long_documents)
    scorer = DirectScorer(describe(config.model, config.engine.backend), config.model, _dtype(target, config))
    held = LoadPlan(start=PROBE_CLIENTS, highest=PROBE_CLIENTS, step_s=DIRECT_S, warm_up_s=WARM_UP_S, max_s=DIRECT_S)
    payloads = _payloads(probe)
    served = _under_load(target, payloads, held).steps[0]
    requests = [json.loads(payloads.take(None).body) for _ in range(MOST_REQUESTS)]
    scores, tolerance = _compared(target, config, scorer, requests)
    pairs, seconds = _timed(scorer, requests)
    return SideBySide(pairs, served.pairs_per_s, pairs / seconds, scores, tolerance.value, tolerance.origin)


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
    path = Path(describe(config.model, config.engine.backend).path)
    return path if path.is_dir() else None


def _dtype(target: Target, config: ServeConfig) -> str:
    """What the service says that it computes in, else what its config sets."""
    for dtype in (target.model().get("dtype"), config.engine.dtype):
        if dtype in DTYPES:
            return str(dtype)
    raise ConfigError("the service does not say in which dtype it computes; set engine.dtype in the config")


def _compared(
    target: Target, config: ServeConfig, scorer: DirectScorer, requests: Sequence[dict[str, Any]]
) -> tuple[Agreement | None, Tolerance]:
    """How far the service's scores are from float32, and how far they may be; the scorer's dtype is the service's."""
    some: list[dict[str, Any]] = []
    while len(some) < len(requests) and sum(len(one["documents"]) for one in some) < CALIBRATION_PAIRS:
        some.append(requests[len(some)])
    exact = (
        scorer
        if scorer.dtype == "float32"
        else DirectScorer(describe(config.model, config.engine.backend), config.model)
    )
    pairs = [pair for one in some for pair in _pairs(one)]
    direct = [pair.score for pair in exact.score_all(pairs)]
    tolerance = measured_tolerance(scorer.dtype, pairs, direct, lambda _: scorer)
    served = [score for one in some for score in _served(target, one)]
    probabilities = exact.family != "embedding"
    queries = [pair.query for pair in pairs]
    return agreement(queries, served, direct, tolerance.value, probabilities=probabilities), tolerance


def _served(target: Target, request: Mapping[str, Any]) -> list[float | None]:
    """The service's score of each document; None where it gives none."""
    answer = target.rerank(request["query"], request["documents"])
    scores = {one["index"]: one["relevance_score"] for one in answer["results"]}
    return [scores.get(place) for place in range(len(request["documents"]))]


def _pairs(request: Mapping[str, Any]) -> list[Pair]:
    return [Pair(request["query"], text, None) for text in request["documents"]]


def _timed(scorer: DirectScorer, requests: list[dict[str, Any]]) -> tuple[int, float]:
    """(pairs, seconds) of Transformers over requests in groups, as long as DIRECT_S; the model is warm by then."""
    began_s, pairs = time.perf_counter(), 0
    for start in range(0, len(requests), GROUP):
        group = requests[start : start + GROUP]
        made = [pair for one in group for pair in _pairs(one)]
        scorer.score_all(made)
        pairs += len(made)
        if time.perf_counter() - began_s > DIRECT_S:
            break
    return pairs, time.perf_counter() - began_s
