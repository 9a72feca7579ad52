"""`stages` and `import pipelines` stay light, and the packages that Python finds under our plain names are ours."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
import serve_app
import stages

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "ray", "vllm", "mlflow", "numba", "ranx", "transformers", "pandas", "pyarrow")
MODULES = sorted(module.name for module in pkgutil.walk_packages(stages.__path__, "stages."))


def loaded_by(*modules: str) -> list[str]:
    """Which of the heavy libraries a fresh process holds after it imported `modules`."""
    code = f"import sys, {', '.join(modules)}; print([name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in HEAVY if repr(name) in told.stdout]


def test_importing_stages_and_all_its_modules_loads_no_heavy_library() -> None:
    assert {"stages.quality.evaluate", "stages.core.rerank", "stages.sources.hub", "stages.files.tables"} <= set(
        MODULES
    )
    assert set(loaded_by("stages", *MODULES)) <= {"pyarrow"}


def test_importing_pipelines_and_the_module_of_its_python_api_loads_no_heavy_library() -> None:
    assert loaded_by("pipelines", "pipelines.api") == []


def test_the_check_for_heavy_libraries_sees_one_that_is_loaded() -> None:
    assert loaded_by("stages", "numba") == ["numba"]


@pytest.mark.parametrize("package", [stages, serve_app, pipelines])
def test_the_plain_package_names_are_not_shadowed(package: object) -> None:
    assert Path(str(package.__file__)).is_relative_to(ROOT)  # type: ignore[attr-defined]
