"""The stand-in for a model, in this very process: a job that needs no engine needs no Ray either."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from pipelines.job.device import cluster_address, in_cluster
from serve_app.engine.models import ModelInfo
from serve_app.settings import OVERLAP, DeploymentSettings
from stages.core.identity import ScoringIdentity
from stages.core.records import Candidates, PairScore
from stages.core.scoring import OverlapScorer, Scorer
from stages.store.scorer import Store, StoredScorer


def scores_here(model: ModelInfo, serve: DeploymentSettings) -> bool:
    """Whether the stand-in scores, and no cluster is there or named for it: on one it is fed as an engine is."""
    return model.family == OVERLAP and not in_cluster() and cluster_address(serve) is None


def stand_in_scores(
    candidates: Candidates, store: Store[PairScore] | None, identity: ScoringIdentity
) -> list[PairScore]:
    """One score for each candidate; what the store lacks is kept there."""
    scorer: Scorer = OverlapScorer()
    if store is not None:
        scorer = StoredScorer(scorer, store, identity.key, OVERLAP)
    asked = scorer.score(candidates.query, candidates.texts, candidates.instruction)
    with ThreadPoolExecutor(1) as own:  # a notebook's thread has an event loop that runs
        return own.submit(lambda: asyncio.run(asked)).result()
