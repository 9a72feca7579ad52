"""A model that gives query and document a vector each; their similarity is the score."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from serve_app.base_settings import Settings
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.modules import (
    OWN_CONFIG,
    DenseStep,
    Pooling,
    PoolingMode,
    Step,
    is_cross_encoder,
    module_types,
    modules,
    pooling,
    refused,
    steps,
)
from serve_app.recipes.reading import is_misread, overrides
from serve_app.recipes.recipe import BaseRecipe
from serve_app.recipes.transformer import has_chat_template, transformer
from serve_app.settings import Family, ModelSettings
from stages.core.errors import ConfigError

# Qwen3-Embedding and E5-instruct, as their cards write it; Qwen3-Embedding's own files leave the blank out.
INSTRUCTED = "Instruct: {instruction}\nQuery: {query}"
# A query's prompt of that form, with the blank or without.
INSTRUCTION = re.compile(r"Instruct: (?P<task>[^\n]+)\nQuery:(?P<blank> ?)")
# Names of the prompts in a model's files that sentence-transformers takes for a document, the first that is there.
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
# The name of a recipe that was read from a model's files.
READ = "embedding"
# What config.json calls the width of a token's vector: DistilBERT dim, T5 and XLNet d_model, Nomic and GPT-2 n_embd.
WIDTHS = ("hidden_size", "dim", "d_model", "n_embd")
# Architectures besides `...Model` that pool where modules.json says so.
POOLED = ("ForCausalLM", "RobertaForMaskedLM")


class Likeness(Settings):
    """What a model that a recipe is for has in its files, where these say too little to tell it; null: anything."""

    model_type: str
    vocab_size: int | None = None
    pooling: PoolingMode

    def fits(self, config: Mapping[str, Any], pooling: Pooling | None) -> bool:
        """Whether a model with this config.json, which pools so, is like it."""
        return (
            config.get("model_type") == self.model_type
            and self.vocab_size in (None, config.get("vocab_size"))
            and pooling is not None
            and pooling.modes == (self.pooling,)
        )


class EmbeddingRecipe(BaseRecipe):
    """`query` and `document` are texts that end with a place of that name; `instructed` is the query's where there is
    an instruction, null: the model takes none. `steps` are done with the pooled vector, in order. Where one of `query`,
    `document`, `pooling`, `steps`, `similarity` is null it is as the model's files say. `cut` is what a vector goes
    through before it is cut to `dimensions`. `resembles` decides nothing: it is for remarks.
    """

    family: ClassVar[Family] = "embedding"

    kind: Literal["embedding"] = "embedding"
    query: str | None = None
    document: str | None = None
    instructed: str | None = INSTRUCTED
    instruction: str | None = None
    pooling: Pooling | None = None
    steps: tuple[Step, ...] | None = None
    similarity: Literal["cosine", "dot"] | None = None
    dimensions: int | None = Field(None, gt=0)
    cut: Literal["layer_norm"] | None = None
    lower_case: bool = False
    overrides: dict[str, Any] = Field({})
    misread: bool = False
    resembles: tuple[Likeness, ...] = ()

    @field_validator("query", "instructed")
    @classmethod
    def _ends_with_query(cls, text: str | None) -> str | None:
        if text is not None and not text.endswith("{query}"):
            raise ValueError("must end with {query}")
        return text

    @field_validator("document")
    @classmethod
    def _ends_with_document(cls, text: str | None) -> str | None:
        if text is not None and not text.endswith("{document}"):
            raise ValueError("must end with {document}")
        return text

    def query_prompt(self, instruction: str | None) -> str:
        """What stands before a query."""
        task = instruction or self.instruction
        if task and self.instructed:
            return self.instructed.removesuffix("{query}").replace("{instruction}", task)
        return (self.query or "").removesuffix("{query}")

    @property
    def document_prompt(self) -> str:
        """What stands before a document."""
        return (self.document or "").removesuffix("{document}")

    @property
    def computed(self) -> Literal["cls", "mean", "last"] | None:
        """The one vector of a text that the engine can pool by itself; None: it takes those of all tokens."""
        assert self.pooling is not None, "a recipe that was completed"
        return self.pooling.computed(self._has_prompts)

    @property
    def plain(self) -> bool:
        """Whether the cosine of what the model pools of the texts alone is all there is to it."""
        texts_alone = not self.query_prompt(None) and not self.document_prompt and not self.lower_case
        pooled_alone = self.computed is not None and all(step.kind == "normalize" for step in self.steps or ())
        compared = self.similarity == "cosine" and self.dimensions is None
        return texts_alone and pooled_alone and compared and self.instructed in (None, INSTRUCTED)

    @property
    def _has_prompts(self) -> bool:
        return bool(self.instructed or self.query_prompt(None) or self.document_prompt)


def read(files: ModelFiles) -> EmbeddingRecipe | None:
    """That of a plain encoder, or of a model that pools, yet to be completed. None for any other."""
    types = module_types(files)
    if is_cross_encoder(files) or (types and "Pooling" not in types):
        return None
    if not files.architecture.endswith(("Model", *POOLED) if types else "Model"):
        return None
    return EmbeddingRecipe(name=READ)


def complete(recipe: EmbeddingRecipe, files: ModelFiles, settings: ModelSettings) -> EmbeddingRecipe:
    """With what the model's files and the user say, where the recipe itself says nothing."""
    told: Mapping[str, Any] = files.json(OWN_CONFIG, optional=True) or {}
    own_pooling, own_steps = _layers(files)
    changes = {
        "pooling": recipe.pooling or own_pooling,
        "steps": own_steps if recipe.steps is None else recipe.steps,
        "similarity": recipe.similarity or _similarity(told),
        "dimensions": settings.dimensions or recipe.dimensions or _truncated(told),
        "overrides": recipe.overrides or overrides(files),
        "misread": is_misread(files),
        "lower_case": recipe.lower_case or transformer(files).lower_case,
        **_prompts(recipe, told, settings),
    }
    completed = recipe.model_copy(update=changes)
    _require_instructed(completed, settings)
    _require_dimensions(completed, files)
    return completed


