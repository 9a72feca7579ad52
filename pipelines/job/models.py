"""`rerank-eval models`: the recipes there are, and how a model would be scored. Starts no engine, writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from pipelines.base.config import ServeConfig, read_sections, taken, validated
from pipelines.base.overrides import set_keys
from serve_app.engine.models import ModelInfo, describe
from serve_app.engine.procedure import require_procedure
from serve_app.recipes.architectures import vllm_loads
from serve_app.recipes.bundled import bundled_recipes
from serve_app.recipes.read_off import READ_OFF
from serve_app.recipes.told import told_procedure, told_recipe
from stages.core.errors import ConfigError


def list_recipes() -> list[dict[str, Any]]:
    """Each recipe that comes along, and each kind that a model's own files tell, which has no name."""
    published = [
        {
            "recipe": recipe.name,
            "kind": recipe.kind,
            "for": list(recipe.hub),
            "needs": _needs(recipe.architectures),
            "verified": recipe.verified,
            "source": recipe.source,
        }
        for recipe in bundled_recipes().values()
    ]
    read = [
        {"recipe": None, "kind": kind, "for": [], **told._asdict(), "source": "the model's own files"}
        for kind, told in READ_OFF.items()
    ]
    return published + read


def _needs(architectures: Sequence[str]) -> str:
    told = ", ".join(architectures) or "any architecture of its kind"
    lacked = architectures and all(vllm_loads(one) is None for one in architectures)
    return f"{told}; engine.backend: transformers" if lacked else told


def print_recipes(*, as_json: bool) -> None:
    recipes = list_recipes()
    if as_json:
        print(json.dumps(recipes, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for one in recipes:
        name = one["recipe"] or "without a name, from the model's own files"
        console.print(f"[bold]{escape(name)}[/bold] ({one['kind']})", soft_wrap=True)
        for key in ("for", "needs", "verified", "source"):
            if one[key] and (one["recipe"] or key != "source"):
                text = ", ".join(one[key]) if isinstance(one[key], list) else str(one[key])
                console.print(f"  {key:<10}{escape(text)}", soft_wrap=True)
    console.print("How a model would be scored: rerank-eval models check FOLDER-or-id", soft_wrap=True)


def check_model(name: str | None, config: Path | None, overrides: Sequence[str]) -> tuple[ModelInfo, dict[str, Any]]:
    """How a job would score this model, or that of the config. Raises ConfigError as the job does."""
    content: dict[str, Any] = read_sections(config) if config else {}
    if name is not None:
        content["model"] = {**content.get("model", {}), "name": name}
    elif config is None:
        raise ConfigError("models check: name a model (a folder or a Hugging Face id), or a run config with --config")
    set_keys(content, overrides)
    told = f"config {config}" if config else "models check"
    settings = taken(validated(ServeConfig, content, told), told, cascade=False)
    model = describe(settings.model, settings.engine.backend)
    require_procedure(model, settings.model)
    return model, {
        "model": model.name,
        "path": model.path,
        "revision": model.revision,
        "family": model.family,
        "recipe": model.recipe and model.recipe.model_dump(mode="json"),
        "max_length": model.max_length,
        "backend": settings.engine.backend if model.recipe else None,
        "remarks": list(model.remarks),
    }


def print_check(name: str | None, config: Path | None, overrides: Sequence[str], *, as_json: bool) -> None:
    """Raises ConfigError as `check_model`; as JSON that is printed as well, under `refused`."""
    try:
        model, told = check_model(name, config, overrides)
    except ConfigError as error:
        if as_json:
            print(json.dumps({"model": name, "refused": str(error)}, ensure_ascii=False))
        raise
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for key, text in _lines(model, told["backend"]):
        console.print(f"{key:<11} {escape(text)}", soft_wrap=True)


def _lines(model: ModelInfo, backend: str) -> Iterator[tuple[str, str]]:
    yield "model", model.name if model.path in (model.name, "overlap") else f"{model.name} ({model.path})"
    if model.revision:
        yield "commit", model.revision
    if model.recipe is None:
        yield "scored as", "no model: the share of common words, for tests"
        return
    yield "scored as", told_recipe(model.recipe)
    if model.recipe.source:
        yield "published", model.recipe.source
    read = READ_OFF.get(model.recipe.kind) if model.recipe.name == model.recipe.kind else None
    if verified := read.verified if read else model.recipe.verified:
        yield "verified", verified
    yield from told_procedure(model.recipe)
    yield "max length", f"{model.max_length:,} tokens"
    yield "computed by", {"vllm": "vLLM", "transformers": "Transformers"}[backend]
    for remark in model.remarks:
        yield "mind", remark
