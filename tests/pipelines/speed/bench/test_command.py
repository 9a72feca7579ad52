"""`rerank-eval benchmark`: made models and pairs, processes watched and ended, clients, and one whole run."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipelines.base.config import RunConfig
from pipelines.base.console import Console
from pipelines.speed.bench import client, library
from pipelines.speed.bench.bench import Bench, do_job
from pipelines.speed.bench.command import config_of, figures_to_log, read_benchmark, run_benchmark
from pipelines.speed.bench.contenders import REFERENCE, choose, contenders
from pipelines.speed.bench.engines import classify_body, client_job, flags, score_body
from pipelines.speed.bench.models import CROSS_ENCODERS, make_model
from pipelines.speed.bench.order import BenchmarkOrder
from pipelines.speed.bench.ours import job, rerank_body
from pipelines.speed.bench.pairs import PairMaker, PairOrder, PairSet, describe_pairs, requests_of, shape_of_model
from pipelines.speed.bench.process import Group
from serve_app.engine.bare_engine import plan, stock
from serve_app.engine.engine_args import cpu_environment
from serve_app.engine.models import ModelInfo, describe, plain_model
from serve_app.settings import EMBEDDED_MODEL, EngineSettings, ModelSettings
from stages.core.errors import ConfigError, DataError, EngineError
from stages.core.records import Candidates
from stages.core.scoring import OverlapScorer
from stages.speed.benchmark import Round
from tests.api_server import running_api
from tests.benchmark_inputs import a_round, benchmark, contender

pytestmark = pytest.mark.heavy

ORDER = PairOrder(queries=6, documents=10, tokens=220, spread=0.3)
OVERLAP = ModelInfo("overlap", "overlap", None, None, 8192, None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 5-million-parameter model that `--model tiny` makes."""
    return make_model("tiny", tmp_path_factory.mktemp("models")).folder


@pytest.fixture(scope="module")
def settings(made: Path) -> ModelSettings:
    return ModelSettings(name=str(made))


@pytest.fixture(scope="module")
def maker(settings: ModelSettings) -> PairMaker:
    return PairMaker(describe(settings), settings)


@pytest.fixture(scope="module")
def drawn(maker: PairMaker) -> PairSet:
    return maker.draw(ORDER)


def run_config(**sections: Any) -> RunConfig:
    told = {"data": {"format": "jsonl", "path": "unused"}, "tracking": {"uri": None}}
    return RunConfig.model_validate(told | sections)


def make_bench(folder: Path, pairs: PairSet, info: ModelInfo = OVERLAP, **sections: Any) -> Bench:
    planned = {"arguments": {"dtype": "float32"}, "environment": {}}
    config = run_config(**sections)
    return Bench(folder, config, info, {"ours": planned, "device": "cpu"}, pairs, pairs, "float32")


# Models and pairs


