"""Decoders score on the real engine as their publishers' code does with Transformers: the same order, the same logits.

The references are written by the card or library of each; prompts are compared before scores, token for token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from serve_app.engine.engine_args import Host, engine_arguments
from serve_app.engine.kinds.decoder import arguments, token_ids
from serve_app.engine.models import describe
from serve_app.engine.procedure import load_procedure
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import ConfigError
from stages.core.scoring import sigmoid
from tests.checkpoints.decoder import Architecture, add_logit_score, make_decoder
from tests.checkpoints.templates import OWN, QWEN3_RERANKER, ZERANK
from tests.engines_in_turn import raw_logits

# Reference: tokenizer, query, document, instruction -> the prompt's ids.
Reference: TypeAlias = Callable[[Any, str, str, str | None], list[int]]

ENGINE = EngineSettings.model_validate({"dtype": "float32", "compile": False, "kv_cache_gib": 0.1})
HOST = Host("cpu", 64, 2048, False)
LIMIT = 400
QUERY, CHINESE = "how does prefix caching speed up reranking?", "前缀缓存如何加快重排序？"
DOCUMENTS = (
    "Prefix caching keeps the key-value blocks of a shared prompt prefix.",
    "重排序模型会把查询和每个文档放在一起打分，然后按分数排序。",
    "",
    "def rerank(query, documents):\n    return sorted(documents, key=lambda d: -score(query, d))",
    " The mitochondrion is the powerhouse of the cell. ",
    "42",
)
LONG = "One long document says the same thing again and again, 一遍又一遍地。 " * 40
# Close the prompt and answer it, in the special tokens of each tokenizer.
CLOSING = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nyes </s><s> <eos><bos>Yes"


def encode(tokenizer: Any, text: str, **more: Any) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, **more)["input_ids"]
    return ids


def qwen3_reranker(tokenizer: Any, query: str, document: str, instruction: str | None) -> list[int]:
    """https://huggingface.co/Qwen/Qwen3-Reranker-0.6B, Transformers Usage."""
    prefix = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    suffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    task = instruction or "Given a web search query, retrieve relevant passages that answer the query"
    head, tail = encode(tokenizer, prefix), encode(tokenizer, suffix)
    text = f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {document}"
    body = encode(tokenizer, text, truncation="longest_first", max_length=LIMIT - len(head) - len(tail))
    return head + body + tail


def zerank(tokenizer: Any, query: str, document: str, instruction: str | None) -> list[int]:
    """modeling_zeranker.py: a chat of the query as the system's turn and the document as the user's."""
    if instruction:
        query = f"<query>{query}</query>\n<instruction>{instruction}</instruction>"
    return encode(
        tokenizer,
        f"<|im_start|>system\n{query}<|im_end|>\n<|im_start|>user\n{document}<|im_end|>\n<|im_start|>assistant\n",
    )


def ctxl(tokenizer: Any, query: str, document: str, instruction: str | None) -> list[int]:
    """https://huggingface.co/ContextualAI/ctxl-rerank-v2-instruct-multilingual-1b, Transformers."""
    asked = f"{query} {instruction}" if instruction else query
    ids: list[int] = tokenizer(
        "Check whether a given document contains information helpful to answer the query.\n"
        f"<Document> {document}\n<Query> {asked} ??"
    )["input_ids"]
    return ids


def mxbai(tokenizer: Any, query: str, document: str, instruction: str | None) -> list[int]:
    """mxbai_rerank_v2.py, prepare_inputs."""
    system = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    task = (
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
    )
    asked = "\n".join([*([f"instruction: {instruction}"] if instruction else []), f"query: {query}"])
    head, line = encode(tokenizer, f"{system}<|im_start|>user\n"), encode(tokenizer, "\n")
    tail = line + encode(tokenizer, task) + encode(tokenizer, "<|im_end|>\n<|im_start|>assistant\n")
    start = head + encode(tokenizer, asked) + line
    room = LIMIT - len(start) - len(tail)
    return start + encode(tokenizer, f"document: {document}", truncation=True, max_length=room) + tail


def bge_gemma(tokenizer: Any, query: str, document: str, instruction: str | None) -> list[int]:
    """FlagEmbedding, decoder-only reranker; the document is cut where it makes the prompt too long."""
    del instruction
    prompt = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing "
        "a prediction of either 'Yes' or 'No'."
    )
    line = encode(tokenizer, "\n")
    start = [tokenizer.bos_token_id, *encode(tokenizer, f"A: {query}"), *line]
    tail = line + encode(tokenizer, prompt)
    room = LIMIT - len(start) - len(tail)
    return start + encode(tokenizer, f"B: {document}", truncation=True, max_length=room) + tail


def own(tokenizer: Any, query: str, document: str, instruction: str | None) -> list[int]:
    del instruction
    ids: list[int] = tokenizer(f"Passage: {document}\nQuestion: {query}\nRelevant (yes or no):")["input_ids"]
    return ids


def chat(tokenizer: Any, query: str, document: str, instruction: str | None) -> list[int]:
    """As sentence-transformers writes it: the model's own template, rendered and tokenized as a whole."""
    messages = [{"role": "query", "content": query}, {"role": "document", "content": document}]
    if instruction:
        messages.insert(0, {"role": "system", "content": instruction})
    ids: list[int] = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    return ids


