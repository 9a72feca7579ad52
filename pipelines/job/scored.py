"""What hops 1 to 6 leave of a job, or of a stage of a cascade, for hop 7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.job.prepare import Prepared
from pipelines.job.progress import StreamResult
from pipelines.job.summary import Coverage
from serve_app.engine.canaries import CanaryDrift
from serve_app.engine.models import ModelInfo
from serve_app.replica.facts import engine_fact
from stages.analysis.cost import RunWork
from stages.analysis.position import PositionCheck
from stages.core.identity import ScoringIdentity
from stages.quality.slices import Groups


@dataclass(frozen=True, slots=True)
class Scored:
    """Hops 1 to 6 of one job: the data, what streaming it took, and what each engine said of itself.

    `canaries_passed` and `position` are None where no engine was asked, `canary_drift` where no score is known.
    `slices` are the user's groups of the queries.
    """

    config: RunConfig
    started: datetime
    model: ModelInfo
    identity: ScoringIdentity
    dataset: str
    prepared: Prepared
    streamed: StreamResult
    engines: list[dict[str, Any]]
    canaries_passed: bool | None = None
    canary_drift: CanaryDrift | None = None
    position: PositionCheck | None = None
    hosted: Mapping[str, Any] | None = None
    slices: Groups = field(default_factory=dict)

    @property
    def dtype(self) -> str | None:
        """A replica that is starting has not said its dtype yet; one that died before the last ranking may have."""
        told: str | None = engine_fact(self.engines, "dtype")
        return told


def work_of(coverage: Coverage, scored: Scored) -> RunWork:
    """What the job did with the model, or with that of one stage."""
    streamed = scored.streamed
    held = held_s(scored.engines, streamed.started_s, streamed.started_s + streamed.wall_s)
    return RunWork(
        queries=coverage.queries,
        pairs=coverage.pairs,
        scored_pairs=coverage.scored_pairs,
        prompt_tokens=coverage.prompt_tokens,
        engine_s=None if scored.hosted else held if scored.engines else streamed.wall_s,
        billed=scored.hosted["cost"] if scored.hosted else None,
        billed_besides=(scored.hosted["recheck_cost"] or 0.0) if scored.hosted else 0.0,
    )


def held_s(engines: Sequence[Mapping[str, Any]], began_s: float, ended_s: float) -> float:
    """The seconds for which engines were held between two moments (Unix s), of all of them added up: one that died and
    the one that took its place count for as long as each lasted, from the start of its process.
    """
    lasted = [min(one["ended_s"] or ended_s, ended_s) - max(one["began_s"], began_s) for one in engines]
    return sum((max(seconds, 0.0) for seconds in lasted), 0.0)