def test_the_tiny_model_has_5_million_parameters_and_one_token_for_each_answer(made: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(made), AutoTokenizer.from_pretrained(made)
    assert sum(one.numel() for one in model.parameters()) == pytest.approx(5e6, rel=0.05)
    assert str(model.dtype) == "torch.bfloat16"
    assert [len(tokenizer.encode(answer)) for answer in ("yes", "no")] == [1, 1]
    assert describe(ModelSettings(name=str(made))).family == "qwen3-reranker"


def test_the_nano_model_has_the_same_vocabulary_and_next_to_no_layers(made: Path) -> None:
    nano = make_model("nano", made.parent).folder
    assert (nano / "tokenizer.json").read_bytes() == (made / "tokenizer.json").read_bytes()
    assert shape_of_model(str(nano)).weights < 0.02 * shape_of_model(str(made)).weights
    assert describe(ModelSettings(name=str(nano))).family == "qwen3-reranker"


def test_a_made_cross_encoder_has_all_weights_on_disk_and_prompts_of_the_wished_lengths(tmp_path: Path) -> None:
    made = make_model("tiny-cross-encoder", tmp_path)
    settings = ModelSettings(name=str(made.folder))
    info = describe(settings)
    assert (made.load_format, info.family, info.max_length) == ("auto", "cross-encoder", 8192)
    assert list(made.folder.glob("*.safetensors"))
    assert shape_of_model(info.path) == CROSS_ENCODERS["tiny-cross-encoder"]
    lengths = [len(prompt.token_ids) for prompt in PairMaker(info, settings).draw(PairOrder(4, 25, 220, 0.0)).prompts]
    assert fmean(lengths) == pytest.approx(220, rel=0.05)


def test_the_shape_of_bge_reranker_v2_m3_has_as_many_weights_as_published() -> None:
    """568 million, of which the layers are what a pair is multiplied with."""
    assert CROSS_ENCODERS["bge-reranker-v2-m3"].weights == pytest.approx(302e6, rel=0.01)


def test_a_model_that_is_there_is_not_made_again(made: Path) -> None:
    before = (made / "config.json").stat().st_mtime_ns
    assert make_model("tiny", made.parent).folder == made
    assert (made / "config.json").stat().st_mtime_ns == before


def test_the_layer_shapes_have_a_config_and_no_weights(tmp_path: Path) -> None:
    large = make_model("qwen3-reranker-0.6b", tmp_path)
    assert large.load_format == "dummy"
    assert not list(large.folder.glob("*.safetensors"))
    info = describe(ModelSettings(name=str(large.folder)))
    assert (info.family, info.max_length) == ("qwen3-reranker", 8192)
    assert shape_of_model(info.path).weights == 440_401_920


def test_prompts_have_the_wished_lengths(maker: PairMaker) -> None:
    lengths = [len(prompt.token_ids) for prompt in maker.draw(PairOrder(20, 25, 220, 0.3)).prompts]
    assert fmean(lengths) == pytest.approx(220, rel=0.05)
    assert pstdev(lengths) / 220 == pytest.approx(0.3, rel=0.2)
    equal = [len(prompt.token_ids) for prompt in maker.draw(PairOrder(2, 25, 220, 0.0)).prompts]
    assert max(equal) - min(equal) <= 4  # the tokens of a word


def test_the_same_seed_draws_the_same_pairs_and_another_one_others(maker: PairMaker, drawn: PairSet) -> None:
    assert maker.draw(ORDER) == drawn
    assert maker.draw(PairOrder(6, 10, 220, 0.3, seed=1)).queries[0].texts != drawn.queries[0].texts


def test_pairs_to_warm_up_with_are_none_of_those_measured(maker: PairMaker, drawn: PairSet) -> None:
    measured = {text for one in drawn.queries for text in one.texts}
    assert measured.isdisjoint(text for one in maker.warm_up(ORDER).queries for text in one.texts)


def test_repeated_queries_ask_about_other_documents(maker: PairMaker) -> None:
    queries = maker.draw(PairOrder(40, 1, 220, 0.0, repeats=0.5)).queries
    distinct = {one.query for one in queries}
    assert 12 <= len(distinct) <= 28
    assert len({one.texts for one in queries}) == 40


def test_sharing_leaves_about_the_documents(drawn: PairSet, made: Path) -> None:
    told = describe_pairs(ORDER, drawn, shape_of_model(str(made)), block=32)
    assert told.tokens == told.alone.tokens == sum(len(prompt.token_ids) for prompt in drawn.prompts)
    assert told.shared.tokens < told.in_blocks.tokens < 0.85 * told.alone.tokens


def test_prompts_shorter_than_the_template_are_refused(maker: PairMaker) -> None:
    with pytest.raises(ConfigError, match="tokens 20: the template and the query take"):
        maker.draw(PairOrder(tokens=20))


def test_only_models_that_score_pairs_take_part() -> None:
    model = ModelSettings()
    with pytest.raises(ConfigError, match="of the family embedding: a benchmark measures"):
        PairMaker(describe(model), model)


def test_more_clients_get_smaller_requests_that_hold_every_pair_once(drawn: PairSet) -> None:
    assert [len(part.texts) for part, _ in requests_of(drawn, 1)] == [10] * 6
    parts = requests_of(drawn, 20)
    assert len(parts) >= 20
    ids = [doc_id for one in drawn.queries for doc_id in one.doc_ids]
    assert [doc_id for part, _ in parts for doc_id in part.doc_ids] == ids
    assert all(ids[first] == part.doc_ids[0] for part, first in parts)


# What servers are sent


def test_the_texts_for_vllms_server_are_tokenized_to_our_prompts(
    drawn: PairSet, settings: ModelSettings, tmp_path: Path
) -> None:
    """As vLLM 0.32 does it: both texts joined with nothing between, special tokens read as such."""
    tokenizer = AutoTokenizer.from_pretrained(settings.name)
    bench = make_bench(tmp_path, drawn, describe(settings), model=settings.model_dump())
    for one, first in requests_of(drawn, 1):
        body = score_body(bench, drawn, one, first)
        ids = [tokenizer.encode(body["queries"] + text) for text in body["documents"]]
        assert ids == classify_body(drawn, one, first)["input"]


def test_arguments_become_the_servers_flags() -> None:
    arguments = {"model": "m", "enforce_eager": False, "enable_prefix_caching": True, "hf_overrides": {"a": ["b"]}}
    assert flags(arguments | {"block_size": 32, "revision": None}) == [
        *("--model", "m", "--no-enforce-eager", "--enable-prefix-caching"),
        *("--hf-overrides", '{"a": ["b"]}', "--block-size", "32"),
    ]


def test_clients_get_every_score_of_our_service_in_the_pairs_order(tmp_path: Path) -> None:
    texts = ("a fox", "the red fox", "a dog", "red")
    queries = tuple(
        Candidates(f"q{n}", q, tuple("abcd"), texts, (1.0,) * 4) for n, q in enumerate(("red fox", "a dog"))
    )
    pairs = PairSet(queries, (None,) * 8)  # type: ignore[arg-type]  # no prompts are sent
    with running_api() as api:
        asked = client_job(make_bench(tmp_path, pairs), api.url, "/v1/rerank", 3, "/ready", rerank_body)
        told = client.measure(asked)
    assert told["scores"] == [0.5, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 0.0]
    assert told["tokens"] > 0
    assert told["first_s"] <= told["began_s"] <= told["ended_s"]
    assert sum(len(call.documents) for call in api.backend.calls) == 2 * 8  # to warm up with, and those that count


def test_an_answer_that_is_an_error_is_the_clients_error(drawn: PairSet, tmp_path: Path) -> None:
    with running_api() as api, pytest.raises(EngineError, match="/v1/none answers 404"):
        client.measure(client_job(make_bench(tmp_path, drawn), api.url, "/v1/none", 8, "/ready", rerank_body))


# Who takes part


def test_everybody_who_can_score_the_model_takes_part_and_the_others_are_told() -> None:
    chosen = choose("qwen3-reranker", "auto", (8,), (), quick=False)
    names = [one.name for one in chosen.contenders]
    assert names == [one.name for one in contenders((8,)) if one.name != "cross-encoder"]
    assert names.index("job-cold-store") < names.index("job-stored")
    assert [note.partition(":")[0] for note in chosen.notes] == ["cross-encoder"]


def test_each_number_of_clients_asks_both_servers() -> None:
    names = {one.name for one in contenders((8, 100))}
    assert {"service-8", "service-100", "server-ours-text-100", "server-ours-ids-8"} <= names


def test_a_query_at_a_time_goes_to_the_bare_engine_and_to_our_service() -> None:
    assert {one.name: one.clients for one in contenders((8,)) if one.kind == "alone"} == {
        "engine-alone": None,
        "service-alone": 1,
    }


def test_a_quick_benchmark_has_few_and_says_who_is_left_out() -> None:
    chosen = choose("qwen3-reranker", "auto", (8,), (), quick=True)
    assert chosen.contenders[0].name == REFERENCE
    assert len(chosen.contenders) <= 5
    assert "job-warm" in chosen.notes[-1]


def test_libraries_cannot_load_weights_that_no_file_holds() -> None:
    names = [one.name for one in choose("qwen3-reranker", "dummy", (8,), (), quick=False).contenders]
    assert "transformers" not in names
    assert "job-cold" in names


def test_a_cross_encoders_token_ids_are_not_sent_without_their_types() -> None:
    names = [one.name for one in choose("cross-encoder", "auto", (8,), (), quick=False).contenders]
    assert "server-ours-ids-8" not in names
    assert {"server-ours-text-8", "cross-encoder"} <= set(names)


def test_an_unknown_contender_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"--only engine: no such contender. Choose from: engine-defaults,"):
        choose("qwen3-reranker", "auto", (8,), ("engine",), quick=False)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (BenchmarkOrder(rounds=0), "at least one round"),
        (BenchmarkOrder(overrides=("data.depth=3",)), "--set data.depth=3: a benchmark takes model, engine"),
        (BenchmarkOrder(model="no/such/folder"), "no such folder"),
        (BenchmarkOrder(model="overlap"), "of the family overlap"),
        (
            BenchmarkOrder(model=EMBEDDED_MODEL, overrides=("engine.backend=transformers",)),
            "engine.backend transformers: a benchmark holds vLLM's speed against Transformers' own",
        ),
    ],
    ids=["rounds", "override", "folder", "overlap", "backend"],
)
def test_an_order_that_cannot_be_carried_out_leaves_no_folder(
    order: BenchmarkOrder, told: str, tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.speed.bench.models.user_cache", lambda: made.parent)
    with pytest.raises(ConfigError, match=told):
        run_benchmark(BenchmarkOrder(**(fields_of(order) | {"out": tmp_path})), Console(quiet=True))
    assert list(tmp_path.iterdir()) == []


def test_made_models_need_not_make_sense_to_our_job_and_those_of_the_users_must(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.speed.bench.models.user_cache", lambda: made.parent)
    asked = {model: config_of(BenchmarkOrder(model), tmp_path)[0].model.canaries for model in ("tiny", EMBEDDED_MODEL)}
    assert asked == {"tiny": "finite", EMBEDDED_MODEL: "strict"}


def fields_of(order: BenchmarkOrder) -> dict[str, Any]:
    return {name: getattr(order, name) for name in order.__dataclass_fields__}


# Contenders


def test_transformers_scores_and_the_matrix_rate_come_from_processes_of_their_own(
    made: Path, settings: ModelSettings, drawn: PairSet, tmp_path: Path
) -> None:
    texts = [(one.query, text) for one in drawn.queries[:1] for text in one.texts]
    told = {
        "do": "transformers",
        "model": plain_model(describe(settings)),
        "settings": settings.model_dump(mode="json"),
        "dtype": "float32",
        "warm_up": texts[:2],
        "pairs": texts,
        "out": str(tmp_path / "out.json"),
    }
    (tmp_path / "job.json").write_text(json.dumps(told))
    with Group(tmp_path / "log", limit_s=120) as group:
        found = do_job(group, "pipelines.speed.bench.library", tmp_path / "job.json")
    assert found["tokens"] == sum(len(prompt.token_ids) for prompt in drawn.prompts[:10])
    assert len(set(found["scores"])) == 10
    assert all(0 < score < 1 for score in found["scores"])
    assert found["first_s"] < found["began_s"] < found["ended_s"]


def test_both_libraries_give_a_cross_encoder_the_same_scores(tiny_cross_encoder: Path) -> None:
    settings = ModelSettings(name=str(tiny_cross_encoder))
    pairs = [("red fox", "the fox is red " * number) for number in range(1, 6)]
    told = {
        "model": plain_model(describe(settings)),
        "settings": settings.model_dump(mode="json"),
        "dtype": "float32",
        "warm_up": pairs[:2],
        "pairs": pairs,
    }
    one, other = library.transformers(told), library.cross_encoder(told)
    assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
    assert len(set(one["scores"])) > 1
    assert one["tokens"] == other["tokens"] > 0


@pytest.fixture(scope="module")
def stored_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], Any, Any]:
    """The stand-in's scores, and a job with a fresh store and one that finds all in it. Ray, but no engine: 20 s."""
    import asyncio

    folder = tmp_path_factory.mktemp("jobs")
    texts = (*(f"a red fox number {number}" for number in range(5)), "a dog")
    queries = tuple(
        Candidates(f"q{n}", q, tuple(f"d{n}-{place}" for place in range(6)), texts, (1.0,) * 6)
        for n, q in enumerate(("red fox 3", "a dog or a fox"))
    )
    pairs = PairSet(queries, (None,) * 12)  # type: ignore[arg-type]  # the stand-in needs no prompts
    data = pairs.write_rows(folder / "pairs.jsonl", seed=0)
    bench = make_bench(folder, pairs, data=data, model={"name": "overlap"})
    found = []
    for store in ("fresh", "filled"):
        with Group(folder / f"{store}.log", limit_s=300) as group:
            found.append(job(store, False, bench, group, store))  # type: ignore[arg-type]
    scorer = OverlapScorer()
    expected = [pair.score for one in queries for pair in asyncio.run(scorer.score(one.query, one.texts))]
    return [score for score in expected if score is not None], found[0], found[1]


