"""A job whose pairs are all stored: no Ray, no engine, no process, and the results that it always had."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.base.config import RunConfig, load_config
from pipelines.job.engine import JobEngine
from pipelines.job.identity import foresee, place_key
from pipelines.job.stored import PAIRS_AT_ONCE, StoredRankings
from serve_app.engine.models import describe
from stages.core.records import Candidates, PairScore
from stages.core.rerank import rank
from stages.core.scoring import OverlapScorer
from stages.files.rankings import read_rankings
from stages.store.records import query_keys
from stages.store.scorer import ForgivingStore, StoredScorer
from stages.store.store import ScoreStore

ROOT = Path(__file__).parents[3]
TEXTS = ("the sea is deep", "a hill", "sea and hill", "a hill")
NOWHERE = "127.0.0.1:9"  # where no cluster answers


def config_of(store: Path | None, **sections: dict[str, Any]) -> RunConfig:
    """Of the stand-in, on a cluster that is named: without one it scores in the job's own process."""
    given = {"model": {"name": "overlap"}, "rerank": {"store": None if store is None else str(store)}} | sections
    given = {"serve": {"ray_address": NOWHERE}} | given
    return RunConfig.model_validate({"data": {"format": "jsonl", "path": "x.jsonl"}} | given)


def candidates(query_id: str, query: str, texts: Sequence[str] = TEXTS) -> Candidates:
    ids = tuple(f"d{place}" for place in range(len(texts)))
    return Candidates(query_id, query, ids, tuple(texts), tuple(-float(place) for place in range(len(texts))))


def keep(folder: Path, config: RunConfig, *known: Candidates) -> None:
    """Fill the store as an engine would that scores as the stand-in does."""
    identity = foresee(describe(config.model), config)
    store = ForgivingStore(ScoreStore(folder), lambda _: None)
    scorer = StoredScorer(OverlapScorer(), store, identity.key, "overlap")
    for one in known:
        asyncio.run(scorer.score(one.query, one.texts, one.instruction))
    store.store.close()


class Cluster:
    """Counts how often a job connects to it."""

    def __init__(self) -> None:
        self.asked = 0

    def connect(self) -> None:
        self.asked += 1


def engine_over(store: Path | None, cluster: Cluster, **sections: dict[str, Any]) -> JobEngine:
    config = config_of(store, **sections)
    return JobEngine(describe(config.model), config, cluster.connect)


# --- when a cluster is asked for ---


def test_a_job_that_the_store_knows_asks_for_no_cluster_and_ranks_as_over_the_scorer(tmp_path: Path) -> None:
    known = [candidates("q1", "the sea"), candidates("q2", "hill"), candidates("q3", "the sea", TEXTS[:1])]
    keep(tmp_path / "store", config_of(None), *known)
    engine = engine_over(tmp_path / "store", cluster := Cluster())
    stored = StoredRankings(engine, tmp_path / "rankings", quoting=True)
    for one in known:
        stored.see(one)
    streamed = stored.finish()
    engine.stop()
    scorer = StoredScorer(OverlapScorer(), ForgivingStore(ScoreStore(tmp_path / "store"), lambda _: None), "")
    assert (cluster.asked, engine.needed, engine.app, engine.notes) == (0, False, None, [])
    rankings = list(read_rankings(tmp_path / "rankings"))
    for one, ranking in zip(known, rankings, strict=True):
        expected = rank(one, asyncio.run(scorer.score(one.query, one.texts)))
        assert (ranking.query_id, ranking.doc_ids, ranking.scores) == (one.query_id, expected.doc_ids, expected.scores)
        assert (ranking.store_hits, ranking.prompt_tokens, ranking.failed) == (len(one.texts), 0, {})
    (point,) = streamed.telemetry.points
    assert (point.queries_done, point.pairs_done) == (stored.progress.queries, stored.progress.pairs) == (3, 0)
    assert streamed.wall_s > 0 and streamed.telemetry.latest == {}


