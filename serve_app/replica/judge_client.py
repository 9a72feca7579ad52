"""A judge over a Serve handle, as patient and wary as a scorer."""

from __future__ import annotations

from collections.abc import Sequence

from serve_app.replica.client import Answer, PatientCaller
from stages.core.grades import Reply
from stages.core.records import Asked
from stages.core.scoring import required


class ServedJudge(PatientCaller[Reply]):
    """`identity` is the digest of a JudgeIdentity."""

    work = "judge"

    async def grade(self, query: str, documents: Sequence[str]) -> list[Reply]:
        """What the judge says of each document, in order; of a pair that cannot be judged, why.

        Raises EngineError where no replica answered in time or every call kills the engine, IdentityError where the one
        that answered judges otherwise.
        """
        (outcome,) = await self.ask_batch([Asked(query, tuple(documents))])
        return required(outcome)

    async def _call(self, batch: Sequence[Asked]) -> Sequence[Answer[Reply]]:
        answers: list[Answer[Reply]] = await self.handle.grade_batch.remote(list(batch), self.identity)
        return answers

    def _fault(self, reason: str) -> Reply:
        return Reply(error=reason)
