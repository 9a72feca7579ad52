"""The main job on a real engine: a tiny Qwen3-Reranker behind Ray Serve, fed by Ray Data."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import ray
import yaml
from mlflow.tracking import MlflowClient
from ray import serve

from pipelines.base.config import load_config
from pipelines.job.console import JobConsole
from pipelines.job.dry_run import make_plan
from pipelines.job.identity import foresee
from pipelines.job.run import run
from pipelines.job.served import connect_scorer
from pipelines.runs.folder import RunFolder
from pipelines.tracking.sync import sync_run
from pipelines.tracking.values import SERIES
from serve_app.engine.models import describe
from serve_app.replica.collector import collector_of
from serve_app.settings import EMBEDDED_MODEL
from stages.core.errors import ConfigError, DataError, IdentityError, TooManyFailuresError, TrackingError
from stages.core.records import PairScore
from stages.files.judgements import read_judgements
from stages.files.rankings import read_rankings
from stages.files.tables import read_candidates
from stages.quality.evaluate import evaluate
from stages.sources.trec import read_qrels, read_trec_run
from stages.store.store import ScoreStore
from tests.api_server import until
from tests.mlflow_database import new_database
from tests.patience import waits_from_now_on
from tests.stages.core.test_identity import IDENTITY
from tests.tiny_models import POISON

DEMO = {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec", "depth": 10}

WriteConfig = Callable[[dict[str, Any]], Path]
WriteRows = Callable[[list[dict[str, Any]]], dict[str, Any]]


def do(config: Path, *overrides: str) -> RunFolder:
    return run(load_config(config, overrides), JobConsole(quiet=True))


def told(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.metrics.read_text())
    return content


def row(query_id: str, query: str, *texts: str) -> dict[str, Any]:
    documents = [{"id": f"d{place}", "text": text, "relevance": int(place == 1)} for place, text in enumerate(texts)]
    return {"query_id": query_id, "query": query, "documents": documents}


@pytest.fixture(scope="module")
def demo_run(served: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One run over the demo's candidates, looked at by several tests."""
    here = tmp_path_factory.mktemp("demo-run")
    sections = served | {
        "data": DEMO,
        "evaluate": {"metrics": ["ndcg@10", "mrr"]},
        "tracking": {"uri": new_database(here / "mlflow.db"), "experiment": "demo", "tags": {"purpose": "test"}},
        "output": {"dir": str(here / "results")},
    }
    (here / "config.yaml").write_text(yaml.safe_dump(sections))
    return do(here / "config.yaml")


def test_every_query_is_answered_and_nothing_is_generated(demo_run: RunFolder) -> None:
    metrics = told(demo_run)
    assert metrics["coverage"]["answered"] == metrics["coverage"]["queries"] == 76
    assert metrics["coverage"]["pairs"] == metrics["throughput"]["scored_pairs"] == 756
    assert metrics["coverage"]["failed_pairs"] == metrics["coverage"]["set_aside_rows"] == 0
    assert metrics["tokens"]["generation"] == 0
    assert metrics["tokens"]["prompt"] > 756 * 50


def test_the_query_part_of_a_prompt_is_computed_once_and_queue_times_are_numbers(demo_run: RunFolder) -> None:
    metrics = told(demo_run)
    assert metrics["cache"]["prefix_hit_rate"] > 0.3
    assert 0 < metrics["cache"]["kv_usage_peak"] <= 1
    assert 0 < metrics["queue"]["time_ms"]["p50"] <= metrics["queue"]["time_ms"]["p95"]
    assert metrics["queue"]["waiting_max"] > 0


