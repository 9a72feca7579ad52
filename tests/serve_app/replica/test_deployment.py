"""A replica answers a job only where both mean the same by a score."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.replica.deployment import RerankReplica, load_engine
from stages.core.errors import IdentityError
from stages.core.identity import parse_identity
from stages.core.records import PairScore, TimedScores
from tests.stages.core.test_identity import IDENTITY

PAIRS = [PairScore(0.5)]


def replica() -> Any:
    """One whose engine stands there already: making it would start one."""

    async def score(query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        return PAIRS

    async def score_timed(query: str, documents: Sequence[str], *_: Any, **__: Any) -> TimedScores:
        return TimedScores(PAIRS, 0.0, 0.0, 0.0)

    made = RerankReplica.__new__(RerankReplica)
    made._name = "r1"
    made._engine = SimpleNamespace(identity=IDENTITY, score=score, score_timed=score_timed, shutdown=lambda: None)
    return made


@pytest.mark.parametrize("identity", [None, IDENTITY.digest])
def test_who_asks_for_no_identity_or_the_engines_own_is_answered(identity: str | None) -> None:
    assert asyncio.run(replica().score("q", ["d"], None, identity)) == PAIRS
    assert asyncio.run(replica().score_online("q", ["d"], None, None, identity)).pairs == PAIRS


def test_who_asks_for_another_is_refused() -> None:
    for call in (replica().score("q", ["d"], None, "other"), replica().score_online("q", ["d"], None, None, "other")):
        with pytest.raises(IdentityError, match=f"replica r1 scores as {IDENTITY.digest}, the job as other"):
            asyncio.run(call)


def test_a_replica_without_a_gpu_of_its_own_leaves_those_of_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    kind, versions = load_engine("transformers", ["1"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1", "Ray has set it"
    assert load_engine("transformers", []) == (kind, versions)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert (kind.__name__, versions.keys()) == ("TransformersEngine", {"transformers", "torch"})


def test_a_replica_tells_what_decides_its_scores() -> None:
    told = asyncio.run(replica().identity())
    assert told == asdict(IDENTITY)
    assert parse_identity(told) == IDENTITY
