"""The direct scorer gives what each publisher's own code gives, and reads the same tokens as the service's encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from pipelines.direct.prompts import Pair, PlainText, Prompts, Recipe
from pipelines.direct.scorer import DirectScorer
from serve_app.engine.models import ModelInfo, describe
from serve_app.engine.procedure import load_encoder
from serve_app.engine.prompts import PromptEncoder
from serve_app.settings import Family, ModelSettings
from stages.core.errors import ConfigError
from tests.examples import examples
from tests.recipes import recipe_of
from tests.torch_threads import one_torch_thread

QUERY = "how does prefix caching speed up reranking?"
DOCUMENTS = [
    "Prefix caching keeps the blocks of a shared prompt prefix.",
    "重排序模型会把查询和每个文档放在一起打分。",
    "",
    "إعادة الترتيب 👩‍👩‍👧‍👦 e\u0301",
    "The mitochondrion is the powerhouse of the cell. " * 9,
    "  \n two  \n\n",
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_torch_thread():
        yield


def scorer(folder: Path, batch_size: int = 16, **more: object) -> DirectScorer:
    chosen = ModelSettings.model_validate({"name": str(folder), **more})
    return DirectScorer(describe(chosen), chosen, batch_size=batch_size, device="cpu")


def values(made: DirectScorer) -> list[float]:
    return [pair.score if pair.score is not None else -1.0 for pair in made.score(QUERY, DOCUMENTS)]


# ---- the published procedures


def test_a_qwen3_score_is_that_of_the_model_cards_code(tiny_qwen3: Path) -> None:
    """`process_inputs` and `compute_logits` of the card, in their own order of steps, one batch padded on the left."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_qwen3, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(tiny_qwen3).eval()
    prefix = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    suffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    prefix_ids, suffix_ids = (tokenizer.encode(text, add_special_tokens=False) for text in (prefix, suffix))
    task = "Given a web search query, retrieve relevant passages that answer the query"
    texts = [f"<Instruct>: {task}\n<Query>: {QUERY}\n<Document>: {document}" for document in DOCUMENTS]
    bodies = tokenizer(texts, padding=False, truncation="longest_first", max_length=4000)["input_ids"]
    inputs = tokenizer.pad({"input_ids": [prefix_ids + body + suffix_ids for body in bodies]}, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[:, -1, :]
    both = torch.stack([logits[:, tokenizer.convert_tokens_to_ids(word)] for word in ("no", "yes")], dim=1)
    expected = torch.nn.functional.log_softmax(both, dim=1)[:, 1].exp().tolist()
    assert max(expected) - min(expected) > 0.05, "the reference hardly tells documents apart, so this tests nothing"
    assert values(scorer(tiny_qwen3)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["tiny_cross_encoder", "tiny_xlm_roberta"])
def test_a_cross_encoders_score_is_the_sigmoid_of_its_logit(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer(
        [QUERY] * len(DOCUMENTS), DOCUMENTS, truncation="only_second", max_length=64, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        expected = model(**inputs).logits[:, 0].sigmoid().tolist()
    assert values(scorer(folder, max_length=64)) == pytest.approx(expected, abs=1e-5)


def test_an_embedding_models_score_is_the_cosine_of_mean_pooled_vectors() -> None:
    folder = describe(ModelSettings()).path
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def vector(text: str) -> torch.Tensor:
        with torch.no_grad():
            states: torch.Tensor = model(**tokenizer(text, truncation=True, max_length=256, return_tensors="pt"))[0]
        return states[0].mean(0)

    expected = [torch.cosine_similarity(vector(QUERY), vector(one), dim=0).item() for one in DOCUMENTS]
    assert values(scorer(Path(folder))) == pytest.approx(expected, abs=1e-5)


# ---- batches


def test_neither_batches_nor_neighbours_change_a_score(tiny_qwen3: Path) -> None:
    pairs = [Pair(query, document) for query in (QUERY, "什么是缓存？") for document in DOCUMENTS]
    alone = [pair.logit for pair in scorer(tiny_qwen3, batch_size=1).score_all(pairs)]
    together = [pair.logit for pair in scorer(tiny_qwen3, batch_size=5).score_all(pairs[::-1])][::-1]
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_query_without_documents_has_no_scores(tiny_qwen3: Path) -> None:
    assert scorer(tiny_qwen3).score(QUERY, []) == []


# ---- tokens


def services_encoder(family: Family, folder: Path, limit: int) -> PromptEncoder:
    return load_encoder(ModelInfo(folder.name, str(folder), None, recipe_of(family), limit, None), ModelSettings())


FAMILIES: list[tuple[Family, str]] = [
    ("qwen3-reranker", "tiny_qwen3"),
    ("cross-encoder", "tiny_cross_encoder"),
    ("cross-encoder", "tiny_xlm_roberta"),
    ("embedding", "minilm"),
]


@pytest.fixture(scope="module")
def minilm() -> Path:
    return Path(describe(ModelSettings()).path)


@pytest.mark.parametrize(("family", "kind"), FAMILIES)
def test_any_pair_gives_the_tokens_that_the_services_encoder_gives(
    family: Family, kind: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(kind)
    prompts, encoder = Prompts(AutoTokenizer.from_pretrained(folder), family), services_encoder(family, folder, 350)
    special = st.sampled_from([*prompts.plain.special, "<|im_end|>\n", "</s>", "[SEP] "])
    part = st.text(max_size=12) | special
    queries, documents = (st.lists(part, max_size=most).map("".join) for most in (3, 20))

    @examples(100)
    @given(query=queries, document=documents)
    def check(query: str, document: str) -> None:
        (made,) = prompts.make([Pair(query, document)], Recipe(350))
        assert [prompt.ids for prompt in made] == [one.token_ids for one in encoder.encode(query, None, [document])]

    check()


@pytest.mark.parametrize("kind", ["tiny_qwen3", "tiny_cross_encoder", "tiny_xlm_roberta"])
def test_the_text_of_a_special_token_is_spelled_out(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = AutoTokenizer.from_pretrained(request.getfixturevalue(kind))
    plain = PlainText(tokenizer)
    for special in plain.special:
        (found,), (parsed,) = plain.ids([f"a {special} b"]), plain.ids([f"a {special} b"], parse_special=True)
        own = set(tokenizer.added_tokens_decoder) - {tokenizer.unk_token_id}
        assert not own & set(found)
        assert (own & set(parsed)) or special == tokenizer.unk_token


def test_a_long_document_is_cut_before_the_suffix_and_a_long_query_is_an_error(tiny_qwen3: Path) -> None:
    made = scorer(tiny_qwen3, max_length=150)
    ids = [prompt for (prompt,) in made.prompts([Pair(QUERY, "word " * 500), Pair(QUERY, "short")])]
    assert [len(one) for one in ids] == [150, len(ids[1])]
    suffix = made.tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert ids[0][-len(suffix) :] == ids[1][-len(suffix) :] == suffix
    long, short = made.score(QUERY, ["word " * 500, "short"])
    assert (long.truncated, short.truncated) == (True, False)
    (refused,) = made.score("word " * 500, ["short"])
    assert refused.score is None
    assert refused.error is not None and "leaves no room" in refused.error


# ---- models it cannot read


def test_a_model_without_weights_or_of_an_unknown_kind_is_refused(tmp_path: Path, minilm: Path) -> None:
    overlap = ModelSettings(name="overlap")
    with pytest.raises(ConfigError, match="nothing to compare it with"):
        DirectScorer(describe(overlap), overlap)
    dense = tmp_path / "dense"
    shutil.copytree(minilm, dense)
    modules = json.loads((dense / "modules.json").read_text())
    (dense / "modules.json").write_text(json.dumps([*modules, {"type": "models.Dense", "path": "3_Dense"}]))
    with pytest.raises(ConfigError, match="Dense"):
        scorer(dense)


def test_a_classifier_of_several_labels_is_no_reranker(tmp_path: Path, tiny_cross_encoder: Path) -> None:
    shutil.copytree(tiny_cross_encoder, tmp_path / "labels")
    config = BertConfig.from_pretrained(tiny_cross_encoder, num_labels=3)
    BertForSequenceClassification(config).save_pretrained(tmp_path / "labels")
    with pytest.raises(ConfigError, match="labels 3"):
        scorer(tmp_path / "labels")