def test_the_first_unknown_pair_asks_for_it_and_nothing_is_left_of_what_was_ranked(tmp_path: Path) -> None:
    known = candidates("q1", "sea", [f"text {place}" for place in range(100)])
    keep(tmp_path / "store", config_of(None), known)
    engine = engine_over(tmp_path / "store", cluster := Cluster())
    stored = StoredRankings(engine, tmp_path / "rankings", quoting=True)
    for _ in range(PAIRS_AT_ONCE // 100):  # so many that they are written
        stored.see(known)
    assert (tmp_path / "rankings" / "part-00000.parquet").exists() and cluster.asked == 0
    stored.see(candidates("q2", "sea", ["text 1", "new"]))
    assert engine.needed and not list((tmp_path / "rankings").iterdir())
    stored.see(known)
    stored.see(candidates("q3", "sea", ["newer"]))
    engine.stop()
    assert cluster.asked == 1 and not list((tmp_path / "rankings").iterdir())


def test_a_cluster_that_does_not_start_leaves_nothing_of_what_was_ranked(tmp_path: Path) -> None:
    known = candidates("q1", "sea", [f"text {place}" for place in range(100)])
    keep(tmp_path / "store", config_of(None), known)
    engine = JobEngine(describe(config_of(None).model), config_of(tmp_path / "store"), raising)
    stored = StoredRankings(engine, tmp_path / "rankings", quoting=True)
    for _ in range(PAIRS_AT_ONCE // 100):
        stored.see(known)
    with pytest.raises(AskedError):
        stored.see(candidates("q2", "sea", ["new"]))
    assert not list((tmp_path / "rankings").iterdir())


def test_where_nothing_of_the_job_is_stored_the_cluster_starts_before_the_data_is_read(tmp_path: Path) -> None:
    cluster = Cluster()
    assert engine_over(None, cluster).needed and cluster.asked == 1
    other = config_of(None, model={"name": "overlap", "max_length": 100})
    keep(tmp_path, other, candidates("q1", "sea"))
    engine = engine_over(tmp_path, cluster)
    engine.stop()
    assert cluster.asked == 2 and not engine.needed


def test_the_reasons_of_stored_pairs_that_fail_quote_no_text_where_none_may_be_told(tmp_path: Path) -> None:
    one = candidates("q1", "sea", ["nan"])
    identity = foresee(describe(config_of(None).model), config_of(None))
    keys = query_keys(identity.key, None, one.query, one.texts)
    ScoreStore(tmp_path / "store").write(keys.query, {keys.pairs[0]: PairScore(float("nan"))}, identity.key)
    engine = engine_over(tmp_path / "store", Cluster())
    stored = StoredRankings(engine, tmp_path / "rankings", quoting=False)
    stored.see(one)
    stored.finish()
    (ranking,) = read_rankings(tmp_path / "rankings")
    assert list(ranking.failed) == ["d0"] and not ranking.doc_ids


# --- whose scores, where only a cluster knows its device ---


def test_what_an_engine_of_a_cluster_told_last_stands_for_it_while_that_is_not_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_qwen3: Path
) -> None:
    """Without a word of it only the cluster can tell whether it computes on GPUs: it is asked."""
    monkeypatch.setattr("pipelines.job.device.in_cluster", lambda: False)
    monkeypatch.setattr("pipelines.job.engine.in_cluster", lambda: False)
    there = {"model": {"name": str(tiny_qwen3)}, "serve": {"ray_address": NOWHERE}}
    here = config_of(tmp_path, **there | {"serve": {"gpus_per_replica": 1}})
    told = foresee(describe(here.model), here)
    assert told.device == "cuda"
    place = config_of(tmp_path, **there)
    key = place_key(describe(place.model), place)
    assert key is not None and key != place_key(describe(place.model), config_of(tmp_path, **there | elsewhere()))
    store = ScoreStore(tmp_path)
    one = candidates("q1", "sea")
    keys = query_keys(told.key, None, one.query, one.texts)
    store.write(keys.query, dict.fromkeys(keys.pairs, PairScore(0.5)), told.key, "tiny")
    with pytest.raises(AskedError):
        JobEngine(describe(place.model), place, raising)
    store.remember(key, told.key)
    engine = JobEngine(describe(place.model), place, raising)
    assert engine.see(one) == [PairScore(0.5, stored=True)] * 4 and engine.identity == told
    with pytest.raises(AskedError):
        engine.see(candidates("q2", "hill"))


def test_what_a_cluster_is_now_is_not_taken_for_what_it_or_this_machine_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_qwen3: Path
) -> None:
    """A cluster that had no GPU has some by the second day; on the third a job runs on this machine's processor."""
    model, one = {"name": str(tiny_qwen3)}, candidates("q1", "sea")
    place = config_of(tmp_path, model=model, serve={"ray_address": NOWHERE})
    local = config_of(tmp_path, model=model, serve={"gpus_per_replica": 0})
    described = describe(local.model)
    cpu = foresee(described, local)
    cuda = foresee(described, config_of(tmp_path, model=model, serve={"gpus_per_replica": 1}))
    store = ScoreStore(tmp_path)
    store.remember(str(place_key(described, place)), cpu.key)
    for identity, score in ((cpu, 0.25), (cuda, 0.75)):
        keys = query_keys(identity.key, None, one.query, one.texts)
        store.write(keys.query, dict.fromkeys(keys.pairs, PairScore(score)), identity.key, "tiny")
    app = SimpleNamespace(name="a", wait_until_identified=lambda: cuda, replicas=list, stop=lambda: None)
    monkeypatch.setattr("pipelines.job.served.start_app", lambda *_: app)
    monkeypatch.setattr("pipelines.job.identity.cluster_device", lambda: "cuda")
    second = JobEngine(described, place)
    assert second.identity == cpu and second.see(candidates("q2", "hill")) is None
    second.wait_until_identified()
    assert second.identity == cuda
    assert JobEngine(described, place).see(one) == [PairScore(0.75, stored=True)] * 4
    third = JobEngine(described, local)
    assert third.identity == cpu and third.see(one) == [PairScore(0.25, stored=True)] * 4


