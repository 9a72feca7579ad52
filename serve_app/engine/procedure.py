"""What an engine does for one kind of model: texts -> prompts, what is asked of it for each, its outputs -> scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from serve_app.engine.kinds import cross_encoder, decoder, embedding, late_interaction, listwise, modular
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task
from serve_app.engine.passages import PassageProcedure
from serve_app.engine.prompts import Prompt, PromptEncoder
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.recipes.listwise import ListwiseRecipe
from serve_app.recipes.modular import ModularRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import ConfigError
from stages.core.records import PairScore

# The file that nearly every model has; without it, only loading tells whether its tokenizer can be used.
TOKENIZER = "tokenizer.json"


class Procedure(Protocol):
    """One kind's part of an engine, whatever computes. Several threads may call `encoder`.

    `task` is what is computed of each prompt: `classify` a raw logit, `embed` a pooled vector, `token_embed` a vector a
    token. Of `embed` and `token_embed` equal prompts are computed once.
    """

    encoder: PromptEncoder
    task: Task

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        """One score for each document; `outputs` are parallel to `prompts`, which `encoder` made."""
        ...


# A recipe's kind -> its procedure, and what vLLM has to be told.
_PROCEDURES: dict[str, Callable[..., Procedure]] = {
    "decoder": decoder.DecoderProcedure,
    "cross-encoder": cross_encoder.CrossEncoderProcedure,
    "modular-cross-encoder": modular.ModularProcedure,
    "embedding": embedding.EmbeddingProcedure,
    "late-interaction": late_interaction.LateInteractionProcedure,
    "listwise": listwise.ListwiseProcedure,
}
_ARGUMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "decoder": decoder.arguments,
    "cross-encoder": cross_encoder.arguments,
    "modular-cross-encoder": modular.arguments,
    "embedding": embedding.arguments,
    "late-interaction": late_interaction.arguments,
    "listwise": listwise.arguments,
}

VECTOR_MAKERS = (embedding.EmbeddingProcedure, late_interaction.LateInteractionProcedure)


def load_procedure(model: ModelInfo, settings: ModelSettings) -> Procedure:
    """With the tokenizer of the model's folder. Raises ConfigError for `overlap`, which has none."""
    if model.recipe is None:
        raise ConfigError("model.name overlap is no model: it is scored without an engine. Name a model")
    tokenizer = load_tokenizer(model)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    procedure = _PROCEDURES[model.recipe.kind](model.recipe, model, settings, tokenizer)
    return PassageProcedure(procedure, settings.max_passages) if settings.long_documents == "passages" else procedure


def vector_maker(
    procedure: Procedure,
) -> embedding.EmbeddingProcedure | late_interaction.LateInteractionProcedure | None:
    """What makes vectors of texts, each on its own; None for models that read a query with its document."""
    within = procedure.procedure if isinstance(procedure, PassageProcedure) else procedure
    return within if isinstance(within, VECTOR_MAKERS) else None


def require_procedure(model: ModelInfo, settings: ModelSettings) -> None:
    """Raises ConfigError where a recipe of the user's own cannot be followed with the model's tokenizer, or a folder
    has none of any use: what is not one token is found here in seconds, by an engine in a minute.
    """
    if isinstance(settings.recipe, dict):
        load_procedure(model, settings)
    elif model.recipe is not None and Path(model.path).is_dir() and not (Path(model.path) / TOKENIZER).is_file():
        load_tokenizer(model)


def load_encoder(model: ModelInfo, settings: ModelSettings) -> PromptEncoder:
    """As `load_procedure`, for who needs prompts alone."""
    return load_procedure(model, settings).encoder


def task_of(model: ModelInfo) -> Task:
    """What its procedure asks of an engine, without the files that loading it takes."""
    if isinstance(model.recipe, EmbeddingRecipe | ModularRecipe):
        return "token_embed" if model.recipe.computed is None else "embed"
    return "token_embed" if isinstance(model.recipe, LateInteractionRecipe | ListwiseRecipe) else "classify"


def kind_arguments(model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    """Those of vLLM's arguments that the model's recipe decides."""
    assert model.recipe is not None, "overlap has no engine"
    return _ARGUMENTS[model.recipe.kind](model.recipe, model, engine)
