"""A text's final vector (pooled, through the head, cut), or its tokens'; what finds them, and how alike two are."""

from __future__ import annotations

import struct
from array import array
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from serve_app.engine.prompts import Prompt
from stages.core.vectors import KEY_BYTES, Floats


class Vector(NamedTuple):
    """`values` are one vector, or a row for each token. `known`: the engine did not read the text for this call."""

    values: Floats
    known: bool = False


def vector_key(prompt: Prompt) -> bytes:
    """A hash of all that decides the vector that one model makes of a prompt."""
    told = blake2b(struct.pack("<q", prompt.prompt_tokens), digest_size=KEY_BYTES)
    told.update(array("q", prompt.token_ids).tobytes())
    return told.digest()


def similar(query: Floats, documents: npt.NDArray[Any], similarity: Literal["cosine", "dot"]) -> list[float | None]:
    """Of the query and each row of `documents`; None where one of the two has no direction.

    Row by row, so that no score depends on which others it was asked for with. In single precision, as the engine's
    numbers are: a stored score is then the same as a fresh one, to the last bit.
    """
    first, rows = query.astype(np.float64), documents.astype(np.float64)
    with np.errstate(all="ignore"):  # what is not finite stays so, and is told as that
        values = np.einsum("ij,j->i", rows, first)
        if similarity == "dot":
            return [float(value) for value in values.astype(np.float32)]
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows)) * np.sqrt(first @ first)
        cosines = np.divide(values, norms, out=np.zeros_like(values), where=norms != 0).astype(np.float32)
    return [float(value) if norm else None for value, norm in zip(cosines, norms, strict=True)]