def _layers(files: ModelFiles) -> tuple[Pooling, tuple[Step, ...]]:
    """The pooling and what follows it; without modules.json the mean, as sentence-transformers has it."""
    lines = modules(files)
    if not lines:
        if has_chat_template(files):
            raise refused(
                "tokenizer_config.json", "chat_template", "of a chat", "modules.json, which says how it pools"
            )
        return Pooling(modes=("mean",)), ()
    types = [line.type for line in lines]
    if types[:2] != ["Transformer", "Pooling"] or lines[0].folder:
        raise refused("modules.json", "modules", ", ".join(types), "a Transformer in the folder itself, then Pooling")
    return pooling(lines[1]), steps(lines[2:])


def _truncated(told: Mapping[str, Any]) -> int | None:
    found = told.get("truncate_dim")
    if found is None or (isinstance(found, int) and found > 0):
        return found
    raise refused(OWN_CONFIG, "truncate_dim", found, "a number of at least 1")


def _similarity(told: Mapping[str, Any]) -> str:
    found = told.get("similarity_fn_name") or "cosine"
    if found not in ("cosine", "dot"):
        raise refused(OWN_CONFIG, "similarity_fn_name", found, "cosine or dot")
    return str(found)


def _prompts(recipe: EmbeddingRecipe, told: Mapping[str, Any], settings: ModelSettings) -> dict[str, str | None]:
    """The user's, else the recipe's, else those of the files."""
    mine, theirs = settings.query_prompt, settings.document_prompt
    found: dict[str, str | None] = {"query": recipe.query, "document": recipe.document}
    if found == {"query": None, "document": None}:
        found = _own_prompts(told, told_by_user=mine is not None or theirs is not None)
        found |= _own_instruction(found["query"] or "")
    if mine is not None:
        found |= {"query": mine + "{query}", **_own_instruction(mine)}
    if theirs is not None:
        found["document"] = theirs + "{document}"
    return found


def _own_prompts(told: Mapping[str, Any], *, told_by_user: bool) -> dict[str, str | None]:
    """Those that sentence-transformers' encode_query and encode_document are documented to choose: its release 6.2 puts
    an empty `document` of its own before a `passage` of the publisher's.

    Raises ConfigError where the files have some, none of them is for queries or documents, and the user says nothing.
    """
    prompts = {name: text for name, text in (told.get("prompts") or {}).items() if text is not None}
    query = prompts.get("query", "")
    document = next((prompts[name] for name in DOCUMENT_PROMPTS if name in prompts), "")
    default = told.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise refused(OWN_CONFIG, "default_prompt_name", default, f"one of its prompts: {', '.join(prompts) or 'none'}")
    others = [name for name, text in prompts.items() if text]
    if others and not {"query", *DOCUMENT_PROMPTS} & set(prompts) and not told_by_user:
        raise ConfigError(
            f"model.name: {OWN_CONFIG} has prompts {', '.join(others)}, and none of them is named query or document. "
            "Set model.query_prompt and model.document_prompt to the texts that apply, or to nothing."
        )
    return {"query": query + "{query}", "document": document + "{document}"}


def _own_instruction(query: str) -> dict[str, str | None]:
    """The form of the query's prompt where it is an instruction; a model with another prompt takes none."""
    prompt = query.removesuffix("{query}")
    form = INSTRUCTION.fullmatch(prompt)
    if form:
        return {"instructed": f"Instruct: {{instruction}}\nQuery:{form['blank']}{{query}}"}
    return {"instructed": None} if prompt else {}


def _require_instructed(recipe: EmbeddingRecipe, settings: ModelSettings) -> None:
    if settings.instruction is not None and recipe.instructed is None:
        raise ConfigError(
            f"model.name: model.instruction has no place here: queries begin with {recipe.query_prompt(None)!r}. "
            "Set model.query_prompt instead."
        )


def _require_dimensions(recipe: EmbeddingRecipe, files: ModelFiles) -> None:
    """That there are as many as are asked for, where the files say how many there are."""
    widths = [step.outputs for step in recipe.steps or () if isinstance(step, DenseStep)]
    hidden = next((files.config[key] for key in WIDTHS if key in files.config), None)
    pooled = hidden * len(recipe.pooling.modes) if hidden and recipe.pooling else None
    width = widths[-1] if widths else pooled
    if recipe.dimensions is not None and width is not None and recipe.dimensions > width:
        raise ConfigError(f"model.name: model.dimensions {recipe.dimensions} is more than its vectors have: {width}.")
