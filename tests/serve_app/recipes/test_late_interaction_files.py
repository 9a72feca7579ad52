"""Late-interaction models are told by their files, which say how they are scored; what is not known is refused."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import describe
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.late_interaction import PYLATE_SETTINGS, STANFORD_METADATA


def stanford(folder: Path, config: dict[str, Any] | None = None, **metadata: Any) -> Path:
    """A folder of Stanford's layout without weights."""
    described = {"architectures": ["HF_ColBERT"], "model_type": "bert", "max_position_embeddings": 512}
    write(folder / "config.json", described | (config or {}))
    write(folder / "artifact.metadata", STANFORD_METADATA | metadata)
    return folder


def pylate(folder: Path, architecture: str = "ModernBertModel", **settings: Any) -> Path:
    """A folder of PyLate's layout without weights."""
    write(folder / "config.json", {"architectures": [architecture], "max_position_embeddings": 8192})
    write(folder / "config_sentence_transformers.json", PYLATE_SETTINGS | settings)
    modules(folder, "Transformer", "Dense")
    dense(folder)
    return folder


def modules(folder: Path, *kinds: str) -> None:
    paths = ["", *(f"{place}_{kind}" for place, kind in enumerate(kinds[1:], 1))]
    write(
        folder / "modules.json",
        [{"path": path, "type": f"pylate.models.{kind}"} for path, kind in zip(paths, kinds, strict=True)],
    )


def dense(folder: Path, **changed: Any) -> None:
    told = {"in_features": 768, "out_features": 128, "bias": False}
    told["activation_function"] = "torch.nn.modules.linear.Identity"
    write(folder / "1_Dense" / "config.json", told | changed)


