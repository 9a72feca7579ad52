"""The table of shapes: what each API is asked for and answers, as data.

Several APIs share a path, so the form follows path and body. Why so, and not otherwise:

- A key that one API alone has decides: `texts` is TEI's, `property` Weaviate's, `raw_scores` infinity's, `top_k` and
  `truncation` Voyage's, Pinecone's is a header. What has none of them gets `rerank`, the union of Cohere's, Jina's,
  vLLM's, SiliconFlow's, Together's and Xinference's answers: their fields do not contradict each other, and each of
  their clients ignores those of the others.
- In the union results hold their documents unless the request or serve.http.return_documents says no. Jina's and
  vLLM's own APIs do so, and clients crash without (MaxKB, Dify's of older versions); Cohere's do not, but no client of
  theirs minds. The document is an object: of those that want a text Voyage's and infinity's tell themselves by a key.
- litellm's infinity and hosted_vllm send the same bytes to the same path and read the documents differently, and so do
  Voyage's clients that leave `top_k` out. What no body tells the address does: under /NAME/ any path answers in the
  shape NAME, so that http://host:port/infinity is a base URL. One setting for the whole service would only move the
  fault from one client to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serve_app.http.shapes.shape import Shape, Slot


def _as_ours(*names: str) -> dict[str, tuple[str, ...]]:
    """Fields that an API calls as we do."""
    return {name: (name,) for name in names}


USAGE = {
    "prompt_tokens": Slot.TOKENS,
    "completion_tokens": 0,
    "total_tokens": Slot.TOKENS,
    "cached_tokens": Slot.CACHED_TOKENS,
}
META = {
    "timings_ms": Slot.TIMINGS_MS,
    "api_version": {"version": "2"},
    "billed_units": {"search_units": 1},
    "tokens": {"input_tokens": Slot.TOKENS, "output_tokens": 0},
}
LIST = {"id": Slot.ID, "created": Slot.CREATED_S, "model": Slot.MODEL, "usage": USAGE}
SCORED = {"index": Slot.INDEX, "relevance_score": Slot.SCORE}
# What all of these call alike.
ASKED = _as_ours("query", "documents", "top_n", "model", "instruction")
COMMON = ASKED | _as_ours("return_documents", "rank_fields")
VLLM = _as_ours("max_tokens_per_doc") | {
    "activation": ("use_activation",),
    "cut_end": ("truncation_side",),
    "prompt_limit": ("truncate_prompt_tokens",),
    "query_limit": ("max_tokens_per_query",),
}
# Beside the message alone, for OpenAI's and vLLM's clients, for Cohere's, and for Jina's, Voyage's and Xinference's.
ERROR: Mapping[str, Any] = {
    "error": {"message": Slot.MESSAGE, "type": Slot.TYPE, "param": Slot.PARAM, "code": Slot.CODE},
    "message": Slot.MESSAGE,
    "detail": Slot.MESSAGE,
}
LISTED = {"detail": [{"loc": Slot.PLACE, "msg": Slot.MESSAGE, "type": Slot.CODE}]}

RERANK = Shape(
    name="rerank",
    apis="Cohere v1 and v2, Jina, vLLM, SiliconFlow, Together, Xinference, Azure, DashScope's compatible API",
    paths=(
        *("/v1/rerank", "/v2/rerank", "/rerank", "/api/v1/rerank", "/v1/reranks", "/reranks"),
        *("/providers/cohere/v2/rerank", "/compatible-api/v1/reranks", "/compatible-mode/v1/reranks"),
    ),
    names=COMMON
    | VLLM
    | _as_ours("truncate")
    | {
        "documents": ("documents", "docs"),
        "instruction": ("instruction", "instruct", "chat_template_kwargs.instruction"),
    },
    item=SCORED | {"document": Slot.OBJECT},
    answer={
        "id": Slot.ID,
        "object": "rerank",
        "model": Slot.MODEL,
        "results": Slot.RESULTS,
        "truncated": Slot.TRUNCATED,
        "passages": Slot.PASSAGES,
        "usage": USAGE,
        "meta": META,
    },
    returns_documents=True,
)
VOYAGE = Shape(
    name="voyage",
    apis="Voyage",
    paths=("/v1/rerank",),
    known_by=("top_k", "truncation"),
    names=COMMON | {"top_n": ("top_k", "top_n"), "truncate": ("truncation",)},
    item=SCORED | {"document": Slot.TEXT},
    answer={"object": "list", "data": Slot.RESULTS, "model": Slot.MODEL, "usage": USAGE},
)
INFINITY = Shape(
    name="infinity",
    apis="infinity",
    paths=("/rerank", "/v1/rerank"),
    known_by=("raw_scores",),
    names=COMMON | _as_ours("raw_scores"),
    item=SCORED | {"document": Slot.TEXT},
    answer=LIST | {"object": "rerank", "results": Slot.RESULTS},
    unprocessable=LISTED,
)
TEI = Shape(
    name="tei",
    apis="Text Embeddings Inference, Hugging Face",
    paths=("/rerank", "/"),
    known_by=("texts", "return_text"),
    names=ASKED
    | _as_ours("raw_scores", "truncate")
    | {
        "documents": ("texts", "documents"),
        "return_documents": ("return_text", "return_documents"),
        "cut_end": ("truncation_direction",),
    },
    item={"index": Slot.INDEX, "score": Slot.SCORE, "text": Slot.TEXT},
    answer=Slot.RESULTS,
    error={"error": Slot.MESSAGE, "error_type": Slot.TEI_TYPE},
)
WEAVIATE = Shape(
    name="weaviate",
    apis="Weaviate's reranker-transformers",
    paths=("/rerank",),
    known_by=("property",),
    names=_as_ours("query", "documents"),
    item={"document": Slot.TEXT, "score": Slot.SCORE},
    answer={"scores": Slot.RESULTS},
    best_first=False,
    returns_documents=True,
    error={"error": Slot.MESSAGE},
)
PINECONE = Shape(
    name="pinecone",
    apis="Pinecone",
    paths=("/rerank",),
    headers=("x-pinecone-api-version",),
    names=COMMON | {"truncate": ("parameters.truncate",)},
    item={"index": Slot.INDEX, "score": Slot.SCORE, "document": Slot.OBJECT},
    answer={"model": Slot.MODEL, "data": Slot.RESULTS, "usage": {"rerank_units": 1}},
    returns_documents=True,
    error={"status": Slot.STATUS},
)
NIM = Shape(
    name="nim",
    apis="NVIDIA NIM",
    paths=("/v1/ranking", "/v1/reranking", "/ranking", "/reranking", "/v1/retrieval/{model:path}/reranking"),
    known_by=("passages",),
    names=_as_ours("query", "truncate", "model") | {"documents": ("passages",), "top_n": ("top_k", "top_n")},
    item={"index": Slot.INDEX, "logit": Slot.SCORE},
    answer={"model": Slot.MODEL, "rankings": Slot.RESULTS, "usage": USAGE},
    scores="raw_or_score",
    unprocessable=LISTED,
)
MIXEDBREAD = Shape(
    name="mixedbread",
    apis="Mixedbread",
    paths=("/v1/reranking", "/reranking"),
    known_by=("input",),
    names=COMMON | {"documents": ("input",), "top_n": ("top_k",), "return_documents": ("return_input",)},
    item={"index": Slot.INDEX, "score": Slot.SCORE, "input": Slot.OBJECT, "object": "rank_result"},
    answer={
        "object": "list",
        "model": Slot.MODEL,
        "data": Slot.RESULTS,
        "usage": USAGE,
        "top_k": Slot.RETURNED,
        "return_input": Slot.ECHOED,
    },
)
DASHSCOPE = Shape(
    name="dashscope",
    apis="DashScope",
    paths=("/api/v1/services/rerank/text-rerank/text-rerank",),
    names={
        "query": ("input.query",),
        "documents": ("input.documents",),
        "top_n": ("parameters.top_n",),
        "return_documents": ("parameters.return_documents",),
        "instruction": ("parameters.instruct",),
        "model": ("model",),
    },
    item=SCORED | {"document": Slot.OBJECT},
    answer={"output": {"results": Slot.RESULTS}, "usage": USAGE, "request_id": Slot.ID},
    error={"code": Slot.CODE},
)
FIREWORKS = Shape(
    name="fireworks",
    apis="Fireworks",
    paths=("/inference/v1/rerank",),
    names=COMMON | {"instruction": ("task",)},
    item=SCORED | {"document": Slot.TEXT},
    answer={"object": "list", "model": Slot.MODEL, "data": Slot.RESULTS, "usage": USAGE},
    returns_documents=True,
)
ZEROENTROPY = Shape(
    name="zeroentropy",
    apis="ZeroEntropy",
    paths=("/v1/models/rerank",),
    names=_as_ours("query", "documents", "top_n", "model"),
    item=SCORED,
    answer={
        "results": Slot.RESULTS,
        "actual_latency_mode": "fast",
        "e2e_latency": Slot.TOTAL_S,
        "inference_latency": Slot.TOTAL_S,
        "total_bytes": Slot.TEXT_BYTES,
        "total_tokens": Slot.TOKENS,
    },
)
PAIRS = Shape(
    name="score",
    apis="vLLM's score",
    paths=("/v1/score", "/score"),
    names=VLLM
    | _as_ours("model")
    | {
        "queries": ("text_1", "queries", "data_1"),
        "documents": ("text_2", "documents", "items", "data_2"),
        "instruction": ("instruction", "chat_template_kwargs.instruction"),
    },
    item={"index": Slot.INDEX, "object": "score", "score": Slot.SCORE},
    answer=LIST | {"object": "list", "data": Slot.RESULTS},
    best_first=False,
)
DEEPINFRA = Shape(
    name="deepinfra",
    apis="DeepInfra",
    paths=("/v1/inference/{model:path}",),
    names=_as_ours("queries", "documents", "instruction"),
    item={},
    answer={
        "scores": Slot.SCORES,
        "input_tokens": Slot.TOKENS,
        "request_id": Slot.ID,
        "inference_status": {"status": "succeeded", "tokens_input": Slot.TOKENS, "cost": 0.0},
    },
    best_first=False,
    error={"detail": {"error": Slot.MESSAGE}},
)
# On a path that several share the first that knows its request takes it, and the last one what is left.
SHAPES = (
    *(VOYAGE, PINECONE, TEI, INFINITY, WEAVIATE, NIM, MIXEDBREAD, DASHSCOPE, FIREWORKS, ZEROENTROPY, DEEPINFRA),
    *(PAIRS, RERANK),
)
