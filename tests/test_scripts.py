"""The scripts outside the suite, which nobody runs for weeks: what they take from elsewhere is still there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("stages", "serve_app", "pipelines", "tests")
SCRIPTS = sorted(file for room in ("faults", "measure", "rounds") for file in (ROOT / "tests" / room).rglob("*.py"))


def there_in(module: str) -> set[str]:
    """All that it may be asked for; nothing where there is none."""
    path = ROOT.joinpath(*module.split("."))
    files = [one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()]
    beside = {one.stem for one in path.iterdir()} if path.is_dir() else set()
    return beside.union(*map(names_in, files))


def names_in(file: Path) -> set[str]:
    """What a module binds anywhere."""
    tree = ast.parse(file.read_text("utf-8"))
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    taken = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return bound | made | taken


def missing_in(script: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in OURS:
            there = there_in(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names if alias.name not in there]
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_a_script_imports_of_ours_is_there(script: Path) -> None:
    assert missing_in(script) == []


def test_what_is_gone_is_found(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from stages.core.errors import DataError, GoneError\nfrom pipelines.gone import anything\n")
    assert missing_in(script) == ["stages.core.errors.GoneError", "pipelines.gone.anything"]