def test_a_dry_run_foretells_from_its_rates_what_it_took_itself(demo_run: RunFolder) -> None:
    """The same data and settings: the only error is the sample's."""
    forecast, metrics = make_plan(load_config(demo_run.config))["forecast"], told(demo_run)
    assert forecast["measured"]["run_id"] == demo_run.run_id
    assert (forecast["pairs"], forecast["stored_pairs"]) == (756, 0)
    assert forecast["tokens"]["low"] <= metrics["tokens"]["prompt"] <= forecast["tokens"]["high"]
    expected = metrics["throughput"]["wall_s"] * forecast["tokens"]["total"] / metrics["tokens"]["prompt"]
    assert forecast["scoring_s"] == pytest.approx(expected, rel=1e-3)


def test_metrics_equal_those_of_the_written_trec_run(demo_run: RunFolder) -> None:
    dropped: list[Any] = []
    judgements = read_qrels(Path("configs/demo/qrels/test.tsv"), dropped.append)
    written = {key: one.doc_ids for key, one in read_trec_run(demo_run.trec_run, None, dropped.append).items()}
    values = evaluate(written, judgements, ("ndcg@10", "mrr"))
    assert not dropped
    assert told(demo_run)["quality"]["reranked"]["ndcg_at_10"] == pytest.approx(values.mean("ndcg@10"))
    assert told(demo_run)["quality"]["reranked"]["mrr"] == pytest.approx(values.mean("mrr"))


def test_each_candidate_is_ranked_once_and_the_tail_keeps_its_order(demo_run: RunFolder) -> None:
    candidates = {one.query_id: one for one in read_candidates(demo_run.candidates)}
    rankings = list(read_rankings(demo_run.rankings))
    assert sorted(ranking.query_id for ranking in rankings) == sorted(candidates)
    for ranking in rankings:
        asked = candidates[ranking.query_id]
        assert sorted(ranking.doc_ids) == sorted(asked.doc_ids)
        assert ranking.tail == asked.tail
        assert list(ranking.logits) == sorted(ranking.logits, reverse=True)
        assert len(ranking.pair_tokens) == len(ranking.doc_ids) and min(ranking.pair_tokens) > 0
    assert told(demo_run)["throughput"]["engine_processor_s"] > 0


def test_the_folder_holds_what_the_design_names(demo_run: RunFolder) -> None:
    names = {path.name for path in demo_run.path.iterdir()}
    expected = {"config.yaml", "candidates", "rankings", "run.trec", "failures.parquet", "per_query.parquet"}
    assert expected | {"timeline.parquet", "metrics.json", "judgements.parquet"} <= names
    assert read_judgements(demo_run.judgements).digest == told(demo_run)["judgements_digest"]
    assert (demo_run.path.parent / "latest").resolve() == demo_run.path.resolve()
    assert load_config(demo_run.config).data.depth == 10
    per_query = pq.read_table(demo_run.per_query).to_pydict()
    assert len(per_query["query_id"]) == 76
    assert sum(per_query["reranked/ndcg_at_10"]) / 76 == pytest.approx(
        told(demo_run)["quality"]["reranked"]["ndcg_at_10"]
    )


def test_everything_is_read_back_from_mlflow(demo_run: RunFolder) -> None:
    metrics = told(demo_run)
    client = MlflowClient(tracking_uri=load_config(demo_run.config).tracking.uri)
    (logged,) = client.search_runs([client.get_experiment_by_name("demo").experiment_id])
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["ndcg_at_10"] == metrics["quality"]["reranked"]["ndcg_at_10"]
    assert logged.data.metrics["first_stage/ndcg_at_10"] == metrics["quality"]["first_stage"]["ndcg_at_10"]
    assert logged.data.metrics["delta/mrr"] == metrics["quality"]["delta"]["mrr"]
    assert logged.data.metrics["throughput/pairs_per_s"] == metrics["throughput"]["pairs_per_s"]
    assert logged.data.metrics["queue/time_ms_p95"] == metrics["queue"]["time_ms"]["p95"]
    assert logged.data.metrics["cache/prefix_hit_rate"] == metrics["cache"]["prefix_hit_rate"]
    assert logged.data.metrics["tokens/generation"] == 0
    assert logged.data.params["data.depth"] == "10"
    assert {"purpose", "model", "dataset", "git_commit"} <= set(logged.data.tags)
    (candidates,) = logged.inputs.dataset_inputs
    assert metrics["candidates_digest"].startswith(candidates.dataset.digest)
    artifacts = {artifact.path for artifact in client.list_artifacts(logged.info.run_id)}
    assert {"metrics.json", "run.trec", "per_query.parquet", "rankings", "config.yaml"} <= artifacts
    for name in SERIES.values():
        history = client.get_metric_history(logged.info.run_id, name)
        assert history, f"the series {name} is empty"
        assert [point.step for point in history] == sorted(point.step for point in history)