@pytest.mark.thorough
def test_a_whole_job_gives_its_scores_in_the_pairs_order(stored_job: tuple[list[float], Any, Any]) -> None:
    expected, fresh, _ = stored_job
    assert fresh.scores == pytest.approx(expected)
    assert fresh.tokens > 0


@pytest.mark.thorough
def test_a_job_is_timed_while_it_scores_and_one_whose_pairs_are_stored_as_a_whole(
    stored_job: tuple[list[float], Any, Any],
) -> None:
    _, fresh, filled = stored_job
    assert fresh.started_s < fresh.began_s < fresh.ended_s <= fresh.started_s + fresh.whole_s
    assert filled.scores == pytest.approx(fresh.scores)  # the store holds single precision
    assert filled.began_s == filled.started_s
    assert filled.ended_s - filled.began_s == filled.whole_s
    assert filled.tokens is filled.first_s is None


def test_a_job_that_should_find_all_pairs_stored_says_when_there_is_no_store(drawn: PairSet, tmp_path: Path) -> None:
    bench = make_bench(tmp_path, drawn, model={"name": "overlap"})
    with Group(tmp_path / "log", limit_s=60) as group, pytest.raises(EngineError, match="no job with the store on"):
        job("filled", False, bench, group, "stored")


def test_a_folder_without_a_benchmark_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no benchmark can be read there"):
        read_benchmark(tmp_path)


