"""The job's score store, from wherever a worker runs: its file is opened on the driver's node alone.

A worker on that node opens the file itself (0.25 ms for 100 scores); one on another node asks an actor of its own that
Ray puts on the driver's node (about 2 ms). So all nodes share one store, whether or not they see its folder, and one
node needs no further process.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from serve_app.replica.client import ServedScorer
from serve_app.replica.vector_client import EmbeddingScorer
from stages.core.identity import read_key
from stages.core.scoring import Scorer
from stages.core.vectors import KEPT_FAMILY, Floats, TextKeys, VectorKeeper, Vectors
from stages.store.records import QueryKeys
from stages.store.scorer import ForgivingStore, Store, StoredScorer, StoreFaults
from stages.store.store import Codec, KeyedStore, ScoreCodec
from stages.store.vector_keeper import ForgivingVectors

FAULTS = "rerank-eval-store-faults"  # a namespace of the cluster's key-value store


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """All that a worker needs to reach the store: its folder on the node `node_id`, and whose scores are asked for.

    `job` is what the job's faults are found under, `codec` what kind of values the store keeps. Vectors of documents
    may take `most_vector_bytes`; with 0 there are none.
    """

    folder: str
    read_only: bool
    node_id: str
    scoring: str
    model: str
    job: str = field(default_factory=lambda: uuid.uuid4().hex)
    most_vector_bytes: int = 0
    codec: Codec[Any] = field(default_factory=ScoreCodec)

    def open(self) -> ForgivingStore[Any]:
        """The store itself, on the driver's node. Raises DataError."""
        store = KeyedStore(Path(self.folder), self.codec, read_only=self.read_only)
        return ForgivingStore(store, partial(_report, f"{self.job}/{uuid.uuid4().hex}"))

    def open_vectors(self) -> ForgivingVectors:
        """The vectors beside it, on the driver's node."""
        return ForgivingVectors(
            Path(self.folder),
            self.most_vector_bytes,
            self.scoring,
            self.model,
            partial(_report, f"{self.job}/{uuid.uuid4().hex}"),
            read_only=self.read_only,
        )

    def connect(self) -> Store[Any]:
        """The store, from any node of the cluster."""
        return self.open() if self._is_here else RemoteStore(self)

    def connect_vectors(self) -> VectorKeeper:
        return self.open_vectors() if self._is_here else RemoteVectors(self)

    @property
    def _is_here(self) -> bool:
        return bool(ray.get_runtime_context().get_node_id() == self.node_id)

    def faults(self) -> StoreFaults:
        """What went wrong so far, over all workers."""
        total = StoreFaults()
        for key in _internal_kv_list(self.job, namespace=FAULTS):
            total += StoreFaults(**json.loads(_internal_kv_get(key, namespace=FAULTS)))
        return total

    def forget_faults(self) -> None:
        _internal_kv_del(self.job, del_by_prefix=True, namespace=FAULTS)


class RemoteStore:
    """A Store over an actor on the store's node. The actor ends with the worker that made it."""

    def __init__(self, access: StoreAccess) -> None:
        self._actor = _actor(StoreActor, access)

    def lookup(self, keys: QueryKeys) -> dict[bytes, Any]:
        found: dict[bytes, Any] = ray.get(self._actor.lookup.remote(keys))
        return found

    def write(self, query: int, scores: Mapping[bytes, Any], identity: str, model: str) -> None:
        ray.get(self._actor.write.remote(query, scores, identity, model))


class StoreActor:
    """The store, on its node, for a worker that is elsewhere."""

    def __init__(self, access: StoreAccess) -> None:
        self._store = access.open()

    def lookup(self, keys: QueryKeys) -> dict[bytes, Any]:
        return self._store.lookup(keys)

    def write(self, query: int, scores: Mapping[bytes, Any], identity: str, model: str) -> None:
        self._store.write(query, scores, identity, model)


class RemoteVectors:
    """A VectorKeeper over an actor on the store's node. The actor ends with the worker that made it."""

    def __init__(self, access: StoreAccess) -> None:
        self._actor = _actor(VectorActor, access)
        self.keeps = not access.read_only

    def lookup(self, texts: Collection[bytes]) -> dict[bytes, dict[bytes, Floats]]:
        found: dict[bytes, dict[bytes, Floats]] = ray.get(self._actor.lookup.remote(texts))
        return found

    def keep(self, vectors: Mapping[bytes, Vectors]) -> None:
        self.keeps = ray.get(self._actor.keep.remote(vectors))


class VectorActor:
    """The vectors, on their node, for a worker that is elsewhere."""

    def __init__(self, access: StoreAccess) -> None:
        self._vectors = access.open_vectors()

    def lookup(self, texts: Collection[bytes]) -> dict[bytes, dict[bytes, Floats]]:
        return self._vectors.lookup(texts)

    def keep(self, vectors: Mapping[bytes, Vectors]) -> bool:
        """Whether further ones will be kept."""
        self._vectors.keep(vectors)
        return self._vectors.keeps


def _actor(kind: type, access: StoreAccess) -> Any:
    actor: Any = ray.remote(kind).options(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=NodeAffinitySchedulingStrategy(access.node_id, soft=False),
    )
    return actor.remote(access)


def with_store(make_scorer: Callable[[], Scorer], access: StoreAccess) -> Scorer:
    """The scorer with the store in front of it."""
    identity, scorer = read_key(access.scoring), make_scorer()
    listwise = identity is not None and identity.listwise
    if isinstance(scorer, ServedScorer) and identity and identity.family == KEPT_FAMILY and access.most_vector_bytes:
        scorer = EmbeddingScorer(scorer, access.connect_vectors(), TextKeys(identity))
    return StoredScorer(scorer, access.connect(), access.scoring, access.model, listwise=listwise)


def _report(key: str, faults: StoreFaults) -> None:
    _internal_kv_put(key, json.dumps(asdict(faults)), namespace=FAULTS)