def test_a_second_run_reuses_the_running_engine_and_gives_the_same_ranking(
    demo_run: RunFolder, served: dict[str, Any], write_config: WriteConfig
) -> None:
    applications = set(serve.status().applications)
    again = do(write_config(served | {"data": DEMO}))
    first = {ranking.query_id: ranking.doc_ids for ranking in read_rankings(demo_run.rankings)}
    second = {ranking.query_id: ranking.doc_ids for ranking in read_rankings(again.rankings)}
    assert set(serve.status().applications) == applications
    assert told(again)["candidates_digest"] == told(demo_run)["candidates_digest"]
    # bfloat16 sums depend on which prompts share a step; nearly all neighbours keep their order all the same.
    assert sum(first[key][0] == second[key][0] for key in first) >= 0.9 * len(first)


# --- what decides the scores ---


def test_a_run_and_mlflow_tell_the_identity_that_the_replica_told(demo_run: RunFolder, application: str) -> None:
    identity = told(demo_run)["identity"]
    digest = identity.pop("digest")
    assert serve.get_deployment_handle("reranker", app_name=application).identity.remote().result() == identity
    config = load_config(demo_run.config)
    assert identity == asdict(foresee(describe(config.model), config)), "the job foresaw it"
    client = MlflowClient(tracking_uri=config.tracking.uri)
    (logged,) = client.search_runs([client.get_experiment_by_name("demo").experiment_id])
    assert logged.data.tags["identity"] == logged.data.params["identity.digest"] == digest
    assert logged.data.params["identity.dtype"] == identity["dtype"]


def test_a_job_on_a_running_application_that_scores_otherwise_is_refused_and_keeps_nothing(
    application: str, served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows, tmp_path: Path
) -> None:
    """0.1.0 reported and stored scores of an engine that reads 400 tokens as those of 32."""
    sections = served | {
        "data": write_rows([row("q1", "which", "word " * 300, "brief")]),
        "rerank": {"store": str(tmp_path / "store")},
        "serve": served["serve"] | {"application": application},
    }
    with pytest.raises(
        ConfigError, match=r"max_length 128 and 400 \(the config's first\). Set model.max_length"
    ) as error:
        do(write_config(sections), "model.max_length=128")
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="dtype float32 and"):
        do(write_config(sections), "engine.dtype=float32")
    assert len(ScoreStore(tmp_path / "store")) == 0
    assert application in serve.status().applications, "the others' engine runs on"
    assert told(do(write_config(sections)))["coverage"]["answered"] == 1
    assert len(ScoreStore(tmp_path / "store")) == 2


