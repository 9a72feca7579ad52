"""MTEB and PyTerrier over our engine and store, or a run: `mteb_model` and `pyterrier_transformer` are the way in.

What is exported is loaded when it is first asked for, and the harness itself when an object for it is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.interop.for_mteb import mteb_model
    from pipelines.interop.for_pyterrier import pyterrier_transformer

_HOMES = {
    "mteb_model": "pipelines.interop.for_mteb",
    "pyterrier_transformer": "pipelines.interop.for_pyterrier",
}
__all__ = ["mteb_model", "pyterrier_transformer"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