OWN_RECIPE = {
    "kind": "decoder",
    "prompt": "Passage: {document}\nQuestion: {query}\nRelevant (yes or no):",
    "special_tokens": True,
    "tokens": {"positive": "yes", "negative": "no"},
    "score": {"shift": 1.5, "scale": 0.5, "activation": "sigmoid"},
}


@dataclass(frozen=True)
class Case:
    """`tokens` are positive and negative, by text or id; `template` makes it a CrossEncoder of sentence-transformers.
    `cuts`: the publisher cuts documents, and keeps the frame.
    """

    architecture: Architecture
    reference: Reference
    tokens: tuple[str | int, ...]
    name: str
    tied: bool = True
    template: str | None = None
    cuts: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    instruction: str | None = "find what answers it"


CASES = {
    "Qwen3-Reranker": Case("qwen3", qwen3_reranker, ("yes", "no"), "Qwen3-Reranker-0.6B", cuts=True),
    "Qwen3-Reranker, LogitScore": Case(
        "qwen3", qwen3_reranker, ("yes", "no"), "ours", template=QWEN3_RERANKER, cuts=True
    ),
    "zerank-1": Case("qwen3", zerank, ("Yes",), "zerank-1", tied=False),
    "zerank-2, LogitScore": Case("qwen3", zerank, ("Yes",), "mine", template=ZERANK),
    "ctxl 1b": Case("qwen3", ctxl, (0,), "ctxl-rerank-v2-instruct-multilingual-1b"),
    "ctxl 6b": Case("mistral", ctxl, (0,), "ctxl-rerank-v2-instruct-multilingual-6b", tied=False),
    "mxbai": Case("qwen2", mxbai, ("1", "0"), "mxbai-rerank-base-v2", cuts=True),
    "bge-gemma": Case("gemma", bge_gemma, ("Yes",), "bge-reranker-v2-gemma", cuts=True, instruction=None),
    "a recipe of one's own": Case(
        "llama", own, ("yes", "no"), "llama", tied=False, settings={"recipe": OWN_RECIPE}, instruction=None
    ),
    "a template of one's own": Case("mistral", chat, ("yes", "no"), "mistral", template=OWN, tied=False),
}


def make(case: Case, folder: Path) -> ModelSettings:
    made = make_decoder(folder / case.name, case.architecture, tied=case.tied)
    if case.template is not None:
        tokenizer = AutoTokenizer.from_pretrained(made)
        ids = [encode(tokenizer, str(token))[0] for token in case.tokens]
        add_logit_score(made, case.template, ids[0], ids[1] if len(ids) == 2 else None)
    return ModelSettings(name=str(made), max_length=LIMIT, **case.settings)


@dataclass
class Made:
    case: Case
    settings: ModelSettings
    tokenizer: Any
    procedure: Any
    recipe: DecoderRecipe
    calls: list[tuple[str, str | None, Sequence[str]]]
    prompts: list[Any]

    @property
    def ids(self) -> list[list[int]]:
        return [prompt.token_ids for prompt in self.prompts]