def write(file: Path, content: object) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def recipe_of(folder: Path, **settings: Any) -> LateInteractionRecipe:
    recipe = describe(ModelSettings(name=str(folder), **settings)).recipe
    assert isinstance(recipe, LateInteractionRecipe)
    return recipe


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        describe(ModelSettings(name=str(folder), **settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_stanfords_layout_is_scored_as_its_metadata_says(tmp_path: Path) -> None:
    told = {"query_maxlen": 24, "attend_to_mask_tokens": True, "mask_punctuation": False, "dim": 96}
    recipe = recipe_of(stanford(tmp_path, **told))
    assert (recipe.name, recipe.query_marker, recipe.document_marker) == ("stanford-colbert", "[unused0]", "[unused1]")
    assert (recipe.query_length, recipe.max_length, recipe.dimension) == (24, 80, 96)
    assert (recipe.expansion, recipe.skipped) == ("attended", ())
    assert describe(ModelSettings(name=str(tmp_path))).max_length == 80
    assert describe(ModelSettings(name=str(tmp_path), max_length=300)).max_length == 300


def test_without_its_metadata_stanfords_layout_is_scored_by_the_published_defaults(tmp_path: Path) -> None:
    (stanford(tmp_path) / "artifact.metadata").unlink()
    recipe = recipe_of(tmp_path)
    assert (recipe.query_length, recipe.max_length, recipe.expansion) == (32, 180, "unattended")
    assert recipe.skipped == tuple(string.punctuation)


JINAS = {"model_type": "xlm-roberta", "position_embedding_type": "rotary"}


def test_jinas_encoder_is_read_by_its_own_code_where_that_is_trusted(tmp_path: Path) -> None:
    stanford(tmp_path, JINAS, query_token_id="[QueryMarker]", attend_to_mask_tokens=True)
    assert "only the model's own code reads. Read it, then set model.trust_remote_code: true" in refusal(tmp_path)
    recipe = recipe_of(tmp_path, trust_remote_code=True)
    assert (recipe.name, recipe.query_marker, recipe.expansion) == ("jina-colbert-v2", "[QueryMarker]", "attended")
    assert recipe.engine_class == "ColBERTJinaRobertaModel"


def test_queries_of_jinas_encoder_whose_masks_are_not_attended_to_are_refused(tmp_path: Path) -> None:
    stanford(tmp_path, JINAS, attend_to_mask_tokens=False)
    words = "artifact.metadata says that attend_to_mask_tokens is False"
    assert words in refusal(tmp_path, trust_remote_code=True)


def test_pylates_layout_is_scored_as_its_settings_say(tmp_path: Path) -> None:
    recipe = recipe_of(pylate(tmp_path, query_length=48, document_length=300, skiplist_words=["a", "."]))
    assert (recipe.name, recipe.query_marker, recipe.document_marker) == ("pylate-colbert", "[Q] ", "[D] ")
    assert (recipe.query_length, recipe.max_length, recipe.expansion) == (48, 300, "unattended")
    assert (recipe.skipped, recipe.head, recipe.dimension) == (("a", "."), ("1_Dense",), 128)


@pytest.mark.parametrize(
    ("told", "expansion"),
    [
        ({"do_query_expansion": False}, "none"),
        ({"do_query_expansion": False, "attend_to_expansion_tokens": True}, "none"),
        ({"do_query_expansion": True, "attend_to_expansion_tokens": True}, "attended"),
        ({"attend_to_expansion_tokens": False}, "unattended"),
    ],
)
def test_how_queries_are_filled_up_is_what_the_settings_say(
    tmp_path: Path, told: dict[str, Any], expansion: str
) -> None:
    assert recipe_of(pylate(tmp_path, **told)).expansion == expansion


def test_what_decides_a_score_is_in_its_identity(tmp_path: Path) -> None:
    """The digest of the recipe, beside that of the folder's files."""
    from serve_app.recipes.kinds import recipe_digest

    one, other = recipe_of(pylate(tmp_path)), recipe_of(pylate(tmp_path, query_length=48))
    assert recipe_digest(one) != recipe_digest(other)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"config": {"model_type": "xlm-roberta"}}, "config.json says that model_type is 'xlm-roberta'"),
        ({"config": {"model_type": "new", "position_embedding_type": "rotary"}}, "says that model_type is 'new'"),
        ({"similarity": "l2"}, "artifact.metadata says that similarity is 'l2'"),
        ({"interaction": "flipr"}, "artifact.metadata says that interaction is 'flipr'"),
    ],
)
def test_an_unknown_kind_of_stanfords_layout_is_refused(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    assert words in refusal(stanford(tmp_path, **changed))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"architecture": "Qwen3Model"}, "config.json says that architectures is 'Qwen3Model'"),
        ({"prompts": {"query": "find: ", "document": ""}}, "says that prompts is"),
        ({"similarity_fn_name": "MeanMaxSim"}, "similarity_fn_name is 'MeanMaxSim'"),
    ],
)
def test_an_unknown_kind_of_pylates_layout_is_refused(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    assert words in refusal(pylate(tmp_path, **changed))


@pytest.mark.parametrize("kinds", [("Transformer",), ("Transformer", "Dense", "Normalize"), ("Transformer", "Pooling")])
def test_other_modules_than_dense_ones_are_refused(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    modules(pylate(tmp_path), *kinds)
    assert f"modules.json says that its modules is {', '.join(kinds)!r}" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"activation_function": "torch.nn.modules.activation.GELU"}, "activation_function is"),
        ({"use_residual": True}, "use_residual is True"),
        ({"layer_norm": True}, "layer_norm True"),
    ],
)
def test_a_dense_module_that_does_more_than_multiply_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    dense(pylate(tmp_path), **changed)
    told = refusal(tmp_path)
    assert "1_Dense/config.json says " in told and words in told


def test_lower_casing_that_the_tokenizer_does_not_do_is_refused(tmp_path: Path) -> None:
    write(pylate(tmp_path) / "sentence_bert_config.json", {"do_lower_case": True})
    assert "sentence_bert_config.json says that do_lower_case is True" in refusal(tmp_path)


def test_late_interaction_takes_no_instruction(tmp_path: Path) -> None:
    assert "takes no instruction. Remove it." in refusal(pylate(tmp_path), instruction="Find it.")
