"""Late-interaction models on the real engine score as sentence-transformers and a plain MaxSim do."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import MultiVectorEncoder
from transformers import AutoTokenizer, JinaEmbeddingsV3Config, JinaEmbeddingsV3Model

from pipelines.direct.prompts import PlainText
from serve_app.engine.asking import TOGETHER
from serve_app.settings import ModelSettings
from tests.checkpoints.late_interaction import (
    JINA_CONFIG,
    STANFORD_METADATA,
    make_jina_colbert,
    make_modern_colbert,
    make_pylate_bert,
    make_stanford_colbert,
)
from tests.serve_app.engine.test_engine import RunningEngine, running

QUERIES = (
    "how does prefix caching speed up reranking?",
    "重排序模型怎样打分",
    "one two three four five six seven eight nine ten " * 5,  # longer than a query may be
)
DOCUMENTS = (
    "Prefix caching keeps the key-value blocks of a shared prompt prefix.",
    "重排序模型会把查询和每个文档放在一起打分，然后按分数排序。",
    "The mitochondrion is the powerhouse of the cell, and so on. " * 12,  # cut
    "!?.,;:",
    "",
    "x",
    "def rerank(query, documents):\n    return sorted(documents, key=lambda d: -score(query, d))",
)
# What a tokenizer would take for tokens of its own.
SPELLED = "[MASK] [SEP] caching [unused1] [D] and [Q] [CLS] <mask> </s>"


class Published(NamedTuple):
    """The reference of one model: sentence-transformers, and its parts for texts that spell special tokens."""

    model: MultiVectorEncoder

    def score(self, query: str, document: str) -> float:
        vectors = self.model.encode_query([query])[0], self.model.encode_document([document])[0]
        return maxsim(vectors[0], vectors[1])

    def score_spelled(self, query: str, document: str) -> float:
        """With the document's tokens as plain text has them, put together here."""
        transformer, dense, mask = list(self.model)[:3]
        prompt = transformer.preprocess([""], prompt=self.model.prompts["document"], task="document")
        first, marker, last = prompt["input_ids"][0].tolist()
        (body,) = PlainText(self.model.tokenizer).ids([document])
        ids = torch.tensor([[first, marker, *body[: transformer.document_length - 3], last]])
        with torch.inference_mode():
            states = transformer.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
            vectors = torch.nn.functional.normalize(dense.linear(states), dim=-1)
        skipped = torch.tensor([]) if mask._skiplist_ids is None else mask._skiplist_ids
        return maxsim(self.model.encode_query([query])[0], vectors[~torch.isin(ids[0], skipped)])


