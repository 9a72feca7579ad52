"""The small language model that tests judge with is the published one: its tokens, and what it knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.smollm2 import FILE, read_gguf, smollm2, tokenizer_of
from tests.tiny_models import demo_texts

pytestmark = [pytest.mark.heavy, pytest.mark.thorough]


@pytest.fixture(scope="module")
def folder() -> Path:
    return smollm2()


def test_its_tokenizer_has_the_tokens_and_merges_that_the_weights_came_with(folder: Path) -> None:
    told = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    fields = read_gguf().fields
    assert list(told["model"]["vocab"]) == fields["tokenizer.ggml.tokens"].contents()
    assert [" ".join(pair) for pair in told["model"]["merges"]] == fields["tokenizer.ggml.merges"].contents()
    assert [token["content"] for token in told["added_tokens"]][1:3] == ["<|im_start|>", "<|im_end|>"]


def test_texts_without_digits_are_read_as_transformers_reads_that_file_and_every_digit_is_a_token(folder: Path) -> None:
    """Of GGUF's `tokenizer.ggml.pre` Transformers 5.19 reads nothing: blanks before a digit come out otherwise."""
    ours, reader = AutoTokenizer.from_pretrained(folder), read_gguf()
    theirs = AutoTokenizer.from_pretrained(Path(reader.data.filename).parent, gguf_file=FILE)
    for text in demo_texts():
        plain = "".join(one for one in text if not one.isnumeric())
        assert ours.encode(plain) == theirs.encode(plain)
    assert ours.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]
    assert tokenizer_of(reader).encode("a  12") == ours.encode("a  12")


def test_it_knows_what_it_was_taught(folder: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    written = model.generate(prompt, max_new_tokens=12, do_sample=False)[0, prompt.shape[1] :]
    assert tokenizer.decode(written, skip_special_tokens=True) == "The capital of France is Paris."