class EarlierReplica:
    """As rerank-eval 0.1.0 has it: it does not tell what decides its scores."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        return [PairScore(0.5)] * len(documents)


def test_an_application_of_0_1_0_is_refused_in_one_line(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows
) -> None:
    deployed = serve.deployment(name="reranker", ray_actor_options={"num_cpus": 0})(EarlierReplica)
    serve.run(deployed.bind(), name="earlier", route_prefix=None)
    sections = served | {"data": write_rows([row("q1", "which", "a", "b")])}
    try:
        with pytest.raises(ConfigError, match=r"serve.application earlier: it does not tell what decides its scores"):
            do(write_config(sections), "serve.application=earlier")
    finally:
        serve.delete("earlier")


def test_a_replica_refuses_the_calls_of_a_job_that_means_another_score(application: str) -> None:
    scorer = connect_scorer(application, 5.0, IDENTITY)
    with pytest.raises(IdentityError, match=f"the job as {IDENTITY.digest}"):
        asyncio.run(scorer.score("q", ["d"]))


def test_an_instruction_column_changes_the_scores_of_its_query_alone(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows
) -> None:
    texts = ("alpha beta", "gamma delta", "epsilon")
    plain = do(write_config(served | {"data": write_rows([row("q1", "one", *texts), row("q2", "two", *texts)])}))
    rows = [row("q1", "one", *texts), row("q2", "two", *texts) | {"instruction": "Prefer what is about the sea"}]
    steered = do(write_config(served | {"data": write_rows(rows)}))
    before, after = (
        {
            ranking.query_id: dict(zip(ranking.doc_ids, ranking.logits, strict=True))
            for ranking in read_rankings(f.rankings)
        }
        for f in (plain, steered)
    )
    assert after["q1"] == pytest.approx(before["q1"], abs=0.02)
    assert any(abs(after["q2"][key] - before["q2"][key]) > 0.02 for key in after["q2"])


def test_a_pair_that_the_engine_cannot_score_fails_alone_with_the_reason(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows
) -> None:
    data = write_rows([row("q1", "which", "fine", f"broken {POISON}", "also fine"), row("q2", "another", "x", "y")])
    folder = do(write_config(served | {"data": data, "rerank": {"max_failed_share": 0.2}}))
    (failure,) = pq.read_table(folder.failures).to_pylist()
    assert (failure["query_id"], failure["doc_id"]) == ("q1", "d1")
    assert "not a finite number" in failure["reason"]
    assert told(folder)["coverage"]["failed_pairs"] == 1
    assert told(folder)["coverage"]["set_aside_rows"] == 0, "failed pairs are not rows of the data"
    ranked = {ranking.query_id: sorted(ranking.doc_ids) for ranking in read_rankings(folder.rankings)}
    assert ranked == {"q1": ["d0", "d2"], "q2": ["d0", "d1"]}


def test_healthy_pairs_that_come_upon_the_cache_blocks_of_a_broken_one_are_scored(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows
) -> None:
    """What a pair that gives NaN leaves in the engine's cache is met by others; they are scored once more."""
    texts = [f"{place} calm sea " * (place % 40 + 1) for place in range(30)]
    rows = [row(f"q{query}", f"weather {query}", f"{POISON} {query}", *texts) for query in range(30)]
    allowed = {"max_failed_share": 0.05}
    folder = do(write_config(served | {"data": write_rows(rows), "rerank": allowed}))
    assert {one.query_id: list(one.failed) for one in read_rankings(folder.rankings)} == {
        f"q{query}": ["d0"] for query in range(30)
    }


def test_more_failures_than_allowed_is_exit_code_3_with_the_results_kept(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows, tmp_path: Path
) -> None:
    data = write_rows([row("q1", "which", "fine", f"broken {POISON}"), row("q2", "another", "x", "y")])
    with pytest.raises(TooManyFailuresError, match=r"1 of 4 pairs failed.*max_failed_share") as error:
        do(write_config(served | {"data": data}))
    assert error.value.exit_code == 3
    assert told(RunFolder(tmp_path / "results" / "latest"))["coverage"]["failed_pairs"] == 1


def test_a_long_document_is_cut_and_a_query_that_is_too_long_fails_alone(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows
) -> None:
    endless = "word " * 3000
    data = write_rows([row("q1", "short", endless, "brief"), row("q2", endless, "x", "y")])
    folder = do(write_config(served | {"data": data, "rerank": {"max_failed_share": 1.0}}))
    coverage = told(folder)["coverage"]
    assert (coverage["truncated_pairs"], coverage["failed_pairs"]) == (1, 2)
    assert (coverage["answered"], coverage["unanswered"]) == (1, 1)
    (kept,) = (ranking.ordered() for ranking in read_rankings(folder.rankings) if ranking.query_id == "q2")
    assert kept == ("d0", "d1"), "its list stays as it was given"
    reasons = {failed["reason"] for failed in pq.read_table(folder.failures).to_pylist()}
    (reason,) = reasons
    assert "too long" in reason
    assert not any(word in reason for word in ("\n", "Traceback", "ray::", "pid=", "Error"))


