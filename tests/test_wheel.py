"""The wheel holds everything: its commands run from a fresh environment, in an empty folder, without the repository."""

from __future__ import annotations

import json
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from tests.wheels import COMMANDS, PACKAGES, ROOT, Installed, install


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Nothing is downloaded: the other packages are linked, not copied.

    Of a linked folder Python heeds no .pth file: so the editable rerank-eval in it stays out.
    """
    folder = tmp_path_factory.mktemp("wheel")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    (site_packages,) = environment.glob("lib/python3*/site-packages")
    linked = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site_packages / "linked.pth").write_text("".join(f"{path}\n" for path in linked), encoding="utf-8")
    return install(wheel, environment, folder / "empty")


@pytest.fixture(autouse=True)
def nothing_is_left(installed: Installed) -> Iterator[None]:
    """No command here leaves anything in the folder that it works in."""
    yield
    assert list(installed.folder.iterdir()) == []


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
    configs = {str(path.relative_to(ROOT)) for path in (ROOT / "configs").glob("*.yaml")}
    configs |= {str(path.relative_to(ROOT)) for path in (ROOT / "configs" / "recipes").glob("*.yaml")}
    configs |= {str(path.relative_to(ROOT)) for path in (ROOT / "configs" / "judges").glob("*.yaml")}
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
