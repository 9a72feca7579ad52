"""What decides the results of a point: those of an earlier try stand for it only where all of that is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from functools import cache
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.base.redaction import redacted
from pipelines.job.hosted_forecast import oldest_used_s
from pipelines.job.judging import Judging
from pipelines.job.prepare import WHOLE, candidates_digests
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from serve_app.engine.identity import foresee_identity
from serve_app.engine.models import describe
from stages.core.errors import EngineError, InputError
from stages.core.identity import ScoringIdentity
from stages.core.metrics import Metrics
from stages.quality.has_answer import Match
from stages.sources import DataSettings, open_source


@dataclass(frozen=True, slots=True)
class PointKey:
    """`candidates` are digests: of the job's (under WHOLE) and, by name, of those of each of several first stages.
    `judgements` is None where nothing is judged; `scoring` is the scoring identity, but for what is found only where an
    engine runs; `aged` whether it is of a hosted model and older than its scores may be.
    """

    config: str
    candidates: Mapping[str, str]
    judgements: str | None
    scoring: tuple[Any, ...]
    aged: bool = False

    def changed(self, now: PointKey) -> str | None:
        """In what results of this key are not those of now, in words; None where they are."""
        told = [CHANGES[one.name] for one in fields(self) if getattr(self, one.name) != getattr(now, one.name)]
        return " and ".join(told) or None


# What the config asks for of these stands in it, and what it came to is the engine's to tell; `digest` is of all.
FOUND = ("device", "dtype", "digest")
CHANGES = {
    "config": "its settings changed (or what rerank-eval knows of settings)",
    "candidates": "its data was edited",
    "judgements": "its judgements were edited",
    "scoring": "what decides its scores changed",
    "aged": "it is older than rerank.store_days lets a hosted model's scores be",
}


def key_of_run(run: RunFolder) -> PointKey:
    """Of a finished run. Raises DataError where its metrics.json cannot be read."""
    metrics, parts = read_metrics(run), {child.path.name: read_metrics(child) for child in run.children()}
    return PointKey(
        config=metrics["config_digest"],
        candidates={name: part["candidates_digest"] for name, part in {WHOLE: metrics, **parts}.items()},
        judgements=metrics.get("judgements_digest"),
        scoring=scoring_of_run(metrics),
    )


def keys_of_now() -> Callable[[RunConfig], PointKey | None]:
    """What a run of a config would have now; None where its data or model cannot be read, or the server of a hosted one
    does not answer. Data are read once, and each server asked once.
    """
    known: dict[str, tuple[Any, ...] | None] = {}

    @cache
    def of_data(section: str, match: Match) -> tuple[dict[str, str], str | None]:
        data = DataSettings.model_validate_json(section)
        source = open_source(data)
        judging = Judging(source, match, lambda _: None)
        candidates = candidates_digests(source, data.depth, judging.see)
        judgements = judging.judgements
        return candidates, judgements.digest if judgements else None

    def of_model(config: RunConfig) -> tuple[Any, ...] | None:
        asked = config.model_dump_json(include={"model", "engine", "hosted", "rerank"})
        if asked not in known:
            try:
                known[asked] = scoring_of_now(config)
            except (InputError, EngineError):
                known[asked] = None
        return known[asked]

    def now(config: RunConfig) -> PointKey | None:
        try:
            candidates, judgements = of_data(config.data.model_dump_json(), config.answers.match)
        except InputError:
            return None
        scoring = of_model(config)
        return None if scoring is None else PointKey(config.digest, candidates, judgements, scoring)

    return now


def key_in_time(run: RunFolder, key: PointKey, config: RunConfig) -> PointKey:
    """The key of a run of this config, with whether it is too old."""
    started = read_metrics(run).get("started")
    if started is None or all(one.model.api is None for one in config.stages()):
        return key
    return replace(key, aged=datetime.fromisoformat(started).timestamp() < oldest_used_s(config))


def scoring_of_run(metrics: Metrics) -> tuple[Any, ...]:
    """What decided the scores of a finished run; nothing of one of rerank-eval 0.1.0, which did not tell."""
    if stages := metrics.get("stages"):
        return tuple(_foretold(one["identity"]) for one in stages)
    return _foretold(metrics.get("identity") or {})


def scoring_of_now(config: RunConfig) -> tuple[Any, ...]:
    """The same of a run that would start now. Raises ConfigError where there is no such model, EngineError where a
    hosted one does not answer.
    """
    if config.rerank.stages is not None:
        return tuple(map(scoring_of_now, config.stages()))
    if config.model.api is None:
        identity = foresee_identity(describe(config.model, config.engine.backend), config.model, config.engine, "cpu")
    else:
        identity = _identity_told(config)
    return _foretold(redacted(asdict(identity)))


def _identity_told(config: RunConfig) -> ScoringIdentity:
    from pipelines.job.inquiry import Inquiry  # an HTTP client

    inquiry = Inquiry(config).ask()
    if inquiry.fault:
        raise inquiry.fault
    return inquiry.identity()


def _foretold(identity: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((name, value) for name, value in sorted(identity.items()) if name not in FOUND)
