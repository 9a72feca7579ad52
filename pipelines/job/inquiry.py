"""What the server of a hosted model says of itself, asked before it is asked for scores."""

from __future__ import annotations

from typing import Any

from pipelines.base.config import RunConfig
from pipelines.hosted.client import HostedScorer
from pipelines.hosted.endpoint import endpoint_of, identity_of, limited, told_by
from pipelines.hosted.meter import Meter
from pipelines.job.hosted_stream import in_a_thread
from stages.core.errors import EngineError
from stages.core.identity import ScoringIdentity


class Inquiry:
    """`ask` once; then `endpoint` has the server's own limits, `told` what may decide a score. `fault` is why it does
    not say; nothing is wrong with one that says nothing.
    """

    def __init__(self, config: RunConfig) -> None:
        self.endpoint = endpoint_of(config.model)
        self.told: dict[str, Any] = {}
        self.fault: EngineError | None = None
        self._config = config
        self._scorer: HostedScorer | None = None

    def ask(self) -> Inquiry:
        """Raises EngineError where it says that it cannot be used."""
        answers = in_a_thread(self._answers) if self.endpoint.told_at else {}
        self.told = told_by(self.endpoint, answers)
        self.endpoint = limited(self.endpoint, answers)
        return self

    def phase(self) -> str:
        """What is waited for, in a few words."""
        return self._scorer.waits.told() if self._scorer else "nothing"

    def identity(self) -> ScoringIdentity:
        return identity_of(self.endpoint, self._config.model.instruction, self.told)

    def foreseen(self) -> ScoringIdentity:
        """As it can be known without asking."""
        return identity_of(self.endpoint, self._config.model.instruction, {})

    async def _answers(self) -> dict[str, Any]:
        settings = self._config.hosted
        async with HostedScorer(self.endpoint, settings, Meter(self.endpoint.shape, settings)) as self._scorer:
            try:
                return await self._scorer.tell()
            except EngineError as error:
                self.fault = error
                return {}