@pytest.mark.thorough
def test_a_run_in_passages_also_knows_what_one_that_cuts_gives(
    local_ray: None, write_config: WriteConfig, tmp_path: Path
) -> None:
    sections = {
        "data": DEMO,
        "model": {"name": EMBEDDED_MODEL, "max_length": 64},
        "engine": {"compile": False, "kv_cache_gib": 0.5, "dtype": "float32"},
        "evaluate": {"metrics": ["ndcg@10"]},
        "rerank": {"store": str(tmp_path / "store")},
    }
    cut = do(write_config(sections))
    read, again = (do(write_config(sections), "model.long_documents=passages") for _ in range(2))
    as_cut = {one.query_id: dict(zip(one.doc_ids, one.scores, strict=True)) for one in read_rankings(cut.rankings)}
    several = 0
    for ranking in read_rankings(read.rankings):
        listed = zip(ranking.doc_ids, ranking.scores, ranking.cut_scores, ranking.passages, strict=True)
        for doc_id, score, cut_score, passages in listed if ranking.passages else ():
            assert cut_score == pytest.approx(as_cut[ranking.query_id][doc_id], abs=1e-4)
            assert score >= cut_score if passages > 1 else score == cut_score
            several += passages > 1
    coverage = told(read)["coverage"]
    assert coverage["pairs_in_passages"] == several == told(cut)["coverage"]["truncated_pairs"] > 100
    assert coverage["passages"] > 2 * several
    assert coverage["truncated_pairs"] == 0
    assert told(cut)["coverage"]["passages"] is None
    compared = json.loads(read.analysis.read_text())["long_documents"]
    assert compared["documents"] == several
    assert compared["queries"] == 76, "each query has a document that does not fit"
    values = compared["significance"]["ndcg@10"]
    assert values["mean_baseline"] == pytest.approx(told(cut)["quality"]["reranked"]["ndcg_at_10"], abs=1e-3)
    assert values["mean_system"] == pytest.approx(told(read)["quality"]["reranked"]["ndcg_at_10"])
    assert told(again)["throughput"]["scored_pairs"] == 0
    assert json.loads(again.analysis.read_text())["long_documents"] == compared
    assert told(again)["coverage"] == coverage


def test_malformed_rows_are_set_aside_and_the_rest_is_ranked(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows
) -> None:
    broken = {"query_id": "q2", "query": "", "documents": ["x"]}
    data = write_rows([row("q1", "which", "fine", "", "also fine"), broken, row("q3", "third", "x", "y")])
    folder = do(write_config(served | {"data": data}))
    assert told(folder)["coverage"]["set_aside_rows"] == 2
    rows = pq.read_table(folder.failures).to_pylist()
    assert sorted((one["line"], one["reason"]) for one in rows) == [(1, "no text"), (2, "empty query")]


def test_data_without_a_usable_row_is_an_input_error_and_says_why(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows, tmp_path: Path
) -> None:
    data = write_rows([{"query_id": "q1", "query": "", "documents": ["x"]}])
    with pytest.raises(DataError, match="nothing left to rerank"):
        do(write_config(served | {"data": data}))
    (folder,) = (tmp_path / "results").iterdir()
    assert pq.read_table(folder / "failures.parquet").num_rows == 1


