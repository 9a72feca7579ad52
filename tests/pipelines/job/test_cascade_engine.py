"""A cascade with a real engine: the stand-in before a tiny Qwen3-Reranker, as a job, and as a service before both."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ray import serve

from pipelines.base.config import RunConfig, ServeConfig, load, load_config
from pipelines.job.console import JobConsole
from pipelines.job.run import run
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from serve_app.engine.models import describe
from serve_app.http.ingress import Served, build_front, ingress_name
from serve_app.http_settings import HttpSettings
from serve_app.replica.app import AppSettings, RunningApp, run_app
from serve_app.replica.status import wait_until_up
from stages.files.rankings import read_rankings
from stages.files.tables import read_candidates

DATA = {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec", "depth": 6, "limit": 8}
DEPTHS = (6, 4)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cascade")


def sections(here: Path, served: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": DATA,
        "rerank": {
            "store": str(here / "store"),
            "stages": [{"model": {"name": "overlap"}, "depth": DEPTHS[0]}, {**served, "depth": DEPTHS[1]}],
        },
        "evaluate": {"position_queries": 0},
        "tracking": {"uri": None},
        "output": {"dir": str(here / "results")},
    }


@pytest.fixture(scope="module")
def config(here: Path, served: dict[str, Any]) -> Path:
    path = here / "config.yaml"
    path.write_text(yaml.safe_dump(sections(here, served)))
    return path


def done(config: RunConfig) -> RunFolder:
    return run(config, JobConsole(quiet=True))


@pytest.fixture(scope="module")
def cascade(config: Path) -> RunFolder:
    return done(load_config(config, cascade=True))


def test_the_engine_is_asked_for_what_the_first_stage_left_at_the_top(cascade: RunFolder) -> None:
    first = {one.query_id: one.ordered() for one in read_rankings(cascade.stage(1).rankings)}
    last = {one.query_id: one for one in read_rankings(cascade.rankings)}
    assert len(last) == len(first) == DATA["limit"]
    for query_id, ranking in last.items():
        assert sorted(ranking.doc_ids) == sorted(first[query_id][: DEPTHS[1]])
        assert ranking.tail == first[query_id][DEPTHS[1] :]
    told = read_metrics(cascade)["stages"]
    assert (
        told[1]["coverage"]["pairs"]
        == told[1]["throughput"]["scored_pairs"]
        == sum(len(one.doc_ids) for one in last.values())
    )
    assert told[1]["scores"]["canaries_passed"] and read_metrics(cascade)["scores"]["canaries_passed"]
    seconds = read_metrics(cascade)["throughput"]["engine_processor_s"]
    assert seconds == told[1]["throughput"]["engine_processor_s"] > 0, "the stand-in computes in no engine"
    assert told[1]["cost"]["engine_s"] and (cascade.path / "stages/2/timeline.parquet").is_file()


def test_a_second_run_and_a_shallower_one_ask_no_engine(cascade: RunFolder, config: Path) -> None:
    for depth in DEPTHS[1], 2:
        again = done(load_config(config, [f"rerank.stages.1.depth={depth}"], cascade=True))
        told = read_metrics(again)
        assert (told["throughput"]["scored_pairs"], told["scores"]["canaries_passed"]) == (0, None)
        before = {one.query_id: one.ordered() for one in read_rankings(cascade.rankings)}
        after = {one.query_id: one.ordered() for one in read_rankings(again.rankings)}
        assert (before == after) is (depth == DEPTHS[1])


@pytest.fixture(scope="module")
def both(here: Path, served: dict[str, Any]) -> Path:
    """An embedding model before the tiny Qwen3-Reranker: two engines at once."""
    content = sections(here, served)
    content["rerank"]["stages"][0]["model"] = {"name": "embedded:all-MiniLM-L6-v2"}
    content["rerank"]["stages"][0]["engine"] = served["engine"]
    path = here / "both.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def url(both: Path, http_port: int) -> Iterator[str]:
    settings = load(ServeConfig, both, cascade=True)
    stages = [
        Served(AppSettings(describe(one.model), one.model, one.engine, one.serve), depth)
        for one, depth in zip(settings.stages(), DEPTHS, strict=True)
    ]
    name = ingress_name(stages)
    with contextlib.ExitStack() as started:
        engines = [RunningApp(one.settings) for one in stages]
        for engine in engines:
            started.callback(engine.stop)
        run_app(build_front(stages, HttpSettings(deadline_s=300), []), name, route="/cascade")
        started.callback(serve.delete, name)
        wait_until_up(name, 300)
        for engine in engines:
            engine.wait_until_ready()
        yield f"http://127.0.0.1:{http_port}/cascade"


@pytest.mark.thorough
def test_the_service_answers_with_the_jobs_own_lists(both: Path, url: str) -> None:
    """First ties of the job go by document id, those of a request by its order: lists that have some are left out."""
    cascade = done(load_config(both, cascade=True))
    stage_1 = {one.query_id: one for one in read_rankings(cascade.stage(1).rankings)}
    ranked = {one.query_id: one for one in read_rankings(cascade.rankings)}
    compared = 0
    for one in read_candidates(cascade.candidates):
        if stage_1[one.query_id].tied_neighbours:
            continue
        body = {"query": one.query, "documents": one.texts, "return_documents": True}
        answer = httpx.post(f"{url}/v1/rerank", json=body, timeout=300).raise_for_status().json()
        results = answer["results"]
        expected = [doc_id for doc_id in ranked[one.query_id].ordered() if doc_id in one.doc_ids]
        assert [one.doc_ids[result["index"]] for result in results] == expected
        assert [result["document"]["text"] for result in results] == [one.texts[result["index"]] for result in results]
        scores = [result["relevance_score"] for result in results]
        assert scores == sorted(scores, reverse=True)
        assert scores[: DEPTHS[1]] == pytest.approx(list(ranked[one.query_id].scores), abs=1e-4)
        compared += 1
    assert compared, "every list of the first stage has ties: the test compares nothing"


@pytest.mark.thorough
def test_the_service_tells_its_stages_and_measures_each(url: str) -> None:
    (model, *_) = httpx.get(f"{url}/v1/models", timeout=300).raise_for_status().json()["data"]
    assert (model["family"], [one["depth"] for one in model["stages"]]) == ("cascade", list(DEPTHS))
    assert [one["family"] for one in model["stages"]] == ["embedding", "qwen3-reranker"]
    body = {"query": "sea", "documents": [f"text {place} of the sea" for place in range(8)], "top_n": 2}
    answer = httpx.post(f"{url}/v1/rerank", json=body, timeout=300).raise_for_status().json()
    assert len(answer["results"]) == 2
    assert httpx.get(f"{url}/ready", timeout=300).json()["status"] == "ready"
    pairs = {"text_1": "sea", "text_2": ["sea"] * (DEPTHS[1] + 1)}
    refused = httpx.post(f"{url}/v1/score", json=pairs, timeout=300)
    assert refused.status_code == 422 and "cascade" in json.dumps(refused.json())
    told = httpx.get(f"{url}/metrics", timeout=300).text
    assert told.count("# HELP rerank_requests_total") == 1
