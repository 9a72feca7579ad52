"""What a judge's model says of itself on disk, and everything that decides its grades."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from serve_app.engine.engine_args import Host, judge_arguments
from serve_app.engine.identity import DECIDE_NO_SCORE
from serve_app.engine.judge_encoder import JudgeEncoder
from serve_app.engine.judge_identity import JUDGING_VERSION, JudgeIdentity, as_it_is_now, foresee_judge, parse_judge
from serve_app.engine.judge_model import JudgeModel, describe_judge
from serve_app.engine.judge_outputs import not_a_number, read_off, written
from serve_app.engine.models import ModelInfo
from serve_app.engine.prompts import Prompt
from serve_app.judge_settings import JudgeModelSettings
from serve_app.settings import EngineSettings
from stages.core.errors import ConfigError
from stages.core.grades import Message, Reply
from stages.core.judge_prompt import JudgePrompt
from tests.serve_app.engine.test_judge_encoder import BLANK_DIGITS, byte_level
from tests.tiny_models import CHATML

CONFIG = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "max_position_embeddings": 4096}
HOSTS = (Host("cpu", 256, 4096, True), Host("gpu", 1024, 16384, True))
# Of each version what its prompts, replies and arguments come to.
KNOWN = {1: "7b48ca2f0ea46129"}
PROMPT = JudgePrompt("p", (Message("user", "<query>{query}</query><document>{document}</document>"),))


def folder(where: Path, **config: Any) -> Path:
    where.mkdir(exist_ok=True)
    (where / "config.json").write_text(json.dumps(CONFIG | config))
    (where / "model.safetensors").write_bytes(b"weights")
    (where / "tokenizer.json").write_text("{}")
    return where


def described(where: Path, **settings: Any) -> JudgeModel:
    return describe_judge(JudgeModelSettings(name=str(where), **settings))


# --- the model ---


def test_a_prompt_has_what_the_model_reads_less_what_it_may_write(tmp_path: Path) -> None:
    found = folder(tmp_path / "m")
    assert described(found).info.max_length == 4095
    assert described(found, answer="text", max_generated_tokens=1000).info.max_length == 3096
    assert described(found, max_length=100).info.max_length == 100
    assert described(folder(tmp_path / "n", max_position_embeddings=100_000)).info.max_length == 8192


def test_what_does_not_fit_is_told_by_the_names_of_the_judges_settings(tmp_path: Path) -> None:
    where = folder(tmp_path / "m")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"max_length": 4096}, r"judge\.max_length 4096 are more than .* can read and write: 4096"),
        (
            {"answer": "text", "max_generated_tokens": 4090},
            r"judge\.max_length 9 and judge\.max_generated_tokens 4090 are more",
        ),
        ({"revision": "main"}, r"judge\.revision main: .* is a folder"),
    ]
    for settings, words in wrong:
        with pytest.raises(ConfigError, match=words):
            described(where, **settings)
    with pytest.raises(ConfigError, match=r"judge\.model ./nowhere: no such folder"):
        describe_judge(JudgeModelSettings(name="./nowhere"))


@pytest.mark.parametrize("architecture", ["BertForSequenceClassification", "BertModel", "XLMRobertaModel"])
def test_a_model_that_writes_no_text_is_refused(tmp_path: Path, architecture: str) -> None:
    where = folder(tmp_path / "m", architectures=[architecture], model_type="bert")
    with pytest.raises(
        ConfigError, match=f"judge.model .* says {architecture}, of which vLLM has no model that writes"
    ):
        described(where)


def test_its_weights_are_told_apart_from_all_else_that_is_loaded(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one"), folder(tmp_path / "other", rope_theta=5)
    (other / "chat_template.jinja").write_text("another")
    first, second = described(one), described(other)
    assert first.weights == second.weights and len(first.weights) == 1
    assert first.info.digest != second.info.digest
    assert (first.model_type, first.architectures, first.quantized) == ("qwen3", ("Qwen3ForCausalLM",), False)
    assert described(folder(tmp_path / "q", quantization_config={"quant_method": "awq"})).quantized


# --- what decides a grade ---


def identity(where: Path, prompt: JudgePrompt = PROMPT, engine: dict[str, Any] | None = None, **settings: Any) -> str:
    asked = JudgeModelSettings(name=str(where), **settings)
    return foresee_judge(describe_judge(asked), asked, prompt, EngineSettings(**(engine or {})), "cpu").digest


def test_whatever_decides_a_grade_decides_the_identity_and_nothing_else_does(tmp_path: Path) -> None:
    where = folder(tmp_path / "m")
    usual = identity(where)
    changed = [
        identity(where, replace(PROMPT, answer_prefix="Grade: ")),
        identity(where, replace(PROMPT, messages=(Message("user", "Judge!"), *PROMPT.messages))),
        identity(where, answer="text"),
        identity(where, answer="text", max_generated_tokens=9),
        identity(where, max_length=99),
        identity(where, engine={"dtype": "float32"}),
        identity(where, engine={"extra": {"quantization": "fp8"}}),
    ]
    assert len({usual, *changed}) == 8
    same = [
        identity(where, replace(PROMPT, name="other")),
        identity(where, engine={"max_num_seqs": 3, "prefix_caching": False, "compile": False}),
        identity(where, max_generated_tokens=9),
    ]
    assert {usual, *same} == {usual}
    (where / "chat_template.jinja").write_text("another")
    assert identity(where) != usual


def test_an_identity_is_what_its_json_says_and_no_other_is_taken_for_one(tmp_path: Path) -> None:
    settings = JudgeModelSettings(name=str(folder(tmp_path / "m")))
    found = foresee_judge(describe_judge(settings), settings, PROMPT, EngineSettings(), "cuda")
    assert found.dtype == "bfloat16", "vLLM's own for a model that says nothing"
    told = json.loads(json.dumps(found.told))
    assert parse_judge(told) == found and isinstance(found, JudgeIdentity)
    assert parse_judge({**told, "more": 1}) is None and parse_judge({}) is None


def test_a_replica_tells_of_the_files_that_it_loads(tmp_path: Path) -> None:
    before = described(folder(tmp_path / "m"))
    (tmp_path / "m" / "model.safetensors").write_bytes(b"others")
    assert as_it_is_now(before).info.digest == described(tmp_path / "m").info.digest != before.info.digest


# --- what comes of the engine's answers ---

ASKED = Prompt([1, 2, 3], truncated=True)
GRADES = ((10, 20), (11,))


def answered(
    logprobs: dict[int, float] | None = None, text: str = "", finish: str = "length", tokens: int = 1
) -> SimpleNamespace:
    place = [{token: SimpleNamespace(logprob=value) for token, value in (logprobs or {}).items()}] if logprobs else []
    completion = SimpleNamespace(logprobs=place, text=text, finish_reason=finish, token_ids=[0] * tokens)
    return SimpleNamespace(outputs=[completion])


def test_the_spellings_of_a_grade_are_summed_beside_all_other_tokens() -> None:
    reply = read_off(ASKED, answered({99: -0.1, 10: -2.0, 20: -1.0, 11: float("-inf")}), GRADES)
    assert reply.probabilities == pytest.approx((0.503214724, 0.0))
    assert (reply.prompt_tokens, reply.generated_tokens, reply.truncated, reply.error) == (3, 1, True, None)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (answered({10: float("nan"), 20: -1.0, 11: -1.0}), "not a finite number"),
        (answered({10: -1.0, 11: -1.0}), "the probability of each grade"),
        (answered(finish="abort"), "the request was aborted"),
        (answered(finish="stop"), "returned nothing"),
        (answered({10: -1.0}, finish="error"), "its log tells why"),
        ("the engine refused the prompt: too long", "refused the prompt: too long"),
    ],
)
def test_whatever_is_no_answer_is_a_pairs_error_and_never_a_grade(output: Any, words: str) -> None:
    reply = read_off(ASKED, output, GRADES)
    assert words in str(reply.error)
    assert (reply.probabilities, reply.prompt_tokens, reply.truncated) == ((), 3, True)


@pytest.mark.parametrize("output", [answered(finish="abort"), answered({1: -1.0}, finish="error"), "refused"])
def test_a_text_that_did_not_come_is_an_error_too(output: Any) -> None:
    reply = written(ASKED, output)
    assert reply.error and reply.text == ""


def test_a_text_is_told_with_whether_it_ended_by_itself() -> None:
    whole = written(ASKED, answered({0: -1.0}, text="2", finish="stop", tokens=2))
    assert whole == Reply(text="2", prompt_tokens=3, generated_tokens=2, truncated=True)
    assert not written(ASKED, answered({0: -1.0}, text="because", finish="length")).finished
    assert written(ASKED, answered({0: -1.0}, text="", finish="stop")).error == "the model wrote nothing"


def test_a_value_that_is_no_number_anywhere_in_a_text_is_seen() -> None:
    output = answered({0: -1.0}, text="2", finish="stop")
    assert not not_a_number(output) and not not_a_number("refused")
    output.outputs[0].logprobs.append({1: SimpleNamespace(logprob=float("nan"))})
    assert not_a_number(output) and "not a finite number" in str(written(ASKED, output).error)


# --- the version ---


def prompts() -> list[Any]:
    found: list[Any] = []
    for answer in ("prefill", "text"):
        for prompt in (PROMPT, replace(PROMPT, answer_prefix="Grade: ", highest=2)):
            backend = byte_level(BLANK_DIGITS)
            backend.add_special_tokens(["<|im_start|>", "<|im_end|>"])
            made = PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=CHATML)
            encoder = JudgeEncoder(described_as(200), prompt, answer, made)
            found.append([encoder.text, encoder.grade_tokens])
            found.append([one[:2] for one in encoder.encode("a <|im_end|>", None, ["b", "</document>", "long " * 99])])
    return found


def described_as(max_length: int) -> JudgeModel:
    return JudgeModel(ModelInfo("m", "/m", None, None, max_length, None), "qwen3", ("Qwen3ForCausalLM",), (), False)


def test_the_judging_version_is_raised_where_prompts_or_replies_change() -> None:
    """Where this fails on purpose: raise JUDGING_VERSION by one, and note the digest that is printed beside it."""
    replies = [asdict(read_off(ASKED, answered({10: -1.0, 20: -2.0, 11: -0.5}), GRADES))]
    replies.append(asdict(written(ASKED, answered({0: -1.0}, text="2", finish="stop"))))
    replies[0]["probabilities"] = [round(one, 9) for one in replies[0]["probabilities"]]
    asked = [
        judge_arguments(described_as(60).info, EngineSettings(), host, room, full_head=full)
        for host in HOSTS
        for room, full in ((1, True), (9, False))
    ]
    deciding = [{name: value for name, value in one.items() if name not in DECIDE_NO_SCORE} for one in asked]
    told = json.dumps([prompts(), replies, deciding], sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    assert KNOWN.get(JUDGING_VERSION) == digest, "stored replies would be taken for what is judged otherwise now"
