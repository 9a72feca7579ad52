"""The keys of sentence-transformers' files whose meaning is known here; another one may decide a score."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from serve_app.recipes.files import ModelFiles
from stages.core.errors import ConfigError

OWN_CONFIG = "config_sentence_transformers.json"
TRANSFORMER = frozenset(
    {
        *("max_seq_length", "do_lower_case", "model_args", "model_kwargs", "tokenizer_args", "processor_kwargs"),
        *("config_args", "config_kwargs", "processing_kwargs", "transformer_task", "modality_config", "unpad_inputs"),
        *("module_output_name", "query_length", "document_length", "query_expansion", "tokenizer_name_or_path"),
        *("cache_dir", "backend"),
    }
)
MODEL = frozenset(
    {
        *("__version__", "prompts", "default_prompt_name", "similarity_fn_name", "model_type", "activation_fn"),
        *("truncate_dim", "query_prefix", "document_prefix", "query_length", "document_length", "skiplist_words"),
        *("attend_to_expansion_tokens", "do_query_expansion"),
    }
)
NAMES = frozenset({"module_input_name", "module_output_name"})
# The last part of a class's name in modules.json -> the keys of its config.json.
MODULES = {
    "Pooling": {"word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt"},
    "Dense": NAMES | {"in_features", "out_features", "bias", "activation_function", "use_residual"},
    "LayerNorm": NAMES | {"dimension"},
    "Normalize": NAMES,
    "Dropout": {"dropout"},
    "LogitScore": NAMES | {"true_token_id", "false_token_id"},
}
FLAGS = "pooling_mode_"  # of Pooling in older releases; which there are is known where they are read


def require_known_keys(files: ModelFiles) -> None:
    """Raises ConfigError for a key that says something, and whose meaning is not known; for prompts that are none."""
    prompts = (files.json(OWN_CONFIG, optional=True) or {}).get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(one, str | None) for one in prompts.values()):
        raise ConfigError(
            f"model.name {files.name}: {OWN_CONFIG} says prompts {prompts!r:.80}. Needed: a mapping of names to texts."
        )
    for file, told, known in _files(files):
        for key, value in told.items():
            if value and key not in known and not (file.endswith("/config.json") and key.startswith(FLAGS)):
                raise ConfigError(
                    f"model.name {files.name}: {file} says {key} {value!r:.80}, which is not known here and may "
                    "decide a score. Needed: a model without it, or a version of rerank-eval that knows it."
                )


def _files(files: ModelFiles) -> Iterator[tuple[str, Mapping[str, Any], Collection[str]]]:
    yield "sentence_bert_config.json", files.json("sentence_bert_config.json", optional=True) or {}, TRANSFORMER
    yield OWN_CONFIG, files.json(OWN_CONFIG, optional=True) or {}, MODEL
    for line in files.json("modules.json", optional=True) or []:
        kind, folder = str(line.get("type")).rpartition(".")[2], line.get("path")
        if kind in MODULES and folder:
            yield f"{folder}/config.json", files.json(f"{folder}/config.json", optional=True) or {}, MODULES[kind]
