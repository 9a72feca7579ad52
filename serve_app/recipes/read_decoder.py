"""A causal model's files -> its decoder recipe: from its LogitScore and chat template, or from the name it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePath
from typing import Any

from serve_app.recipes.bundled import bundled_recipes
from serve_app.recipes.chat_template import Form, read_form
from serve_app.recipes.decoder import ARCHITECTURES, FIRST_STEP, DecoderRecipe, fill
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.kinds import parse_recipe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError

MODULES = "modules.json"
POOLING_FILE = "1_Pooling/config.json"  # only embedding models have it
SETTINGS = "config_sentence_transformers.json"
CAUSAL = "ForCausalLM"
QWEN3 = "qwen3-reranker"
ACTIVATIONS = {"torch.nn.modules.linear.Identity": "none", "torch.nn.modules.activation.Sigmoid": "sigmoid"}
# Keys of config.json that change a logit behind the head, and the values that leave it alone.
BEHIND_THE_HEAD: dict[str, tuple[Any, ...]] = {
    "final_logit_softcapping": (None,),
    "logits_soft_cap": (None,),
    "logit_scale": (None, 1.0),
    "logits_scaling": (None, 1.0),
    "lm_head_bias": (None, False),
}
# "Qwen3-Reranker-0.6B", "Releasing zeroentropy/zerank-2".
TITLE_WORDS = 2
LOOSE = "the long title of its README.md"
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
BASE_MODEL = re.compile(r"^base_model:\s*((?:\n\s*- .+)+|.+)$", re.MULTILINE)
CACHED = re.compile(r"models--(.+?)--(.+)")


def read_decoder(files: ModelFiles) -> DecoderRecipe | None:
    """None for what is no causal model, or pools. Raises ConfigError for one that nothing tells how to score."""
    if files.architecture in FIRST_STEP:
        return _named(files)
    if not files.architecture.endswith(CAUSAL):
        return None
    modules = files.json(MODULES, optional=True) or []
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    if kinds == ["Transformer", "LogitScore"]:
        return _of_logit_score(files, str(modules[1].get("path", "")))
    if "Pooling" in kinds or (not kinds and files.json(POOLING_FILE, optional=True)):
        return None
    if kinds:
        raise _refused(files, MODULES, "the modules", ", ".join(kinds))
    return _named(files)


def require_readable(recipe: DecoderRecipe, files: ModelFiles) -> None:
    """Raises ConfigError where the model's logits are not what the engine computes."""
    architecture, known = files.architecture, recipe.architectures or ARCHITECTURES
    if architecture not in known or architecture not in (*ARCHITECTURES, *FIRST_STEP):
        raise ConfigError(
            f"model.name {files.name}: config.json: architectures: {architecture} is not one that the recipe "
            f"{recipe.name} can be read with: {', '.join(known)}"
        )
    for key, harmless in BEHIND_THE_HEAD.items():
        if (value := files.config.get(key)) not in harmless:
            raise ConfigError(
                f"model.name {files.name}: config.json: {key} {value}: the engine's classifiers have no such step "
                "behind the head, so that its scores would be others"
            )


def _of_logit_score(files: ModelFiles, folder: str) -> DecoderRecipe:
    """The published recipe of the same prompt, with the model's own tokens; else one of all that the files say."""
    score = files.json(f"{folder}/config.json")
    form = read_form(files)
    tokens = {"positive": score.get("true_token_id"), "negative": score.get("false_token_id")}
    if score.get("module_input_name", "causal_logits") != "causal_logits":
        raise _refused(files, f"{folder}/config.json", "module_input_name", score["module_input_name"])
    where = f"model.name {files.name}: {folder}/config.json"
    for recipe in _published():
        if _same(recipe, form):
            max_length = form.max_length or recipe.max_length
            return _parsed(recipe.model_dump() | {"tokens": tokens, "max_length": max_length}, where)
    told = files.json(SETTINGS, optional=True) or {}
    activation = str(told.get("activation_fn") or "torch.nn.modules.activation.Sigmoid")
    if activation not in ACTIVATIONS:
        raise _refused(files, SETTINGS, "activation_fn", activation)
    content = {
        "name": "decoder",
        "source": f"{MODULES}, {folder}/config.json and the chat template of the model",
        "kind": "decoder",
        "tokens": tokens,
        "score": {"activation": ACTIVATIONS[activation]},
    }
    return _parsed(content | form._asdict(), where)


