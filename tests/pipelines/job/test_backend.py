"""A model that vLLM lacks goes through a whole job with Transformers behind the same replicas, and is told so."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
import yaml

from pipelines.base.config import load_config
from pipelines.base.given_config import config_with
from pipelines.job.console import JobConsole
from pipelines.job.engine import JobEngine
from pipelines.job.run import run
from pipelines.job.served import connect_scorer
from pipelines.runs.folder import RunFolder
from serve_app.engine.models import describe
from serve_app.replica.collector import collector_of
from stages.files.rankings import read_rankings
from stages.files.tables import read_candidates
from tests.checkpoints.transformers_only import make_deberta

DEMO = {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec", "depth": 5, "limit": 12}


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {
        "data": DEMO,
        # Made-up weights answer nothing, so that the canaries' order is left to chance.
        "model": {
            "name": str(make_deberta(tmp_path_factory.mktemp("deberta"))),
            "max_length": 256,
            "canaries": "finite",
        },
        "engine": {"backend": "transformers", "dtype": "float32"},
        "serve": {"health_check_period_s": 1.0, "retry_for_s": 240.0},
        "tracking": {"uri": None},
        "output": {"dir": str(tmp_path_factory.mktemp("results"))},
    }


@pytest.fixture(scope="module")
def application(local_ray: None, sections: dict[str, Any]) -> Iterator[JobEngine]:
    """Its engine, which the tests here share."""
    config = config_with(sections, {})
    running = JobEngine(describe(config.model, config.engine.backend), config)
    running.wait_until_ready()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def done(application: JobEngine, sections: dict[str, Any]) -> tuple[RunFolder, list[str]]:
    """A job's folder, and the lines that it said."""
    said = io.StringIO()
    config = Path(sections["output"]["dir"]) / "config.yaml"
    config.write_text(yaml.safe_dump(sections), encoding="utf-8")
    folder = run(load_config(config), JobConsole(file=said))
    return folder, said.getvalue().splitlines()


def test_its_pairs_have_the_scores_of_sentence_transformers(
    done: tuple[RunFolder, list[str]], sections: dict[str, Any]
) -> None:
    from sentence_transformers import CrossEncoder

    published = CrossEncoder(sections["model"]["name"], device="cpu", max_length=256, activation_fn=torch.nn.Identity())
    asked = {one.query_id: one for one in read_candidates(done[0].candidates)}
    for ranking in read_rankings(done[0].rankings):
        candidates = asked[ranking.query_id]
        texts = dict(zip(candidates.doc_ids, candidates.texts, strict=True))
        expected = published.predict([(candidates.query, texts[doc_id]) for doc_id in ranking.doc_ids]).tolist()
        assert list(ranking.logits) == pytest.approx(expected, abs=1e-3)
        assert expected == sorted(expected, reverse=True)


def test_who_computed_it_is_said_first_and_told_in_the_report_and_in_metrics_json(
    done: tuple[RunFolder, list[str]],
) -> None:
    folder, said = done
    assert said[0] == "scored as   cross-encoder"
    assert said[1] == "mind        computed with Transformers instead of vLLM (engine.backend), at its own speed"
    metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
    assert metrics["model"]["backend"] == metrics["identity"]["backend"] == "transformers"
    assert metrics["identity"]["vllm"] is None
    assert metrics["coverage"]["failed_pairs"] == 0
    assert metrics["scores"]["canaries_passed"]
    assert metrics["tokens"]["prompt"] > 0
    assert metrics["queue"]["time_ms"]["p95"] > 0
    assert "computed with Transformers instead of vLLM" in folder.report.read_text(encoding="utf-8")
    environment = json.loads(folder.environment.read_text(encoding="utf-8"))
    (engine,) = environment["engines"]
    assert engine["transformers"] == metrics["identity"]["transformers"]
    assert "vllm" not in engine


@pytest.mark.thorough  # a second engine
def test_a_killed_replica_is_told_and_the_next_one_answers(application: JobEngine) -> None:
    assert application.application is not None
    collector = collector_of(application.application)
    (first,) = ray.get(collector.replicas.remote())
    scorer = connect_scorer(application.application, 240.0, application.identity)

    async def scored() -> list[float | None]:
        return [pair.logit for pair in await scorer.score("what is a test", ["a test", "a pipe", "an engine"])]

    async def across_a_death() -> tuple[list[float | None], list[float | None]]:
        before = await scored()
        os.kill(first["process_id"], signal.SIGKILL)
        return before, await scored()

    before, after = asyncio.run(across_a_death())
    assert after == pytest.approx(before, abs=1e-5)
    replicas = ray.get(collector.replicas.remote())
    assert [one["process_id"] == first["process_id"] for one in replicas if one["ended_s"] is not None] == [True]
    assert len(replicas) == 2
