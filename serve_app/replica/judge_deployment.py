"""The Serve replica of a judge: an actor that hosts one engine and says of pairs what its model says."""

from __future__ import annotations

from collections.abc import Sequence

from serve_app.engine.judge_model import JudgeModel
from serve_app.judge_settings import JudgeModelSettings
from serve_app.replica.hosting import EngineReplica, Making, Place
from serve_app.settings import EngineSettings
from stages.core.errors import ScoringError
from stages.core.grades import Reply
from stages.core.judge_prompt import JudgePrompt
from stages.core.records import Asked
from stages.core.scoring import score_each


class JudgeReplica(EngineReplica):
    """Hosts one engine that judges."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        model: JudgeModel,
        settings: JudgeModelSettings,
        prompt: JudgePrompt,
        engine: EngineSettings,
        max_text_chars: int,
        place: Place,
    ) -> None:
        def load(_: Sequence[str]) -> tuple[Making, dict[str, str]]:
            from serve_app.engine import judge

            return (
                lambda name, tell: judge.JudgeEngine(model, settings, prompt, engine, name, max_text_chars, tell),
                judge.VERSIONS,
            )

        await self._host(engine, place, load)

    async def grade_batch(
        self, batch: Sequence[Asked], identity: str | None = None
    ) -> list[list[Reply] | ScoringError]:
        """Queries and their documents -> what comes of each. Cancelling the call frees its work in the engine.

        Raises IdentityError where `identity` is given, and is not the digest of this engine's.
        """
        self._require(identity)
        with self._working():
            return await score_each(self._grade, batch)

    async def _grade(self, query: str, documents: Sequence[str], _: str | None) -> list[Reply]:
        async with self._places:
            replies: list[Reply] = await self._engine.grade(query, documents)
            return replies