@pytest.mark.parametrize("address", ["auto", "local", "127.0.0.1:6379", "localhost:6379", "ray://127.0.0.1:10001"])
def test_an_address_that_each_machine_has_stands_for_this_machine_alone(
    address: str, monkeypatch: pytest.MonkeyPatch, tiny_qwen3: Path
) -> None:
    config = config_of(None, model={"name": str(tiny_qwen3)}, serve={"ray_address": address})
    described = describe(config.model)
    here = place_key(described, config)
    monkeypatch.setattr("platform.node", lambda: "another")
    assert here != place_key(described, config)
    named = config_of(None, model={"name": str(tiny_qwen3)}, serve={"ray_address": "head.example:6379"})
    there = place_key(described, named)
    monkeypatch.setattr("platform.node", lambda: "a third")
    assert there == place_key(described, named)


def elsewhere() -> dict[str, Any]:
    return {"serve": {"ray_address": "127.0.0.1:2"}}


class AskedError(Exception):
    """The cluster was asked for."""


def raising() -> None:
    raise AskedError


# --- whole commands ---

# Calls commands in one process, and tells what it loaded and started.
CALLS = """
import json, os, sys
started = []
sys.addaudithook(lambda event, told: started.append(os.path.basename(str(told[0])))
                 if event in ("subprocess.Popen", "os.posix_spawn", "os.fork") else None)
from pipelines.cli.app import main

codes = []
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as stop:
        codes.append(stop.code or 0)
from pipelines import run
told = run(sys.argv[2], quiet=True).metrics["cache"]["score_store_hits"]
heavy = [name for name in ("ray", "vllm", "torch", "transformers") if name in sys.modules]
print(json.dumps({"codes": codes, "told": told, "heavy": heavy, "started": sorted(set(started))}))
"""


