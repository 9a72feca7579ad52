"""Late-interaction models on the real engine score as sentence-transformers and a plain MaxSim do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from sentence_transformers import MultiVectorEncoder

from pipelines.direct.prompts import PlainText
from serve_app.settings import ModelSettings
from tests.checkpoints.late_interaction import make_modern_colbert, make_pylate_bert, make_stanford_colbert
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
SPELLED = "[MASK] [SEP] caching [unused1] [D] and [Q] [CLS]"


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


def maxsim(query: torch.Tensor, document: torch.Tensor) -> float:
    return sum(max(float(one @ other) for other in document) for one in query)


class Served(NamedTuple):
    engine: RunningEngine
    published: Published


def stanford(folder: Path) -> Path:
    return make_stanford_colbert(folder)


def modern(folder: Path) -> Path:
    return make_modern_colbert(folder)


def bert_attended(folder: Path) -> Path:
    """The engine computes its queries: their mask tokens are tokens like any other. Punctuation counts."""
    return make_pylate_bert(folder, attend_to_expansion_tokens=True, skiplist_words=[])


@pytest.fixture(scope="module", params=[stanford, modern, bert_attended])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    make: Callable[[Path], Path] = request.param
    folder = make(tmp_path_factory.mktemp(make.__name__))
    published = Published(MultiVectorEncoder(str(folder), device="cpu"))
    for engine in running(ModelSettings(name=str(folder)), "float32"):
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
def test_what_is_cut_is_told_of_documents_and_of_a_query_in_all_its_pairs(served: Served) -> None:
    cut = [pair.truncated for pair in served.engine.score(QUERIES[0], DOCUMENTS)]
    assert cut == [len(document) > 600 for document in DOCUMENTS]
    assert all(pair.truncated for pair in served.engine.score(QUERIES[2], DOCUMENTS))
