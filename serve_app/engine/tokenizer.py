"""A model's tokenizer, loaded without a question to the terminal."""

from __future__ import annotations

from typing import Any

from serve_app.engine.models import ModelInfo, own_code
from stages.core.errors import ConfigError, first_line

ASKS_FOR_CODE = "trust_remote_code"  # Transformers' word for what it would need, in each of its messages


def load_tokenizer(model: ModelInfo, **options: Any) -> Any:
    """Of the model's files, as Transformers reads them; nothing is asked on the terminal. Raises ConfigError where it
    cannot, or where that would run code that is not trusted.
    """
    from transformers import AutoTokenizer  # takes seconds to import, and whoever has a tokenizer does without

    try:
        return AutoTokenizer.from_pretrained(model.path, revision=model.revision, **own_code(model), **options)
    except (OSError, ValueError, ImportError, KeyError, AttributeError) as error:
        raise ConfigError(f"model.name {model.name}: its tokenizer cannot be loaded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if ASKS_FOR_CODE in str(error):
        return "it is code of the model's own. Read it, then set model.trust_remote_code: true"
    return first_line(error)