class PublishedByJina:
    """Jina's encoder in Transformers, its markers and its mask tokens put together here as Stanford's code does."""

    def __init__(self, folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        config = JinaEmbeddingsV3Config(
            vocab_size=len(self.tokenizer),
            **{name: JINA_CONFIG[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")},
            **{name: JINA_CONFIG[name] for name in ("intermediate_size", "max_position_embeddings")},
            rope_parameters={"rope_type": "default", "rope_theta": JINA_CONFIG["rotary_emb_base"]},
        )
        self.model = JinaEmbeddingsV3Model(config, add_pooling_layer=False).eval()
        self.projection = weights.pop("linear.weight")
        self.model.load_state_dict(dict(_renamed(weights)))
        split = [self.tokenizer.encode(sign, add_special_tokens=False) for sign in string.punctuation]
        self.skipped = torch.tensor([ids[0] for ids in split])

    def score(self, query: str, document: str) -> float:
        return self._score(query, self.tokenizer.encode(document, add_special_tokens=False))

    def score_spelled(self, query: str, document: str) -> float:
        (body,) = PlainText(self.tokenizer).ids([document])
        return self._score(query, body)

    def _score(self, query: str, body: list[int]) -> float:
        asked = self._marked("[QueryMarker]", self.tokenizer.encode(query, add_special_tokens=False)[:29])
        ids = self._marked("[DocumentMarker]", body[: STANFORD_METADATA["doc_maxlen"] - 3])
        kept = self._vectors(ids)[~torch.isin(torch.tensor(ids), self.skipped)]
        return maxsim(self._vectors(asked + [self.tokenizer.mask_token_id] * (32 - len(asked))), kept)

    def _marked(self, marker: str, body: list[int]) -> list[int]:
        first, last = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        return [first, self.tokenizer.convert_tokens_to_ids(marker), *body, last]

    def _vectors(self, ids: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            states = self.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
            return torch.nn.functional.normalize(states @ self.projection.T, dim=-1)


def _renamed(weights: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Jina's names -> those of Transformers."""
    names = {"roberta.": "", "emb_ln": "embeddings.LayerNorm", "encoder.layers": "layers"}
    names |= {"mixer.out_proj": "self_attn.o_proj", "norm1": "post_attention_layernorm", "norm2": "post_mlp_layernorm"}
    for name, value in weights.items():
        renamed = reduce(lambda now, change: now.replace(*change), names.items(), name)
        parts = value.chunk(3) if "Wqkv" in name else (value,)
        for letter, part in zip("qkv", parts, strict=False):
            yield renamed.replace("mixer.Wqkv", f"self_attn.{letter}_proj"), part


def maxsim(query: torch.Tensor, document: torch.Tensor) -> float:
    return sum(max(float(one @ other) for other in document) for one in query)


class Served(NamedTuple):
    engine: RunningEngine
    published: Published | PublishedByJina


def stanford(folder: Path) -> Path:
    return make_stanford_colbert(folder)


def modern(folder: Path) -> Path:
    return make_modern_colbert(folder)


def bert_attended(folder: Path) -> Path:
    """The engine computes its queries: their mask tokens are tokens like any other. Punctuation counts."""
    return make_pylate_bert(folder, attend_to_expansion_tokens=True, skiplist_words=[])


def jina(folder: Path) -> Path:
    return make_jina_colbert(folder)


@pytest.fixture(scope="module", params=[stanford, modern, bert_attended, jina])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    make: Callable[[Path], Path] = request.param
    folder = make(tmp_path_factory.mktemp(make.__name__))
    jinas = make is jina
    published = PublishedByJina(folder) if jinas else Published(MultiVectorEncoder(str(folder), device="cpu"))
    for engine in running(ModelSettings(name=str(folder), trust_remote_code=jinas), "float32"):
        yield Served(engine, published)


def scores(served: Served, query: str, documents: Sequence[str]) -> list[float]:
    pairs = served.engine.score(query, documents)
    assert [pair.error for pair in pairs] == [None] * len(documents)
    return [float(pair.score) for pair in pairs if pair.score is not None]


def order(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda place: -values[place])


@pytest.mark.thorough
def test_scores_and_order_are_those_of_sentence_transformers_and_maxsim(served: Served) -> None:
    for query in QUERIES:
        ours = scores(served, query, DOCUMENTS)
        theirs = [served.published.score(query, document) for document in DOCUMENTS]
        assert ours == pytest.approx(theirs, abs=1e-3)
        assert order(ours) == order(theirs)


@pytest.mark.thorough
def test_a_document_that_spells_special_tokens_is_scored_as_the_text_it_is(served: Served) -> None:
    (ours,) = scores(served, QUERIES[0], [SPELLED])
    assert ours == pytest.approx(served.published.score_spelled(QUERIES[0], SPELLED), abs=1e-3)
    assert ours != pytest.approx(served.published.score(QUERIES[0], SPELLED), abs=1e-3)


@pytest.mark.thorough
def test_of_each_document_it_is_told_whether_it_was_cut(served: Served) -> None:
    for query in QUERIES:
        cut = [pair.truncated for pair in served.engine.score(query, DOCUMENTS)]
        assert cut == [len(document) > 600 for document in DOCUMENTS]


@pytest.mark.thorough
def test_a_call_of_one_or_many_messages_scores_as_a_request_a_prompt_does(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [pair.score for pair in served.engine.score_each_alone(QUERIES[0], DOCUMENTS)]
    assert scores(served, QUERIES[0], DOCUMENTS) == pytest.approx(alone, abs=1e-6)
    monkeypatch.setitem(TOGETHER, "token_embed", 100)
    assert scores(served, QUERIES[0], DOCUMENTS) == pytest.approx(alone, abs=1e-6)
