"""The small files of a model, of a folder or of a hub repository: what decides how it is scored stands in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.core.errors import ConfigError, first_line


class ModelFiles:
    """`path` is a folder or a hub id, `revision` the commit of the latter. Files are read when they are asked for."""

    def __init__(self, name: str, path: str, revision: str | None) -> None:
        self.name, self.path, self.revision = name, path, revision
        self._read: dict[str, str | None] = {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json. Raises ConfigError where it cannot be read."""
        return self.json("config.json") or {}

    @property
    def architecture(self) -> str:
        return str((self.config.get("architectures") or ["unknown"])[0])

    def json(self, file: str, *, optional: bool = False) -> Any:
        """A file, parsed; None where it is optional and missing. Raises ConfigError where it cannot be read."""
        text = self.text(file) if optional else self._required(file)
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise unreadable(self.path, file, error) from error

    def text(self, file: str) -> str | None:
        """A file's text; None where there is none."""
        if file not in self._read:
            try:
                self._read[file] = self._required(file)
            except ConfigError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                self._read[file] = None
        return self._read[file]

    def _required(self, file: str) -> str:
        try:
            return self._local(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise unreadable(self.path, file, error) from error

    def _local(self, file: str) -> Path:
        return Path(self.path) / file if Path(self.path).is_dir() else download(self.path, file, self.revision)


def download(repository: str, file: str, revision: str | None) -> Path:
    """A file of a hub repository. Raises OSError; FileNotFoundError where the repository is known to lack it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except LocalEntryNotFoundError as error:
        # Of a commit that was downloaded before: what is not among its files was left out there and then.
        if file != "config.json" and _config_is_here(hf_hub_download, repository, revision):
            raise FileNotFoundError(f"{file} is not in {repository}") from error
        raise
    except EntryNotFoundError as error:
        raise FileNotFoundError(f"{file} is not in {repository}") from error


def _config_is_here(load: Callable[..., str], repository: str, revision: str | None) -> bool:
    try:
        load(repository, "config.json", revision=revision, local_files_only=True)
    except (OSError, ValueError):
        return False
    return True


def unreadable(path: str, file: str, error: Exception) -> ConfigError:
    offline = " HF_HUB_OFFLINE=1 is set: only what was downloaded before is found." if _offline() else ""
    return ConfigError(f"model.name {path}: cannot read {file} ({first_line(error)}).{offline}")


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
