"""What a finished run, and judgements, tell of the models behind them: what `kinship` is told of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core.records import Judgements


def judge_known(judgements: Judgements) -> dict[str, Any]:
    """What qrels tell of their judge: its name, without the digest of how it was asked."""
    name = judgements.judge or ""
    return {"name": name.rpartition("@")[0] or name}


def reranker_known(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What a metrics.json tells of the model, or models, that ranked; and its config, where its folder is here."""
    model = dict(metrics["model"])
    return {**model, "model": (metrics.get("identity") or {}).get("model"), "model_type": model_type(model["name"])}


def model_type(path: str) -> str | None:
    """That of the config.json in a model's folder; None where there is no such folder, or it does not tell."""
    try:
        found = json.loads(Path(path, "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
