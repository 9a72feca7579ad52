"""Which engine is measured."""

from __future__ import annotations

from serve_app.settings import Backend
from stages.core.errors import ConfigError


def require_vllm(backend: Backend, what: str) -> None:
    """Raises ConfigError for a config that scores with Transformers; `what` says why that is not measured."""
    if backend != "vllm":
        raise ConfigError(f"engine.backend {backend}: {what}. Leave engine.backend out")
