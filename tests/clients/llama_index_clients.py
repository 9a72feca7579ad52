"""LlamaIndex's rerankers, and Cohere's client of version 6."""

from __future__ import annotations

import cohere
from calls import DOCUMENTS, QUERY, URL, Place, check
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from llama_index.postprocessor.nvidia_rerank import NVIDIARerank
from llama_index.postprocessor.siliconflow_rerank import SiliconFlowRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

PACKAGE = "llama-index-postprocessor-{}-rerank"


def places(reranker: object) -> list[Place]:
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(place))) for place, text in enumerate(DOCUMENTS)]
    ranked = reranker.postprocess_nodes(nodes, query_str=QUERY)
    return [Place(int(one.node.id_), one.score, one.node.text) for one in ranked]


def cohere_v2(model: str, key: str) -> list[Place]:
    answer = cohere.ClientV2(key, base_url=URL).rerank(model=model, query=QUERY, documents=DOCUMENTS)
    return [Place(one.index, one.relevance_score) for one in answer.results]


def of_cohere(model: str, key: str) -> list[Place]:
    return places(CohereRerank(model=model, api_key=key, base_url=URL, top_n=4))


def jina(model: str, key: str) -> list[Place]:
    return places(JinaRerank(model=model, api_key=key, base_url=f"{URL}/v1", top_n=4))


def nvidia(model: str, key: str) -> list[Place]:
    return places(NVIDIARerank(model=model, api_key=key, base_url=f"{URL}/v1", top_n=4))


def siliconflow(model: str, key: str) -> list[Place]:
    return places(SiliconFlowRerank(model=model, api_key=key, base_url=f"{URL}/v1/rerank", top_n=4))


def tei(model: str, key: str) -> list[Place]:
    """It sends no model."""
    return places(TextEmbeddingInference(base_url=URL, auth_token=f"Bearer {key}", top_n=4))


check("cohere 6, ClientV2", "cohere", "rerank", cohere_v2)
check("LlamaIndex, Cohere", PACKAGE.format("cohere"), "CohereRerank.postprocess_nodes", of_cohere)
check("LlamaIndex, Jina", PACKAGE.format("jinaai"), "JinaRerank.postprocess_nodes", jina)
check("LlamaIndex, NVIDIA", PACKAGE.format("nvidia"), "NVIDIARerank.postprocess_nodes", nvidia)
check("LlamaIndex, SiliconFlow", PACKAGE.format("siliconflow"), "SiliconFlowRerank.postprocess_nodes", siliconflow)
check(
    *("LlamaIndex, TEI", PACKAGE.format("tei"), "TextEmbeddingInference.postprocess_nodes", tei),
    sends_model=False,
    reads_reason=False,  # it reads no status: any error is one of its own, about the length of the list
)
