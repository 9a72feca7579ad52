"""What clients ask of the model before they send anything: which it is, what it takes, whether a key is needed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request

from serve_app.http.api_input import authorize, gives_key
from serve_app.http.refusal import RefusalError
from serve_app.http.service import STARTING, Service
from serve_app.http.shapes.describe import errors

LABELS = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}


def add_facts(api: FastAPI, service: Service, key_digests: Sequence[str]) -> None:
    """Their routes. Without a key a service that asks for one names its model, and nothing else."""

    @api.get("/v1/models", responses=errors(401, 500, 503))
    async def models(request: Request) -> dict[str, Any]:
        """The served model under each of its names; with a key, where one is asked for, its settings too."""
        told = await _told(request, service, key_digests)
        names = [service.model, *(name for name in service.limits.model_names if "*" not in name)]
        return {"object": "list", "data": [_model(name, told) for name in names]}

    @api.get("/v1/models/{name:path}", responses=errors(401, 404, 500, 503))
    async def one_model(request: Request, name: str) -> dict[str, Any]:
        """The served model, if that is what it is called."""
        told = await _told(request, service, key_digests)
        service.require_model(name)
        return _model(name, told)

    @api.get("/info", responses=errors(401, 500, 503))
    async def info(request: Request) -> dict[str, Any]:
        """As Text Embeddings Inference tells it."""
        told = await _told(request, service, key_digests)
        return {
            "model_id": service.model,
            "model_dtype": told.get("dtype"),
            "model_type": {"reranker": LABELS},
            "max_input_length": told.get("max_model_len"),
            "max_concurrent_requests": service.limits.max_waiting,
            "max_client_batch_size": service.limits.max_documents,
            "auto_truncate": True,
            "version": version("rerank-eval"),
        }

    @api.get("/v1/cluster/auth")
    async def auth() -> dict[str, bool]:
        """Whether keys are asked for. Xinference's client sends its key only where this says so."""
        return {"auth": bool(key_digests)}


async def _told(request: Request, service: Service, key_digests: Sequence[str]) -> dict[str, Any]:
    """Settings of the model, and what decides its scores, to whom the service answers, with a key. Raises RefusalError
    for a wrong one, and while the service starts.
    """
    told = not key_digests or gives_key(request)
    if told:
        authorize(request, key_digests)
    if not await service.is_open():
        raise RefusalError(503, "not_ready", STARTING)
    return await service.backend.facts() if told else {}


def _model(name: str, told: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "object": "model", "owned_by": "rerank-eval", "model_type": "rerank", **told}
