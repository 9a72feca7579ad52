"""Pairs on Ray Data: read where they are asked for, a reply each, through the application and its store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import pyarrow as pa
import ray

from pipelines.base.interruption import StopFlag
from pipelines.job.ranges import CandidatesAccess
from pipelines.job.store_access import StoreAccess
from pipelines.job.stream import Batches
from serve_app.replica.judge_app import connect_judge
from stages.core.grades import Reply
from stages.core.records import Candidates
from stages.store.grader import StoredGrader, Told
from stages.store.replies import ReplyCodec
from stages.store.scorer import ForgivingStore

REPLY_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_ids", pa.list_(pa.string())),
        pa.field("replies", pa.list_(pa.string())),
        pa.field("stored", pa.list_(pa.bool_())),
        pa.field("store_hits", pa.int64()),
        pa.field("failed", pa.map_(pa.string(), pa.string())),
    ]
)


class GradeBatches(Batches):
    """The queries of a range are at work together."""

    schema = REPLY_SCHEMA

    def __init__(
        self, make: Callable[[], StoredGrader], access: CandidatesAccess, stop: StopFlag, quoting: bool = True
    ) -> None:
        super().__init__(access, stop, quoting)
        self.grader = make()

    async def make(self, candidates: Sequence[Candidates]) -> pa.Table:
        told = await asyncio.gather(*(self.grader.grade(one.query, one.texts) for one in candidates))
        rows = [_row(one, replies) for one, replies in zip(candidates, told, strict=True)]
        return pa.Table.from_pylist(rows, schema=REPLY_SCHEMA)


def make_grader(application: str, retry_for_s: float, identity: str, access: StoreAccess) -> StoredGrader:
    """What each worker has: the application's handle, behind the store."""
    judge = connect_judge(application, retry_for_s, identity)
    return StoredGrader(judge, access.connect(), access.scoring, access.model)


def reply_access(store: ForgivingStore[Reply], asking: str, name: str) -> StoreAccess:
    """The driver's store of replies, for workers on any node."""
    return StoreAccess(
        folder=str(store.store.path.parent),
        read_only=False,
        node_id=ray.get_runtime_context().get_node_id(),
        scoring=asking,
        model=name,
        codec=ReplyCodec(),
    )


def _row(one: Candidates, replies: Sequence[Told]) -> dict[str, object]:
    failed = {doc_id: told.reply.error for doc_id, told in zip(one.doc_ids, replies, strict=True) if told.reply.failed}
    return {
        "query_id": one.query_id,
        "doc_ids": list(one.doc_ids),
        "replies": [json.dumps(asdict(told.reply)) for told in replies],
        "stored": [told.stored for told in replies],
        "store_hits": sum(told.stored for told in replies),
        "failed": list(failed.items()),
    }
