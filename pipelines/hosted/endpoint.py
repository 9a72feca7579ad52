"""Where a hosted model is asked, with which key, and what its server says of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

from pipelines.base.redaction import HIDDEN, SHORTEST_SECRET, redacted_text
from pipelines.hosted.address import MODEL, Named, address_of, beside, proxy_of
from pipelines.hosted.shapes import SHAPES, Shape
from serve_app.engine.models import ModelInfo
from serve_app.settings import HOSTED, Api, ModelSettings
from stages.core.errors import ConfigError, EngineError
from stages.core.identity import ScoringIdentity

# Of this room's own part in a score: what is sent, and what is made of the answer.
HOSTED_VERSION = 1
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` is asked as it is. The key is nowhere but in the header that is sent. `most_documents` are those that a
    request may hold, None where neither the API's documentation nor its server says.
    """

    api: str
    url: str
    served_as: str | None
    key: str | None = field(default=None, repr=False)
    most_documents: int | None = None
    named: Named = MODEL

    @property
    def shape(self) -> Shape:
        """Of a reranker's API; what asks another one has an endpoint of its own."""
        return SHAPES[cast("Api", self.api)]

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    @property
    def told_at(self) -> dict[str, str]:
        """The paths at which its server tells of itself, each with its address."""
        return {path: url for path in self.shape.told_at if (url := beside(self.url, path))}

    def clean(self, text: str) -> str:
        """What a server says, for files and terminals: it may quote the key that it was sent, or hold anything."""
        text = redacted_text(text, {self.key} if self.key and len(self.key) >= SHORTEST_SECRET else None)
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 3]}..."

    def sent_to(self) -> str:
        """The first line of a run: who gets the texts."""
        told = [self.api]
        if self.served_as:
            told.append(f"model {self.served_as}")
        if not self.url.startswith("https:"):
            told.append("not encrypted")
        if proxy := proxy_of(self.url):
            told.append(f"through the proxy {proxy}")
        return f"sends       queries and documents to {self.url} ({', '.join(told)})"


def endpoint_of(
    model: ModelSettings, environment: Mapping[str, str] = os.environ, *, keyless: bool = False
) -> Endpoint:
    """Raises ConfigError where it cannot be asked; `keyless`: nobody is, so that no key is needed."""
    assert model.api is not None
    shape, parts = SHAPES[model.api], address_of(model.name)
    if shape.needs_model and model.served_as is None:
        raise ConfigError(f"model.served_as is missing: {model.api}'s API must be told which model")
    if model.instruction is not None and not shape.takes_instruction:
        raise ConfigError(f"model.instruction: {model.api}'s API takes no instruction. Remove it")
    key = None if keyless else key_of(model.key_env, environment)
    refuse_key_in(key, model.name, model.served_as, model.key_env)
    path = shape.path if parts.path in ("", "/") else parts.path
    url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return Endpoint(model.api, url, model.served_as, key, shape.most_documents)


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
        settings={
            name: json.dumps(value, ensure_ascii=False, sort_keys=True) for name, value in sorted(settings.items())
        },
    )


def told_by(endpoint: Endpoint, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Of what the server says at each path, that which may decide a score; nothing that quotes the key."""
    told: dict[str, Any] = {}
    for content in _contents(endpoint, answers):
        told |= {name: content[name] for name in endpoint.shape.told if content.get(name) is not None}
    return {name: value for name, value in told.items() if _may_stand(endpoint, value)}


def limited(endpoint: Endpoint, answers: Mapping[str, Any]) -> Endpoint:
    """With what the server says of its limits. Raises EngineError where it says that it is no reranker."""
    for content in _contents(endpoint, answers):
        kind = content.get("model_type")
        if endpoint.api == "tei" and isinstance(kind, dict) and kind and not kind.keys() & {"reranker", "Reranker"}:
            raise EngineError(
                f"{endpoint.host}: its model is no reranker but {endpoint.clean(next(iter(kind)))}, by its /info. Give "
                "the address of one in model.name"
            )
        limits = [content.get(name) for name in endpoint.shape.told_most]
        if most := [limit for limit in limits if type(limit) is int and limit > 0]:
            endpoint = replace(endpoint, most_documents=min(most))
    return endpoint


def _contents(endpoint: Endpoint, answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    contents = [
        _entry(answer, endpoint.served_as) if path == "/v1/models" else answer for path, answer in answers.items()
    ]
    return [content for content in contents if isinstance(content, dict)]


def _entry(answer: Any, model: str | None) -> Any:
    """The one of several models that is asked; the only one, or without a name the first, where none is named so."""
    models = answer.get("data") if isinstance(answer, dict) else None
    entries = [one for one in models if isinstance(one, dict)] if isinstance(models, list) else []
    first = entries[0] if len(entries) == 1 or (entries and model is None) else None
    return next((one for one in entries if one.get("id") == model), first)


def _may_stand(endpoint: Endpoint, value: Any) -> bool:
    text = json.dumps(value, ensure_ascii=False)
    return not (endpoint.key and endpoint.key in text) and not any(0xD800 <= ord(letter) < 0xE000 for letter in text)


def key_of(name: str | None, environment: Mapping[str, str], named: Named = MODEL) -> str | None:
    """The key in the environment variable `name`. Raises ConfigError where there is none."""
    if name is None:
        return None
    key = environment.get(name, "").strip()
    if not key:
        raise ConfigError(
            f"{named.key_env} {name}: the environment variable is not set, or empty. Set it to the API's key"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"{named.key_env} {name}: its value has characters that no key has. Set it to the key alone")
    return key


def refuse_key_in(key: str | None, url: str, served_as: str | None, key_env: str | None, named: Named = MODEL) -> None:
    """Raises ConfigError where the key stands in what files and logs tell."""
    if key and len(key) >= SHORTEST_SECRET and key in f"{url} {served_as}":
        raise ConfigError(
            f"{named.url} {url.replace(key, HIDDEN)}: holds the key of {key_env}, or {named.served_as} does: it would "
            "stand in files and logs. Remove it there"
        )
