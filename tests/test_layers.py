"""Each engine-room library is imported in one place, so that its next version breaks one file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOMES: dict[str, set[str]] = {
    # The second is loaded by vLLM itself, the third is what a benchmark compares with.
    "vllm": {"serve_app/engine.py", "serve_app/scheduler.py", "serve_app/bare_engine.py"},
    "mlflow": {"pipelines/tracking.py"},
    "ranx": {"stages/evaluate.py"},
    "ray.data": {"pipelines/stream.py"},
    "gradio": {"serve_app/ui.py"},
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("library", "homes"), HOMES.items(), ids=list(HOMES))
def test_the_library_is_imported_in_one_place(library: str, homes: set[str]) -> None:
    files = [file for package in ("stages", "serve_app", "pipelines") for file in (ROOT / package).rglob("*.py")]
    users = {
        str(file.relative_to(ROOT))
        for file in files
        if any(name == library or name.startswith(f"{library}.") for name in imported(file))
    }
    assert users == homes
