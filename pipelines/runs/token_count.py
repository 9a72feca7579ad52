"""How many tokens texts have, by the tokenizer of the model that a run was scored with, or of another one."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.runs.config import section
from pipelines.runs.contexts import Budget
from pipelines.runs.read import RunContent
from stages.core.cascade import CASCADE
from stages.core.errors import ConfigError


def token_budget(run: RunContent, tokens: int, tokenizer: str | None) -> Budget:
    """Counts the tokens of each text by itself, whole and without special tokens.

    `tokenizer` is a folder or a Hugging Face id, None: the run's own model. Raises ConfigError where it cannot be
    loaded.
    """
    from serve_app.engine.models import ModelInfo, locate
    from serve_app.engine.tokenizer import load_tokenizer
    from serve_app.settings import OVERLAP

    model, settings = run.metrics["model"], section(run.config, "model")
    name = tokenizer or model["name"]
    if name == OVERLAP:
        raise ConfigError("--tokens: overlap, which scored this run, has no tokenizer; name a model's with --tokenizer")
    if tokenizer is None and model["family"] == CASCADE:
        raise ConfigError(f"--tokens: {name} are several models; name the one whose tokenizer counts with --tokenizer")
    own = tokenizer is None
    try:
        found = ModelInfo(
            name=name,
            path=locate(name),
            revision=model["revision"] if own else None,
            recipe=None,
            max_length=0,
            digest=None,
            trust_remote_code=own and bool(settings.get("trust_remote_code")),
            code_revision=settings.get("code_revision") if own else None,
        )
        loaded = load_tokenizer(found)
    except ConfigError as error:
        raise ConfigError(f"--tokens: {error}") from error

    def count(texts: Sequence[str]) -> list[int]:
        # A tokenizer's own files may tell it to cut at the model's limit, and to pad.
        read = loaded(list(texts), add_special_tokens=False, truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in read["input_ids"]]

    return Budget(tokens, count)
