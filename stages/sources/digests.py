"""Hashes of texts: ids for documents that have none, and an order that tells nothing of their labels."""

from __future__ import annotations

import hashlib

ID_DIGITS = 16


def digest(text: str) -> str:
    """64 hex digits (SHA-256)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def made_id(text: str) -> str:
    """The id of a document that is known by its text alone: the same wherever the text stands."""
    return digest(text)[:ID_DIGITS]


def shuffled_key(query: object, text: object) -> str:
    """Sorting a query's documents by it gives an order that depends on the two texts alone."""
    return digest(f"{query if isinstance(query, str) else ''}\0{text}")
