"""Commands, and in Python `from pipelines import run, open_run, compare, evaluate`: open `api` first.

What is exported is loaded when it is first asked for: `import pipelines` loads nothing of torch, Ray, vLLM or MLflow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import serve_app.engine.light_start  # noqa: F401  # the commands and Ray Data's workers import much too

if TYPE_CHECKING:
    from pipelines.api import compare, evaluate, open_run, run
    from pipelines.base.config import RunConfig
    from stages.core.errors import RerankEvalError

_HOMES = {
    "run": "pipelines.api",
    "open_run": "pipelines.api",
    "compare": "pipelines.api",
    "evaluate": "pipelines.api",
    "RunConfig": "pipelines.base.config",
    "RerankEvalError": "stages.core.errors",
}
__all__ = ["RerankEvalError", "RunConfig", "compare", "evaluate", "open_run", "run"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
