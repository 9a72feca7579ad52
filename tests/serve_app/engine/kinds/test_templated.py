"""Classifiers on decoders, whose text is a template, score as their cards say: with Transformers, and on vLLM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaForSequenceClassification

from serve_app.engine.models import describe
from serve_app.engine.procedure import load_procedure
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from stages.core.records import PairScore
from tests.checkpoints import backbones
from tests.computed import computed
from tests.engine_scores import Job, scores
from tests.texts import DOCUMENTS, QUERY

LIMIT = 400
# As the cards write them.
QWEN3_HEAD = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
QWEN3_TAIL = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
MXBAI_HEAD = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n"
)
MXBAI_TASK = (
    "You are a search relevance expert who evaluates how well documents match search queries. For each query-document "
    "pair, carefully analyze the semantic relationship between them, then provide your binary relevance judgment "
    "(0 for not relevant, 1 for relevant).\nRelevance:"
)
WEB = "Given a web search query, retrieve relevant passages that answer the query"


def qwen3_text(query: str, document: str) -> str:
    return f"<Instruct>: {WEB}\n<Query>: {query}\n<Document>: {document}"


def nemotron_text(query: str, document: str) -> str:
    return f"question:{query} \n \n passage:{document}"


class Case(NamedTuple):
    make: Callable[[Path], Path]
    settings: Mapping[str, Any]
    reference: Callable[[Path, Sequence[str]], list[float]]


def qwen3_reference(folder: Path, documents: Sequence[str]) -> list[float]:
    """Head, body and tail tokenized apart, the body cut; the last token's logit."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    head, tail = (tokenizer.encode(text, add_special_tokens=False) for text in (QWEN3_HEAD, QWEN3_TAIL))
    bodies = [plain(tokenizer, qwen3_text(QUERY, document)) for document in documents]
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    return [_logit(model, head + body[: LIMIT - len(head) - len(tail)] + tail) for body in bodies]


def mxbai_reference(folder: Path, documents: Sequence[str]) -> list[float]:
    """Its library's pieces, each tokenized apart, of which the document's is cut; the last token's logit."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    head, turn = (
        tokenizer.encode(text, add_special_tokens=False) for text in (MXBAI_HEAD, "<|im_end|>\n<|im_start|>assistant\n")
    )
    line = plain(tokenizer, "\n")
    start, tail = head + plain(tokenizer, f"query: {QUERY}") + line, line + plain(tokenizer, MXBAI_TASK) + turn
    bodies = [plain(tokenizer, f"document: {document}") for document in documents]
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    return [_logit(model, start + body[: LIMIT - len(start) - len(tail)] + tail) for body in bodies]


def nemotron_reference(folder: Path, documents: Sequence[str]) -> list[float]:
    """A Llama without a causal mask; the mean of its last states goes through the head."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForSequenceClassification.from_pretrained(folder)
    found = []
    for document in documents:
        ids = torch.tensor([plain(tokenizer, nemotron_text(QUERY, document))[:LIMIT]])
        everything = torch.zeros(1, 1, ids.shape[1], ids.shape[1])
        with torch.inference_mode():
            states = model.model(input_ids=ids, attention_mask=everything).last_hidden_state[0]
            found.append(float(model.score(states.mean(0))))
    return found


def plain(tokenizer: Any, text: str) -> list[int]:
    """The text of special tokens is split like any other."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    return ids


def _logit(model: Any, ids: Sequence[int]) -> float:
    with torch.inference_mode():
        return float(model(input_ids=torch.tensor([ids])).logits[0, 0])


CASES = {
    "qwen3-reranker-classifier": Case(
        lambda folder: backbones.qwen3(folder, labels=1), {"recipe": "qwen3-reranker-classifier"}, qwen3_reference
    ),
    "mxbai-rerank-v2-classifier": Case(
        backbones.qwen2_classifier, {"recipe": "mxbai-rerank-v2-classifier"}, mxbai_reference
    ),
    "llama-nemotron-rerank": Case(
        backbones.llama_bidirectional, {"recipe": "llama-nemotron-rerank"}, nemotron_reference
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("templated")
    return {name: case.make(root / name) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def on_vllm(folders: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[PairScore]]:
    jobs = [
        Job({"name": str(folders[name]), "max_length": LIMIT, **case.settings}, QUERY, DOCUMENTS)
        for name, case in CASES.items()
    ]
    return dict(zip(CASES, scores(jobs, tmp_path_factory.mktemp("scores")), strict=True))


@pytest.mark.heavy
@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_a_template_is_scored_as_its_card_says_on_vllm(
    name: str, folders: Mapping[str, Path], on_vllm: Mapping[str, list[PairScore]]
) -> None:
    require_same(on_vllm[name], CASES[name].reference(folders[name], DOCUMENTS), 1e-3)


@pytest.mark.parametrize("name", ["qwen3-reranker-classifier", "mxbai-rerank-v2-classifier"])
def test_a_template_is_scored_as_its_card_says(name: str, folders: Mapping[str, Path]) -> None:
    settings = ModelSettings(name=str(folders[name]), max_length=LIMIT, **CASES[name].settings)
    model = describe(settings)
    procedure = load_procedure(model, settings)
    prompts = procedure.encoder.encode(QUERY, None, DOCUMENTS)
    assert [prompt.truncated for prompt in prompts] == [False] * 4 + [True, False]
    pairs = procedure.pairs(prompts, computed(model, procedure, prompts))
    require_same(pairs, CASES[name].reference(folders[name], DOCUMENTS), 1e-5)


def test_the_recipe_of_mxbai_takes_an_instruction_and_that_of_nemotron_none(folders: Mapping[str, Path]) -> None:
    folder = str(folders["llama-nemotron-rerank"])
    with pytest.raises(ConfigError, match=r"the recipe llama-nemotron-rerank takes no instruction"):
        describe(ModelSettings(name=folder, recipe="llama-nemotron-rerank", instruction="find it"))
    with pytest.raises(
        ConfigError, match="the recipe mxbai-rerank-v2-classifier can be read with: Qwen2ForSequenceClassification"
    ):
        describe(ModelSettings(name=folder, recipe="mxbai-rerank-v2-classifier", instruction="find it"))


def require_same(pairs: Sequence[PairScore], expected: Sequence[float], tolerance: float) -> None:
    assert [pair.error for pair in pairs] == [None] * len(DOCUMENTS)
    found = [pair.logit for pair in pairs if pair.logit is not None]
    assert found == pytest.approx(expected, abs=tolerance, rel=tolerance)
    assert order(found) == order(expected)
    assert max(expected) - min(expected) > 20 * tolerance, "a model that tells its documents apart"


def order(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda place: -values[place])
