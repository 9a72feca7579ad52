"""A cross-encoder of modules: the pooled vector of a pair goes through dense layers to one score (Ettin)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from serve_app.recipes.activation import score_of
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.modules import (
    DenseStep,
    Pooling,
    Step,
    default_prompt,
    is_cross_encoder,
    module_types,
    modules,
    pooling,
    refused,
    steps,
)
from serve_app.recipes.reading import is_misread, overrides
from serve_app.recipes.recipe import BaseRecipe, Score
from serve_app.recipes.transformer import transformer
from serve_app.settings import Family


class ModularRecipe(BaseRecipe):
    """The tokenizer joins query and document as a pair; `query` is what the query becomes first, and ends with its
    place. `pooling` and `steps`, the last of which gives one number, are as the model's files say where they are null.
    """

    family: ClassVar[Family] = "modular-cross-encoder"

    kind: Literal["modular-cross-encoder"] = "modular-cross-encoder"
    query: str = "{query}"
    pooling: Pooling | None = None
    steps: tuple[Step, ...] | None = None
    lower_case: bool = False
    overrides: dict[str, Any] = Field({})
    misread: bool = False
    score: Score | None = None

    @property
    def computed(self) -> Literal["cls", "mean", "last"] | None:
        """The one vector of a pair that the engine can pool by itself; None: it takes those of all tokens."""
        assert self.pooling is not None, "a recipe that was completed"
        return self.pooling.computed(self.query != "{query}")


def read(files: ModelFiles) -> ModularRecipe | None:
    """That of a cross-encoder that pools, yet to be completed. None for any other model."""
    types = module_types(files)
    if "Pooling" not in types or not (is_cross_encoder(files) or _ends_in_scores(files)):
        return None
    return ModularRecipe(name="modular-cross-encoder")


def complete(recipe: ModularRecipe, files: ModelFiles) -> ModularRecipe:
    """With what the model's files say, where the recipe itself says nothing. Raises ConfigError for what they say and
    nobody here follows.
    """
    lines = modules(files)
    types = [line.type for line in lines]
    if types[:2] != ["Transformer", "Pooling"] or lines[0].folder:
        raise refused("modules.json", "modules", ", ".join(types), "a Transformer in the folder itself, then Pooling")
    found = steps(lines[2:], "scores") if recipe.steps is None else recipe.steps
    last = found[-1] if found else None
    if not isinstance(last, DenseStep) or last.outputs != 1:
        width = last.outputs if isinstance(last, DenseStep) else "none"
        raise refused("modules.json", "scores", width, "a Dense module that gives one number, at the end")
    return recipe.model_copy(
        update={
            "query": default_prompt(files) + "{query}" if recipe.query == "{query}" else recipe.query,
            "pooling": recipe.pooling or pooling(lines[1]),
            "steps": found,
            "overrides": recipe.overrides or overrides(files),
            "misread": is_misread(files),
            "lower_case": recipe.lower_case or transformer(files).lower_case,
            "score": recipe.score or score_of(files),
        }
    )


def _ends_in_scores(files: ModelFiles) -> bool:
    """As releases tell it that do not say for which class they saved a model."""
    folder = (files.json("modules.json", optional=True) or [{}])[-1].get("path")
    config = files.json(f"{folder}/config.json", optional=True) if folder else None
    return bool(config and config.get("module_output_name") == "scores")
