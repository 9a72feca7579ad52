"""Which replica gets a call: the one that has the query's prefix cached, unless another one waits for work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica

from stages.core.records import Asked

# How many more calls than the least loaded replica the query's own one may have: affinity must cost no waiting.
SLACK = 1


class PrefixRouter(FIFOMixin, RequestRouter):
    """Each query has a home replica (rendezvous hashing over the replicas); the others follow, the least loaded first.

    Several callers agree on the home without talking, and a replica that comes or goes moves few queries.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Ranks of replicas to try, best first."""
        calls = {one.replica_id: self.replica_queue_len_cache.get(one.replica_id) or 0 for one in candidate_replicas}
        by_load = sorted(candidate_replicas, key=lambda one: calls[one.replica_id])
        query = _query_of(pending_request)
        if query is not None and len(by_load) > 1:
            home = home_of(query, [one.replica_id.unique_id for one in by_load])
            if calls[by_load[home].replica_id] <= calls[by_load[0].replica_id] + SLACK:
                by_load.insert(0, by_load.pop(home))
        return [[one] for one in by_load]


def home_of(query: str, replicas: Sequence[str]) -> int:
    """The index of the query's home among `replicas`: the one whose hash together with the query is the highest."""

    def weight(index: int) -> bytes:
        return hashlib.blake2b(f"{replicas[index]}\n{query}".encode("utf-8", "replace"), digest_size=8).digest()

    return max(range(len(replicas)), key=weight)


def _query_of(request: PendingRequest | None) -> str | None:
    """The query is the first argument of a call for one; a batch goes where its first query does."""
    first = request.args[0] if request is not None and request.args else None
    if isinstance(first, list) and first and isinstance(first[0], Asked):
        return first[0].query
    return first if isinstance(first, str) else None
