"""The project's own texts as tests read them: blocks of code, files that a reader is to write, commands with output,
links.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if not path.name.endswith(".zh.md"))
"""What is looked up, in English."""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SESSION = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_LINK = re.compile(r"\]\((?!http)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Link(NamedTuple):
    """To a file of the repository; `anchor` is the part of it that is meant, empty for all of it."""

    target: Path
    anchor: str


class ShownText:
    """A Markdown file of the repository, named by its path there."""

    def __init__(self, name: str) -> None:
        self.path = ROOT / name
        self.text = self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """What is left without its blocks of code."""
        return _BLOCK.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        return [content for found, content in _BLOCK.findall(self.text) if found == language]

    def sessions(self) -> list[tuple[str, str]]:
        """Each command of a console block, and the output shown under it."""
        return [(command.strip(), output) for command, output in _SESSION.findall("".join(self.blocks("console")))]

    def links(self) -> list[Link]:
        """Those that stay in the repository; pictures too."""
        found = _LINK.findall(self.prose)
        return [Link(self.path.parent / name if name else self.path, anchor) for name, anchor in found]

    def anchors(self) -> set[str]:
        """Its headings as GitHub names them."""
        headings = _HEADING.findall(self.prose)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def workplace(self, folder: Path) -> Path:
        """`folder` with the files that the text has its reader write, and the project's configs."""
        (folder / "configs").symlink_to(ROOT / "configs")
        self.write_files(folder)
        return folder

    def write_files(self, folder: Path) -> None:
        """Those that the text has its reader write."""
        for name, content in _FILE.findall(self.text):
            (folder / name).write_text(content, encoding="utf-8")


def reader_environment() -> dict[str, str]:
    """What a reader has who activated the environment, on a terminal of 100 columns."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # `make test` tells a make below it to announce its folders; a reader's make has no make above it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return environment | {"PATH": path, "COLUMNS": "100"}


def called(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader would: in a shell, with the environment active."""
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=reader_environment(),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
