"""litellm's providers, the vendors' own clients, and Haystack's rankers."""

from __future__ import annotations

import os

# They ask the internet for prices, and tell their makers what is used.
os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HAYSTACK_TELEMETRY_ENABLED": "False"}

import cohere
import litellm
import openai
import together
import voyageai
from calls import DOCUMENTS, QUERY, URL, Place, check
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
from haystack_integrations.components.rankers.jina import JinaRanker
from haystack_integrations.components.rankers.nvidia import NvidiaRanker
from rerankers import Reranker
from xinference_client import RESTfulClient

PAGES = [Document(content=text, meta={"place": place}) for place, text in enumerate(DOCUMENTS)]
# litellm's providers, and the base URL of each.
PROVIDERS = {
    "cohere": URL,
    "jina_ai": URL,
    "infinity": f"{URL}/infinity",
    "huggingface": URL,
    "voyage": f"{URL}/voyage",
    "nvidia_nim": URL,
    "hosted_vllm": URL,
}
ENDPOINTS = {"jina": "/v1/rerank", "cohere": "/v1/rerank", "voyage": "/v1/rerank", "mixedbread.ai": "/v1/reranking",
             "pinecone": "/rerank", "text-embeddings-inference": "/rerank"}  # fmt: skip


def text_of(document: object) -> str | None:
    return document["text"] if isinstance(document, dict) else document


def by_litellm(provider: str, model: str, key: str) -> list[Place]:
    answer = litellm.rerank(
        f"{provider}/{model}", QUERY, DOCUMENTS, api_base=PROVIDERS[provider], api_key=key, return_documents=True
    )
    return [Place(one["index"], one["relevance_score"], text_of(one.get("document"))) for one in answer.results]


def by_rerankers(provider: str, model: str, key: str) -> list[Place]:
    ranker = Reranker(model, model_type="APIRanker", api_provider=provider, api_key=key, url=URL + ENDPOINTS[provider])
    ranked = ranker.rank(QUERY, DOCUMENTS, doc_ids=list(range(len(DOCUMENTS))))
    return [Place(one.doc_id, one.score, one.text) for one in ranked.results]


def cohere_v1(model: str, key: str) -> list[Place]:
    client = cohere.Client(key, base_url=URL)
    answer = client.rerank(model=model, query=QUERY, documents=DOCUMENTS, return_documents=True)
    return [Place(one.index, one.relevance_score, one.document.text) for one in answer.results]


def cohere_v2(model: str, key: str) -> list[Place]:
    answer = cohere.ClientV2(key, base_url=URL).rerank(model=model, query=QUERY, documents=DOCUMENTS)
    return [Place(one.index, one.relevance_score) for one in answer.results]


def voyage(model: str, key: str) -> list[Place]:
    client = voyageai.Client(key, base_url=f"{URL}/v1")
    answer = client.rerank(QUERY, DOCUMENTS, model)
    return [Place(one.index, one.relevance_score, one.document) for one in answer.results]


def by_together(model: str, key: str) -> list[Place]:
    client = together.Together(api_key=key, base_url=URL)
    answer = client.rerank.create(model=model, query=QUERY, documents=DOCUMENTS, return_documents=True)
    return [Place(one.index, one.relevance_score, one.document.text) for one in answer.results]


def by_openai(model: str, key: str) -> list[Place]:
    """It has no rerank of its own: `post`, as its documentation says of other endpoints."""
    client = openai.OpenAI(api_key=key, base_url=f"{URL}/v1")
    asked = {"model": model, "query": QUERY, "documents": DOCUMENTS}
    answer = client.post("/rerank", body=asked, cast_to=object)
    return [Place(one["index"], one["relevance_score"], one["document"]["text"]) for one in answer["results"]]


def xinference(model: str, key: str) -> list[Place]:
    answer = RESTfulClient(URL, api_key=key).get_model(model).rerank(DOCUMENTS, QUERY, return_documents=True)
    return [Place(one["index"], one["relevance_score"], one["document"]["text"]) for one in answer["results"]]


def of_pages(answer: dict[str, list[Document]]) -> list[Place]:
    return [Place(one.meta["place"], one.score, one.content) for one in answer["documents"]]


def haystack_cohere(model: str, key: str) -> list[Place]:
    return of_pages(CohereRanker(model, api_key=Secret.from_token(key), api_base_url=URL).run(QUERY, PAGES))


def haystack_jina(model: str, key: str) -> list[Place]:
    ranker = JinaRanker(model, Secret.from_token(key), base_url=f"{URL}/v1/rerank")
    return of_pages(ranker.run(QUERY, PAGES))


def haystack_nvidia(model: str, key: str) -> list[Place]:
    return of_pages(NvidiaRanker(model, api_url=f"{URL}/v1", api_key=Secret.from_token(key)).run(QUERY, PAGES))


def haystack_tei(_: str, key: str) -> list[Place]:
    """It sends no model."""
    return of_pages(HuggingFaceTEIRanker(url=URL, token=Secret.from_token(key), max_retries=0).run(QUERY, PAGES))


for name in PROVIDERS:
    check(
        *(f"litellm, {name}", "litellm", "rerank", lambda model, key, name=name: by_litellm(name, model, key)),
        sends_model=name != "huggingface",
    )
for name, path in ENDPOINTS.items():
    check(
        *(f"rerankers, {name}", "rerankers", f"APIRanker.rank at {path}"),
        lambda model, key, name=name: by_rerankers(name, model, key),
        reads_reason=False,  # it reads no status: an error is the key that its answer lacks
    )
check("cohere 7, Client", "cohere", "rerank", cohere_v1)
check("cohere 7, ClientV2", "cohere", "rerank", cohere_v2)
check("voyageai", "voyageai", "Client.rerank", voyage)
check("together", "together", "rerank.create", by_together)
check("openai", "openai", "post /rerank", by_openai)
check("xinference_client", "xinference-client", "get_model().rerank", xinference)
check("Haystack, Cohere", "cohere-haystack", "CohereRanker.run", haystack_cohere)
check("Haystack, Jina", "jina-haystack", "JinaRanker.run", haystack_jina)
check("Haystack, NVIDIA", "nvidia-haystack", "NvidiaRanker.run", haystack_nvidia)
check("Haystack, TEI", "huggingface-api-haystack", "HuggingFaceTEIRanker.run", haystack_tei, sends_model=False)
