"""The real vLLM engine gives of each pair what Transformers gives, by one forward pass and by text; what cannot be
judged is told of that pair alone. One engine answers in both ways.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from serve_app.engine.judge import JudgeEngine
from serve_app.engine.judge_encoder import load_judge_encoder
from serve_app.engine.judge_identity import foresee_judge
from serve_app.engine.judge_model import describe_judge
from serve_app.engine.judge_ways import Way, way_of
from serve_app.judge_settings import Answer, JudgeModelSettings
from serve_app.settings import EngineSettings
from stages.core.grades import Message, Reply
from stages.core.judge_prompt import JudgePrompt
from tests.serve_app.engine.test_engine import DOCUMENTS, RunningEngine, running
from tests.tiny_models import POISON, make_judge

MAX_LENGTH, MAX_TEXT_CHARS = 400, 100_000
QUERY = "how does prefix caching speed up reranking, and by how much does it do so where documents are long?"
MESSAGES = (Message("user", "Grade it.\n<query>{query}</query>\n<document>{document}</document>\nWhich grade?"),)
READ = JudgePrompt("read", MESSAGES, answer_prefix="Grade: ")
REASONED = JudgePrompt("reasoned", MESSAGES, ending="Grade: {grade}", reasoning=400)
SETTINGS = {"max_length": MAX_LENGTH, "max_generated_tokens": 6}

pytestmark = pytest.mark.heavy


class RunningJudge(RunningEngine):
    """A JudgeEngine on an event loop of its own."""

    engine: Any

    async def _start(self, model: Any, settings: EngineSettings) -> Any:
        described = describe_judge(model)
        return JudgeEngine(described, model, READ, settings, "replica", MAX_TEXT_CHARS, self.told.append)

    def grade(self, query: str, documents: Sequence[str], way: Way | None = None) -> list[Reply]:
        with pytest.MonkeyPatch.context() as patch:
            if way is not None:
                patch.setattr(self.engine, "way", way)
            found: list[Reply] = self.call(self.engine.grade(query, documents))
            return found


@pytest.fixture(scope="module")
def folder(tiny_qwen3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a chat template. What holds POISON gives NaN."""
    return make_judge(tiny_qwen3, tmp_path_factory.mktemp("tiny-judge"), poisoned=True)


def settings(folder: Path, answer: Answer) -> JudgeModelSettings:
    return JudgeModelSettings(name=str(folder), answer=answer, **SETTINGS)


@pytest.fixture(scope="module")
def judge(folder: Path) -> Iterator[RunningJudge]:
    yield from running(settings(folder, "text"), "float32", kind=RunningJudge)  # type: ignore[misc,arg-type]


def way(folder: Path, answer: Answer, prompt: JudgePrompt) -> Way:
    asked = settings(folder, answer)
    model = describe_judge(asked)
    return way_of(load_judge_encoder(model, prompt, answer), prompt, asked)


@pytest.fixture(scope="module")
def reading(folder: Path) -> Way:
    return way(folder, "prefill", READ)