def called(*commands: Sequence[str | Path], config: Path, **environment: str) -> dict[str, Any]:
    listed = json.dumps([[str(word) for word in words] for words in commands])
    done = subprocess.run(
        [sys.executable, "-c", CALLS, listed, str(config)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1])) | {"out": done.stdout, "err": done.stderr}


@pytest.mark.heavy
def test_no_command_over_stored_pairs_loads_ray_vllm_or_torch_or_starts_a_process_whatever_cluster_it_is_told(
    tmp_path: Path,
    tiny_qwen3: Path,
    write_config: Callable[[dict[str, Any]], Path],
    write_rows: Callable[[list[dict[str, Any]]], dict[str, Any]],
) -> None:
    """A run, a sweep and the Python API; the data's queries are judged, and logged to MLflow."""
    documents = [{"id": f"d{place}", "text": text, "relevance": int(place == 2)} for place, text in enumerate(TEXTS)]
    rows = [{"query_id": f"q{place}", "query": f"sea {place}", "documents": documents} for place in range(4)]
    config = write_config(
        {
            "data": write_rows(rows),
            "model": {"name": str(tiny_qwen3)},
            "serve": {"gpus_per_replica": 0},
            "rerank": {"store": str(tmp_path / "store")},
        }
    )
    keep(tmp_path / "store", load_config(config), *(candidates(f"q{place}", f"sea {place}") for place in range(4)))
    found = called(
        ["run", "--config", config, "--json"],
        ["run", "--config", config],
        ["sweep", "--config", config, "--grid", "data.depth=[2, 3]", "--name", "s"],
        ["run", "--config", config, "--dry-run"],
        config=config,
        RAY_ADDRESS=NOWHERE,
    )
    assert (found["codes"], found["told"], found["heavy"]) == ([0, 0, 0, 0], 16, []), found["err"]
    assert set(found["started"]) <= {"git", "fc-list", "uname"}, "asked for the commit, the fonts, the processor"
    assert "not started: the store knows every score" in found["out"]
    metrics = json.loads(found["out"][: found["out"].index("\n}\n") + 3])
    assert metrics["coverage"]["answered"] == 4 and metrics["quality"]["reranked"]["ndcg_at_10"] > 0
    assert metrics["throughput"]["scored_pairs"] == 0 and metrics["throughput"]["pairs_per_s"] is None
    assert (metrics["model"]["dtype"], metrics["queue"]["waiting_max"], metrics["tokens"]["prompt"]) == (None, None, 0)
    assert metrics["cache"]["score_store_hit_rate"] == 1.0


@pytest.mark.heavy
def test_a_cluster_that_is_gone_is_refused_in_one_line_once_a_pair_is_unknown(
    tmp_path: Path,
    write_config: Callable[[dict[str, Any]], Path],
    write_rows: Callable[[list[dict[str, Any]]], dict[str, Any]],
) -> None:
    rows = [{"query_id": f"q{place}", "query": "sea", "documents": list(TEXTS)} for place in range(2)]
    config = write_config(
        {"data": write_rows(rows), "model": {"name": "overlap"}, "rerank": {"store": str(tmp_path / "store")}}
    )
    keep(tmp_path / "store", load_config(config), candidates("q0", "sea", TEXTS[:3]))
    done = run_command("--config", str(config), "--set", "data.depth=3")
    assert done.returncode == 0, done.stderr
    rows[1]["query"] = "unknown"
    write_rows(rows)
    done = run_command("--config", str(config))
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith(f"rerank-eval: no Ray cluster at {NOWHERE}: ")
    assert len(done.stderr.splitlines()) == 1


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines", "run", *arguments],
        cwd=ROOT,
        env=os.environ | {"RAY_ADDRESS": NOWHERE},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
