"""A call goes to the replica where its query's prompts begin alike, unless another one waits for work."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve._private.request_router.common import ReplicaQueueLengthCache

from serve_app.replica.routing import SLACK, PrefixRouter, home_of
from stages.core.records import Asked

IDS = {name: ReplicaID(name, DeploymentID("reranker", "rerank")) for name in ("r0", "r1", "r2")}


def order(request: tuple[Any, ...], calls: dict[str, int]) -> list[str]:
    """The replicas in the order in which they are tried."""
    router: Any = PrefixRouter.__new__(PrefixRouter)
    router._replica_queue_len_cache = ReplicaQueueLengthCache()
    for name, count in calls.items():
        router._replica_queue_len_cache.update(IDS[name], count)
    replicas: Any = [SimpleNamespace(replica_id=one) for one in IDS.values()]
    pending: Any = SimpleNamespace(args=list(request))
    ranks = asyncio.run(router.choose_replicas(replicas, pending))
    return [one.replica_id.unique_id for rank in ranks for one in rank]


def call(query: str, *, batch: bool) -> tuple[Any, ...]:
    return ([Asked(query, ("d",)), Asked("another", ("d",))], "identity") if batch else (query, ["d"], None)


@pytest.mark.parametrize("batch", [False, True], ids=["one query", "a batch"])
@pytest.mark.parametrize("query", ["red fox", "blue whale", "a third", "and more"])
def test_a_query_and_the_batch_that_begins_with_it_go_to_the_same_home(query: str, batch: bool) -> None:
    home = f"r{home_of(query, ['r0', 'r1', 'r2'])}"
    assert order(call(query, batch=batch), {})[0] == home
    busy = {home: SLACK + 1}
    assert order(call(query, batch=batch), busy)[0] != home, "another one waits for work"
    assert order(call(query, batch=batch), {home: SLACK})[0] == home


def test_a_call_without_a_query_goes_to_the_least_loaded() -> None:
    assert order((), {"r0": 2, "r1": 0, "r2": 1}) == ["r1", "r2", "r0"]
    assert order(([], None), {"r0": 2, "r1": 1, "r2": 0}) == ["r2", "r1", "r0"]
