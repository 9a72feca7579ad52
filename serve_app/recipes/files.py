"""The small files of a model, of a folder or of a hub repository: what decides how it is scored stands in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stages.core.errors import ConfigError, first_line

AGAIN = "Compare it with the publisher's, or download the model again"
# Files that hold a list of mappings; any other holds a mapping.
LISTS = ("modules.json",)


class ModelFiles:
    """`path` is a folder or a hub id, `revision` the commit of the latter. Files are read when they are asked for."""

    def __init__(self, name: str, path: str, revision: str | None) -> None:
        self.name, self.path, self.revision = name, path, revision
        self._read: dict[str, str | None] = {}
        self._recent: dict[str, None] = {}  # the files that were looked at, the latest at the end

    @property
    def config(self) -> dict[str, Any]:
        """config.json. Raises ConfigError where it cannot be read."""
        return dict(self.json("config.json"))

    @property
    def architecture(self) -> str:
        told = self.config.get("architectures") or ["unknown"]
        return str(told if isinstance(told, str) else told[0])

    def json(self, file: str, *, optional: bool = False) -> Any:
        """A file, parsed; None where it is optional and missing. Raises ConfigError where it cannot be read, or holds
        something else than such a file does.
        """
        text = self.text(file)
        if text is None:
            return None if optional else self._required(file)
        self._recent.pop(file, None)
        self._recent[file] = None
        try:
            content = json.loads(text)
        except ValueError as error:
            raise unreadable(self.path, file, error) from error
        if file in LISTS:
            fits = isinstance(content, list) and all(isinstance(one, dict) for one in content)
        else:
            fits = isinstance(content, dict)
        if not fits:
            needed = "a list of mappings" if file in LISTS else "a mapping"
            raise ConfigError(f"model.name {self.name}: {file} holds {text!r:.40}, and has to hold {needed}. {AGAIN}.")
        return content

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Raises ConfigError where a value in these files is of another kind than whoever reads it here takes."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            read = " or ".join([*reversed(self._recent)][:3])
            raise ConfigError(
                f"model.name {self.name}: a value is missing or of another kind than is known here ({_fault(error)}), "
                f"in {read}, which were read last. {AGAIN}."
            ) from error

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


def _fault(error: Exception) -> str:
    """In one line; of a pydantic error, the field and what is wrong with it."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))} {first['input']!r:.40}: {first['msg']}"
    return f"{type(error).__name__}: {first_line(error)}"


def unreadable(path: str, file: str, error: Exception) -> ConfigError:
    offline = " HF_HUB_OFFLINE=1 is set: only what was downloaded before is found." if _offline() else ""
    alone = " GGUF, ONNX or sentence-transformers' static models are not loaded: name the one that they were made from."
    # The hub's client raises classes of its own for what was not downloaded.
    mend = alone if file == "config.json" and type(error) is FileNotFoundError else ""
    return ConfigError(f"model.name {path}: cannot read {file} ({first_line(error)}).{mend}{offline}")


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
