"""How many tokens prompts have, counted by the model's own tokenizer in a process of its own.

Transformers imports torch wherever it is installed, for seconds, and a process that has imported it keeps it; to make
prompts nothing of it is needed. Downloads nothing: a tokenizer that is not here is an error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from stages.core.errors import ConfigError, RerankEvalError, ScoringError

LIMIT_S = 120.0
NEEDS_TORCH = "needs torch"


class Ask(NamedTuple):
    """A query and some of its documents."""

    query: str
    instruction: str | None
    documents: Sequence[str]


class Counted(NamedTuple):
    """Tokens of the prompts of an Ask: of those that belong to no document, such as the query's; and of the first
    document, or of the whole list, with its passages added up. `shared` is how many at its beginning the prompt of the
    second document has too. `cut`: its end is not read.
    """

    beside: int
    tokens: int
    shared: int
    cut: bool
    passages: int


def count_tokens(model: dict[str, Any], settings: dict[str, Any], asks: Sequence[Ask]) -> list[Counted | None]:
    """For each ask; None where its prompt cannot be made, as where the query is too long.

    `model` is as `plain_model` gives it, `settings` those of the model as JSON. Raises ConfigError where there is no
    tokenizer.
    """
    told = _called(model, settings, asks, with_torch=False)
    if told.get("error") == NEEDS_TORCH:
        told = _called(model, settings, asks, with_torch=True)
    if "error" in told:
        raise ConfigError(told["error"])
    return [None if one is None else Counted(*one) for one in told["counted"]]


def _called(
    model: dict[str, Any], settings: dict[str, Any], asks: Sequence[Ask], *, with_torch: bool
) -> dict[str, Any]:
    order = {"model": model, "settings": settings, "asks": asks, "with_torch": with_torch}
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", f"import {__name__} as it; it.main()"]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            command,
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"the tokenizer took more than {LIMIT_S:g} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["the tokenizer's process ended"])[-1]}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    """In the process: reads an order from stdin, and writes what was counted, or an error, to stdout."""
    order = json.loads(sys.stdin.read())
    if not order["with_torch"]:
        sys.modules["torch"] = None  # type: ignore[assignment]  # as if it were not installed
    told: dict[str, Any]
    try:
        told = {"counted": _count(order["model"], order["settings"], order["asks"])}
    except ModuleNotFoundError as error:
        if error.name != "torch" or order["with_torch"]:
            raise
        told = {"error": NEEDS_TORCH}
    except RerankEvalError as error:
        told = {"error": str(error)}
    print(json.dumps(told))


def _count(
    model: dict[str, Any], settings: dict[str, Any], asks: Sequence[Any]
) -> list[tuple[int, int, int, bool, int] | None]:
    from serve_app.engine.models import read_model
    from serve_app.engine.procedure import load_encoder
    from serve_app.settings import ModelSettings

    described = read_model(model)
    encoder = load_encoder(described, ModelSettings.model_validate(settings))
    listwise = described.recipe is not None and described.recipe.kind == "listwise"
    counted: list[tuple[int, int, int, bool, int] | None] = []
    for query, instruction, documents in asks:
        try:
            prompts = encoder.encode(query, instruction, documents)
        except ScoringError:
            counted.append(None)
            continue
        counted.append(_counted(prompts, 0 if listwise else len(documents)))
    return counted


def _counted(prompts: Sequence[Any], documents: int) -> tuple[int, int, int, bool, int]:
    """`documents` 0: the prompts are those of a list."""
    if not documents:
        return 0, sum(len(one.token_ids) for one in prompts), 0, any(one.truncated for one in prompts), len(prompts)
    firsts = [place for place, prompt in enumerate(prompts) if not prompt.passage]
    beside = len(firsts) - documents
    starts = firsts[beside:]
    own = prompts[starts[0] : starts[1] if documents > 1 else None]
    shared = _shared(own[0].token_ids, prompts[starts[1]].token_ids) if documents > 1 else 0
    return (
        sum(len(one.token_ids) for one in prompts[: starts[0]]),
        sum(len(one.token_ids) for one in own),
        shared,
        own[0].truncated,
        len(own),
    )


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with, of which at least one is left to compute."""
    same = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        same += 1
    return min(same, len(one) - 1)
