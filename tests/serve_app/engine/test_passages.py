"""A document that does not fit is read whole in passages that do, and gets the best one's score."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from serve_app.engine.models import ModelInfo, describe
from serve_app.engine.outputs import Output, Task
from serve_app.engine.passages import PassageEncoder, PassageProcedure, best_of, passage_spans
from serve_app.engine.procedure import load_procedure
from serve_app.engine.prompts import Prompt, PromptEncoder, plain_text_tokenizer
from serve_app.settings import EMBEDDED_MODEL, ModelSettings
from stages.core.errors import ConfigError
from stages.core.records import PairScore
from stages.core.scoring import sigmoid
from tests.checkpoints.cross_encoders import ettin
from tests.checkpoints.late_interaction import make_stanford_colbert
from tests.checkpoints.listwise import make_tiny_jina_v3
from tests.examples import examples
from tests.recipes import recipe_of
from tests.tiny_models import make_tiny_cross_encoder, make_tiny_qwen3
from tests.tokenizer_kinds import KINDS

LIMIT = 160
FRAGMENTS = (
    "vector search finds documents",
    "Reranking's 3rd step: don't",
    "重排序模型，会逐对打分。",
    "ما هو إعادة الترتيب؟",
    "👩‍👩‍👧‍👦 e\u0301",
    "def f(x):\n\treturn {**x}\r\n",
    "   \n\n ",
    "1,234,567,890",
    "x" * 120,
    "[SEP] <|im_end|>",
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=25).map(" ".join)
# Of each way to split a text: words, bytes, runs over blanks.
PLAIN = {kind: plain_text_tokenizer(KINDS[kind]()) for kind in ("bert", "qwen3", "llama", "words")}


class FramedEncoder:
    """So many tokens of each document within a frame; a prompt of the query's own stands before them if it is asked
    for. It keeps the texts that it was given; `second_part` of a prompt says which one it was made of.
    """

    def __init__(self, plain: Tokenizer, room: int, query_apart: bool = False) -> None:
        self.plain, self.room, self.query_apart = plain, room, query_apart
        self.seen: list[str] = []

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        number = len(self.seen)
        self.seen += documents
        room = min(self.room, max_document_tokens or self.room)
        bodies = [one.ids for one in self.plain.encode_batch(list(documents), add_special_tokens=False)]
        prompts = [
            Prompt([-1, len(query), *ids[:room], -2], len(ids) > room, place)
            for place, ids in enumerate(bodies, start=number)
        ]
        return [Prompt([-3, len(query)]), *prompts] if self.query_apart else prompts


class RandomScores:
    """A Procedure whose logit is one of a prompt's tokens, and the query's in whose company they are."""

    task: Task = "classify"

    def __init__(self, encoder: PromptEncoder, query_apart: bool) -> None:
        self.encoder, self.query_apart = encoder, query_apart

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        assert len(prompts) == len(outputs)
        query = tuple(prompts[0].token_ids) if self.query_apart else ()
        return [self._pair(query, prompt) for prompt in prompts[self.query_apart :]]

    @staticmethod
    def _pair(query: tuple[int, ...], prompt: Prompt) -> PairScore:
        logit = random.Random(repr((query, prompt.token_ids))).gauss(0, 3)
        return PairScore(sigmoid(logit), logit, len(prompt.token_ids), 2, truncated=prompt.truncated)

    def score(self, document: str) -> PairScore:
        """Of a document alone."""
        prompts = self.encoder.encode("query", None, [document])
        (pair,) = self.pairs(prompts, [None] * len(prompts))
        return pair


def score_in_passages(inner: RandomScores, documents: Sequence[str], most: int = 1000) -> list[PairScore]:
    procedure = PassageProcedure(inner, most)
    prompts = procedure.encoder.encode("query", None, documents)
    return procedure.pairs(prompts, [None] * len(prompts))


# --- how a text is divided ---


@examples(300)
@given(st.sampled_from(sorted(PLAIN)), TEXTS, st.integers(2, 40))
def test_every_token_is_in_a_passage_and_each_begins_within_the_one_before(kind: str, text: str, room: int) -> None:
    spans = passage_spans(PLAIN[kind], text, room, 10_000)
    assert spans[0][0] == 0
    if len(PLAIN[kind].encode(text, add_special_tokens=False)) > room:
        assert spans[-1][1] == len(text)
    for (start, end), (following, _) in pairwise(spans):
        assert start < following <= end


@pytest.mark.parametrize("room", [64, 400])
def test_passages_of_plain_text_overlap_by_half_and_no_word_is_taken_apart(room: int) -> None:
    words = [f"word{number}" for number in range(2_000)]
    text, plain = " ".join(words), PLAIN["qwen3"]
    spans = passage_spans(plain, text, room, 10_000)
    sizes = [len(plain.encode(text[start:end], add_special_tokens=False)) for start, end in spans]
    assert max(sizes) <= room
    assert min(sizes[:-1]) > room * 0.8
    shared = [ending - start for (_, ending), (start, _) in pairwise(spans)]
    assert all(0.3 < common / (end - start) < 0.7 for common, (start, end) in zip(shared, spans, strict=False))
    assert {word for start, end in spans for word in text[start:end].split()} == set(words)


@given(TEXTS, st.integers(1, 40), st.integers(2, 6))
def test_no_more_than_so_many_passages_are_made(text: str, room: int, most: int) -> None:
    spans = passage_spans(PLAIN["bert"], text, room, 10_000)
    assert passage_spans(PLAIN["bert"], text, room, most) == spans[:most]


# --- prompts ---


@examples(200)
@given(st.sampled_from(sorted(PLAIN)), st.lists(TEXTS, min_size=1, max_size=4), st.integers(2, 40), st.booleans())
def test_the_first_prompt_is_that_of_the_document_cut_and_the_others_hold_what_no_limit_cuts(
    kind: str, documents: list[str], room: int, query_apart: bool
) -> None:
    plain = PLAIN[kind]
    cut = FramedEncoder(plain, room, query_apart).encode("query", None, documents)
    prompts = PassageEncoder(FramedEncoder(plain, room, query_apart), 10_000).encode("query", None, documents)
    assert [one.token_ids for one in prompts if not one.passage] == [one.token_ids for one in cut]
    assert all(len(one.token_ids) <= room + 3 for one in prompts)
    for place, prompt in enumerate(prompts):
        assert prompt.passage in (0, prompts[place - 1].passage + 1)


@examples(200)
@given(st.sampled_from(sorted(PLAIN)), TEXTS, st.integers(2, 40))
def test_what_is_read_of_a_document_is_its_passages_whole_or_in_parts_that_fit(
    kind: str, document: str, room: int
) -> None:
    inner = FramedEncoder(PLAIN[kind], room)
    prompts = PassageEncoder(inner, 10_000).encode("query", None, [document])
    if len(prompts) == 1:
        return
    read = [inner.seen[prompt.second_part or 0] for prompt in prompts[1:]]
    spans = passage_spans(PLAIN[kind], document, room, 10_000)
    assert "".join(read) == "".join(document[start:end] for start, end in spans[1:])
    assert not prompts[0].truncated or any(len(text) == 1 for text in read)


def test_a_document_that_fits_has_the_prompt_that_it_has_without_passages() -> None:
    cut, given = FramedEncoder(PLAIN["bert"], 40), ["short", ""]
    assert PassageEncoder(FramedEncoder(PLAIN["bert"], 40), 32).encode("q", None, given) == cut.encode("q", None, given)


def test_what_a_call_limits_is_cut() -> None:
    documents = ["vector search " * 500, "short"]
    for most in (10, 1000):
        prompts = PassageEncoder(FramedEncoder(PLAIN["bert"], 40), 32).encode("query", None, documents, most)
        assert prompts == FramedEncoder(PLAIN["bert"], 40).encode("query", None, documents, most)
        assert prompts[0].truncated


def test_what_lies_behind_the_last_passage_allowed_is_told_as_cut() -> None:
    encoder = PassageEncoder(FramedEncoder(PLAIN["words"], 40), 5)
    prompts = encoder.encode("query", None, ["search word " * 50, "search word " * 500, "search"])
    firsts = [place for place, prompt in enumerate(prompts) if prompt.passage == 0]
    assert firsts == [0, 5, 10]
    assert [prompts[place].truncated for place in firsts] == [False, True, False]


def test_a_letter_that_does_not_fit_by_itself_is_told_as_cut() -> None:
    plain = PLAIN["qwen3"]
    assert len(plain.encode("ꙮ", add_special_tokens=False)) > 1
    prompts = PassageEncoder(FramedEncoder(plain, 1), 1000).encode("query", None, ["a ꙮ b"])
    assert prompts[0].truncated


class CountedTokenizer:
    def __init__(self, plain: Tokenizer) -> None:
        self.plain, self.chars = plain, 0

    def encode_batch(self, texts: list[str], **more: Any) -> Any:
        self.chars += sum(map(len, texts))
        return self.plain.encode_batch(texts, **more)


@pytest.mark.parametrize("unit", ["vector search finds documents. ", "重排序模型会逐对打分。"])
def test_of_a_text_of_10_mb_no_more_is_tokenized_than_the_passages_take(tiny_qwen3: Path, unit: str) -> None:
    encoder = procedure_of("qwen3-reranker", tiny_qwen3, max_passages=8).encoder
    assert isinstance(encoder, PassageEncoder)
    counted = CountedTokenizer(encoder.plain)
    encoder.plain = counted  # type: ignore[assignment]
    prompts = encoder.encode("a query", None, [unit * (10_000_000 // len(unit))])
    assert len(prompts) == 8
    assert prompts[0].truncated
    assert 0 < counted.chars < 100_000


# --- scores ---


@examples(100)
@given(st.sampled_from(sorted(PLAIN)), st.lists(TEXTS, min_size=1, max_size=4), st.integers(20, 60), st.booleans())
def test_a_documents_score_is_the_best_of_its_beginning_and_of_each_passage_scored_alone(
    kind: str, documents: list[str], room: int, query_apart: bool
) -> None:
    inner = RandomScores(FramedEncoder(PLAIN[kind], room, query_apart), query_apart)
    for document, found in zip(documents, score_in_passages(inner, documents), strict=True):
        cut = inner.score(document)
        if not cut.truncated:
            assert found == cut
            continue
        spans = passage_spans(PLAIN[kind], document, room, 10_000)[1:]
        others = [inner.score(document[start:end]) for start, end in spans]
        if any(pair.truncated for pair in others):  # such passages are halved
            continue
        logits = [pair.logit for pair in (cut, *others) if pair.logit is not None]
        assert (found.logit, found.score) == (max(logits), sigmoid(max(logits)))
        assert (found.cut_logit, found.cut_score) == (cut.logit, cut.score)
        assert found.passages == len(logits) == 1 + len(others)
        assert found.prompt_tokens == sum(pair.prompt_tokens for pair in (cut, *others))
        assert found.cached_tokens == 2 * len(logits)
        assert not found.truncated


def test_where_a_passage_fails_the_document_does_and_says_which() -> None:
    fine = PairScore(0.9, 2.0, 10)
    found = best_of([fine, PairScore(None, prompt_tokens=5, error="the engine returned nothing"), fine])
    assert found.score is None
    assert found.error == "passage 2 of 3: the engine returned nothing"
    assert (found.prompt_tokens, found.passages, found.cut_score) == (25, 3, None)


def test_probabilities_that_tie_are_told_apart_by_their_logits() -> None:
    pairs = [PairScore(1.0, logit) for logit in (40.0, 90.0, 60.0)]
    assert best_of(pairs) == replace(pairs[1], passages=3, cut_score=1.0, cut_logit=40.0, prompt_tokens=0)


def test_of_cosines_the_largest_is_taken() -> None:
    found = best_of([PairScore(-0.5), PairScore(0.25)])
    assert (found.score, found.logit, found.cut_score, found.cut_logit) == (0.25, None, -0.5, None)


# --- with the kinds of models ---


def procedure_of(family: Any, folder: Path, **settings: Any) -> Any:
    model = ModelInfo(folder.name, str(folder), None, recipe_of(family), LIMIT, None)
    return load_procedure(model, ModelSettings(long_documents="passages", **settings))


KINDS_OF_MODELS: dict[str, Callable[[Path], Path]] = {
    "decoder": make_tiny_qwen3,
    "cross-encoder": make_tiny_cross_encoder,
    "modular-cross-encoder": ettin,
    "late-interaction": make_stanford_colbert,
    "embedding": lambda _: Path(describe(ModelSettings(name=EMBEDDED_MODEL)).path),
}


@pytest.mark.parametrize("kind", KINDS_OF_MODELS)
def test_every_kind_reads_a_long_document_in_prompts_that_are_full_and_uncut(kind: str, tmp_path: Path) -> None:
    settings = ModelSettings(
        name=str(KINDS_OF_MODELS[kind](tmp_path)), max_length=LIMIT, long_documents="passages", max_passages=1000
    )
    model = describe(settings)
    assert model.recipe is not None
    assert model.recipe.kind == kind
    procedure = load_procedure(model, settings)
    long = " ".join(f"Passage {number} tells of vector search and 重排序." for number in range(120))
    prompts = procedure.encoder.encode("how does reranking work?", None, ["short", long, "also short"])
    lead = len(procedure.encoder.encode("a query", None, ["short"])) - 1  # prompts of the query
    passages = [prompt.passage for prompt in prompts[lead:]]
    number = len(passages) - 2
    assert number > 8
    assert passages == [0, *range(number), 0]
    assert not any(prompt.truncated for prompt in prompts)
    lengths = [len(prompt.token_ids) for prompt in prompts[lead + 1 : -1]]
    assert lengths[0] == LIMIT
    assert min(lengths[:-1]) > LIMIT * 0.8
    assert max(lengths) <= LIMIT


def test_a_listwise_model_is_refused_in_one_line(tmp_path: Path) -> None:
    settings = ModelSettings(name=str(make_tiny_jina_v3(tmp_path)), long_documents="passages")
    with pytest.raises(ConfigError, match=r"^model.long_documents passages: .* Set model.long_documents cut$"):
        describe(settings)


def test_outputs_of_the_engine_become_scores_of_documents(tiny_cross_encoder: Path) -> None:
    import torch

    procedure = procedure_of("cross-encoder", tiny_cross_encoder)
    prompts = procedure.encoder.encode("a query", None, ["short", "vector search " * 200])
    logits = [float(number % 5) for number in range(len(prompts))]
    outputs = [
        SimpleNamespace(outputs=SimpleNamespace(data=torch.tensor([logit])), num_cached_tokens=0) for logit in logits
    ]
    short, long = procedure.pairs(prompts, outputs)
    assert (short.logit, short.passages, short.cut_logit) == (0.0, 1, None)
    assert (long.logit, long.passages, long.cut_logit) == (max(logits[1:]), len(prompts) - 1, 1.0)