def published(folder: Path, query: str, documents: Sequence[str], prefix: str) -> torch.Tensor:
    """The probabilities of all tokens behind each prompt, as Transformers gives them, texts in the template."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    rows = []
    for document in documents:
        text = tokenizer.apply_chat_template(
            [message._asdict() for message in READ.filled(query, document)],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        ids = tokenizer.encode(text + prefix, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            rows.append(model(ids).logits[0, -1].double().softmax(-1))
    return torch.stack(rows)


def test_the_probabilities_are_those_of_transformers_beside_all_other_tokens(
    judge: RunningJudge, reading: Way, folder: Path
) -> None:
    replies = judge.grade(QUERY, DOCUMENTS[:8], reading)
    (encoder,) = {reading.prompts._encoder}
    tokens = [one for (one,) in encoder.grade_tokens]
    expected = published(folder, QUERY, DOCUMENTS[:8], "Grade: ")[:, tokens]
    assert [reply.error for reply in replies] == [None] * 8
    assert torch.tensor([reply.probabilities for reply in replies]).double().allclose(expected, rtol=1e-3, atol=1e-7)
    assert {(reply.generated_tokens, reply.text) for reply in replies} == {(1, "")}


def test_a_text_held_to_a_form_is_the_likeliest_that_has_it(judge: RunningJudge, folder: Path) -> None:
    replies = judge.grade(QUERY, DOCUMENTS[:8])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    digits = [tokenizer.convert_tokens_to_ids(grade) for grade in "0123"]
    likeliest = published(folder, QUERY, DOCUMENTS[:8], "")[:, digits].argmax(-1).tolist()
    assert [(reply.text, reply.finished, reply.error) for reply in replies] == [
        (str(grade), True, None) for grade in likeliest
    ]


def test_a_text_that_is_cut_is_told_as_not_finished(judge: RunningJudge, folder: Path) -> None:
    (reply,) = judge.grade(QUERY, ["a document"], way(folder, "text", REASONED))
    assert (reply.finished, reply.generated_tokens, reply.error) == (False, 6, None)
    assert "Grade" not in reply.text


def test_a_pair_whose_values_are_no_numbers_fails_alone_whichever_way_it_is_asked(
    judge: RunningJudge, reading: Way
) -> None:
    clean = [document for document in DOCUMENTS if POISON not in document][:6]
    mixed = [clean[0], f"poison {POISON}", *clean[1:], POISON]
    for one in (reading, None):
        expected = judge.grade(QUERY, clean, one)
        replies = judge.grade(QUERY, mixed, one)
        failed = [place for place, reply in enumerate(replies) if reply.error]
        assert failed == [1, len(mixed) - 1]
        assert all("not a finite number" in str(replies[place].error) for place in failed)
        others = [reply for place, reply in enumerate(replies) if place not in failed]
        assert [reply.text for reply in others] == [reply.text for reply in expected]
        for reply, before in zip(others, expected, strict=True):
            assert reply.probabilities == pytest.approx(before.probabilities, rel=1e-3)
        assert [reply.error for reply in judge.grade(QUERY, clean, one)] == [None] * len(clean), "blocks are clean"


def test_the_querys_part_is_computed_once(judge: RunningJudge, reading: Way) -> None:
    query = "a query that nobody asked before, of some more words than one block of the cache has tokens: " * 3
    before = judge.snapshot()
    replies = judge.grade(query, [f"document {number}" for number in range(20)], reading)
    after = judge.snapshot()
    shared = (after.prefix_hits - before.prefix_hits) / 19
    assert shared > replies[0].prompt_tokens / 2
    assert after.generation_tokens - before.generation_tokens == 20


def test_what_cannot_be_asked_is_told_of_its_pair_and_costs_no_other(judge: RunningJudge) -> None:
    long = "x" * (MAX_TEXT_CHARS + 1)
    whole, refused, cut = judge.grade(QUERY, ["a document", long, "many words " * 1000])
    assert "characters, serve.max_text_chars" in str(refused.error)
    assert (whole.error, whole.truncated, cut.error, cut.truncated) == (None, False, None, True)
    assert cut.prompt_tokens == MAX_LENGTH
    for query in (long, "word " * 1000):
        told = judge.grade(query, ["a", "b"])
        assert len(told) == 2 and all(reply.error and "query" in reply.error for reply in told)
    assert judge.grade(QUERY, []) == []


def test_a_cancelled_call_leaves_nothing_in_the_engine(judge: RunningJudge) -> None:
    call = judge.submit(judge.engine.grade(QUERY, [f"{number} {'words ' * 200}" for number in range(200)]))
    deadline = time.monotonic() + 60
    while not judge.in_engine() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert judge.in_engine()
    call.cancel()
    while judge.in_engine() and time.monotonic() < deadline:
        judge.grade("a little one, so that the scheduler tells", ["d"])
    assert judge.in_engine() == 0
    with pytest.raises((asyncio.CancelledError, Exception)):
        call.result(timeout=10)


def test_the_identity_is_told_before_the_engine_can_judge_and_is_as_foreseen(judge: RunningJudge, folder: Path) -> None:
    asked = settings(folder, "text")
    engine = EngineSettings(dtype="float32")
    foreseen = foresee_judge(describe_judge(asked), asked, READ, engine, "cpu")
    assert judge.told == [foreseen] == [judge.engine.identity]
    assert foreseen != foresee_judge(describe_judge(asked), asked, replace(READ, highest=2), engine, "cpu")
    assert judge.engine.facts()["dtype"] == "float32"
