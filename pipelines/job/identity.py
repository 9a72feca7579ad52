"""What decides a job's scores: foreseen before an engine runs, and held against what the engine tells of itself."""

from __future__ import annotations

import platform
from dataclasses import asdict, replace

from pipelines.base.config import RunConfig, ServeConfig
from pipelines.job.device import cluster_address, cluster_device, known_device, names_this_machine
from serve_app.engine.identity import foresee_identity
from serve_app.engine.models import ModelInfo
from serve_app.settings import OVERLAP
from stages.core.errors import ConfigError
from stages.core.identity import Difference, ScoringIdentity, differences, read_key
from stages.store.store import StoredScoring

# Where a field of the identity is set.
SET_BY = {
    "model": "model.name and model.revision",
    "family": "model.family",
    "recipe": "model.recipe",
    "template": "model.template",
    "instruction": "model.instruction",
    "max_length": "model.max_length",
    "long_documents": "model.long_documents",
    "device": "serve.gpus_per_replica",
    "backend": "engine.backend",
    "dtype": "engine.dtype",
}
# What no job asks for: it is as it is where the engine runs.
FOUND = ("device", "dtype", "vllm", "transformers", "tokenizers")


def foresee(model: ModelInfo, config: RunConfig | ServeConfig) -> ScoringIdentity:
    """What an engine will tell that runs where this process does, as far as that can be known before. Asks the
    connected cluster where neither the config nor this machine tells its device.
    """
    device = "cpu" if model.family == OVERLAP else known_device(config.serve) or cluster_device()
    return foresee_identity(model, config.model, config.engine, device)


def place_key(model: ModelInfo, config: RunConfig) -> str | None:
    """What the identity that an engine of a cluster told is remembered by, for jobs that are not connected to it; None
    where none has to be asked.
    """
    address = cluster_address(config.serve)
    if model.recipe is None or config.serve.gpus_per_replica is not None or address is None:
        return None
    there = foresee_identity(model, config.model, config.engine, "cpu")
    if names_this_machine(address):
        address = f"{address} of {platform.node()}"
    return replace(there, device=f"as at {address}", dtype=config.engine.dtype).key


def require_as_asked(
    foreseen: ScoringIdentity, told: ScoringIdentity, config: RunConfig | ServeConfig, application: str
) -> None:
    """Raises ConfigError, with the first difference, where an engine does not score as the config says.

    Versions, and what `auto` comes to, are no wish of the config's: the job takes them as the engine tells them.
    """
    asked = [one for one in differences(asdict(foreseen), asdict(told)) if _is_asked(one, config)]
    if not asked:
        return
    first = asked[0]
    setting = SET_BY.get(first.name, first.name.replace("settings.", "engine.extra."))
    if first.name == "scoring_version":
        mend = "Start the application again with this version of rerank-eval"
    elif config.serve.application:
        mend = f"Set {setting} as the application has it, or leave serve.application out: then the job starts its own"
    else:
        mend = f"See that each node has the same files and settings ({setting}), or stop the application"
    raise ConfigError(
        f"application {application} scores otherwise than this config asks for: {first.words} "
        f"(the config's first). {mend}"
    )


def told_anew(foreseen: ScoringIdentity, told: ScoringIdentity) -> str | None:
    """One line where an engine turned out another than this machine would have; None where it did not."""
    found = differences(asdict(foreseen), asdict(told))
    if not found:
        return None
    return (
        f"the engine is not as foreseen: {_listed(found)} (the engine's second). Scores are kept under what the engine "
        "tells, and the next job foresees that"
    )


def unused_scores(scorings: list[StoredScoring], identity: ScoringIdentity) -> list[str]:
    """A line for each kind of stored scores that a user might expect to be used, and that are not."""
    lines = []
    before = sum(one.scores for one in scorings if one.before)
    if before:
        lines.append(
            f"{before:,} scores of rerank-eval 0.1.0 are not used: what decided them was not recorded in full. "
            "`rerank-eval scores export` reads them"
        )
    if any(one.identity == identity.key for one in scorings):
        return lines
    for one in sorted(scorings, key=lambda one: one.newest_s, reverse=True):
        earlier = read_key(one.identity)
        found = differences(asdict(earlier), asdict(identity)) if earlier else []
        if found and all(difference.name in FOUND for difference in found):
            return [*lines, f"{one.scores:,} scores are not used: {_listed(found)} (this job's second)"]
    return lines


def _is_asked(difference: Difference, config: RunConfig | ServeConfig) -> bool:
    if difference.name == "dtype":
        return config.engine.dtype != "auto"
    if difference.name == "device":
        return config.serve.gpus_per_replica is not None
    return difference.name not in FOUND


def _listed(found: list[Difference]) -> str:
    return ", ".join(one.words for one in found)