def made_of(case: Case, folder: Path) -> Made:
    settings = make(case, folder)
    model = describe(settings)
    assert isinstance(model.recipe, DecoderRecipe)
    procedure = load_procedure(model, settings)
    calls = [(QUERY, None, (*DOCUMENTS, LONG, CLOSING)), (CHINESE, case.instruction, DOCUMENTS)]
    prompts = [one for query, task, documents in calls for one in procedure.encoder.encode(query, task, documents)]
    tokenizer = AutoTokenizer.from_pretrained(settings.name)
    return Made(case, settings, tokenizer, procedure, model.recipe, calls, prompts)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    return {name: made_of(case, tmp_path_factory.mktemp("decoders")) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def logits(models: dict[str, Made], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """What the engine gives, one engine for each model, all in one process."""
    jobs = [
        {"arguments": engine_arguments(describe(one.settings), ENGINE, HOST), "prompts": one.ids}
        for one in models.values()
    ]
    return dict(zip(models, raw_logits(jobs, tmp_path_factory.mktemp("engines")), strict=True))


def published_logits(made: Made, prompts: Sequence[Sequence[int]]) -> list[float]:
    """Of the tokens that the case names, at the last position, with Transformers."""
    model = AutoModelForCausalLM.from_pretrained(made.settings.name, dtype=torch.float32).eval()
    ids = [token if isinstance(token, int) else encode(made.tokenizer, token)[0] for token in made.case.tokens]
    with torch.no_grad():
        last = [model(torch.tensor([prompt])).logits[0, -1] for prompt in prompts]
    return [float(one[ids[0]] - one[ids[1]]) if len(ids) == 2 else float(one[ids[0]]) for one in last]


@pytest.mark.parametrize("name", CASES)
def test_prompts_are_the_publishers(models: dict[str, Made], name: str) -> None:
    made = models[name]
    prompts = iter(made.prompts)
    for query, task, documents in made.calls:
        for document, prompt in zip(documents, prompts, strict=False):
            if document == CLOSING:
                continue  # the published procedures let it close the prompt
            assert prompt.truncated == (document == LONG)
            if document != LONG or made.case.cuts:
                assert prompt.token_ids == made.case.reference(made.tokenizer, query, document, task), document
    assert next(prompts, None) is None


@pytest.mark.parametrize("name", CASES)
def test_of_a_cut_document_the_beginning_is_scored_in_the_whole_frame(models: dict[str, Made], name: str) -> None:
    made = models[name]
    complete = made.case.reference(made.tokenizer, QUERY, LONG[:200], None)
    cut = made.prompts[len(DOCUMENTS)].token_ids
    assert len(cut) == LIMIT
    assert cut[-4:] == complete[-4:]
    assert cut[:40] == complete[:40]


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_the_engines_logits_are_those_of_transformers(
    models: dict[str, Made], logits: dict[str, list[float]], name: str
) -> None:
    made = models[name]
    expected = published_logits(made, made.ids)
    worst = max(abs(a - b) for a, b in zip(logits[name], expected, strict=True))
    print(f"{name}: largest difference {worst:.1e}, logits from {min(expected):.2f} to {max(expected):.2f}")
    assert worst < 1e-3
    assert sorted(expected) == sorted(set(expected)), "equal scores have no order to compare"
    order = [sorted(range(len(DOCUMENTS)), key=values.__getitem__) for values in (logits[name], expected)]
    assert order[0] == order[1]


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.template is not None])
def test_a_cross_encoder_scores_as_sentence_transformers_does(
    models: dict[str, Made], logits: dict[str, list[float]], name: str
) -> None:
    from sentence_transformers import CrossEncoder

    made = models[name]
    theirs = CrossEncoder(made.settings.name, device="cpu").predict([(QUERY, document) for document in DOCUMENTS])
    assert max(abs(a - b) for a, b in zip(logits[name], theirs.tolist(), strict=False)) < 1e-3


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_a_score_is_what_the_recipe_makes_of_the_logit(
    models: dict[str, Made], logits: dict[str, list[float]], name: str
) -> None:
    made = models[name]
    outputs = [
        SimpleNamespace(outputs=SimpleNamespace(data=torch.tensor([one])), num_cached_tokens=0) for one in logits[name]
    ]
    pairs = made.procedure.pairs(made.prompts, outputs)
    told = made.recipe.score
    for pair, logit in zip(pairs, logits[name], strict=True):
        value = (logit - told.shift) * told.scale
        assert pair.logit == pytest.approx(logit, abs=1e-6)
        assert pair.score == pytest.approx(sigmoid(value) if told.activation == "sigmoid" else value, abs=1e-6)
    activations = {"Qwen3-Reranker", "Qwen3-Reranker, LogitScore", "a recipe of one's own"}
    assert (told.activation == "sigmoid") == (name in activations)


# ---- tokens


@pytest.mark.parametrize(
    ("architecture", "tokens", "told"),
    [
        ("qwen3", {"positive": "relevant indeed"}, "tokens of this model's vocabulary, and has to be one"),
        ("qwen3", {"positive": "yes", "negative": "nonesuch"}, "tokens.negative 'nonesuch' is"),
        ("gemma", {"positive": 10_000_000}, "tokens.positive 10000000: this model's vocabulary has"),
    ],
)
def test_what_is_not_one_token_is_refused(
    tmp_path: Path, architecture: Architecture, tokens: dict[str, Any], told: str
) -> None:
    folder = make_decoder(tmp_path, architecture)
    settings = ModelSettings(name=str(folder), recipe=OWN_RECIPE | {"tokens": tokens})
    with pytest.raises(ConfigError) as caught:
        load_procedure(describe(settings), settings)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_the_engine_is_told_tokens_as_the_vocabulary_spells_them(models: dict[str, Made]) -> None:
    def told(name: str, **engine: Any) -> Any:
        model = describe(models[name].settings)
        return arguments(models[name].recipe, model, EngineSettings(**engine))["hf_overrides"]

    assert told("bge-gemma") == {
        "architectures": ["GemmaForSequenceClassification"],
        "classifier_from_token": ["Yes"],
        "method": "no_post_processing",
    }
    assert told("mxbai")["classifier_from_token"] == ["0", "1"]
    assert told("ctxl 1b")["classifier_from_token"] == ["!"]
    assert told("ctxl 6b")["classifier_from_token"] == ["<unk>"]
    assert told("a recipe of one's own")["classifier_from_token"] == ["▁no", "▁yes"]
    assert told("a recipe of one's own")["method"] == "from_2_way_softmax"


def test_a_token_behind_the_first_gpus_share_of_the_head_is_refused(models: dict[str, Made]) -> None:
    """There vLLM would take another token's row, and say nothing."""
    made = models["a recipe of one's own"]
    assert max(token_ids(made.recipe, made.tokenizer)) > len(made.tokenizer) // 2
    with pytest.raises(ConfigError, match=r"engine\.tensor_parallel 2: the token"):
        arguments(made.recipe, describe(made.settings), EngineSettings(tensor_parallel=2))
