"""The files of a late-interaction model -> its recipe: those of Stanford's code, PyLate and sentence-transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.late_interaction import LateInteractionRecipe
from stages.core.errors import ConfigError

SETTINGS, METADATA, MODULES = "config_sentence_transformers.json", "artifact.metadata", "modules.json"
TRANSFORMER, TOKENIZER = "sentence_bert_config.json", "tokenizer.json"
# What Transformers writes for no limit is far above.
UNLIMITED = 1_000_000
STANFORD, PYLATE, JINA = "stanford-colbert", "pylate-colbert", "jina-colbert-v2"
MULTI_VECTOR = "multi-vector-encoder"
# Of a module's own config.json: what is computed here is a matrix, and a bias.
KNOWN_DENSE = {"in_features", "out_features", "bias", "activation_function", "use_residual"}
KNOWN_DENSE |= {"module_input_name", "module_output_name"}
# Each key that decides a vector -> the values of it that are known here.
STANFORD_KNOWN = {"similarity": ("cosine",), "interaction": ("colbert",)}


def read_late_interaction(files: ModelFiles, *, trusted: bool) -> LateInteractionRecipe | None:
    """None for a model of another kind. Raises ConfigError for a late-interaction model that is not known well enough
    to be scored right. `trusted`: code of the model's own may run.
    """
    if files.architecture == "HF_ColBERT":
        return _stanford(files, trusted)
    settings = files.json(SETTINGS, optional=True) or {}
    if settings.get("model_type") == "MultiVectorEncoder":
        return _multi_vector(files, settings)
    if settings.get("model_type") == "ColBERT" or "query_prefix" in settings:
        return _pylate(files, settings)
    return None


def _stanford(files: ModelFiles, trusted: bool) -> LateInteractionRecipe:
    recipe = _bundled(JINA if _is_jinas(files, trusted) else STANFORD)
    told = files.json(METADATA, optional=True) or {}
    for key, known in STANFORD_KNOWN.items():
        if told.get(key, known[0]) not in known:
            raise _refusal(files, METADATA, key, told[key], " or ".join(known))
    return _changed(
        recipe,
        {
            "query_marker": told.get("query_token_id"),
            "document_marker": told.get("doc_token_id"),
            "query_length": told.get("query_maxlen"),
            "max_length": told.get("doc_maxlen"),
            "expansion": _expansion(files, recipe, told.get("attend_to_mask_tokens")),
            "skipped": None if told.get("mask_punctuation", True) else (),
            "dimension": told.get("dim"),
        },
    )


def _is_jinas(files: ModelFiles, trusted: bool) -> bool:
    """Whether the encoder is Jina's XLM-RoBERTa instead of BERT."""
    if files.config.get("model_type") == "bert":
        return False
    if files.config.get("position_embedding_type") != "rotary" or files.config.get("model_type") != "xlm-roberta":
        needed = "bert, or xlm-roberta with rotary positions"
        raise _refusal(files, "config.json", "model_type", files.config.get("model_type"), needed)
    if not trusted:
        raise ConfigError(
            f"model.name {files.name}: config.json says that position_embedding_type is 'rotary', which only the "
            "model's own code reads. Read it, then set model.trust_remote_code: true"
        )
    return True


def _expansion(files: ModelFiles, recipe: LateInteractionRecipe, attended: bool | None) -> str | None:
    """None: as the recipe says. Queries whose mask tokens are not attended to are computed for BERT alone."""
    if recipe.name == JINA and attended is False:
        raise _refusal(files, METADATA, "attend_to_mask_tokens", False, "true for this encoder")
    return None if attended is None else "attended" if attended else "unattended"


def _pylate(files: ModelFiles, told: Mapping[str, Any]) -> LateInteractionRecipe:
    recipe = _read_with(files, PYLATE)
    if any((told.get("prompts") or {}).values()):
        raise _refusal(files, SETTINGS, "prompts", told["prompts"], "none beside query_prefix and document_prefix")
    _require_maxsim(files, told)
    head, dimension = _head(files)
    expansion = "attended" if told.get("attend_to_expansion_tokens") else None
    return _changed(
        recipe,
        {
            "query_marker": told.get("query_prefix"),
            "document_marker": told.get("document_prefix"),
            "query_length": told.get("query_length"),
            "max_length": told.get("document_length"),
            "expansion": "none" if told.get("do_query_expansion") is False else expansion,
            "skipped": told.get("skiplist_words"),
            "head": head,
            "dimension": dimension,
        },
    )


