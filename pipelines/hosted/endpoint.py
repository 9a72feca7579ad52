"""Where a hosted model is asked, with which key, and what its server says of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pipelines.base.redaction import HIDDEN, redacted_text
from pipelines.hosted.shapes import SHAPES, Shape
from serve_app.engine.models import ModelInfo
from serve_app.settings import HOSTED, Api, ModelSettings
from stages.core.errors import ConfigError
from stages.core.identity import ScoringIdentity

if TYPE_CHECKING:
    import httpx

# Of this room's own part in a score: what is sent, and what is made of the answer.
HOSTED_VERSION = 1
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` is asked as it is. The key is nowhere but in the header that is sent."""

    api: Api
    url: str
    served_as: str | None
    key: str | None = field(default=None, repr=False)

    @property
    def shape(self) -> Shape:
        return SHAPES[self.api]

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def at(self, path: str) -> str:
        """Another path of the same server."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc, path, "", ""))

    def without_key(self, text: str) -> str:
        """What a server says may quote what it was sent."""
        text = redacted_text(text, {self.key} if self.key else None)
        return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 3]}..."

    def sent_to(self) -> str:
        """The first line of a run: who gets the texts."""
        clear = "" if self.url.startswith("https:") else ", not encrypted"
        model = f", model {self.served_as}" if self.served_as else ""
        return f"sends       queries and documents to {self.url} ({self.api}{model}{clear})"


def endpoint_of(
    model: ModelSettings, environment: Mapping[str, str] = os.environ, *, keyless: bool = False
) -> Endpoint:
    """Raises ConfigError where it cannot be asked; `keyless`: nobody is, so that no key is needed."""
    assert model.api is not None
    shape, parts = SHAPES[model.api], urlsplit(model.name)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"model.name {redacted_text(model.name)}: with model.api give the address, as https://HOST/PATH"
        )
    if HIDDEN in redacted_text(model.name) or parts.username is not None:
        raise ConfigError(
            f"model.name {redacted_text(model.name)}: holds a secret, which would stand in files and logs. Put it into "
            "an environment variable, and that one's name into model.key_env"
        )
    if shape.needs_model and model.served_as is None:
        raise ConfigError(f"model.served_as is missing: {model.api}'s API must be told which model")
    if model.instruction is not None and not shape.takes_instruction:
        raise ConfigError(f"model.instruction: {model.api}'s API takes no instruction. Remove it")
    path = shape.path if parts.path in ("", "/") else parts.path
    url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return Endpoint(model.api, url, model.served_as, None if keyless else _key(model.key_env, environment))


def hosted_model(model: ModelSettings) -> ModelInfo:
    """The model as a job speaks of it. Raises ConfigError as `endpoint_of`."""
    endpoint = endpoint_of(model, keyless=True)
    remarks = (
        f"{endpoint.host} scored the texts ({endpoint.api}): nobody tells when such a model changes",
        *((f"scores are {endpoint.shape.scores}",)),
        "how many documents were cut to fit is not known: the API does not tell",
    )
    return ModelInfo(endpoint.served_as or endpoint.url, endpoint.url, None, None, 0, None, remarks, api=endpoint.api)


def identity_of(endpoint: Endpoint, instruction: str | None, told: Mapping[str, Any]) -> ScoringIdentity:
    """Of the scores that it gives; `told` is what its server says of itself."""
    settings = {"api": endpoint.api, "served_as": endpoint.served_as, "scores": endpoint.shape.scores}
    settings |= {f"server.{name}": value for name, value in told.items()}
    return ScoringIdentity(
        model=endpoint.url,
        family=HOSTED,
        template=None,
        instruction=instruction,
        max_length=0,
        scoring_version=HOSTED_VERSION,
        settings={name: json.dumps(value, ensure_ascii=False) for name, value in sorted(settings.items())},
    )


def told_by(endpoint: Endpoint, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Of what the server says at each path, that which may decide a score."""
    told: dict[str, Any] = {}
    for path, answer in answers.items():
        content = _entry(answer, endpoint.served_as) if path == "/v1/models" else answer
        if isinstance(content, dict):
            told |= {name: content[name] for name in endpoint.shape.told if content.get(name) is not None}
    return told


def _entry(answer: Any, model: str | None) -> Any:
    """The one of several models that is asked; the first where none is named so."""
    models = answer.get("data") if isinstance(answer, dict) else None
    entries = [one for one in models if isinstance(one, dict)] if isinstance(models, list) else []
    return next((one for one in entries if one.get("id") == model), entries[0] if entries else None)


def _key(name: str | None, environment: Mapping[str, str]) -> str | None:
    if name is None:
        return None
    key = environment.get(name, "").strip()
    if not key:
        raise ConfigError(f"model.key_env {name}: the environment variable is not set. Set it to the API's key")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"model.key_env {name}: its value has characters that no key has. Set it to the key alone")
    return key


def json_of(answer: httpx.Response) -> Any:
    """Its body. Raises ValueError where it is no JSON."""
    return json.loads(answer.content)
