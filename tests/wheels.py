"""A wheel of the sources, and an environment that it is installed in. Nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from pipelines.cli.app import app

ROOT = Path(__file__).parents[1]
PACKAGES = ("stages", "serve_app", "pipelines")
READ_BY_A_BUILD = ("pyproject.toml", "README.md", "LICENSE", "HANDBOOK.md", "HANDBOOK.zh.md")


def commands(group: Any, *above: str) -> Iterator[tuple[str, ...]]:
    """The words of every command, groups among them."""
    yield above
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *above, name)


COMMANDS = list(commands(typer.main.get_command(app)))


@dataclass(frozen=True)
class Installed:
    """A wheel in an environment of its own, and a folder to work in."""

    wheel: Path
    bin: Path
    folder: Path

    def call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment in the folder."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env=kept | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def build(folder: Path) -> Path:
    """The wheel, made in `folder` by the setuptools that is installed."""
    sources = _copied(folder / "sources")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(sources))
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, environment: Path, folder: Path) -> Installed:
    """Into an environment that is there; its packages are its own business."""
    python = environment / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-compile", str(wheel))
    folder.mkdir()
    return Installed(wheel, environment / "bin", folder)


def _copied(sources: Path) -> Path:
    """A build leaves folders beside its sources, and takes along what an earlier one left there."""
    for name in (*PACKAGES, "configs"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in READ_BY_A_BUILD:
        shutil.copy(ROOT / name, sources)
    return sources


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-index"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