def test_what_is_logged_are_the_figures_that_there_are() -> None:
    failed = contender("job-warm", "job", rounds=(Round(1, error="it broke"),), agreement=None)
    rounds = (a_round(5.0, 1, peak_gpu_mib=900.0), a_round(4.0, 2))
    logged = figures_to_log(benchmark(contender("engine-ours", "engine", rounds=rounds), failed))
    assert logged["peak_gpu_mib/engine-ours"] == 900.0
    assert logged["pairs_per_s/engine-ours"] == 225.0
    assert logged["to_limit/engine-ours"] == pytest.approx(0.45)
    assert logged["limit_pairs_per_s"] == pytest.approx(500.0)
    assert not [name for name, value in logged.items() if "job-warm" in name or value is None]


# A real engine: about 45 s on two idle cores.


@pytest.mark.thorough
def test_the_bare_engine_is_measured_on_its_own(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.speed.bench.models.user_cache", lambda: made.parent)
    order = BenchmarkOrder(
        out=tmp_path,
        pairs=PairOrder(queries=2, documents=4, tokens=150),
        rounds=1,
        overrides=("engine.compile=false", "engine.kv_cache_gib=0.25"),
        only=(REFERENCE, "engine-alone"),
    )
    folder = run_benchmark(order, Console(quiet=True))
    found = read_benchmark(folder)
    engine, alone = found.measurements
    assert engine.error is alone.error is None
    assert alone.same
    assert engine.pairs_per_s is not None
    assert found.ceiling == engine
    assert found.matrix_flops[0] > 1e9
    assert engine.rounds[0].tokens == found.pairs.tokens
    assert engine.start_up_s is not None and engine.start_up_s > 1
    assert "engine core" in engine.rounds[0].processor_s or not engine.rounds[0].processor_s
    assert (folder / "report.html").is_file()
    assert (folder / "figures" / "pairs-per-second.png").is_file()
    assert not (folder / "work").exists()
    assert (tmp_path / "latest").resolve() == folder


def test_the_bare_engine_has_no_scheduler_of_ours() -> None:
    arguments = {"model": "m", "scheduler_cls": "serve_app.engine.scheduler.CleanBlockScheduler"}
    assert stock(arguments) == {"model": "m"}
    assert stock({"scheduler_cls": "of.the.User"}) == {"scheduler_cls": "of.the.User"}


def test_the_plan_knows_the_defaults_from_our_settings(settings: ModelSettings) -> None:
    """Imports vLLM, and starts no engine."""
    told = plan(describe(settings), EngineSettings(compile=False, kv_cache_gib=0.25), [0, 1])
    ours, defaults = told["ours"], told["defaults"]
    assert ours["arguments"]["hf_overrides"] == defaults["arguments"]["hf_overrides"]
    assert "max_num_seqs" in ours["arguments"]
    assert "max_num_seqs" not in defaults["arguments"]
    assert None not in ours["arguments"].values()
    assert "scheduler_cls" not in ours["arguments"]
    if told["device"] == "cpu":
        assert ours["environment"] == cpu_environment([0, 1], 0, 1, 1)
        assert ours["arguments"]["block_size"] == 32
        assert "block_size" not in defaults["arguments"]
    assert defaults["environment"] == {}
