"""The job's store: whose scores meet, how other nodes reach it, and how its faults come to be told."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from pipelines.base.config import RunConfig
from pipelines.job.engine import JobEngine
from pipelines.job.identity import foresee
from pipelines.job.store_access import RemoteStore, RemoteVectors, StoreAccess, with_store
from pipelines.job.store_faults import describe_faults
from serve_app.engine.models import ModelInfo, describe
from serve_app.replica.client import ServedScorer
from serve_app.replica.vector_client import EmbeddingScorer
from serve_app.settings import ModelSettings
from stages.core.errors import DataError
from stages.core.identity import ScoringIdentity
from stages.core.records import Candidates, PairScore
from stages.core.scoring import OverlapScorer
from stages.store.file import FILE
from stages.store.records import query_keys
from stages.store.scorer import ForgivingStore, StoredScorer, StoreFaults
from stages.store.store import ScoreStore
from stages.store.vector_keeper import ForgivingVectors
from tests.recipes import recipe_of
from tests.stages.core.test_identity import IDENTITY

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
HUB = ModelInfo("Qwen/Qwen3-Reranker-0.6B", "Qwen/Qwen3-Reranker-0.6B", "main", recipe_of("qwen3-reranker"), 8192, None)
LOCAL = replace(HUB, name="/models/a", path="/models/a", revision=None, digest="0123")


def config_of(**sections: dict[str, Any]) -> RunConfig:
    given = {"engine": {"dtype": "bfloat16"}, "serve": {"gpus_per_replica": 0}} | sections
    return RunConfig.model_validate({"data": {"format": "jsonl", "path": "x.jsonl"}} | given)


def key_of(model: ModelInfo, config: RunConfig) -> str:
    return foresee(model, config).key


def known_to(folder: Path, model: ModelInfo, config: RunConfig) -> bool:
    keys = query_keys(key_of(model, config), None, "q", ["text"])
    return bool(ScoreStore(folder).lookup(keys))


@pytest.mark.parametrize(
    ("written", "asked", "changed"),
    [
        pytest.param(HUB, replace(HUB, path="Qwen/Qwen3-Reranker-4B"), {}, id="model"),
        pytest.param(HUB, replace(HUB, revision="22e683669b"), {}, id="commit"),
        pytest.param(LOCAL, replace(LOCAL, digest="4567"), {}, id="files"),
        pytest.param(HUB, replace(HUB, recipe=recipe_of("cross-encoder")), {}, id="family"),
        pytest.param(HUB, replace(HUB, max_length=4096), {}, id="limit"),
        pytest.param(HUB, HUB, {"model": {"template": "blank_line"}}, id="template"),
        pytest.param(HUB, HUB, {"model": {"instruction": "Find the opposite"}}, id="instruction"),
        pytest.param(HUB, HUB, {"engine": {"dtype": "float32"}}, id="dtype"),
        pytest.param(HUB, HUB, {"serve": {"gpus_per_replica": 1}}, id="device"),
        pytest.param(HUB, HUB, {"engine": {"dtype": "bfloat16", "load_format": "dummy"}}, id="random weights"),
        pytest.param(HUB, HUB, {"engine": {"dtype": "bfloat16", "extra": {"quantization": "fp8"}}}, id="quantization"),
    ],
)
def test_what_differs_in_anything_that_decides_a_score_never_meets_it(
    tmp_path: Path, written: ModelInfo, asked: ModelInfo, changed: dict[str, Any]
) -> None:
    store = ScoreStore(tmp_path)
    key = key_of(written, config_of())
    keys = query_keys(key, None, "q", ["text"])
    store.write(keys.query, {keys.pairs[0]: PairScore(0.5)}, key, written.name)
    assert known_to(tmp_path, written, config_of())
    assert not known_to(tmp_path, asked, config_of(**changed))


def test_the_same_files_in_another_folder_share_their_scores() -> None:
    moved = replace(LOCAL, name="/models/b", path="/models/b")
    assert key_of(moved, config_of()) == key_of(LOCAL, config_of())


def test_how_fast_scores_are_made_does_not_decide_them() -> None:
    faster = config_of(engine={"dtype": "bfloat16", "max_num_seqs": 64}, rerank={"batch_queries": 2})
    assert key_of(HUB, faster) == key_of(HUB, config_of())


def access_to(folder: Path, node_id: str | None = None, *, read_only: bool = False) -> StoreAccess:
    return StoreAccess(
        str(folder), read_only, node_id or ray.get_runtime_context().get_node_id(), "identity", "overlap"
    )


def test_another_nodes_worker_meets_the_same_scores(local_ray: None, tmp_path: Path) -> None:
    access = access_to(tmp_path)
    assert isinstance(access.connect(), ForgivingStore)
    keys, remote = query_keys("identity", None, "q", ["a", "b"]), RemoteStore(access)
    remote.write(keys.query, {keys.pairs[0]: PairScore(0.5, None, 3)}, "identity", "overlap")
    expected = {keys.pairs[0]: PairScore(0.5, None, 3, stored=True)}
    assert remote.lookup(keys) == access.open().lookup(keys) == expected


def test_another_nodes_worker_meets_the_same_vectors(local_ray: None, tmp_path: Path) -> None:
    access = replace(access_to(tmp_path), most_vector_bytes=1 << 20)
    assert isinstance(access.connect_vectors(), ForgivingVectors)
    text, vectors = b"t" * 16, {b"p" * 16: np.ones(4, np.float32)}
    remote = RemoteVectors(access)
    remote.keep({text: vectors})
    assert remote.keeps
    for keeper in (remote, RemoteVectors(replace(access, read_only=True)), access.open_vectors()):
        assert keeper.lookup([text, b"u" * 16])[text][b"p" * 16].tolist() == [1.0] * 4
    full = RemoteVectors(replace(access, most_vector_bytes=1))
    full.keep({b"u" * 16: vectors})
    assert not full.keeps
    told = str(describe_faults(access.faults()))
    assert told.startswith("documents' vectors are no longer kept: vectors.sqlite has the size of rerank.store_vectors")
    access.forget_faults()


def test_vectors_are_for_embedding_models_behind_an_engine_and_not_where_they_may_take_nothing(
    local_ray: None, tmp_path: Path
) -> None:
    served, embeds = partial(ServedScorer, None, 60.0), replace(IDENTITY, family="embedding")

    def inner(make: Any, identity: ScoringIdentity, most_bytes: int) -> Any:
        access = replace(access_to(tmp_path), scoring=identity.key, most_vector_bytes=most_bytes)
        scorer = with_store(make, access)
        assert isinstance(scorer, StoredScorer)
        return type(scorer.scorer)

    assert inner(served, embeds, 1) is EmbeddingScorer
    assert inner(served, embeds, 0) is ServedScorer
    assert inner(served, IDENTITY, 1) is ServedScorer
    assert inner(OverlapScorer, embeds, 1) is OverlapScorer


TWO_NODES = """
import sys, ray
from ray.cluster_utils import Cluster
from pipelines.job.store_access import StoreAccess, with_store
from stages.core.scoring import OverlapScorer

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"head": 1}})
cluster.add_node(num_cpus=1, resources={"other": 1})
ray.init(address=cluster.address, log_to_driver=False)
access = StoreAccess(sys.argv[1], False, ray.get_runtime_context().get_node_id(), "identity", "overlap")

