"""How fast an engine like a config's was when it was last measured: read from the finished runs in output.dir."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from pipelines.base.config import RunConfig
from pipelines.base.environment import describe_hardware
from pipelines.base.redaction import redacted
from pipelines.runs.config import read_config, section
from pipelines.runs.folder import STAGES, RunFolder
from pipelines.runs.read import moment, read_metrics
from serve_app.settings import DeploymentSettings, EngineSettings
from stages.core.errors import RerankEvalError
from stages.core.identity import ScoringIdentity
from stages.core.metrics import Metrics
from stages.speed.forecast import Load

# What of an identity makes an engine faster or slower. Prompts and limits do too, and show in the tokens; versions may,
# but a forecast from the version before is better than none.
DECIDE_SPEED = ("model", "family", "recipe", "backend", "device", "dtype", "long_documents", "settings")
DEPLOYED = ("replicas", "max_replicas", "gpus_per_replica", "accelerator_type")
# Fewer measure how a job begins and ends.
LEAST_PAIRS = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished run: what it scored, in how many seconds, and how long after its start the first engine was ready
    (None: it found one running). `device` is the engine's, as the driver calls it.
    """

    run_id: str
    load: Load
    wall_s: float
    start_s: float | None
    device: str | None

    @property
    def pairs_per_s(self) -> float:
        return self.load.pairs / self.wall_s


def last_measured(
    config: RunConfig, identity: ScoringIdentity, before: datetime | None = None, *, any_device: bool = False
) -> Measured | None:
    """The newest run of the same model, engine settings, replicas and kind of machine that began `before`; None where
    there is none. `any_device`: where the engine will run is not known here.
    """
    dated = [
        (started, folder, metrics)
        for folder, metrics in _runs(Path(config.output.dir))
        if (started := moment(metrics.get("started"))) and (before is None or started < before)
    ]
    for started, folder, metrics in sorted(dated, key=lambda one: one[0], reverse=True):
        if _is_of(identity, metrics, any_device) and (load := load_of(metrics)) and _set_alike(folder, config):
            return _measured(started, folder, metrics, load)
    return None


def load_of(metrics: Metrics) -> Load | None:
    """What the engine read in a run; None where that is too little to measure it by, or of one of several first stages.

    Of an embedding model the documents count whose vectors were not known; a version before them told none.
    """
    pairs, tokens = metrics["throughput"]["scored_pairs"] or 0, metrics["tokens"]["prompt"] or 0
    reused = cast("Mapping[str, Any]", metrics["cache"]).get("reused_vectors")
    texts = None if reused is None else pairs - reused
    if not metrics["throughput"]["wall_s"] or (pairs if texts is None else texts) < LEAST_PAIRS:
        return None
    return Load(pairs, tokens / (pairs if texts is None else texts) or None, texts)


def _runs(parent: Path) -> Iterable[tuple[RunFolder, Metrics]]:
    """Those that can be read, and the stages of cascades; `latest` is one of them already."""
    files = (*parent.glob("*/metrics.json"), *parent.glob(f"*/{STAGES}/*/metrics.json"))
    for file in files:
        if not (parent / file.relative_to(parent).parts[0]).is_symlink():
            folder = RunFolder(file.parent)
            try:
                yield folder, read_metrics(folder)
            except RerankEvalError:
                continue  # another command's business: here it is no measurement


def _is_of(identity: ScoringIdentity, metrics: Metrics, any_device: bool) -> bool:
    mine: Mapping[str, Any] = redacted(asdict(identity))
    theirs = cast("Mapping[str, Any]", metrics.get("identity") or {})
    left_out = ("device", "dtype") if any_device else ()
    return all(name in theirs and mine[name] == theirs[name] for name in DECIDE_SPEED if name not in left_out)


def _set_alike(folder: RunFolder, config: RunConfig) -> bool:
    """By its config, and the machine that it was started on."""
    try:
        told = read_config(folder.config)
        engine = EngineSettings.model_validate(dict(section(told, "engine")))
        serve = DeploymentSettings.model_validate(dict(section(told, "serve")))
        hardware = json.loads(folder.environment.read_text(encoding="utf-8"))["hardware"]
    except (RerankEvalError, ValidationError, OSError, ValueError, KeyError, TypeError):
        return False  # of a version with other settings
    here = describe_hardware()
    return (
        redacted(engine.model_dump()) == redacted(config.engine.model_dump())
        and all(getattr(serve, name) == getattr(config.serve, name) for name in DEPLOYED)
        and all(hardware.get(name) == here[name] for name in ("processor", "cores"))
    )


def _measured(started: datetime, folder: RunFolder, metrics: Metrics, load: Load) -> Measured:
    engines = json.loads(folder.environment.read_text(encoding="utf-8")).get("engines") or []
    ready_s = min((one["ready_s"] for one in engines if "ready_s" in one), default=0.0)
    return Measured(
        metrics["run_id"],
        load,
        metrics["throughput"]["wall_s"] or 0.0,
        # A further stage's engine starts long after the job.
        ready_s - started.timestamp() if ready_s > started.timestamp() and metrics.get("stage", 1) == 1 else None,
        next((one["device"] for one in engines if "device" in one), None),
    )
