"""Who imports whom, beyond what import-linter sees: library homes, circles, rooms that say what they are for.

The order of the rooms is in pyproject.toml, and `make check` holds it.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("stages", "serve_app", "pipelines")
# Each engine-room library is imported in one place, so that its next version breaks one file; vLLM in one room.
HOMES = {
    "vllm": "serve_app/engine/",
    "mlflow": "pipelines/tracking/client.py",
    "ranx": "stages/quality/evaluate.py",
    "ray.data": "pipelines/job/stream.py",
    "gradio": "serve_app/http/ui.py",
    "tiktoken": "serve_app/engine/byte_pairs.py",
}
ROOMS = sorted(path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py"))


def files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Every name that could be a module: `from a import b` gives `a` and `a.b`. Imports inside functions count."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circle(sources: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a circle; empty where there is none. `sources`: module -> its text."""
    imports = {
        module: {name for name in imported(source) if name in sources and name != module}
        for module, source in sources.items()
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize(("library", "home"), HOMES.items(), ids=list(HOMES))
def test_the_library_is_imported_in_one_place(library: str, home: str) -> None:
    users = {
        str(file.relative_to(ROOT))
        for file in files()
        if any(name == library or name.startswith(f"{library}.") for name in imported(file.read_text("utf-8")))
    }
    assert users
    assert {user for user in users if not user.startswith(home)} == set()


def test_no_modules_import_each_other_in_a_circle_not_even_inside_functions() -> None:
    assert circle({module_of(file): file.read_text("utf-8") for file in files()}) == []


def test_the_search_for_circles_sees_one_that_goes_through_a_function() -> None:
    sources = {"a": "import b", "b": "from c import x", "c": "def x():\n    from a import y"}
    assert set(circle(sources)) == {"a", "b", "c"}
    assert circle(sources | {"c": "x = 1"}) == []


@pytest.mark.parametrize("room", ROOMS, ids=module_of)
def test_a_room_says_what_happens_there(room: Path) -> None:
    told = importlib.import_module(module_of(room)).__doc__ or ""
    assert 20 < len(told.strip()) < 500


def test_tests_mirror_the_tree() -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    ours = {folder for folder in folders if folder.parts and folder.parts[0] in PACKAGES}
    assert len(ours) > 20
    assert {folder for folder in ours if not (ROOT / folder).is_dir()} == set()
