"""A new SQLite database of MLflow comes whole or not at all.

MLflow makes one in place, migration by migration: seconds, a minute on a busy machine. Whoever interrupts that is left
with a database that MLflow can neither use nor upgrade ("table _alembic_tmp_experiments already exists").
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote


def sqlite_name(uri: str) -> str:
    """Of the file; empty or `:memory:` where there is none."""
    return unquote(uri.partition(":///")[2].partition("?")[0])


def made_whole(uri: str, make: Callable[[str], object]) -> None:
    """Let `make` a database, given its URI, where that of `uri` is to be and is not yet: beside it, and then moved.
    Where another process was sooner, its own stays.
    """
    if not uri.startswith("sqlite:///") or sqlite_name(uri) in ("", ":memory:") or sqlite_name(uri).startswith("file:"):
        return
    file = Path(sqlite_name(uri)).absolute()
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as beside:
        new = Path(beside) / file.name
        make(f"sqlite:///{new}")
        try:
            os.link(new, file)
        except OSError:  # there by now, or a file system without links
            if not file.exists():
                new.replace(file)
