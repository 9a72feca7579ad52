"""What a job will read, how long it will take and what that costs, before it runs; and how far off that was, after."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.job.device import known_device, local_gpus
from pipelines.job.known_vectors import KnownVectors
from pipelines.job.rates import Measured, last_measured, load_of
from pipelines.job.sampled import Sampled, sampled
from pipelines.job.tokenizing import count_tokens
from pipelines.job.workload import KnownScores, Workload
from pipelines.runs.read import moment
from serve_app.engine.models import ModelInfo, model_config, plain_model
from serve_app.settings import HOSTED, OVERLAP
from stages.core.errors import ConfigError
from stages.core.identity import ScoringIdentity
from stages.core.metrics import Metrics
from stages.speed.arithmetic import (
    ASSUMED_UTILIZATION,
    GPU_TFLOPS,
    known_gpu,
    seconds_on,
    shape_of,
)
from stages.speed.forecast import Load, error, scoring_s

# Tokens of a block of the prefix cache, of which whole ones are shared, where the config says none.
BLOCK = {"cpu": 32, "cuda": 16}
# Of a text that is cut, about as many characters as make a token are read.
CHARS_PER_TOKEN = 8


class Forecaster:
    """Sees every candidate of a job, then tells. Without Ray, torch or an engine.

    `gpu` names the kind whose arithmetic is told, instead of what was measured; where nothing was it is that of the
    config's accelerator_type. Raises ConfigError for an unknown one.
    """

    def __init__(self, config: RunConfig, model: ModelInfo, gpu: str | None = None) -> None:
        self.config, self.model = config, model
        self.asked_gpu = known_gpu(gpu) if gpu else None
        self.gpu = self.asked_gpu or _gpu_of(config)
        self.device, self.any_device = ("cuda", False) if gpu else foreseen_device(config, model)
        self.remarks: list[str] = []
        self.work = Workload(model.recipe.kind if model.recipe else None)
        self._known = self._known_scores()
        self._vectors = KnownVectors(config.rerank, self._known.identity) if self._known else None

    def add(self, candidates: Any) -> None:
        new = self._known.new(candidates) if self._known else candidates.texts
        self.work.add(candidates, new, self._vectors.among(new) if self._vectors else ())

    def tell(self) -> dict[str, Any]:
        """As JSON; what is not known is null, and `remarks` says why."""
        if self._known and self._vectors:
            self._known.close()
            self._vectors.close()
            self.remarks += filter(None, (self._known.note, self._vectors.note))
            if self.any_device and self.config.rerank.store is not None:
                self.remarks.append(
                    f"what is stored is told for engines on {self.device}, as far as this machine can tell: the job "
                    "asks its Ray. serve.gpus_per_replica says it beforehand"
                )
        tokens = self._tokens() if self.work.new else None
        time = self._time(tokens)
        return {
            "pairs": self.work.pairs,
            "stored_pairs": self.work.stored,
            "new_pairs": self.work.new,
            "texts": self._texts(),
            "tokens": tokens.told() if tokens else None,
            **time,
            **self._money(time),
            "remarks": self.remarks,
        }

    def _known_scores(self) -> KnownScores | None:
        if find_spec("tokenizers") is None:  # as in a light install, which can run no job either
            self.remarks.append("what the score store knows is not told: this install has no engine")
            return None
        from pipelines.job.identity import place_key
        from serve_app.engine.identity import foresee_identity

        foreseen = foresee_identity(self.model, self.config.model, self.config.engine, self.device)
        known = KnownScores(self.config, foreseen, place_key(self.model, self.config) if self.any_device else None)
        if known.told_there:
            self.device, self.any_device = known.identity.device or self.device, False
        return known

    def _texts(self) -> int | None:
        return len(self.work.texts) if self.work.once else None

    def _tokens(self) -> Sampled | None:
        if self.model.recipe is None or self._known is None:
            return None
        settings = self.config.model
        prompts = settings.max_passages if settings.long_documents == "passages" else 1
        drawn = self.work.drawn(CHARS_PER_TOKEN * self.model.max_length * prompts)
        asks = [one.ask for one in (*drawn, *self.work.of_queries.kept)]
        try:
            counted = count_tokens(plain_model(self.model), settings.model_dump(mode="json"), asks)
        except ConfigError as fault:
            hub = "" if Path(self.model.path).is_dir() else ". A dry run downloads no tokenizer; the run does"
            self.remarks.append(f"tokens are not forecast: {fault}{hub}")
            return None
        shares = self.work.kind == "decoder" and self.config.engine.prefix_caching
        block = self.config.engine.block_size or BLOCK[self.device]
        return sampled(self.work, drawn, counted, block if shares else None)

    def _time(self, tokens: Sampled | None) -> dict[str, Any]:
        told: dict[str, Any] = {"scoring_s": None, "start_s": None, "pairs_per_s": None, "measured": None, "gpu": None}
        if not self.work.new:
            return told | {"scoring_s": 0.0, "start_s": 0.0}
        found = None if self.asked_gpu else self._measured()
        if found is None and self.gpu:
            return told | self._by_arithmetic(tokens)
        if found is None:
            self.remarks.append(
                f"time is not forecast: {self.config.output.dir} has no finished run of this model and these engine "
                "settings on a machine like this one. Run once, or name a GPU: --gpu H100"
            )
            return told
        if self._texts() == 0:
            self.remarks.append(
                "time is not forecast: all documents' vectors are kept, and rates are by documents read"
            )
            return told
        load = Load(self.work.new, tokens.mean_tokens if tokens else None, self._texts())
        return told | {
            "scoring_s": scoring_s(load, found.load, found.wall_s),
            "start_s": found.start_s,
            "pairs_per_s": found.pairs_per_s,
            "measured": {"run_id": found.run_id, "device": found.device},
        }

    def _measured(self) -> Measured | None:
        if self._known is None:
            return None
        return last_measured(self.config, self._known.identity, any_device=self.any_device)

    def _by_arithmetic(self, tokens: Sampled | None) -> dict[str, Any]:
        if tokens is None or self.gpu is None or self._known is None:
            self.remarks.append("time is not forecast: the arithmetic takes the tokens, which are not known")
            return {}
        if self._known.identity.dtype == "float32":
            self.remarks.append("time is not forecast: rates of GPUs are those of 16 bits, and engine.dtype is float32")
            return {}
        try:
            flop = tokens.flop(shape_of(model_config(self.model)))
        except ConfigError as fault:
            self.remarks.append(f"time is not forecast: {fault}")
            return {}
        gpus = self.config.serve.replicas * self.config.engine.tensor_parallel
        tflops = GPU_TFLOPS[self.gpu]
        seconds = seconds_on(flop, tflops, gpus)
        gpu = {
            "name": self.gpu,
            "gpus": gpus,
            "tflops": tflops,
            "utilization": ASSUMED_UTILIZATION,
            "flop": flop,
        }
        return {"scoring_s": seconds, "pairs_per_s": self.work.new / seconds, "gpu": gpu}

    def _money(self, time: Mapping[str, Any]) -> dict[str, float | None]:
        """`money` as the report counts it, for scoring; `money_with_start` also for the seconds before that."""
        hourly, scoring, start = self.config.cost.per_hour, time["scoring_s"], time["start_s"]
        if hourly is None or scoring is None:
            return {"per_hour": hourly, "money": None, "money_with_start": None}
        price = self.config.serve.replicas * hourly / 3600
        with_start = None if start is None else (scoring + start) * price
        return {"per_hour": hourly, "money": scoring * price, "money_with_start": with_start}


def _gpu_of(config: RunConfig) -> str | None:
    """That of serve.accelerator_type, where its rate is known."""
    try:
        return known_gpu(config.serve.accelerator_type or "")
    except ConfigError:
        return None


def foreseen_device(config: RunConfig, model: ModelInfo) -> tuple[str, bool]:
    """cpu or cuda, as the job will foresee it; and whether that is a guess by this machine, as the job will ask Ray."""
    known = "cpu" if model.family == OVERLAP else known_device(config.serve)
    return known or ("cuda" if local_gpus() else "cpu"), known is None


def with_forecast(metrics: Metrics, config: RunConfig, identity: ScoringIdentity) -> Metrics:
    """Of a run that is done: with what the rates of the last run before it foretell for the pairs and tokens that it
    read, and how far off that is. Null where there was none, or nothing was scored.
    """
    if identity.family == HOSTED:  # whose pace is that of its limits
        return metrics | {"forecast": {"run": None, "scoring_s": None, "error": None}}
    load, took_s = load_of(metrics), metrics["throughput"]["wall_s"]
    found = last_measured(config, identity, before=moment(metrics.get("started"))) if load else None
    foretold_s = scoring_s(load, found.load, found.wall_s) if load and found else None
    off = error(foretold_s, took_s) if foretold_s is not None and took_s is not None else None
    metrics["forecast"] = {"run": found.run_id if found else None, "scoring_s": foretold_s, "error": off}
    return metrics
