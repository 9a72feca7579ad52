"""What a late-interaction model's texts become, and what is done with its vectors. No engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from serve_app.engine.models import describe
from serve_app.engine.procedure import Procedure, load_procedure, vector_maker
from serve_app.engine.prompts import Prompt
from serve_app.engine.query_vectors import QueryVectors
from serve_app.engine.shared_vectors import SharedVectors
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.engine.vector_memory import VectorMemory
from serve_app.engine.vectors import Vector
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError, ScoringError
from tests.checkpoints.late_interaction import make_pylate_bert, make_stanford_colbert

QUERY = "how does it work?"


@pytest.fixture(scope="module")
def stanford(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stanford_colbert(tmp_path_factory.mktemp("stanford"))


@pytest.fixture(scope="module")
def unexpanded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pylate_bert(tmp_path_factory.mktemp("unexpanded"), do_query_expansion=False, query_length=16)


def loaded(folder: Path, **settings: Any) -> tuple[Procedure, Any]:
    """The procedure, and the model's own tokenizer."""
    described = ModelSettings(name=str(folder), **settings)
    model = describe(described)
    return load_procedure(model, described), load_tokenizer(model)


def answered(*vectors: Sequence[Sequence[float]]) -> list[Any]:
    """What an engine returns: a vector for each token of each prompt."""
    return [SimpleNamespace(outputs=SimpleNamespace(data=torch.tensor(one)), num_cached_tokens=0) for one in vectors]


def test_a_document_stands_between_its_marker_and_the_tokenizers_own_tokens(stanford: Path) -> None:
    procedure, tokenizer = loaded(stanford)
    (prompt,) = procedure.encoder.encode(QUERY, None, ["It works."])
    first, marker, *body, last = tokenizer.convert_ids_to_tokens(prompt.token_ids)
    assert (first, marker, last) == ("[CLS]", "[unused1]", "[SEP]")
    assert body == tokenizer.tokenize("It works.")


def test_a_query_of_unattended_masks_has_a_vector_for_each_place_beside_each_document(stanford: Path) -> None:
    procedure, _ = loaded(stanford)
    one, other = procedure.encoder.encode(QUERY, None, ["a", "b"])
    assert one.beside is other.beside
    assert one.beside.shape == (32, 48)
    assert np.linalg.norm(one.beside, axis=1) == pytest.approx(1.0)


def test_tokens_that_are_not_attended_to_change_no_vector_but_their_own(stanford: Path) -> None:
    vectors = QueryVectors(describe(ModelSettings(name=str(stanford))), ())
    ids = (3, 1, 40, 41, 42, 5)
    assert vectors.of((*ids, 6, 6), 6)[:6] == pytest.approx(vectors.of(ids, 6), abs=1e-5)
    assert vectors.of((*ids, 6, 6), 8)[:6] != pytest.approx(vectors.of(ids, 6), abs=1e-3)


def test_without_expansion_the_engine_computes_the_query_as_long_as_it_is_and_cuts_it(unexpanded: Path) -> None:
    procedure, tokenizer = loaded(unexpanded)
    query, document = procedure.encoder.encode(QUERY, None, ["It works."])
    marker = tokenizer.convert_tokens_to_ids("[Q] ")
    words = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(QUERY))
    assert query.token_ids == [tokenizer.cls_token_id, marker, *words, tokenizer.sep_token_id]
    assert not document.truncated
    long, document = procedure.encoder.encode("how does it work " * 20, None, ["It works."])
    assert len(long.token_ids) == 16
    assert not document.truncated


def test_only_so_many_tokens_of_a_document_are_read_as_are_asked_for(stanford: Path) -> None:
    procedure, _ = loaded(stanford)
    text = "one two three four five six seven"
    (whole,) = procedure.encoder.encode(QUERY, None, [text])
    (cut,) = procedure.encoder.encode(QUERY, None, [text], 2)
    assert (cut.token_ids, cut.truncated) == ([*whole.token_ids[:4], whole.token_ids[-1]], True)
    (limited,) = loaded(stanford, max_length=9)[0].encoder.encode(QUERY, None, [text])
    assert (len(limited.token_ids), limited.truncated) == (9, True)


