"""A light install without a download: the wheel, and links to what its core dependencies bring, and nothing else."""

from __future__ import annotations

import shutil
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.declared import requirements
from tests.wheels import ROOT


def brought(wanted: list[Requirement]) -> list[Distribution]:
    """The installed packages that an installer would bring for `wanted`, their own needs too."""
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    while wanted:
        one, *wanted = wanted
        for extra in ("", *one.extras):
            key = (canonicalize_name(one.name), extra)
            if key in asked:
                continue
            asked.add(key)
            found[key[0]] = distribution(one.name)
            needs = map(Requirement, found[key[0]].requires or ())
            wanted += [need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})]
    return list(found.values())


def link(packages: list[Distribution], site_packages: Path) -> None:
    """Each folder and module of the packages; a folder that several share (`google`) file by file."""
    for package in packages:
        for file in package.files or ():
            top, *rest = file.parts
            if top == "..":  # a program, which nobody calls here
                continue
            target = Path(str(package.locate_file(top)))
            if not rest or (target / "__init__.py").is_file() or top.endswith((".dist-info", ".libs")):
                _link_once(target, site_packages / top)
            else:
                _link_once(Path(str(package.locate_file(file))), site_packages / file)


def _link_once(target: Path, place: Path) -> None:
    if not place.is_symlink():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def make_environment(folder: Path) -> Path:
    """A Python that has these packages, and lacks what macOS lacks; returns its site-packages."""
    venv.create(folder, symlinks=True)
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    link(brought(requirements("core")), site_packages)
    shutil.copy(ROOT / "tests" / "as_on_macos.py", site_packages)
    (site_packages / "as_on_macos.pth").write_text(
        "import as_on_macos; as_on_macos.take_linux_away()\n", encoding="utf-8"
    )
    return site_packages