def _multi_vector(files: ModelFiles, told: Mapping[str, Any]) -> LateInteractionRecipe:
    """What sentence-transformers saves of a MultiVectorEncoder: lengths and expansion are the Transformer's."""
    recipe = _read_with(files, MULTI_VECTOR)
    _require_maxsim(files, told)
    encoder, prompts = files.json(TRANSFORMER), told.get("prompts") or {}
    expansion = encoder.get("query_expansion") or {}
    if expansion and (expansion.get("strategy"), expansion.get("token")) != ("fixed", None):
        raise _refusal(files, TRANSFORMER, "query_expansion", expansion, "mask tokens up to a fixed length")
    head, dimension = _head(files, behind=("MultiVectorMask", "Normalize"))
    mask = _json_of(files, "MultiVectorMask")
    if mask.get("skiplist_tasks", ["document"]) != ["document"] or mask.get("keep_only_token_ids"):
        raise _refusal(files, MODULES, "its MultiVectorMask", mask, "words that are skipped in documents alone")
    attended = "attended" if expansion.get("attend") else "unattended"
    longest = encoder.get("max_seq_length") or _tokenizer_length(files)
    return _changed(
        recipe,
        {
            "query_marker": _marker(files, prompts.get("query")),
            "document_marker": _marker(files, prompts.get("document")),
            "query_length": expansion.get("length") or encoder.get("query_length") or longest,
            "max_length": encoder.get("document_length") or longest,
            "expansion": attended if expansion else "none",
            "skipped": mask.get("skiplist_words") or (),
            "head": head,
            "dimension": dimension,
        },
    )


def _marker(files: ModelFiles, prompt: str | None) -> str:
    """The one token that a prompt is; behind it, WordPiece sees no blank."""
    tokenizer = files.json(TOKENIZER)
    added = {one["content"] for one in tokenizer["added_tokens"]}
    blank = tokenizer["model"]["type"] == "WordPiece"
    for text in (prompt or "", (prompt or "").rstrip(" ") if blank else ""):
        if text in added:
            return text
    raise _refusal(files, SETTINGS, "a prompt", prompt, "one token of its tokenizer as each prompt")


def _tokenizer_length(files: ModelFiles) -> int | None:
    told = (files.json("tokenizer_config.json", optional=True) or {}).get("model_max_length")
    return int(told) if told and told < UNLIMITED else None


def _json_of(files: ModelFiles, kind: str) -> Any:
    """The config.json of the module of a kind."""
    folder = next(str(one["path"]) for one in files.json(MODULES) if str(one["type"]).endswith(f".{kind}"))
    return files.json(f"{folder}/config.json")


def _read_with(files: ModelFiles, name: str) -> LateInteractionRecipe:
    recipe = _bundled(name)
    if files.architecture not in recipe.architectures:
        raise _refusal(files, "config.json", "architectures", files.architecture, " or ".join(recipe.architectures))
    return recipe


def _require_maxsim(files: ModelFiles, told: Mapping[str, Any]) -> None:
    if str(told.get("similarity_fn_name")).lower() == "meanmaxsim":
        raise _refusal(files, SETTINGS, "similarity_fn_name", told["similarity_fn_name"], "MaxSim")
    if (files.json(TRANSFORMER, optional=True) or {}).get("do_lower_case"):
        raise _refusal(files, TRANSFORMER, "do_lower_case", True, "false")


def _head(files: ModelFiles, behind: tuple[str, ...] = ()) -> tuple[tuple[str, ...], int]:
    """The folders of the Dense modules between the encoder and those `behind` them, and how many numbers the last one
    gives.
    """
    modules = files.json(MODULES)
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    middle = kinds[1 : len(kinds) - len(behind)]
    if kinds[:1] != ["Transformer"] or set(middle) != {"Dense"} or tuple(kinds[1 + len(middle) :]) != behind:
        needed = ", ".join(("Transformer, and Dense behind it", *behind))
        raise _refusal(files, MODULES, "its modules", ", ".join(kinds), needed)
    if modules[0]["path"]:
        raise _refusal(files, MODULES, "the Transformer's path", modules[0]["path"], "the folder itself")
    folders = tuple(str(module["path"]) for module in modules[1 : 1 + len(middle)])
    for folder in folders:
        file = f"{folder}/config.json"
        told = files.json(file)
        if unknown := sorted(set(told) - KNOWN_DENSE):
            raise _refusal(files, file, unknown[0], told[unknown[0]], "a Dense module without it")
        if not str(told.get("activation_function", "Identity")).endswith("Identity"):
            raise _refusal(files, file, "activation_function", told["activation_function"], "Identity")
        if told.get("module_input_name", "token_embeddings") != "token_embeddings":
            raise _refusal(files, file, "module_input_name", told["module_input_name"], "token_embeddings")
        if told.get("use_residual"):
            raise _refusal(files, file, "use_residual", True, "false")
    return folders, int(told["out_features"])


def _bundled(name: str) -> LateInteractionRecipe:
    recipe = bundled_recipe(name)
    assert isinstance(recipe, LateInteractionRecipe)
    return recipe


def _changed(recipe: LateInteractionRecipe, told: Mapping[str, Any]) -> LateInteractionRecipe:
    """With what the files say; None: they say nothing."""
    said = {name: value for name, value in told.items() if value is not None}
    return LateInteractionRecipe.model_validate(recipe.model_dump() | said)


def _refusal(files: ModelFiles, file: str, what: str, value: object, needed: str) -> ConfigError:
    return ConfigError(
        f"model.name {files.name}: {file} says that {what} is {value!r}; a late-interaction model is scored here with "
        f"{needed}. Name another model"
    )
