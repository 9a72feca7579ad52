"""Where the data lies that travels with the packages: the handbook, the configs, the demo collection.

It is named by its path in the repository, and laid out so too in share/rerank-eval, where a wheel puts it: what a
command reads has to stand in pyproject.toml, under data-files.
"""

from __future__ import annotations

from pathlib import Path

from stages.core.errors import DataError

PACKAGES = Path(__file__).parents[2]  # the folder that holds them
CONFIGS = "configs"


def bundled(name: str) -> Path:
    """The file or folder that is called `name` in the repository. Raises DataError where it did not come along."""
    place = _place()
    if not (place / name).exists():
        raise DataError(f"{name} comes with rerank-eval and is not in {place}: install rerank-eval again")
    return place / name


def bundled_configs() -> dict[str, Path]:
    """Name -> file of each run config that came along, in order."""
    return dict(sorted((file.stem, file) for file in (_place() / CONFIGS).glob("*.yaml")))


def _place() -> Path:
    """The repository; or the nearest share above the packages, be they in an environment, a --user's or a --target."""
    if (PACKAGES / "pyproject.toml").is_file():
        return PACKAGES
    places = [folder / "share" / "rerank-eval" for folder in (PACKAGES, *PACKAGES.parents)]
    return next((place for place in places if place.is_dir()), places[0])