@ray.remote
class Worker:
    def __init__(self):
        self.scorer = with_store(OverlapScorer, access)
    async def score(self, *documents):
        pairs = await self.scorer.score("a", documents)
        return type(self.scorer.store).__name__, [(pair.score, pair.stored) for pair in pairs]

for node, documents in (("other", "a"), ("head", "ab"), ("other", "ab")):
    worker = Worker.options(resources={node: 1}).remote()
    print(*ray.get(worker.score.remote(*documents)))
    ray.kill(worker)
ray.shutdown()
cluster.shutdown()
"""


def test_workers_of_two_nodes_share_one_store(tmp_path: Path) -> None:
    """In a process of its own: this one belongs to another cluster."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": ""}
    done = subprocess.run(
        [sys.executable, "-c", TWO_NODES, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "RemoteStore [(1.0, False)]",
        "ForgivingStore [(1.0, True), (0.0, False)]",
        "RemoteStore [(1.0, True), (0.0, True)]",
    ], done.stderr


def test_the_faults_of_all_workers_add_up_and_are_told(local_ray: None, tmp_path: Path) -> None:
    access = access_to(tmp_path)
    assert access.faults() == StoreFaults()
    workers = [with_store(OverlapScorer, access) for _ in range(2)]
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("DROP TABLE batches")
    for worker in workers:
        (pair,) = asyncio.run(worker.score("q", ["q"]))
        assert pair.score == 1.0
    faults = access.faults()
    assert faults == StoreFaults(2, 2, 0, "no such table: batches")
    assert "2 scores were not kept, 2 lookups failed (no such table: batches)" in str(describe_faults(faults))
    access.forget_faults()
    assert access.faults() == StoreFaults()


def engine_with(folder: Path, mode: str = "read_write") -> JobEngine:
    config = config_of(model={"name": "overlap"}, rerank={"store": str(folder), "store_mode": mode})
    return JobEngine(describe(ModelSettings(name="overlap")), config)


def test_a_damaged_store_is_set_aside_and_the_job_says_so(local_ray: None, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff" * 20_000)
    engine = engine_with(tmp_path)
    engine.stop()
    (note,) = engine.notes
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert aside.name in note and "set aside" in note


def test_a_read_only_job_uses_the_store_and_leaves_it_as_it_was(local_ray: None, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="read-only"):
        engine_with(tmp_path, "read_only")
    for mode, documents in (("read_write", ["a"]), ("read_only", ["a", "b"])):
        engine = engine_with(tmp_path, mode)
        engine.see(Candidates("1", "a", tuple(documents), tuple(documents), (0.0,) * len(documents)))
        scores = asyncio.run(engine.make_scorer()().score("a", documents))
        engine.stop()
        assert engine.needed and engine.notes == []
    assert [(pair.score, pair.stored) for pair in scores] == [(1.0, True), (0.0, False)]
    assert len(ScoreStore(tmp_path)) == 1


def test_scores_of_0_1_0_are_not_taken_and_the_job_says_so_in_one_line(local_ray: None, tmp_path: Path) -> None:
    before = json.dumps([["overlap", None], ["overlap", "single_newline", None, 8192], "bfloat16", "auto", {}])
    keys = query_keys(before, None, "a", ["a"])
    ScoreStore(tmp_path).write(keys.query, {keys.pairs[0]: PairScore(0.25)}, before, "overlap")
    engine = engine_with(tmp_path)
    engine.see(Candidates("1", "a", ("a",), ("a",), (0.0,)))
    (pair,) = asyncio.run(engine.make_scorer()().score("a", ["a"]))
    engine.stop()
    assert engine.needed and (pair.score, pair.stored) == (1.0, False)
    (note,) = engine.notes
    assert note.startswith(f"rerank.store {tmp_path}: 1 scores of rerank-eval 0.1.0 are not used") and "\n" not in note


def test_what_an_engine_told_last_is_what_the_next_job_foresees(local_ray: None, tmp_path: Path) -> None:
    foreseen = foresee(describe(ModelSettings(name="overlap")), config_of(model={"name": "overlap"}))
    told = replace(foreseen, dtype="float16", vllm="0.33.0")
    ScoreStore(tmp_path).remember(foreseen.key, told.key)
    keys = query_keys(told.key, None, "a", ["b"])
    ScoreStore(tmp_path).write(keys.query, {keys.pairs[0]: PairScore(0.75)}, told.key, "overlap")
    engine = engine_with(tmp_path)
    scores = engine.see(Candidates("1", "a", ("b",), ("b",), (0.0,)))
    engine.stop()
    assert not engine.needed and engine.identity == told
    assert scores == [PairScore(0.75, stored=True)]
