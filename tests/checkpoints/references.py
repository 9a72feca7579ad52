"""What sentence-transformers itself makes of a model's folder, of a query and documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def similarities(
    folder: Path,
    query: str,
    documents: Sequence[str],
    prompts: tuple[str, str] | None = None,
    dimensions: int | None = None,
    similarity: str | None = None,
) -> list[float]:
    """By encode_query, encode_document and similarity; `prompts` and `similarity` where the files' own do not count."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", truncate_dim=dimensions, similarity_fn_name=similarity)
    _as_plain_text(model.tokenizer)
    before, before_document = prompts or (None, None)
    asked = model.encode_query(query, prompt=before, convert_to_tensor=True)
    given = model.encode_document(list(documents), prompt=before_document, convert_to_tensor=True)
    found: list[float] = model.similarity(asked, given)[0].tolist()
    return found


def pair_scores(folder: Path, query: str, documents: Sequence[str], *, raw: bool) -> list[float]:
    """By CrossEncoder.predict; `raw`: before the activation."""
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity() if raw else None)
    _as_plain_text(model.tokenizer)
    found: list[float] = model.predict([(query, document) for document in documents]).tolist()
    return found


def _as_plain_text(tokenizer: Any) -> None:
    """The text of special tokens is split like any other, as this package has it."""
    tokenizer.split_special_tokens = True
    tokenizer.backend_tokenizer.encode_special_tokens = True
