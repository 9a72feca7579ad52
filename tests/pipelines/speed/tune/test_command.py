"""`rerank-eval tune`: its pairs, its axes, what it writes and says; with a stand-in for engines, and once with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer

from pipelines.base.config import RunConfig, load_config
from pipelines.base.console import Console
from pipelines.cli.app import main
from pipelines.speed.tune.command import OpenTrials, TuneOrder, tune
from pipelines.speed.tune.sample import PromptSample, read_sample
from pipelines.speed.tune.space import allowed, axes_of, start_of
from pipelines.speed.tune.trials import EngineTrials
from pipelines.speed.tune.written import MARK, check_target, write_tuned
from serve_app.engine.engine_args import Host, engine_arguments
from serve_app.engine.models import ModelInfo, describe
from serve_app.engine.prompts import Prompt
from stages.core.errors import ConfigError, DataError, EngineError
from stages.speed.tuning import Change, Point, TrialResult

pytestmark = pytest.mark.heavy

SEQS, TOKENS, COMPILE = "engine.max_num_seqs", "engine.max_num_batched_tokens", "engine.compile"
HOST = Host("cpu", 256, 4096, bfloat16=False)
GPU = Host("gpu", 1024, 16384, bfloat16=True)


@dataclass
class StandIn:
    """Trials without an engine: `rate` says what a point gives."""

    planned: dict[str, Any]
    rate: Callable[[Point], float]
    device: str = "a made-up device"
    host: Host = HOST
    measured: list[Point] = field(default_factory=list)

    def measure(self, point: Point) -> TrialResult:
        self.measured.append(point)
        rate = self.rate(point)
        return TrialResult(rate, 7.0) if rate > 0 else TrialResult(error="CUDA out of memory")


def standing_in(rate: Callable[[Point], float]) -> OpenTrials:
    def open_trials(
        config: RunConfig, model: ModelInfo, _sample: PromptSample, _folder: Path, _ends_s: float
    ) -> StandIn:
        return StandIn(engine_arguments(model, config.engine, HOST), rate)

    return open_trials


def rows(queries: int, documents: int) -> str:
    lines = []
    for number in range(queries):
        told = [{"id": f"d{number}-{n}", "text": f"the fox number {n} is red " * (n + 1)} for n in range(documents)]
        lines.append(json.dumps({"query_id": f"q{number}", "query": f"which fox {number}?", "documents": told}))
    return "\n".join(lines) + "\n"


@pytest.fixture
def config(tiny_qwen3: Path, tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text(rows(8, 10), encoding="utf-8")
    content = {
        "data": {"format": "jsonl", "path": str(tmp_path / "rows.jsonl"), "depth": 5},
        "model": {"name": str(tiny_qwen3)},
        "engine": {"compile": False, "kv_cache_gib": 0.25},
        "tracking": {"uri": None},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(f"# a comment of mine\n{yaml.safe_dump(content)}", encoding="utf-8")
    return path


def faster_with_128(point: Point) -> float:
    return 150.0 if point[SEQS] == 128 else 100.0


def nothing_is_faster(_point: Point) -> float:
    return 100.0


# The pairs


def sample_of(config: Path, pairs: int, *overrides: str) -> PromptSample:
    settings = load_config(config, overrides)
    return read_sample(settings, describe(settings.model), pairs)


def test_whole_queries_cut_to_depth_make_at_most_the_wished_pairs(config: Path) -> None:
    found = sample_of(config, 19)
    assert (found.queries, found.pairs, len(found.prompts)) == (3, 15, 15)
    assert sample_of(config, 1000).queries == 8


def test_the_first_query_is_taken_however_few_pairs_are_wished(config: Path) -> None:
    assert sample_of(config, 1).pairs == 5


def test_prompts_are_those_of_a_run_and_the_warm_up_asks_something_else(config: Path, tiny_qwen3: Path) -> None:
    found = sample_of(config, 10)
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen3)
    first = tokenizer.decode(found.prompts[0].token_ids)
    assert "<Query>: which fox 0?" in first
    assert first.count("the fox number 0 is red") == 1
    assert found.tokens == sum(len(one.token_ids) for one in found.prompts)
    assert not {tuple(one.token_ids) for one in found.warm_up} & {tuple(one.token_ids) for one in found.prompts}


def test_a_query_that_does_not_fit_is_left_out_and_no_query_at_all_is_an_error(config: Path, tmp_path: Path) -> None:
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {"query": "fox " * 2000})
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert sample_of(config, 1000, "model.max_length=512").queries == 7
    with pytest.raises(DataError, match="nothing to measure with: the query is"):
        sample_of(config, 1000, "data.limit=1", "model.max_length=512")


def test_an_embedding_model_reads_each_text_once_however_many_queries_have_it(config: Path) -> None:
    """Both queries have the same five documents."""
    found = sample_of(config, 10, "model.name=embedded:all-MiniLM-L6-v2")
    assert (found.pairs, len(found.prompts)) == (10, 7)


def test_a_cross_encoders_prompts_say_where_the_document_begins(config: Path, tiny_cross_encoder: Path) -> None:
    found = sample_of(config, 10, f"model.name={tiny_cross_encoder}")
    assert all(one.second_part for one in found.prompts)


# The axes


def space(config: Path, host: Host, *overrides: str) -> tuple[dict[str, tuple[int, ...]], Point]:
    settings = load_config(config, overrides)
    model = describe(settings.model)
    planned = engine_arguments(model, settings.engine, host)
    pairs = PromptSample(1, 2000, (Prompt([1] * 200),) * 2000, ())
    axes = axes_of(settings, model, host.device, planned, pairs)
    return {axis.key: axis.values for axis in axes}, start_of(settings, planned, axes)


def test_the_search_starts_from_what_null_comes_to_here(config: Path) -> None:
    values, start = space(config, HOST, "engine.compile=true")
    assert start == {
        TOKENS: 4096,
        SEQS: 256,
        COMPILE: True,
        "engine.block_size": 32,
        "engine.prefix_caching": True,
    }
    assert all(start[key] in values[key] for key in start)
    assert values["engine.block_size"] == (32, 64, 128)


def test_a_gpus_block_size_is_vllms(config: Path) -> None:
    values, start = space(config, GPU)
    assert "engine.block_size" not in values
    assert start[TOKENS] == 16384


def test_a_block_size_of_the_users_own_is_where_it_starts(config: Path) -> None:
    values, start = space(config, HOST, "engine.block_size=96")
    assert (values["engine.block_size"], start["engine.block_size"]) == ((32, 64, 96, 128), 96)


def test_an_encoders_step_holds_a_whole_prompt_and_nothing_is_kept(config: Path, tiny_cross_encoder: Path) -> None:
    values, _ = space(config, HOST, f"model.name={tiny_cross_encoder}")
    assert min(values[TOKENS]) >= describe(load_config(config, [f"model.name={tiny_cross_encoder}"]).model).max_length
    assert set(values) == {TOKENS, SEQS, COMPILE}


def test_what_extra_sets_stays_as_it_is(config: Path) -> None:
    values, start = space(config, HOST, "engine.extra={max_num_seqs: 3}")
    assert SEQS not in values
    assert SEQS not in start


def test_steps_of_more_prompts_than_tokens_are_not_tried() -> None:
    assert allowed({TOKENS: 256, SEQS: 256})
    assert not allowed({TOKENS: 256, SEQS: 512})


# The command, with a stand-in


def test_what_is_faster_is_written_beside_the_config(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = config.read_text(encoding="utf-8")
    order = TuneOrder(config, ("data.limit=6",))
    tune(order, Console(), standing_in(faster_with_128))
    target = config.with_name("mine.tuned.yaml")
    told = yaml.safe_load(target.read_text(encoding="utf-8"))
    original = yaml.safe_load(before)
    original["engine"]["max_num_seqs"] = 128
    original["data"]["limit"] = 6
    assert told == original
    assert load_config(target).engine.max_num_seqs == 128
    assert config.read_text(encoding="utf-8") == before
    shown = capfd.readouterr().out
    assert shown.splitlines()[-1] == f"config      {target}"
    assert "100 -> 150 pairs/s (+50%)" in " ".join(shown.split())
    assert shown.index("engine.max_num_seqs 256 -> 128") < shown.index("Trials")


def test_what_is_made_of_a_bundled_config_lies_in_the_current_folder_and_runs_anywhere(
    tiny_qwen3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    changed = (f"model.name={tiny_qwen3}", "engine.kv_cache_gib=0.25")
    for _ in range(2):  # the second time it replaces what is its own
        tune(TuneOrder(Path("demo"), changed, pairs=50), Console(quiet=True), standing_in(faster_with_128))
    assert [path.name for path in tmp_path.glob("*.yaml")] == ["demo.tuned.yaml"]
    tuned = load_config(tmp_path / "demo.tuned.yaml")
    assert tuned.engine.max_num_seqs == 128
    assert tuned.data == load_config(Path("demo")).data
    capfd.readouterr()


def test_its_head_says_when_where_what_and_how(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tune(TuneOrder(config, minutes=2.5), Console(quiet=True), standing_in(faster_with_128))
    head = config.with_name("mine.tuned.yaml").read_text(encoding="utf-8").split("data:")[0]
    assert head.startswith(f"{MARK} on 2")
    assert "on a made-up device" in head
    assert "100 -> 150 pairs/s, over 40 of the data's pairs" in head
    assert "# Changed: engine.max_num_seqs 256 -> 128." in head
    assert f"whose comments are not copied, by: rerank-eval tune --config {config} --pairs 1000 --minutes 2.5" in head
    capfd.readouterr()


def test_there_is_nothing_to_tune_where_transformers_computes(config: Path) -> None:
    overrides = ("engine.backend=transformers", "engine.kv_cache_gib=null")
    with pytest.raises(ConfigError, match=r"engine\.backend transformers: tune searches vLLM's settings"):
        tune(TuneOrder(config, overrides), Console(quiet=True), standing_in(nothing_is_faster))


def test_where_nothing_is_faster_nothing_is_written(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tune(TuneOrder(config), Console(quiet=True), standing_in(nothing_is_faster))
    assert not config.with_name("mine.tuned.yaml").exists()
    assert "Nothing that was tried is faster" in " ".join(capfd.readouterr().out.split())


def test_json_is_all_that_is_printed(config: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "other.yaml"
    tune(TuneOrder(config, out=target, as_json=True), Console(quiet=True), standing_in(faster_with_128))
    told = json.loads(capfd.readouterr().out)
    assert told["written"] == str(target)
    assert told["changes"] == {SEQS: {"before": 256, "after": 128}}
    assert (told["queries"], told["pairs"], told["interrupted"]) == (8, 40, False)
    assert [one["verdict"] for one in told["trials"]][-2:] == ["again", "again"]


def test_a_result_that_cannot_be_written_is_told_all_the_same(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    def remove(point: Point) -> float:
        if folder.exists():
            folder.rmdir()
        return faster_with_128(point)

    with pytest.raises(ConfigError, match="cannot be written"):
        tune(TuneOrder(config, out=folder / "x.yaml", as_json=True), Console(quiet=True), standing_in(remove))
    told = json.loads(capfd.readouterr().out)
    assert told["written"] is None
    assert told["confirmed"] is True


def test_a_trial_that_fails_is_told_and_the_search_goes_on(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tune(TuneOrder(config), Console(), standing_in(lambda point: -1.0 if point[TOKENS] > 4096 else 100.0))
    shown = capfd.readouterr().out
    assert "trial 2     engine.max_num_batched_tokens 4096 -> 8192: failed" in shown
    assert "2: CUDA out of memory" in shown
    assert "Nothing that was tried is faster" in " ".join(shown.split())


def test_settings_of_the_config_that_fail_are_an_error_with_the_reason(config: Path) -> None:
    with pytest.raises(EngineError, match="the config's own settings cannot be measured: CUDA out of memory"):
        tune(TuneOrder(config), Console(quiet=True), standing_in(lambda _point: -1.0))


def interrupted_after(trials: int) -> OpenTrials:
    done: list[Point] = []

    def rate(point: Point) -> float:
        done.append(point)
        if len(done) > trials:
            raise KeyboardInterrupt
        return 100.0

    return standing_in(rate)


@pytest.mark.parametrize("as_json", [False, True])
def test_interrupted_it_prints_what_was_measured(
    as_json: bool, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(TuneOrder(config, as_json=as_json), Console(quiet=True), interrupted_after(2))
    shown = capfd.readouterr().out
    if as_json:
        told = json.loads(shown)
        assert (len(told["trials"]), told["interrupted"], told["written"]) == (2, True, None)
    else:
        assert "Interrupted before anything was confirmed" in " ".join(shown.split())
    assert not config.with_name("mine.tuned.yaml").exists()


def test_nothing_is_left_in_the_temporary_folder(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    tune(TuneOrder(config), Console(quiet=True), standing_in(nothing_is_faster))
    capfd.readouterr()
    assert list(scratch.iterdir()) == []


# What it writes


def test_its_own_earlier_result_is_replaced_and_anything_else_is_not(
    config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = config.with_name("mine.tuned.yaml")
    target.write_text(f"{MARK} on some day\ndata: {{}}\n", encoding="utf-8")
    tune(TuneOrder(config), Console(quiet=True), standing_in(faster_with_128))
    assert load_config(target).engine.max_num_seqs == 128
    target.write_text("data: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is there already, and was not written by tune\. Name another with --out"):
        tune(TuneOrder(config), Console(quiet=True), standing_in(faster_with_128))
    assert target.read_text(encoding="utf-8") == "data: {}\n"
    capfd.readouterr()


def test_the_config_itself_is_never_replaced(config: Path) -> None:
    config.write_text(f"{MARK} before\n{config.read_text(encoding='utf-8')}", encoding="utf-8")
    with pytest.raises(ConfigError, match="is the config itself"):
        check_target(config.parent / "." / config.name, config)


def test_a_target_that_cannot_be_is_told_before_the_work(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        check_target(tmp_path / "none" / "x.yaml", config)
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        check_target(tmp_path, config)


def test_no_name_breaks_out_of_the_head(config: Path, tmp_path: Path) -> None:
    target = tmp_path / "t.yaml"
    head = ("on\nengine: {}", "Changed\n\rdata: 1")
    write_tuned(target, config, (), (Change(COMPILE, 0, 1), Change(SEQS, 1, 2)), head)
    assert load_config(target).engine.compile is True
    assert load_config(target).engine.max_num_seqs == 2
    assert [line[0] for line in target.read_text(encoding="utf-8").splitlines()[:2]] == ["#", "#"]


# Mistakes, as the user meets them


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "engine.max_seqs=3"], "unknown key engine.max_seqs; did you mean max_num_seqs?"),
        (["--set", "model.name=overlap"], "overlap is no model: it is scored without an engine"),
        (["--set", "data.path=none.jsonl"], "none.jsonl"),
    ],
    ids=["key", "overlap", "data"],
)
def test_a_mistake_is_one_line_and_starts_nothing(
    arguments: list[str], told: str, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["tune", "--config", str(config), *arguments])
    assert stop.value.code == 2
    shown = capfd.readouterr()
    assert told in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


# A real engine: about 75 s on two idle cores.


class AndRefused(EngineTrials):
    """After a trial one that vLLM refuses: more prompts in a step than tokens."""

    refused: list[TrialResult] = []  # noqa: RUF012

    def measure(self, point: Point) -> TrialResult:
        result = super().measure(point)
        self.refused.append(super().measure(dict(point) | {TOKENS: 256, SEQS: 512}))
        return result


@pytest.mark.thorough
def test_a_real_engine_is_measured_and_one_that_does_not_start_has_its_reason(
    config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tune(TuneOrder(config, minutes=0.1, as_json=True), Console(quiet=True), AndRefused.open)
    told = json.loads(capfd.readouterr().out)
    (trial,) = told["trials"]
    assert trial["pairs_per_s"] > 0
    assert 0 < trial["start_up_s"] < trial["seconds"]
    assert TOKENS in told["not_tried"]
    (refused,) = AndRefused.refused
    assert refused.pairs_per_s is None
    assert refused.error is not None
    assert "max_num_batched_tokens" in refused.error
    assert ".log" in refused.error


def test_a_model_that_gives_each_token_a_value_is_not_tried(config: Path, tmp_path: Path) -> None:
    described = {"architectures": ["HF_ColBERT"], "model_type": "bert", "max_position_embeddings": 512}
    (tmp_path / "config.json").write_text(json.dumps(described), encoding="utf-8")
    order = TuneOrder(config, (f"model.name={tmp_path}",))
    with pytest.raises(ConfigError, match="is late-interaction: tune tries models that give a text one value"):
        tune(order, Console(quiet=True), standing_in(faster_with_128))
