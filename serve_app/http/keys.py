"""Which API keys a service asks for: `rerank-eval serve` and `serve deploy` read them here."""

from __future__ import annotations

import os
from pathlib import Path

from serve_app.http_settings import HttpSettings
from stages.core.errors import ConfigError


def api_keys(http: HttpSettings) -> list[str]:
    """The accepted keys, from the file or else the environment; empty where neither was named: no key is asked for.

    Raises ConfigError for a file or a variable that was named and gives no key: a service that was meant to be closed
    does not open. No message holds a key.
    """
    keys = _keys_of(Path(http.api_keys_file)) if http.api_keys_file is not None else _keys_in_environment(http)
    if any(not key.isprintable() for key in keys):
        raise ConfigError(
            f"serve.http.{_setting(http)}: a key has a character that no header can carry, such as a tab: make another"
        )
    return keys


def _setting(http: HttpSettings) -> str:
    return "api_keys_env" if http.api_keys_file is None else "api_keys_file"


def _keys_in_environment(http: HttpSettings) -> list[str]:
    told = os.environ.get(http.api_keys_env)
    if told is None and http.api_keys_env == HttpSettings.model_fields["api_keys_env"].default:
        return []
    keys = [key.strip() for key in (told or "").split(",") if key.strip()]
    if not keys:
        state = "is not set" if told is None else "is set, and holds no key"
        raise ConfigError(
            f"serve.http.api_keys_env: ${http.api_keys_env} {state}. Put keys into it, comma-separated; for a service "
            "without keys unset it, and leave serve.http.api_keys_env out"
        )
    return keys


def _keys_of(file: Path) -> list[str]:
    """One key a line; lines that begin with # are for people."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(f"serve.http.api_keys_file {file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"serve.http.api_keys_file {file}: is no text in UTF-8, at byte {error.start}") from None
    keys = [key for line in lines if (key := line.strip()) and not key.startswith("#")]
    if not keys:
        raise ConfigError(f"serve.http.api_keys_file {file}: holds no key. Write one a line, or leave the setting out")
    return keys
