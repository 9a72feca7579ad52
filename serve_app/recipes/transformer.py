"""The Transformer settings of a model of sentence-transformers: what is done to texts, and how many tokens are read.

Settings that would change what it gives, and that nobody here follows, are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from serve_app.recipes.files import ModelFiles
from serve_app.recipes.modules import refused
from stages.core.errors import ConfigError

# Where the Transformer's own settings lie: the first of these that is there.
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# Tokenizers without a limit tell 1e30.
NO_LIMIT = 10**9
# Arguments of Transformers in the Transformer's settings that change no score, or are set elsewhere here.
HARMLESS = frozenset(
    {
        *("attn_implementation", "torch_dtype", "dtype", "low_cpu_mem_usage", "use_safetensors", "use_fast"),
        *("padding_side", "model_max_length", "trust_remote_code", "device_map", "use_memory_efficient_attention"),
        *("unpad_inputs", "add_pooling_layer"),
    }
)


class Transformer(NamedTuple):
    """What the Transformer's own settings decide: `max_tokens` of a text, None where no file says it."""

    lower_case: bool
    max_tokens: int | None


def transformer(files: ModelFiles, task: str = "feature-extraction") -> Transformer:
    """The Transformer's settings and limits. Raises ConfigError for one that this package does not follow."""
    where, settings = transformer_settings(files)
    if settings.get("transformer_task", task) != task:
        raise refused(where, "transformer_task", settings["transformer_task"], task)
    _require_text(where, settings, files)
    _require_harmless(where, settings)
    for name in ("query_length", "document_length", "query_expansion"):
        if settings.get(name) is not None:
            raise refused(where, name, settings[name], "null: it is for late interaction models")
    limit = settings.get("max_seq_length") or _tokenizer_limit(settings, files)
    return Transformer(bool(settings.get("do_lower_case")), limit)


def told_positions(files: ModelFiles) -> int | None:
    """How many the model has, by its config.json or, where that leaves it out, by what Transformers takes then."""
    told = files.config.get("max_position_embeddings")
    if told is None:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

        if files.config.get("model_type") in CONFIG_MAPPING_NAMES:
            said = {name: value for name, value in files.config.items() if name != "max_position_embeddings"}
            told = getattr(CONFIG_MAPPING[files.config["model_type"]](**said), "max_position_embeddings", None)
    if told is not None and not isinstance(told, int):
        raise ConfigError(
            f"model.name {files.name}: config.json says max_position_embeddings {told!r}. Needed: a whole number."
        )
    return told


def transformer_settings(files: ModelFiles) -> tuple[str, Mapping[str, Any]]:
    """The Transformer's own settings, and the file that they stand in; {} where there is none."""
    told = ((name, files.json(name, optional=True)) for name in TRANSFORMER_CONFIGS)
    return next(((name, found) for name, found in told if found), (TRANSFORMER_CONFIGS[0], {}))


def has_chat_template(files: ModelFiles) -> bool:
    """Whether sentence-transformers would make a chat's turns of texts, where no file keeps it from that."""
    told = files.json("tokenizer_config.json", optional=True) or {}
    return bool(told.get("chat_template")) or files.text("chat_template.jinja") is not None


def _require_text(where: str, settings: Mapping[str, Any], files: ModelFiles) -> None:
    """That texts go to the Transformer as they are, and its last layer is what comes out."""
    modalities = settings.get("modality_config") or {}
    if "message" in modalities and has_chat_template(files):
        raise refused(where, "modality_config", "message", "text alone: with it texts become turns of a chat")
    text = modalities.get("text")
    if text is not None and (text.get("method"), text.get("method_output_name")) not in (
        ("forward", "last_hidden_state"),
        ("forward", ["last_hidden_state"]),
        ("forward", "logits"),
        ("forward", ["logits"]),
    ):
        raise refused(where, "modality_config.text", dict(text), "forward and last_hidden_state")


def _require_harmless(where: str, settings: Mapping[str, Any]) -> None:
    """That nothing is handed to Transformers that would change what it gives."""
    for group in ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"):
        for name, value in (settings.get(group) or {}).items():
            if name not in HARMLESS:
                raise refused(where, f"{group}.{name}", value, "a model that loads without it")
    for group, values in (settings.get("processing_kwargs") or {}).items():
        if values:
            raise refused(where, f"processing_kwargs.{group}", values, "none")
    if name := settings.get("tokenizer_name_or_path"):
        raise refused(where, "tokenizer_name_or_path", name, "the model's own tokenizer")


def _tokenizer_limit(settings: Mapping[str, Any], files: ModelFiles) -> int | None:
    """What the tokenizer tells; a very large number stands for no limit."""
    given = {**(settings.get("tokenizer_args") or {}), **(settings.get("processor_kwargs") or {})}
    told = files.json("tokenizer_config.json", optional=True) or {}
    limit = given.get("model_max_length") or told.get("model_max_length")
    return int(limit) if limit and limit < NO_LIMIT else None