def _parsed(content: dict[str, Any], where: str) -> DecoderRecipe:
    recipe = parse_recipe(content, where)
    assert isinstance(recipe, DecoderRecipe)
    return recipe


def _same(recipe: DecoderRecipe, form: Form) -> bool:
    """Whether both write the same prompt where nobody gives an instruction."""

    kept = {name: f"{{{name}}}" for name in ("query", "document")}
    ours, theirs = "".join(recipe.prompt), form.prompt
    if form.instruction and form.instructed:
        theirs = form.instructed
    plain = [
        fill(prompt, kept | {"instruction": default or ""})
        for prompt, default in ((ours, recipe.instruction), (theirs, form.instruction))
    ]
    instructed = form.instructed or form.prompt
    takes_it_alike = "{instruction}" not in instructed or instructed == "".join(recipe.instructed or recipe.prompt)
    return plain[0] == plain[1] and takes_it_alike and recipe.strip == form.strip


def _named(files: ModelFiles) -> DecoderRecipe:
    """The recipe of the published model that this one is, or was made from, as its name or its README.md says."""
    names = list(_names(files))
    found = {recipe.name: recipe for recipe in _published() if any(_is_called(recipe, name) for name, _ in names)}
    places = [where for recipe in found.values() for name, where in names if _is_called(recipe, name)]
    if len(found) == 1 and set(places) != {LOOSE}:
        return next(iter(found.values()))
    said = f"its name and README.md say {' and '.join(found)}" if found else "nothing else tells how it is scored"
    said = f"a word in {LOOSE} alone names {next(iter(found))}" if set(places) == {LOOSE} else said
    raise ConfigError(
        f"model.name {files.name}: a {files.architecture} without 1_LogitScore, and {said}. {_choices(files)}"
    )


def _is_called(recipe: DecoderRecipe, name: str) -> bool:
    return any(fnmatch(name.lower(), hub.rsplit("/", 1)[-1].lower()) for hub in recipe.hub)


def named_by(recipe: DecoderRecipe, settings: ModelSettings, files: ModelFiles) -> str | None:
    """What a model was recognised by where that is a name alone; None where user, hub id or files told more."""
    told = settings.recipe is not None or settings.family == QWEN3
    published = any(fnmatch(files.path.lower(), hub.lower()) for hub in recipe.hub)
    if told or published or recipe.name not in bundled_recipes() or files.json(MODULES, optional=True):
        return None
    return next((where for name, where in _names(files) if where != LOOSE and _is_called(recipe, name)), None)


def _choices(files: ModelFiles) -> str:
    """What can be done about a model that nothing tells of."""
    if files.architecture not in (*ARCHITECTURES, *FIRST_STEP):
        return f"A recipe can read {', '.join(ARCHITECTURES)}"
    known = [recipe.name for recipe in _published() if files.architecture in recipe.architectures]
    if QWEN3 in known:  # the one that most are
        known = [QWEN3, *(name for name in known if not name.startswith(QWEN3))]
    told = f"{' or '.join(known)}, if it is one, or " if known else ""
    return f"Set model.recipe: {told}one of your own, of kind decoder with prompt and tokens"


def _names(files: ModelFiles) -> Iterator[tuple[str, str]]:
    """What the model is called, and where: its folder or hub id, the base model and the title of its README.md. A title
    of many words may name another model to compare itself with.
    """
    for part in PurePath(files.path).parts[-3:]:
        cached = CACHED.fullmatch(part)
        if cached:
            yield cached[2], "its folder's name"
    yield PurePath(files.path).name.replace("___", "."), "its folder's name"  # ModelScope's spelling
    readme = files.text("README.md") or ""
    head = readme.split("\n---", 1)[0] if readme.startswith("---") else ""
    for named in BASE_MODEL.findall(head):
        yield from ((word.rsplit("/", 1)[-1], "the base_model of its README.md") for word in named.split())
    title = TITLE.search(readme)
    words = title[1].split() if title else []
    where = "the title of its README.md" if len(words) <= TITLE_WORDS else LOOSE
    yield from ((word.rsplit("/", 1)[-1], where) for word in words)


def _published() -> list[DecoderRecipe]:
    return [recipe for recipe in bundled_recipes().values() if isinstance(recipe, DecoderRecipe)]


def _refused(files: ModelFiles, file: str, key: str, value: Any) -> ConfigError:
    return ConfigError(f"model.name {files.name}: {file}: {key} {value} is not known here. Set model.recipe")
