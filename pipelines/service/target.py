"""A running service that a command asks over HTTP: ours, or any server with /v1/rerank and Prometheus metrics."""

from __future__ import annotations

import ipaddress
import os
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from pipelines.base.redaction import redacted_text
from stages.core.errors import ConfigError, EngineError, first_line

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_VARIABLE = "RERANK_EVAL_API_KEY"
TIMEOUT_S = 120.0
LOOK_TIMEOUT_S = 10.0  # what every service answers at once, unless it hangs


@dataclass(frozen=True, slots=True)
class Target:
    """`url` without a path or a password, as it may be shown; `key` is sent as a bearer token where there is one, else
    `login`, the address's own `user:password`.
    """

    url: str
    key: str | None = None
    login: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        if self.key:
            return {"Authorization": f"Bearer {self.key}"}
        return {"Authorization": f"Basic {b64encode(self.login.encode()).decode()}"} if self.login else {}

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
        body: dict[str, Any] = {"query": query, "documents": list(documents), "return_documents": False}
        if instruction is not None:
            body["instruction"] = instruction
        return dict(self._answer(lambda client: client.post("/v1/rerank", json=body)).json())

    def _without_key(self, error: Exception) -> str:
        """What went wrong. The message of a header that cannot be sent quotes it."""
        return f"${KEY_VARIABLE} holds what no header can carry" if "header" in str(error) else first_line(error)

    def _get(self, path: str) -> httpx.Response:
        return self._answer(lambda client: client.get(path), LOOK_TIMEOUT_S)

    def _answer(self, ask: Any, timeout_s: float = TIMEOUT_S) -> httpx.Response:
        try:
            # Straight to it: a proxy of the environment is not what is looked at.
            headers = {name.encode(): value.encode("utf-8", "surrogateescape") for name, value in self.headers.items()}
            with httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s, trust_env=False) as client:
                answer: httpx.Response = ask(client)
        except httpx.HTTPError as error:
            raise EngineError(
                f"{self.url} does not answer ({self._without_key(error)}). Start it: rerank-eval serve --config FILE"
            ) from error
        if answer.is_error:
            raise EngineError(f"{answer.request.url} answers {answer.status_code}: {_reason(answer)}")
        return answer


def find_target(url: str) -> Target:
    """The service at `url`, with the key of $RERANK_EVAL_API_KEY. Raises ConfigError for what is no address."""
    wrong = ConfigError(f"--url {redacted_text(url)}: write an address such as {DEFAULT_URL}")
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0  # reading the port checks it
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not named:
        raise wrong
    login, _, place = parts.netloc.rpartition("@")
    key = os.environ.get(KEY_VARIABLE, "").strip() or None
    return Target(f"{parts.scheme}://{place}", key, unquote(login) or None)


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
