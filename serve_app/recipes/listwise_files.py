"""The files of a listwise model -> its recipe. Known is jina-reranker-v3, as vLLM's own model reads it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.listwise import ListwiseRecipe
from stages.core.errors import ConfigError

JINA_V3 = "jina-reranker-v3"
TOKENIZER, WEIGHTS, PROJECTOR = "tokenizer.json", "model.safetensors", "projector.2.weight"
# vLLM's JinaForRanking has these for constants, whatever the files say.
NUMBERS = {"<|embed_token|>": 151_670, "<|rerank_token|>": 151_671}
WIDTH = 512


def read_listwise(files: ModelFiles) -> ListwiseRecipe | None:
    """None for a model of another kind. Raises ConfigError for one that vLLM would read wrong."""
    if files.architecture != "JinaForRanking":
        return None
    recipe = bundled_recipe(JINA_V3)
    assert isinstance(recipe, ListwiseRecipe)
    tokenizer = files.json(TOKENIZER, optional=True)
    if tokenizer is not None:
        numbers = {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
        for token, number in NUMBERS.items():
            if numbers.get(token) != number:
                raise _refusal(files, TOKENIZER, f"the number of {token}", numbers.get(token), number)
    width = _projector_width(Path(files.path) / WEIGHTS)
    if width not in (None, WIDTH):
        raise _refusal(files, WEIGHTS, f"the width of {PROJECTOR}", width, WIDTH)
    return recipe


def _projector_width(file: Path) -> int | None:
    """Of the file's header; None where that is elsewhere, as for a hub id."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            shapes = json.loads(opened.read(length))
        return int(shapes[PROJECTOR]["shape"][0])
    except (OSError, ValueError, KeyError, struct.error):
        return None


def _refusal(files: ModelFiles, file: str, what: str, value: object, needed: int) -> ConfigError:
    return ConfigError(
        f"model.name {files.name}: in {file} {what} is {value}, and the engine reads {needed}. Name another model"
    )
