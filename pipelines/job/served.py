"""What of a job's engine needs Ray: the application, and its store and scores as workers reach them.

Imported once there is to be an engine: with Serve and the client that is a second, and some 100 MB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from pipelines.base.cluster import session_logs
from pipelines.base.config import RunConfig
from pipelines.base.logs import copy_process_logs
from pipelines.job.console import JobConsole
from pipelines.job.store_access import StoreAccess, with_store
from pipelines.runs.folder import RunFolder
from serve_app.engine.models import ModelInfo
from serve_app.replica.app import AppSettings, RunningApp, reranker_handle
from serve_app.replica.client import ServedScorer, UrgentScorer
from stages.core.identity import ScoringIdentity
from stages.core.records import PairScore
from stages.core.scoring import Scorer
from stages.store.store import KeyedStore

GIB = 1 << 30

__all__ = ["access_to", "connect_scorer", "keep_logs", "start_app", "urgent_scorer", "with_store"]


def start_app(model: ModelInfo, config: RunConfig) -> RunningApp:
    """The application of these settings, started or found running."""
    return RunningApp(AppSettings(model, config.model, config.engine, config.serve))


def keep_logs(engines: Sequence[Mapping[str, Any]], config: RunConfig, folder: RunFolder, console: JobConsole) -> None:
    """What the engines printed, in the run's folder."""
    if config.output.texts:  # nobody vouches for what other processes print
        copy_process_logs(session_logs(), [facts["process_id"] for facts in engines], folder.logs)
    else:
        console.note(f"the engines' logs stay in {session_logs()}, as output.texts is false")


def access_to(store: KeyedStore[PairScore], identity: ScoringIdentity, model: str, vectors_gib: float) -> StoreAccess:
    """The driver's store, for workers on any node. Vectors of documents may take `vectors_gib` in it."""
    node_id = ray.get_runtime_context().get_node_id()
    return StoreAccess(
        folder=str(store.path.parent),
        read_only=store.read_only,
        node_id=node_id,
        scoring=identity.key,
        model=model,
        most_vector_bytes=int(vectors_gib * GIB),
    )


def connect_scorer(application: str, retry_for_s: float, identity: ScoringIdentity) -> Scorer:
    """A scorer over the application's handle, which takes scores of that identity alone."""
    return _connected(ServedScorer, application, retry_for_s, identity)


def urgent_scorer(application: str, retry_for_s: float, identity: ScoringIdentity) -> ServedScorer:
    """As `connect_scorer`, ahead of the job's own calls."""
    return _connected(UrgentScorer, application, retry_for_s, identity)


def _connected(
    kind: type[ServedScorer], application: str, retry_for_s: float, identity: ScoringIdentity
) -> ServedScorer:
    return kind(reranker_handle(application), retry_for_s, identity.digest, listwise=identity.listwise)
