"""LangChain's rerankers, Cohere's client of before version 6, and infinity's own."""

from __future__ import annotations

import os

os.environ["LANGCHAIN_NVIDIA_USAGE_TELEMETRY_ENABLED"] = "false"  # it tells its maker what is used

import cohere
from calls import DOCUMENTS, QUERY, URL, Place, check
from infinity_client import AuthenticatedClient
from infinity_client.api.default import rerank as infinity_rerank
from infinity_client.models import RerankInput
from langchain_cohere import CohereRerank
from langchain_core.documents import Document
from langchain_nvidia_ai_endpoints import NVIDIARerank

PAGES = [Document(text, metadata={"place": place}) for place, text in enumerate(DOCUMENTS)]


def of_pages(pages: list[Document]) -> list[Place]:
    return [Place(one.metadata["place"], one.metadata["relevance_score"], one.page_content) for one in pages]


def cohere_v1(model: str, key: str) -> list[Place]:
    answer = cohere.Client(key, base_url=URL).rerank(
        model=model, query=QUERY, documents=DOCUMENTS, return_documents=True
    )
    return [Place(one.index, one.relevance_score, one.document.text) for one in answer.results]


def cohere_v2(model: str, key: str) -> list[Place]:
    answer = cohere.ClientV2(key, base_url=URL).rerank(model=model, query=QUERY, documents=DOCUMENTS)
    return [Place(one.index, one.relevance_score) for one in answer.results]


def langchain_cohere(model: str, key: str) -> list[Place]:
    reranker = CohereRerank(base_url=URL, cohere_api_key=key, model=model, top_n=4)
    return of_pages(reranker.compress_documents(PAGES, QUERY))


def langchain_nvidia(model: str, key: str) -> list[Place]:
    reranker = NVIDIARerank(base_url=f"{URL}/v1", api_key=key, model=model)
    return of_pages(reranker.compress_documents(PAGES, QUERY))


def infinity(model: str, key: str) -> list[Place]:
    client = AuthenticatedClient(base_url=URL, token=key, raise_on_unexpected_status=True)
    asked = RerankInput(query=QUERY, documents=DOCUMENTS, model=model, return_documents=True)
    answer = infinity_rerank.sync(client=client, body=asked)
    return [Place(one.index, one.relevance_score, one.document) for one in answer.results]


check("cohere 5, Client", "cohere", "rerank", cohere_v1)
check("cohere 5, ClientV2", "cohere", "rerank", cohere_v2)
check("langchain-cohere", "langchain-cohere", "CohereRerank.compress_documents", langchain_cohere)
check(
    "langchain-nvidia-ai-endpoints",
    "langchain-nvidia-ai-endpoints",
    "NVIDIARerank.compress_documents",
    langchain_nvidia,
)
check("infinity_client", "infinity-client", "rerank.sync", infinity)
