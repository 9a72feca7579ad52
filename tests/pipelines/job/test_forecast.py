"""What a dry run foretells: tokens as the engine would count them, what is stored, seconds by an earlier run or by
arithmetic, and why it does not where it does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.base.config import RunConfig
from pipelines.base.environment import describe_hardware
from pipelines.job import device
from pipelines.job.dry_run import make_plan, print_plan
from pipelines.job.forecast import Forecaster, foreseen_device, with_forecast
from pipelines.job.identity import place_key
from pipelines.job.prepare import all_candidates
from serve_app.engine.identity import foresee_identity
from serve_app.engine.models import ModelInfo, describe, model_config
from serve_app.engine.procedure import load_procedure
from serve_app.settings import EMBEDDED_MODEL
from stages.core.errors import ConfigError
from stages.core.records import Candidates, PairScore
from stages.core.vectors import TextKeys
from stages.sources import open_source
from stages.speed.arithmetic import GPU_TFLOPS, prompt_flop, shape_of
from stages.store.records import query_keys
from stages.store.store import ScoreStore
from stages.store.vectors import VECTORS, VectorStore
from tests.checkpoints.late_interaction import make_stanford_colbert
from tests.pipelines.finished_runs import METRICS, finished_run

DEMO = {"format": "beir", "path": "configs/demo", "run": "configs/demo/runs/bm25.trec"}
TEXTS = ["one", "one two three", "a text that is a good deal longer than the others are", "two"]


def rows(folder: Path) -> dict[str, Any]:
    """Three queries, which share their documents; the first one lists one twice."""
    lists = [[0, 1, 2, 0], [1, 2, 3], [2]]
    written = [
        {"query_id": f"q{place}", "query": f"query {place}", "documents": [{"text": TEXTS[one]} for one in listed]}
        for place, listed in enumerate(lists)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, written)))
    return {"format": "jsonl", "path": str(folder / "rows.jsonl")}


def config_of(folder: Path, named: str | Path, **sections: Any) -> RunConfig:
    told = {
        "data": rows(folder),
        "model": {"name": str(named)},
        "engine": {"dtype": "float32"},
        "serve": {"gpus_per_replica": 0},
        "tracking": {"uri": None},
        "output": {"dir": str(folder / "results")},
    }
    return RunConfig.model_validate({name: told.get(name, {}) | sections.get(name, {}) for name in told | sections})


def candidates_of(config: RunConfig) -> list[Candidates]:
    return list(all_candidates(open_source(config.data), config.data.depth, lambda row: None))


def forecast_of(config: RunConfig, gpu: str | None = None) -> dict[str, Any]:
    told: dict[str, Any] = make_plan(config, gpu)["forecast"]
    return told


def earlier(config: RunConfig, name: str, model: ModelInfo, **changed: Any) -> None:
    """A finished run of the config: 1,000 pairs of 20 tokens in 50 s, its engine ready 30 s after it began."""
    identity = foresee_identity(model, config.model, config.engine, "cpu")
    throughput = {"wall_s": 50.0, "scored_pairs": 1000, "pairs_per_s": 20.0}
    metrics: dict[str, Any] = {
        "started": "2026-02-01T00:00:00+00:00",
        "identity": asdict(identity) | {"digest": identity.digest},
        "throughput": throughput,
        "tokens": {"prompt": 20_000},
    }
    folder = Path(config.output.dir) / name
    finished_run(folder, [0.5], config=config.model_dump(mode="json"), **(metrics | changed))
    ready_s = datetime(2026, 2, 1, 0, 0, 30, tzinfo=UTC).timestamp()
    engines = [{"ready_s": ready_s, "device": "cpu"}]
    (folder / "environment.json").write_text(json.dumps({"hardware": describe_hardware(), "engines": engines}))


# --- tokens ---


def test_tokens_are_those_of_the_prompts_that_the_engine_gets(tiny_qwen3: Path, tmp_path: Path) -> None:
    config = config_of(tmp_path, tiny_qwen3)
    encoder = load_procedure(describe(config.model), config.model).encoder
    prompts = [
        prompt for one in candidates_of(config) for prompt in encoder.encode(one.query, one.instruction, one.texts)
    ]
    told = forecast_of(config)
    assert told["tokens"]["total"] == sum(len(prompt.token_ids) for prompt in prompts)
    assert (told["tokens"]["low"], told["tokens"]["high"]) == (told["tokens"]["total"],) * 2
    assert (told["tokens"]["sampled"], told["tokens"]["of"]) == (8, 8)
    assert (told["pairs"], told["stored_pairs"], told["new_pairs"], told["texts"]) == (8, 0, 8, None)


def test_what_the_cache_holds_is_each_querys_beginning_for_all_documents_but_one(
    tiny_qwen3: Path, tmp_path: Path
) -> None:
    config = config_of(tmp_path, tiny_qwen3, engine={"block_size": 32})
    encoder = load_procedure(describe(config.model), config.model).encoder
    read = held = 0
    for one in candidates_of(config):
        prompts = encoder.encode(one.query, one.instruction, one.texts)
        read += sum(len(prompt.token_ids) for prompt in prompts)
        # The template and the query: their documents begin alike nowhere within a block behind that.
        begins = len(encoder.encode(one.query, one.instruction, ["~"])[0].token_ids) - len("~")
        held += (len(prompts) - 1) * ((begins - 12) // 32 * 32)
    shared = forecast_of(config)["tokens"]["shared_share"]
    assert shared == pytest.approx(held / read, abs=0.02)
    assert shared > 0.2
    off = config_of(tmp_path, tiny_qwen3, engine={"prefix_caching": False})
    assert forecast_of(off)["tokens"]["shared_share"] == 0


def test_an_embedding_model_reads_each_document_once_and_each_query(tmp_path: Path) -> None:
    config = config_of(tmp_path, EMBEDDED_MODEL)
    encoder = load_procedure(describe(config.model), config.model).encoder
    queries = [one.query for one in candidates_of(config)]
    prompts = [encoder.encode(query, None, TEXTS) for query in queries]
    expected = sum(len(one[0].token_ids) for one in prompts) + sum(len(one.token_ids) for one in prompts[0][1:])
    told = forecast_of(config)
    assert told["tokens"]["total"] == expected
    assert (told["texts"], told["tokens"]["of"]) == (len(TEXTS), len(TEXTS))


def test_documents_that_are_cut_or_read_in_passages_are_told(tiny_qwen3: Path, tmp_path: Path) -> None:
    row = {"query_id": "q", "query": "one", "documents": [{"text": "word " * 400}, {"text": "short"}]}
    (tmp_path / "long.jsonl").write_text(json.dumps(row))
    data = {"path": str(tmp_path / "long.jsonl")}
    cut = config_of(tmp_path, tiny_qwen3, data=data, model={"max_length": 192})
    told = forecast_of(cut)["tokens"]
    assert (told["cut_share"], told["prompts_per_document"]) == (0.5, 1.0)
    read = config_of(tmp_path, tiny_qwen3, data=data, model={"max_length": 192, "long_documents": "passages"})
    encoder = load_procedure(describe(read.model), read.model).encoder
    prompts = encoder.encode("one", None, ["word " * 400, "short"])
    told = forecast_of(read)["tokens"]
    assert told["cut_share"] == 0
    assert told["prompts_per_document"] == len(prompts) / 2 > 1
    assert told["total"] == sum(len(prompt.token_ids) for prompt in prompts)


def test_a_sample_of_the_demo_holds_the_truth_and_is_the_same_each_time(
    tiny_qwen3: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, tiny_qwen3, data=DEMO)
    data = RunConfig.model_validate({"data": DEMO | {"limit": 25}}).data
    config = config.model_copy(update={"data": data})
    encoder = load_procedure(describe(config.model), config.model).encoder
    truth = sum(
        len(prompt.token_ids)
        for one in candidates_of(config)
        for prompt in encoder.encode(one.query, one.instruction, one.texts)
    )
    told = forecast_of(config)["tokens"]
    assert told["low"] <= truth <= told["high"]
    pairs = sum(len(one.texts) for one in candidates_of(config))
    assert (told["sampled"], told["of"]) == (500, pairs)
    assert 0 < told["margin"] < 0.1
    print_plan(config, as_json=False)
    shown = capsys.readouterr().out
    assert f"forecast    {pairs:,} pairs, of which 0 stored\n" in shown
    assert f"            {told['total']:,} tokens ± " in shown and f"(95 % interval, from 500 of {pairs:,})" in shown


def test_of_long_documents_fewer_are_tokenized_and_the_interval_says_so(
    tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    documents = [{"text": f"{number} " + "word " * 12000} for number in range(100)]
    (tmp_path / "long.jsonl").write_text(json.dumps({"query_id": "q", "query": "one", "documents": documents}))
    data = {"path": str(tmp_path / "long.jsonl")}
    read = config_of(tmp_path, tiny_cross_encoder, data=data, model={"max_length": 256, "long_documents": "passages"})
    told = forecast_of(read)["tokens"]
    # 4,000,000 characters, of documents of some 60,000.
    assert (told["sampled"], told["of"]) == (66, 100)
    assert told["low"] <= told["total"] <= told["high"]


def test_a_tokenizer_that_is_not_here_is_told_in_a_line_and_not_downloaded(tmp_path: Path) -> None:
    config = config_of(tmp_path, EMBEDDED_MODEL)
    found = describe(config.model)
    elsewhere = ModelInfo("some/model", "some/model", "f" * 40, found.recipe, found.max_length, None)
    forecaster = Forecaster(config, elsewhere)
    for one in candidates_of(config):
        forecaster.add(one)
    told = forecaster.tell()
    assert told["tokens"] is None
    (remark,) = [one for one in told["remarks"] if one.startswith("tokens are not forecast: ")]
    assert "some/model: its tokenizer cannot be loaded" in remark
    assert remark.endswith("A dry run downloads no tokenizer; the run does")


def test_a_dry_run_loads_neither_torch_nor_ray_nor_vllm(tmp_path: Path) -> None:
    config = config_of(tmp_path, EMBEDDED_MODEL)
    (tmp_path / "run.yaml").write_text(config.to_yaml())
    code = (
        "import sys; from pipelines.cli.app import app\n"
        "try: app(args=['run', '-c', sys.argv[1], '--dry-run', '--json'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print([name for name in ('torch', 'ray', 'vllm', 'transformers') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run.yaml")], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["forecast"]["tokens"]["total"] > 0
    assert done.stderr.strip() == "[]"


# --- what is stored ---


def test_what_the_store_knows_is_not_scored_and_the_store_is_left_alone(tiny_qwen3: Path, tmp_path: Path) -> None:
    config = config_of(tmp_path, tiny_qwen3, rerank={"store": str(tmp_path / "store")})
    assert forecast_of(config)["stored_pairs"] == 1, "the first query lists a text twice"
    assert not (tmp_path / "store").exists()
    identity = foresee_identity(describe(config.model), config.model, config.engine, "cpu")
    store = ScoreStore(tmp_path / "store")
    for one in candidates_of(config)[:2]:
        keys = query_keys(identity.key, one.instruction, one.query, one.texts)
        store.write(keys.query, dict.fromkeys(keys.pairs, PairScore(0.5)), identity.key)
    store.close()
    before = {file.name: file.read_bytes() for file in (tmp_path / "store").iterdir()}
    told = forecast_of(config)
    assert {file.name: file.read_bytes() for file in (tmp_path / "store").iterdir()} == before
    assert (told["pairs"], told["stored_pairs"], told["new_pairs"], told["tokens"]["of"]) == (8, 7, 1, 1)
    other = config_of(tmp_path, tiny_qwen3, rerank={"store": str(tmp_path / "store")}, model={"instruction": "other"})
    assert forecast_of(other)["stored_pairs"] == 1


def test_where_every_pair_is_stored_nothing_starts(
    tiny_qwen3: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, tiny_qwen3, rerank={"store": str(tmp_path / "store")})
    identity = foresee_identity(describe(config.model), config.model, config.engine, "cpu")
    store = ScoreStore(tmp_path / "store")
    for one in candidates_of(config):
        keys = query_keys(identity.key, one.instruction, one.query, one.texts)
        store.write(keys.query, dict.fromkeys(keys.pairs, PairScore(0.5)), identity.key)
    store.close()
    told = forecast_of(config)
    assert (told["new_pairs"], told["tokens"], told["scoring_s"], told["start_s"]) == (0, None, 0.0, 0.0)
    assert told["remarks"] == []
    print_plan(config, as_json=False)
    assert "every score is stored: no engine starts" in capsys.readouterr().out


def test_a_store_that_cannot_be_read_is_told(tiny_qwen3: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "scores.sqlite").write_bytes(b"nonsense" * 1000)
    told = forecast_of(config_of(tmp_path, tiny_qwen3, rerank={"store": str(tmp_path / "store")}))
    assert told["stored_pairs"] == 1, "what is listed twice"
    assert told["remarks"][0].startswith("what the score store knows cannot be told (rerank.store ")


def keep_vectors(folder: Path, config: RunConfig, texts: list[str]) -> None:
    """As a job of the config would."""
    identity = foresee_identity(describe(config.model), config.model, config.engine, "cpu")
    store = VectorStore(folder, 1 << 20)
    keys = TextKeys(identity)
    store.write({keys.of(text): {b"p" * 16: np.ones(4, np.float32)} for text in texts}, identity.key)
    store.close()


def test_documents_whose_vectors_are_kept_are_not_read_and_the_store_is_left_alone(tmp_path: Path) -> None:
    """Their pairs are new, as other queries over the same documents are."""
    folder = tmp_path / "store"
    config = config_of(tmp_path, EMBEDDED_MODEL, rerank={"store": str(folder)})
    without = forecast_of(config)
    keep_vectors(folder, config, TEXTS[1:3])
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    told = forecast_of(config)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert (told["new_pairs"], told["texts"], told["tokens"]["of"]) == (7, 2, 2)
    assert told["tokens"]["total"] < without["tokens"]["total"]
    for unlike in ({"model": {"max_length": 64}}, {"rerank": {"store": str(folder), "store_vectors_gib": 0}}):
        other = config_of(tmp_path, EMBEDDED_MODEL, **{"rerank": {"store": str(folder)}} | unlike)
        assert forecast_of(other)["texts"] == len(TEXTS), unlike


def test_where_all_vectors_are_kept_no_seconds_are_made_up(tmp_path: Path) -> None:
    config = config_of(tmp_path, EMBEDDED_MODEL, rerank={"store": str(tmp_path / "store")})
    earlier(config, "run", describe(config.model), cache={"reused_vectors": 0})
    assert forecast_of(config)["scoring_s"] > 0
    keep_vectors(tmp_path / "store", config, TEXTS)
    told = forecast_of(config)
    assert (told["new_pairs"], told["texts"], told["scoring_s"]) == (7, 0, None)
    assert told["tokens"]["total"] > 0, "those of the queries"
    (remark,) = told["remarks"]
    assert remark.startswith("time is not forecast: all documents' vectors are kept")


def test_vectors_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / VECTORS.file).write_bytes(b"nonsense" * 1000)
    told = forecast_of(config_of(tmp_path, EMBEDDED_MODEL, rerank={"store": str(tmp_path / "store")}))
    assert told["texts"] == len(TEXTS)
    assert told["remarks"][0].startswith("whose vectors are kept cannot be told (")


def test_of_a_late_interaction_model_each_document_counts_once_as_in_the_run_that_is_measured_by(
    tmp_path: Path,
) -> None:
    config = config_of(tmp_path, make_stanford_colbert(tmp_path / "model"))
    earlier(config, "run", describe(config.model), cache={"reused_vectors": 600})
    told = forecast_of(config)
    assert (told["texts"], told["tokens"]["of"]) == (len(TEXTS), len(TEXTS))
    mean = told["tokens"]["total"] / len(TEXTS)
    assert told["scoring_s"] == pytest.approx(50 * (len(TEXTS) / 400) * mean / (20_000 / 400))


# --- seconds ---


def test_seconds_are_those_of_the_last_run_alike_by_pairs_and_tokens(
    tiny_qwen3: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, tiny_qwen3, cost={"per_hour": 36.0})
    model = describe(config.model)
    earlier(config, "older", model, started="2026-01-01T00:00:00+00:00")
    earlier(config, "run", model)
    told = forecast_of(config)
    assert told["measured"] == {"run_id": "run", "device": "cpu"}
    expected = 50 * (8 / 1000) * (told["tokens"]["total"] / 8) / 20
    assert told["scoring_s"] == pytest.approx(expected)
    assert (told["start_s"], told["pairs_per_s"]) == (pytest.approx(30), 20.0)
    assert told["money"] == pytest.approx(expected * 36 / 3600)
    assert told["money_with_start"] == pytest.approx((expected + 30) * 36 / 3600)
    print_plan(config, as_json=False)
    shown = capsys.readouterr().out
    assert "s scoring + 30.0 s start, from 20.0 pairs/s on cpu as run run measured" in shown
    assert " at 36 an hour" in shown


def test_without_a_run_it_says_what_would_give_a_forecast(tmp_path: Path) -> None:
    told = forecast_of(config_of(tmp_path, "overlap"))
    assert told["scoring_s"] is told["start_s"] is told["money"] is told["tokens"] is None
    (remark,) = told["remarks"]
    assert "has no finished run of this model and these engine settings" in remark and "--gpu H100" in remark


def test_after_a_run_its_forecast_is_that_of_the_run_before_it(tmp_path: Path) -> None:
    config = config_of(tmp_path, "overlap")
    model = describe(config.model)
    identity = foresee_identity(model, config.model, config.engine, "cpu")
    for name, month in (("before", 1), ("after", 3)):
        earlier(config, name, model, started=f"2026-0{month}-01T00:00:00+00:00")

    def told(started: str = "2026-02-15T00:00:00+00:00", pairs: int = 500, took_s: float | None = 23.0) -> Any:
        """50 s for 1,000 pairs of 20 tokens are 25 s for 500."""
        throughput = {"scored_pairs": pairs, "wall_s": took_s}
        done = METRICS | {"started": started, "throughput": throughput, "tokens": {"prompt": pairs * 20}}
        return with_forecast(done, config, identity)["forecast"]  # type: ignore[arg-type,typeddict-item]

    assert told() == {"run": "before", "scoring_s": pytest.approx(25.0), "error": pytest.approx(-0.08)}
    nothing = {"run": None, "scoring_s": None, "error": None}
    assert told(pairs=0) == told(started="2025-01-01T00:00:00+00:00") == told(took_s=None) == nothing


# --- by arithmetic ---


def test_a_named_gpu_is_forecast_by_its_arithmetic_whatever_was_measured(
    tiny_qwen3: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = {"engine": {"dtype": "bfloat16", "prefix_caching": False}, "cost": {"per_hour": 4.0}}
    config = config_of(tmp_path, tiny_qwen3, **sections)
    model = describe(config.model)
    earlier(config, "run", model)
    encoder, shape = load_procedure(model, config.model).encoder, shape_of(model_config(model))
    flop = sum(
        prompt_flop(shape, len(prompt.token_ids))
        for one in candidates_of(config)
        for prompt in encoder.encode(one.query, one.instruction, one.texts)
    )
    told = forecast_of(config, "h100")
    assert told["gpu"]["flop"] == pytest.approx(flop)
    assert told["scoring_s"] == pytest.approx(flop / (GPU_TFLOPS["H100"] * 1e12 * 0.55))
    assert (told["measured"], told["start_s"], told["gpu"]["utilization"]) == (None, None, 0.55)
    assert told["money"] == pytest.approx(told["scoring_s"] * 4 / 3600)
    print_plan(config, as_json=False, gpu="h100")
    assert "an assumed 55 % of 989 TFLOP/s" in " ".join(capsys.readouterr().out.split())


def test_a_cache_saves_operations_and_two_replicas_halve_the_time(tiny_qwen3: Path, tmp_path: Path) -> None:
    told = [
        forecast_of(config_of(tmp_path, tiny_qwen3, engine={"dtype": "bfloat16"} | engine, serve=serve), "A100")
        for engine, serve in (({"prefix_caching": False}, {}), ({}, {}), ({}, {"replicas": 2}))
    ]
    assert told[1]["gpu"]["flop"] < told[0]["gpu"]["flop"]
    assert told[2]["scoring_s"] == pytest.approx(told[1]["scoring_s"] / 2)


@pytest.mark.parametrize(("page", "between"), [("docs/data.md", ", "), ("docs/data.zh.md", "、")])
def test_the_gpus_are_named_where_forecasts_are_told(page: str, between: str) -> None:
    assert between.join(GPU_TFLOPS) in Path(page).read_text(encoding="utf-8")


def test_the_accelerator_of_the_config_is_forecast_where_nothing_was_measured(tiny_qwen3: Path, tmp_path: Path) -> None:
    serve = {"gpus_per_replica": 1, "accelerator_type": "A100"}
    told = forecast_of(config_of(tmp_path, tiny_qwen3, engine={"dtype": "bfloat16"}, serve=serve))
    assert told["gpu"]["name"] == "A100"
    assert told["scoring_s"] > 0


def test_single_precision_and_an_unknown_gpu_are_not_guessed(tiny_qwen3: Path, tmp_path: Path) -> None:
    config = config_of(tmp_path, tiny_qwen3)
    told = forecast_of(config, "H100")
    assert told["scoring_s"] is None
    assert told["remarks"] == [
        "time is not forecast: rates of GPUs are those of 16 bits, and engine.dtype is float32",
    ]
    with pytest.raises(ConfigError, match="GPU potato is not known here"):
        make_plan(config, "potato")


# --- the device ---


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine, where no cluster is named or connected."""
    for name in ("RAY_ADDRESS", "CUDA_VISIBLE_DEVICES", device.OVERRIDES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(device, "in_cluster", lambda: False)
    monkeypatch.setattr(device, "nvidia_gpus", lambda: 2)


def test_the_device_is_the_one_that_the_job_foresees(
    two_gpus: None, tiny_qwen3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(named: str | Path = tiny_qwen3, **serve: Any) -> tuple[str, bool]:
        config = config_of(tmp_path, named, serve={"gpus_per_replica": None} | serve)
        return foreseen_device(config, describe(config.model))

    assert found(gpus_per_replica=0) == ("cpu", False)
    assert found(gpus_per_replica=0.5) == ("cuda", False)
    assert found() == ("cuda", False)
    assert found(ray_address="ray://head") == ("cuda", True)
    assert found("overlap", ray_address="ray://head") == ("cpu", False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert found() == ("cpu", False)
    monkeypatch.setattr(device, "AMD", tmp_path)
    assert found() == ("cpu", True), "only Ray can tell"


def test_of_a_cluster_it_is_said_for_which_device_the_store_is_looked_into_until_its_engine_has_told(
    two_gpus: None, tiny_qwen3: Path, tmp_path: Path
) -> None:
    serve = {"gpus_per_replica": None, "ray_address": "ray://head:10001"}
    config = config_of(tmp_path, tiny_qwen3, serve=serve, rerank={"store": str(tmp_path / "store")})
    told, *_ = forecast_of(config)["remarks"]
    assert told.startswith("what is stored is told for engines on cuda") and "serve.gpus_per_replica" in told
    model = describe(config.model)
    identity = foresee_identity(model, config.model, config.engine, "cpu")
    place, store = place_key(model, config), ScoreStore(tmp_path / "store")
    assert place is not None
    store.remember(place, identity.key)
    for one in candidates_of(config):
        keys = query_keys(identity.key, one.instruction, one.query, one.texts)
        store.write(keys.query, dict.fromkeys(keys.pairs, PairScore(0.5)), identity.key)
    store.close()
    told = forecast_of(config)
    assert (told["stored_pairs"], told["new_pairs"], told["remarks"]) == (8, 0, [])
