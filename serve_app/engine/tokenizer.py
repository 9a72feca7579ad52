"""A model's tokenizer, loaded without a question to the terminal."""

from __future__ import annotations

from typing import Any

from serve_app.engine.models import ModelInfo, own_code
from stages.core.errors import ConfigError, first_line

ASKS_FOR_CODE = "trust_remote_code"  # Transformers' word for what it would need, in each of its messages

# Of a tokenizer that has words; without any, special tokens are left.
LEAST_VOCABULARY = 16


def load_tokenizer(model: ModelInfo, **options: Any) -> Any:
    """Of the model's files, as Transformers reads them; nothing is asked on the terminal. Raises ConfigError where it
    cannot, or where that would run code that is not trusted.
    """
    from transformers import AutoTokenizer  # takes seconds to import, and whoever has a tokenizer does without

    try:
        tokenizer = AutoTokenizer.from_pretrained(model.path, revision=model.revision, **own_code(model), **options)
    except (OSError, ValueError, ImportError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"model.name {model.name}: its tokenizer cannot be loaded: {_reason(error)}") from error
    _require_usable(model, tokenizer)
    return tokenizer


def _require_usable(model: ModelInfo, tokenizer: Any) -> None:
    """Raises ConfigError for one that is all Python, and for one without words: Transformers 5 makes that of a folder
    whose vocabulary is missing, and every text becomes the same unknown tokens.
    """
    backend, name = getattr(tokenizer, "backend_tokenizer", None), type(tokenizer).__name__
    if backend is None:
        raise ConfigError(
            f"model.name {model.name}: its {name} is none of the tokenizers library (tokenizer.json), with which "
            "prompts are made here. Choose a model that has one."
        )
    if (size := backend.get_vocab_size(with_added_tokens=False)) < LEAST_VOCABULARY:
        raise ConfigError(
            f"model.name {model.name}: the vocabulary of its {name} has {size} entries. Its files (tokenizer.json, "
            "vocab.txt, vocab.json or a .model) are missing: download them, or save the tokenizer beside the model."
        )


def _reason(error: Exception) -> str:
    if ASKS_FOR_CODE in str(error):
        return "it is code of the model's own. Read it, then set model.trust_remote_code: true"
    return first_line(error)
