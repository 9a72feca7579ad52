"""What a user asks `rerank-eval verify` for, checked against the config and the service before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base.config import ServeConfig, load
from pipelines.service.target import DEFAULT_URL, Target, find_target
from pipelines.service.tolerance import DTYPES, require_second_path
from pipelines.service.verify.service import told_model
from serve_app.engine.models import ModelInfo, describe
from stages.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class VerifyOrder:
    """What the command line says. `tolerance` and `dtype` None: see `measured_tolerance` and `_expected`; `uri` is
    MLflow's, None where nothing is logged.
    """

    config: Path
    url: str = DEFAULT_URL
    pairs: int = 200
    tolerance: float | None = None
    dtype: str | None = None
    out: Path | None = None
    form: str = "terminal"
    overrides: Sequence[str] = ()
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """An order that was checked against the config and the service: `expected` is the dtype, `origin` who says so."""

    order: VerifyOrder
    config: ServeConfig
    model: ModelInfo
    target: Target
    told: dict[str, Any]
    expected: str
    origin: str


def make_setup(order: VerifyOrder) -> Setup:
    """Everything that can be known to be wrong before a model is loaded.

    Raises ConfigError for the config, the address or the dtype, EngineError where no service answers.
    """
    config = load(ServeConfig, order.config, order.overrides)
    if order.dtype is not None and order.dtype not in DTYPES:
        raise ConfigError(f"--dtype {order.dtype}: choose from {', '.join(DTYPES)}")
    if order.tolerance is not None and order.tolerance <= 0:
        raise ConfigError(f"--tolerance {order.tolerance:g}: give a difference above 0")
    model = describe(config.model, config.engine.backend)
    if model.family == "overlap":
        raise ConfigError("model.name overlap is no model: there is nothing to compare it with")
    require_second_path(config.engine.backend, config.model.long_documents)
    target = find_target(order.url)
    told = told_model(target)
    expected, origin = _expected(order, config, told)
    return Setup(order, config, model, target, told, expected, origin)


def _expected(order: VerifyOrder, config: ServeConfig, told: dict[str, Any]) -> tuple[str, str]:
    """The dtype that the service should have, and who says so. Raises ConfigError where nobody does."""
    if order.dtype is not None:
        return order.dtype, "--dtype"
    if config.engine.dtype != "auto":
        return config.engine.dtype, "engine.dtype"
    if told.get("dtype") in DTYPES:
        return str(told["dtype"]), "the service, since engine.dtype is auto"
    raise ConfigError(
        "engine.dtype is auto, and the service does not say which it chose: say --dtype bfloat16, float16 or float32"
    )
