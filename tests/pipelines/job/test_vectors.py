"""An embedding model's documents are embedded once over the runs of a store; rankings and their quality are the same.

The engine is real, and remembers nothing by itself: what is not embedded again is known from the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.base.config import load_config
from pipelines.base.given_config import config_with
from pipelines.job.console import JobConsole
from pipelines.job.engine import JobEngine
from pipelines.job.run import run
from pipelines.job.store_admin import store_stats
from pipelines.runs.folder import RunFolder
from serve_app.engine.models import describe
from stages.files.rankings import read_rankings
from stages.files.tables import read_candidates
from stages.store.vectors import VECTORS

DEMO = {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec"}
# The model of the demo. Float32, on any processor.
SECTIONS: dict[str, Any] = {
    "engine": {"dtype": "float32", "compile": False, "kv_cache_gib": 0.5, "vector_memory_mib": 0},
    "serve": {"health_check_period_s": 1.0, "retry_for_s": 240.0},
    "tracking": {"uri": None},
}

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def application(local_ray: None) -> Iterator[JobEngine]:
    config = config_with(SECTIONS | {"data": DEMO}, {})
    running = JobEngine(describe(config.model), config)
    running.wait_until_ready()
    yield running
    running.stop()


def do(folder: Path, depth: int, limit: int | None = None, **sections: Any) -> RunFolder:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    asked = {"data": DEMO | {"depth": depth, "limit": limit}, "output": {"dir": str(folder)}} | sections
    config.write_text(yaml.safe_dump(SECTIONS | asked), encoding="utf-8")
    return run(load_config(config), JobConsole(quiet=True))


def told(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.metrics.read_text(encoding="utf-8"))
    return content


def scores(folder: RunFolder) -> dict[tuple[str, str], float]:
    return {
        (one.query_id, doc_id): score
        for one in read_rankings(folder.rankings)
        for doc_id, score in zip(one.doc_ids, one.scores, strict=True)
    }


def documents(folder: RunFolder) -> dict[str, str]:
    """Their texts."""
    return {
        doc_id: text
        for one in read_candidates(folder.candidates)
        for doc_id, text in zip(one.doc_ids, one.texts, strict=True)
    }


def test_a_second_experiment_embeds_only_what_is_new(application: JobEngine, tmp_path: Path) -> None:
    store = {"rerank": {"store": str(tmp_path / "store"), "workers": 1, "batch_queries": 4}}
    first = do(tmp_path / "first", 5, 20, **store)
    deeper = do(tmp_path / "deeper", 10, **store)
    alone = do(tmp_path / "alone", 10)

    assert scores(deeper) == pytest.approx(scores(alone), abs=1e-6)
    assert told(deeper)["quality"] == told(alone)["quality"]
    assert store_stats(tmp_path / "store")["vectors"]["documents"] == len(set(documents(deeper).values()))
    new = scores(deeper).keys() - scores(first).keys()
    embedded_before = [doc_id for _, doc_id in new if doc_id in documents(first)]
    assert told(deeper)["throughput"]["scored_pairs"] == len(new)
    # More, where a document is new and several queries have it.
    assert told(deeper)["cache"]["reused_vectors"] >= len(embedded_before) > 20
    assert 0 < told(deeper)["tokens"]["prompt"] < told(alone)["tokens"]["prompt"]


def test_without_texts_and_read_only_a_store_gains_nothing(application: JobEngine, tmp_path: Path) -> None:
    store = {"store": str(tmp_path / "store")}
    first = do(tmp_path / "first", 3, 20, rerank=store, output={"dir": str(tmp_path / "first"), "texts": False})
    kept = tmp_path / "store" / VECTORS.file
    written = b"".join(file.read_bytes() for file in kept.parent.iterdir())
    some = [text.encode() for text in documents(do(tmp_path / "texts", 3, 20)).values()]
    assert not any(text[:40] in written for text in some)
    before = store_stats(kept.parent)
    # Of the documents that are further down some are further up for another query.
    read = do(tmp_path / "read", 10, 20, rerank=store | {"store_mode": "read_only"})
    assert store_stats(kept.parent) == before
    assert told(read)["cache"]["reused_vectors"] > 0
    assert told(first)["coverage"]["failed_pairs"] == told(read)["coverage"]["failed_pairs"] == 0


def test_a_damaged_file_of_vectors_costs_no_result_and_is_told(application: JobEngine, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / VECTORS.file).write_bytes(b"no database" * 1000)
    folder = do(tmp_path / "run", 3, 6, rerank={"store": str(tmp_path / "store")})
    assert told(folder)["coverage"]["failed_pairs"] == 0
    assert told(folder)["throughput"]["scored_pairs"] == told(folder)["coverage"]["pairs"]