def test_the_best_match_of_each_query_token_is_added_up_without_skipped_tokens(unexpanded: Path) -> None:
    procedure, tokenizer = loaded(unexpanded)
    prompts = procedure.encoder.encode("x", None, ["a!", "b"])
    assert tokenizer.convert_ids_to_tokens(prompts[1].token_ids)[3] == "!"
    query, flat = np.zeros((4, 48), np.float32), np.zeros((5, 48), np.float32)
    query[:, 0] = query[:, 1] = 1.0
    flat[:, 0], flat[2, 1], flat[3, :2] = 0.25, 0.5, 100.0  # the last is the exclamation mark's
    scores = procedure.pairs(prompts, answered(query.tolist(), flat.tolist(), flat[:4].tolist()))
    assert [pair.score for pair in scores] == [pytest.approx(4 * 0.75), pytest.approx(4 * 200.0)]
    assert [pair.prompt_tokens for pair in scores] == [5, 4]
    known = [Vector(query), Vector(flat, known=True), Vector(flat[:4])]
    again = procedure.pairs(prompts, known)
    assert ([pair.score for pair in again], [pair.reused for pair in again]) == (
        [pair.score for pair in scores],
        [True, False],
    )


def test_documents_that_queries_share_are_computed_once(unexpanded: Path) -> None:
    procedure, _ = loaded(unexpanded)
    maker = vector_maker(procedure)
    assert maker is not None
    shared = SharedVectors(maker.vectors, VectorMemory(1 << 20))
    read: list[int] = []

    async def compute(prompts: Sequence[Prompt], priority: int) -> tuple[list[Any], float]:
        del priority
        read.append(len(prompts))
        drawn = (np.random.default_rng(sum(one.token_ids)).normal(size=(len(one.token_ids), 48)) for one in prompts)
        return answered(*(numbers.tolist() for numbers in drawn)), 0.0

    async def scores(query: str, documents: Sequence[str]) -> list[float | None]:
        prompts = procedure.encoder.encode(query, None, documents)
        found, _ = await shared.of(prompts, 0, compute)
        return [pair.score for pair in procedure.pairs(prompts, found)]

    async def test() -> None:
        first, again = await scores("x", ["a!", "b"]), await scores("x", ["b", "a!"])
        assert again == first[::-1] != await scores("y", ["b", "a!"])

    asyncio.run(test())
    assert read == [3, 1]


def test_an_engine_that_leaves_the_projection_out_fails_the_pair(unexpanded: Path) -> None:
    procedure, _ = loaded(unexpanded)
    prompts = procedure.encoder.encode("x", None, ["a"])
    right, wide = [[0.5] * 48] * 4, [[0.5] * 128] * 4
    (pair,) = procedure.pairs(prompts, answered(right, wide))
    assert pair.error is not None and "[4, 128], not 48 numbers a token" in pair.error
    (pair,) = procedure.pairs(prompts, ["the engine refused the prompt: too long", *answered(right)])
    assert pair.error == "the engine refused the prompt: too long"


def test_instructions_are_refused(stanford: Path) -> None:
    with pytest.raises(ScoringError, match="late-interaction models take no instruction"):
        loaded(stanford)[0].encoder.encode(QUERY, "find it", ["a"])


def test_a_marker_that_is_no_token_and_weights_that_are_missing_are_refused(stanford: Path, tmp_path: Path) -> None:
    odd = make_stanford_colbert(tmp_path / "odd", doc_token_id="[nowhere]")
    with pytest.raises(ConfigError, match=r"has no token '\[nowhere\]'"):
        loaded(odd)
    model = describe(ModelSettings(name=str(stanford)))
    with pytest.raises(ConfigError, match=r"no linear\.weight in 1_Dense/model\.safetensors or 1_Dense/pytorch_model"):
        QueryVectors(model, ["1_Dense"])