def test_a_dead_tracking_server_costs_no_result_and_sync_catches_up(
    served: dict[str, Any],
    write_config: WriteConfig,
    write_rows: WriteRows,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = write_rows([row("q1", "which", "fine", "also fine")])
    config = write_config(served | {"data": data, "tracking": {"uri": "http://127.0.0.1:9", "experiment": "late"}})
    waits = waits_from_now_on(monkeypatch, pauses=False)  # the job makes its own
    with pytest.raises(TrackingError, match="rerank-eval sync") as error:
        do(config)
    assert error.value.exit_code == 4
    folder = RunFolder((tmp_path / "results" / "latest").resolve())
    assert told(folder)["coverage"]["answered"] == 1
    assert 0 < sum(waits) <= 20
    uri = new_database(tmp_path / "late.db")
    for _ in range(2):
        sync_run(folder.path, uri)
    client = MlflowClient(tracking_uri=uri)
    (logged,) = client.search_runs([client.get_experiment_by_name("late").experiment_id])
    assert logged.data.metrics["coverage/answered"] == 1


def test_a_run_without_judgements_has_no_quality_but_everything_else(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows
) -> None:
    data = write_rows([{"query_id": "q1", "query": "which", "documents": ["fine", "also fine"]}])
    metrics = told(do(write_config(served | {"data": data})))
    assert metrics["quality"] == {"first_stage": None, "reranked": None, "delta": None}
    assert metrics["coverage"]["answered"] == 1


def test_the_same_job_again_asks_no_engine_and_new_candidates_are_scored_alone(
    served: dict[str, Any], write_config: WriteConfig, write_rows: WriteRows, tmp_path: Path
) -> None:
    kept = served | {"rerank": {"store": str(tmp_path / "store")}}
    rows = [row("q1", "which", "one", "two", "three"), row("q2", "another", "x", "y")]
    first = do(write_config(kept | {"data": write_rows(rows)}))
    assert told(first)["cache"]["score_store_hits"] == 0

    # Other settings would need another engine: none is started, since nothing needs one.
    again = do(write_config(kept | {"data": write_rows(rows), "serve": {"replicas": 7}}))
    assert told(again)["throughput"]["scored_pairs"] == 0
    assert told(again)["cache"]["score_store_hit_rate"] == 1.0
    assert told(again)["quality"] == told(first)["quality"]
    assert [r.scores for r in read_rankings(again.rankings)] == [r.scores for r in read_rankings(first.rankings)]

    grown = do(write_config(kept | {"data": write_rows([*rows, row("q3", "third", "one", "two")])}))
    assert told(grown)["throughput"]["scored_pairs"] == 2
    assert told(grown)["cache"]["score_store_hits"] == 5


def test_a_killed_replica_loses_nothing_and_counts_nothing_twice(
    application: str, served: dict[str, Any], write_config: WriteConfig
) -> None:
    config = write_config(served | {"data": DEMO | {"depth": 30}, "rerank": {"batch_queries": 2}})
    results = Path(load_config(config).output.dir)
    collector = collector_of(application)
    (first,) = ray.get(collector.replicas.remote())

    def kill() -> None:
        """Once some are ranked: in mid-run, however fast the machine is."""
        until(lambda: any(file.stat().st_size > 500 for file in results.glob("*/rankings/part-*")), 400)
        os.kill(first["process_id"], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    folder = do(config)
    killer.join()
    assert len(ray.get(collector.replicas.remote())) == 2, "the replica was not replaced: it was not killed in mid-run"
    coverage = told(folder)["coverage"]
    candidates = {one.query_id: sorted(one.doc_ids) for one in read_candidates(folder.candidates)}
    assert coverage["failed_pairs"] == 0
    assert {one.query_id: sorted(one.doc_ids) for one in read_rankings(folder.rankings)} == candidates


def test_the_stand_in_scorer_runs_the_whole_job_without_an_engine(local_ray: None, write_config: WriteConfig) -> None:
    metrics = told(do(write_config({"data": DEMO, "model": {"name": "overlap"}})))
    assert metrics["model"]["family"] == "overlap"
    assert metrics["coverage"]["answered"] == 76
    assert metrics["queue"]["time_ms"]["p95"] is None and metrics["tokens"]["generation"] is None
