"""A model's tokenizer, loaded without a question to the terminal."""

from __future__ import annotations

from typing import Any

from serve_app.engine.models import ModelInfo, own_code, tokenizer_config
from stages.core.errors import ConfigError, first_line

ASKS_FOR_CODE = "trust_remote_code"  # Transformers' word for what it would need, in each of its messages
READ_IT = "Read it, then set model.trust_remote_code: true"


def load_tokenizer(model: ModelInfo, **options: Any) -> Any:
    """Of the model's files, as Transformers reads them; nothing is asked on the terminal. Raises ConfigError where it
    cannot, or where that would run code that is not trusted.
    """
    from transformers import AutoTokenizer  # takes seconds to import, and whoever has a tokenizer does without

    _require_trust(model)
    try:
        return AutoTokenizer.from_pretrained(model.path, revision=model.revision, **own_code(model), **options)
    except (OSError, ValueError, ImportError, KeyError, AttributeError) as error:
        raise ConfigError(f"model.name {model.name}: its tokenizer cannot be loaded: {_reason(error)}") from error


def _require_trust(model: ModelInfo) -> None:
    """Transformers takes a class of its own where it may not run the model's: another tokenizer, without a word."""
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    told = {} if model.trust_remote_code else tokenizer_config(model)
    name = str(told.get("tokenizer_class"))
    if told.get("auto_map") and not (tokenizer_class_from_name(name) or tokenizer_class_from_name(f"{name}Fast")):
        raise ConfigError(
            f"model.name {model.name}: tokenizer_config.json names {name}, which is code of the model's own. {READ_IT}"
        )


def _reason(error: Exception) -> str:
    if ASKS_FOR_CODE in str(error):
        return f"it is code of the model's own. {READ_IT}"
    return first_line(error)
