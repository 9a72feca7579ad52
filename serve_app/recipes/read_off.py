"""The kinds of recipes that a model's own files tell, without a name: what they need, and how that was verified."""

from __future__ import annotations

from typing import NamedTuple

SENTENCE_TRANSFORMERS = "sentence-transformers 6.2, made-up weights"


class ReadOff(NamedTuple):
    needs: str
    verified: str


READ_OFF = {
    "decoder": ReadOff(
        "modules.json with LogitScore, and a chat template",
        "sentence-transformers 6.2 and Transformers, made-up weights",
    ),
    "cross-encoder": ReadOff("...ForSequenceClassification of an encoder, with one label", SENTENCE_TRANSFORMERS),
    "modular-cross-encoder": ReadOff(
        "modules.json: Transformer, Pooling, then Dense and LayerNorm to one score", SENTENCE_TRANSFORMERS
    ),
    "embedding": ReadOff(
        "modules.json with Pooling, or a plain encoder; prompts from config_sentence_transformers.json",
        SENTENCE_TRANSFORMERS,
    ),
}
