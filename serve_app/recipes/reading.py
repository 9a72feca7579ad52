"""What vLLM has to be told so that it reads a model's files as they are meant."""

from __future__ import annotations

from typing import Any

from serve_app.recipes.files import ModelFiles
from serve_app.recipes.transformer import transformer_settings

# A RoBERTa by another name: left to its name, vLLM takes Transformers' class and counts positions from 0.
SAME_AS = {
    "CamembertForSequenceClassification": "RobertaForSequenceClassification",
    "CamembertModel": "RobertaModel",
}


def overrides(files: ModelFiles) -> dict[str, Any]:
    """What takes the place of entries of its config.json."""
    if files.architecture in SAME_AS:
        return {"architectures": [SAME_AS[files.architecture]]}
    # Transformers 5 does not write it, and vLLM looks for it here.
    if files.architecture == "XLMRobertaModel" and "position_embedding_type" not in files.config:
        return {"position_embedding_type": "absolute"}
    return {}


def is_misread(files: ModelFiles) -> bool:
    """Whether sentence-transformers' settings hold a limit of null, which vLLM compares with a number."""
    _, told = transformer_settings(files)
    return "max_seq_length" in told and told["max_seq_length"] is None
