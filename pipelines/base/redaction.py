"""What a config keeps secret -> `***`, before it is logged, printed or copied.

Secret are credentials in a URL (`https://user:password@host`, `?token=...`), values under a key that names a secret
(`hf_token`, `api_key`, `Authorization`), and what has the form of a well-known token. The name of a variable or of a
file (`api_keys_env`, `api_keys_file`) tells where a secret is, and stays readable; so does a count (`max_tokens: 256`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipelines.base.flatten import flatten

HIDDEN = "***"
# Shorter ones are not looked for in other texts: `a` is everywhere.
SHORTEST_SECRET = 4
_NAME = r"(?:token|secret|password|passwd|passphrase|pwd|key|credential|authorization)"
_SECRET_KEY = re.compile(rf"{_NAME}s?$", re.IGNORECASE)
_COUNT_KEY = re.compile(r"tokens$", re.IGNORECASE)
# user:password@ or token@ of a URL. The second form is a password with an unquoted slash: `:` and no port number.
_USER_INFO = re.compile(r"(?<=://)(?P<user>[^\s/?#@:]*:(?!\d+(?:[/?#\s]|$))\S*@|[^\s/?#]*@)")
_QUERY = re.compile(rf"(?P<name>[\w.-]{{0,64}}(?:{_NAME}|signature|sig))=(?P<value>[^&;#\s'\"<>]+)", re.IGNORECASE)
_BEARER = re.compile(r"(?P<name>\bBearer) (?P<value>[\w.~+/=-]{16,})", re.IGNORECASE)
_WAS_SECRET = re.compile(
    r"(?:^|['\"])\*{3}(?:$|['\"])|://\*{3}@|" + rf"(?:(?:{_NAME}|signature|sig)=|\bBearer )\*{{3}}", re.I
)
_TOKEN = re.compile(r"\b(?P<value>hf_[A-Za-z0-9]{16,}|gh[opsu]_[A-Za-z0-9]{30,}|sk-[\w-]{20,})")


def redacted(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same config with `***` for every secret, however deep it lies."""
    return {name: _masked(value, set(), name) for name, value in config.items()}


def secrets_in(config: Mapping[str, Any]) -> set[str]:
    """The secrets themselves, of four characters and more, to be looked for in other texts."""
    found: set[str] = set()
    for name, value in config.items():
        _masked(value, found, name)
    return {secret for secret in found if len(secret) >= SHORTEST_SECRET}


def redacted_text(text: str, secrets: set[str] | None = None) -> str:
    """A message or a file without credentials of URLs, without tokens, and without any of `secrets`."""
    for secret in sorted(secrets or (), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _masked_text(text, set())


def hidden_in(config: Mapping[str, Any]) -> list[str]:
    """The keys, as `tracking.uri`, under which `***` stands where a secret was: so it is in copies of a config."""
    return [key for key, value in flatten(dict(config)) if _WAS_SECRET.search(str(value))]


def write_config(path: Path, text: str, config: Mapping[str, Any]) -> None:
    """Write the complete `text` of this config; where it holds a secret, for its owner's eyes only from the start."""
    mode = 0o600 if redacted(config) != dict(config) else 0o666
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if mode == 0o600:
            os.fchmod(descriptor, mode)  # the file may have been there
        file.write(text)


def _masked(value: Any, found: set[str], name: str, inside: str | None = None) -> Any:
    """`name` is the key that the value stands under; `inside` one further out that names a secret."""
    secret = name if _SECRET_KEY.search(name) else inside
    if isinstance(value, Mapping):
        return {key: _masked(one, found, str(key), secret) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(one, found, name, secret) for one in value]
    if value in (None, "", True, False) or (isinstance(value, int | float) and _COUNT_KEY.search(secret or "")):
        return value
    if secret:
        found.add(str(value))
        return HIDDEN
    return _masked_text(value, found) if isinstance(value, str) else value


def _masked_text(text: str, found: set[str]) -> str:
    def user(match: re.Match[str]) -> str:
        name, _, password = match["user"][:-1].partition(":")
        found.update({password or name, unquote(password or name)})
        return f"{HIDDEN}@"

    def named(match: re.Match[str]) -> str:
        found.add(match["value"])
        return match[0].removesuffix(match["value"]) + HIDDEN

    text = _USER_INFO.sub(user, text)
    for pattern in (_QUERY, _BEARER, _TOKEN):
        text = pattern.sub(named, text)
    found.discard(HIDDEN)
    return text
