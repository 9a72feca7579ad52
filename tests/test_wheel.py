"""The wheel holds everything: its commands run from a fresh environment, in an empty folder, without the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
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
    """A wheel in an environment of its own, and an empty folder."""

    wheel: Path
    bin: Path
    empty: Path

    def call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment in the empty folder, where it leaves nothing."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.empty,
            env=kept | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert list(self.empty.iterdir()) == []
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Nothing is downloaded: setuptools is the installed one, and the other packages are linked, not copied.

    Of a linked folder Python heeds no .pth file: so the editable rerank-eval in it stays out.
    """
    folder = tmp_path_factory.mktemp("wheel")
    wheel = built(copied(folder / "sources"), folder)
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-compile", str(wheel))
    (site_packages,) = environment.glob("lib/python3*/site-packages")
    linked = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site_packages / "linked.pth").write_text("".join(f"{path}\n" for path in linked), encoding="utf-8")
    (folder / "empty").mkdir()
    return Installed(wheel, environment / "bin", folder / "empty")


def copied(sources: Path) -> Path:
    """A build leaves folders beside its sources, and takes along what an earlier one left there."""
    for name in (*PACKAGES, "configs"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in READ_BY_A_BUILD:
        shutil.copy(ROOT / name, sources)
    return sources


def built(sources: Path, folder: Path) -> Path:
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(sources))
    (wheel,) = folder.glob("*.whl")
    return wheel


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-index"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def files(folder: Path) -> set[str]:
    """By their path in the repository; not what Python makes of them."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(ROOT).as_posix() for path in found}


# --- what is in it ---


def test_every_file_of_the_packages_is_in_the_wheel_and_nothing_else(installed: Installed) -> None:
    names = {name for name in zipfile.ZipFile(installed.wheel).namelist() if ".dist-info/" not in name}
    data = f"rerank_eval-{version('rerank-eval')}.data/data/share/rerank-eval/"
    shared = {name.removeprefix(data) for name in names if name.startswith(data)}
    assert {name for name in names if not name.startswith(data)} == set.union(*(files(ROOT / p) for p in PACKAGES))
    configs = {f"configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    assert shared == configs | files(ROOT / "configs" / "demo") | {"HANDBOOK.md", "HANDBOOK.zh.md"}


def test_the_packages_say_that_they_are_typed(installed: Installed) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(zipfile.ZipFile(installed.wheel).namelist())


# --- it runs ---


def test_the_packages_that_are_imported_are_those_of_the_wheel(installed: Installed) -> None:
    code = f"import {', '.join(PACKAGES)}, typer; print(*(m.__file__ for m in ({', '.join(PACKAGES)}, typer)))"
    done = installed.call("python", "-c", code)
    *ours, linked = map(Path, done.stdout.split())
    assert all(path.is_relative_to(installed.bin.parent) for path in ours) and len(ours) == len(PACKAGES)
    assert linked == Path(typer.__file__)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "rerank-eval")
def test_every_command_says_what_it_does(words: tuple[str, ...], installed: Installed) -> None:
    done = installed.call("rerank-eval", *words, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: {' '.join(['rerank-eval', *words])} " in done.stdout


def test_the_commands_are_found_nested_ones_too() -> None:
    assert {(), ("run",), ("tune",), ("handbook",), ("scores",), ("scores", "prune")} <= set(COMMANDS)


@pytest.mark.parametrize("command", [("rerank-eval",), ("python", "-m", "pipelines")], ids=" ".join)
def test_it_knows_its_version(command: tuple[str, ...], installed: Installed) -> None:
    assert installed.call(*command, "--version").stdout == f"rerank-eval {version('rerank-eval')}\n"


@pytest.mark.parametrize(("language", "book"), [("en", "HANDBOOK.md"), ("zh", "HANDBOOK.zh.md")])
def test_it_has_the_handbook(language: str, book: str, installed: Installed) -> None:
    assert installed.call("rerank-eval", "handbook", "--lang", language).stdout == (ROOT / book).read_text("utf-8")


def test_it_has_the_demo(installed: Installed) -> None:
    done = installed.call("rerank-eval", "run", "--config", "demo", "--dry-run", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    plan = json.loads(done.stdout)
    assert (plan["dataset"], plan["queries"], plan["pairs"]) == ("demo", 76, 3224)


def test_it_names_its_configs_where_a_name_is_unknown(installed: Installed) -> None:
    done = installed.call("rerank-eval", "run", "--config", "dmo")
    assert done.returncode == 2
    known = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert done.stderr.strip().endswith(f"or the name of a bundled config: {', '.join(known)}.")


def test_submit_names_the_folder_of_the_wheel_that_holds_a_bundled_config(installed: Installed) -> None:
    lasting = ("--set", "output.dir=/srv/results", "--set", "tracking.uri=null")
    done = installed.call("rerank-eval", "submit", "--config", "demo", *lasting)
    share = (installed.bin.parent / "share" / "rerank-eval").resolve()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"Name a folder that holds it: --working-dir {share}\n")
