"""What a job must not do with a model that scores a list as a whole."""

from __future__ import annotations

from pipelines.base.config import RunConfig
from serve_app.engine.models import ModelInfo
from stages.core.errors import ConfigError
from stages.core.identity import LISTWISE


def require_whole_lists(config: RunConfig, model: ModelInfo) -> None:
    """Raises ConfigError where the candidates of several first stages would be one list."""
    if config.data.runs and model.family == LISTWISE:
        raise ConfigError(
            f"data.runs: {model.name} scores a list as a whole, and the candidates of several first stages are scored "
            "as one list. Run each first stage by itself: data.run"
        )
