"""A running service that a command asks over HTTP: ours, or any server with /v1/rerank and Prometheus metrics."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from stages.core.errors import ConfigError, EngineError, first_line

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_VARIABLE = "RERANK_EVAL_API_KEY"
TIMEOUT_S = 120.0
LOOK_TIMEOUT_S = 10.0  # what every service answers at once, unless it hangs


@dataclass(frozen=True, slots=True)
class Target:
    """`url` without a path; `key` is sent as a bearer token where there is one."""

    url: str
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's loopback."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def model(self) -> dict[str, Any]:
        """What GET /v1/models says of the first model. Raises EngineError where nobody answers."""
        try:
            models = self._get("/v1/models").json()["data"]
            return dict(models[0])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise EngineError(f"{self.url}/v1/models names no model: it is no service that reranks") from error

    def metrics_text(self) -> str:
        """The Prometheus text. Raises EngineError where there is none."""
        return self._get("/metrics").text

    def rerank(self, query: str, documents: Sequence[str], instruction: str | None = None) -> dict[str, Any]:
        """The answer of POST /v1/rerank. Raises EngineError with the service's own reason."""
        body: dict[str, Any] = {"query": query, "documents": list(documents)}
        if instruction is not None:
            body["instruction"] = instruction
        return dict(self._answer(lambda client: client.post("/v1/rerank", json=body)).json())

    def _get(self, path: str) -> httpx.Response:
        return self._answer(lambda client: client.get(path), LOOK_TIMEOUT_S)

    def _answer(self, ask: Any, timeout_s: float = TIMEOUT_S) -> httpx.Response:
        try:
            # Straight to it: a proxy of the environment is not what is looked at.
            with httpx.Client(base_url=self.url, headers=self.headers, timeout=timeout_s, trust_env=False) as client:
                answer: httpx.Response = ask(client)
        except httpx.HTTPError as error:
            raise EngineError(
                f"{self.url} does not answer ({first_line(error)}). Start it: rerank-eval serve --config FILE"
            ) from error
        if answer.is_error:
            raise EngineError(f"{answer.request.url} answers {answer.status_code}: {_reason(answer)}")
        return answer


def find_target(url: str) -> Target:
    """The service at `url`, with the key of $RERANK_EVAL_API_KEY. Raises ConfigError for what is no address."""
    wrong = ConfigError(f"--url {url}: write an address such as {DEFAULT_URL}")
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0  # reading the port checks it
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not named:
        raise wrong
    return Target(f"{parts.scheme}://{parts.netloc}", os.environ.get(KEY_VARIABLE) or None)


def require_own(target: Target, *, allowed: bool) -> None:
    """Raises ConfigError for a service on another machine, unless its owner says so: load may take it down."""
    if not target.is_local and not allowed:
        raise ConfigError(
            f"--url {target.url} is not on this machine, and load may take it down. If it is yours, say "
            "--i-own-this-server"
        )


def _reason(answer: httpx.Response) -> str:
    try:
        error = answer.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return answer.text.strip()[:200] or answer.reason_phrase
