"""What leaves a run folder, be it for MLflow or for a copy elsewhere: its files, without the secrets of its config.

In the folder itself config.yaml stays whole, for its owner's eyes only: the job is repeated and logged from it.
"""

from __future__ import annotations

import html
import json
import os
import shutil
from pathlib import Path

import yaml

from pipelines.base.redaction import HIDDEN, redacted, redacted_text, secrets_in
from pipelines.base.yaml_text import read_yaml
from pipelines.runs.folder import RunFolder

LOGS = (".log", ".out", ".err")  # where a library may tell what no config of ours holds
TEXTS = (".html", ".json", ".yaml", ".md", ".tex", ".txt", ".csv", *LOGS)


def secrets_of(folder: RunFolder) -> set[str]:
    """Those in the folder's config; none where it has no config yet."""
    return secrets_in(read_yaml(folder.config, "config")) if folder.config.is_file() else set()


def outgoing(path: Path, secrets: set[str], copy: Path) -> Path:
    """The file as it is; or, where it holds a secret, `copy`, which has `***` instead and the same mode."""
    text = _without_secrets(path, secrets)
    if text is None:
        return path
    with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    shutil.copymode(path, copy)
    return copy


def mirror(folder: RunFolder, place: Path) -> None:
    """The whole folder once more at `place`: links to its files, and copies of those that held a secret."""
    secrets = secrets_of(folder)
    place.mkdir(parents=True)
    for path in sorted(folder.path.rglob("*")):
        copy = place / path.relative_to(folder.path)
        if path.is_dir():
            copy.mkdir()
        elif outgoing(path, secrets, copy) == path:
            copy.symlink_to(path.resolve())


def _without_secrets(path: Path, secrets: set[str]) -> str | None:
    """The file's text; None where it may go as it is."""
    if path.is_dir() or path.suffix not in TEXTS:
        return None
    if path.name == "config.yaml":
        config = read_yaml(path, "config")
        cleaned = yaml.safe_dump(redacted(config), sort_keys=False, allow_unicode=True)
        return None if redacted(config) == config else cleaned
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if path.name == "environment.json":
        told = json.loads(text)
        return None if redacted(told) == told else json.dumps(redacted(told), indent=2, ensure_ascii=False) + "\n"
    cleaned = _hidden(text, secrets)
    cleaned = redacted_text(cleaned) if path.suffix in LOGS else cleaned
    return None if cleaned == text else cleaned


def _hidden(text: str, secrets: set[str]) -> str:
    """The text without the secrets, as they are and as JSON and HTML write them."""
    forms = {form for one in secrets for form in (one, json.dumps(one)[1:-1], html.escape(one))}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text
