"""The config that a search wrote: what was measured, with the changed settings, and in its head what they bring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from pipelines.base.config import load_config, read_sections
from pipelines.base.overrides import set_key, set_keys
from pipelines.base.redaction import write_config
from stages.core.errors import ConfigError
from stages.report.tuning_report import value
from stages.speed.tuning import Change

MARK = "# Tuned by rerank-eval"


def check_target(target: Path, config: Path) -> None:
    """Raises ConfigError where the result could not be written: told before the work, not after."""
    if not target.parent.is_dir():
        raise ConfigError(f"--out {target}: there is no folder {target.parent}")
    if target.is_dir():
        raise ConfigError(f"--out {target}: is a folder; name a file")
    if not target.exists():
        return
    if target.samefile(config):
        raise ConfigError(f"--out {target}: is the config itself, which stays as it is. Name another file with --out")
    if not _is_own(target):
        raise ConfigError(f"--out {target}: is there already, and was not written by tune. Name another with --out")


def write_tuned(
    target: Path, config: Path, overrides: Sequence[str], changes: Sequence[Change], head: Sequence[str]
) -> None:
    """Write the config's content, with its overrides and the changes, below `head`, a comment of several lines.

    Raises ConfigError where it cannot be written.
    """
    content = read_sections(config)
    set_keys(content, overrides)
    for change in changes:
        set_key(content, f"{change.key}={value(change.key, change.after)}")
    # A line's end in a name would end the comment.
    lines = [f"{MARK} " + " ".join(head[0].split()), *(f"# {' '.join(line.split())}" for line in head[1:])]
    body = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    try:
        write_config(target, "\n".join(lines) + "\n" + body, content)
    except OSError as error:
        raise ConfigError(f"--out {target}: cannot be written ({error.strerror})") from error
    load_config(target)


def _is_own(target: Path) -> bool:
    try:
        with target.open(encoding="utf-8") as file:
            return file.readline().startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False
