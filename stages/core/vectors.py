"""Vectors of documents on their way between a job's worker, where they are kept, and a replica, which makes them.

A document has a vector for each prompt that a model reads it in: one, or one a passage. The replica finds a vector by
its prompt's key (16 bytes); the worker, which knows texts alone, finds those of a document by its text's.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from stages.core.identity import ScoringIdentity
from stages.core.records import Asked

KEY_BYTES = 16
# The families that compute a document once, whatever queries have it; and the one whose vectors are kept between runs.
VECTOR_FAMILIES = ("embedding", "late-interaction")
KEPT_FAMILY = "embedding"
Floats: TypeAlias = npt.NDArray[np.float32]
# Those of one document, by their prompts' keys.
Vectors: TypeAlias = Mapping[bytes, Floats]


class VectorRows(NamedTuple):
    """Vectors of several documents: `values` has one in each row, `keys` their prompts' keys in a row, `places` the
    document that each belongs to.
    """

    keys: bytes
    values: Floats
    places: npt.NDArray[np.int32]

    def by_key(self) -> dict[bytes, Floats]:
        return dict(zip(self._split(), self.values, strict=True))

    def by_place(self) -> dict[int, dict[bytes, Floats]]:
        found: dict[int, dict[bytes, Floats]] = {}
        for place, key, row in zip(self.places.tolist(), self._split(), self.values, strict=True):
            found.setdefault(place, {})[key] = row
        return found

    def _split(self) -> list[bytes]:
        return [self.keys[start : start + KEY_BYTES] for start in range(0, len(self.keys), KEY_BYTES)]


class VectorKeeper(Protocol):
    """What keeps vectors between runs, asked from threads: a store here, or one in another process. It does not raise.

    `lookup` finds those of documents by their texts' keys; `keep` adds some, where `keeps`.
    """

    keeps: bool

    def lookup(self, texts: Collection[bytes]) -> dict[bytes, dict[bytes, Floats]]: ...

    def keep(self, vectors: Mapping[bytes, Vectors]) -> None: ...


def vector_rows(documents: Mapping[int, Vectors]) -> VectorRows:
    """Those of documents by their places."""
    flat = [(place, key, values) for place, one in documents.items() for key, values in one.items()]
    if not flat:
        return VectorRows(b"", np.empty((0, 0), np.float32), np.empty(0, np.int32))
    places, keys, values = zip(*flat, strict=True)
    return VectorRows(b"".join(keys), np.stack(values), np.array(places, np.int32))


def distinct_texts(batch: Iterable[Asked]) -> Sequence[str]:
    """The documents of a batch, each once; the places of VectorRows count these."""
    return list(dict.fromkeys(text for one in batch for text in one.documents))


class TextKeys:
    """What documents' vectors are found by: all that decides them. An instruction is for queries alone."""

    def __init__(self, identity: ScoringIdentity) -> None:
        told = json.dumps(asdict(replace(identity, instruction=None)), sort_keys=True, ensure_ascii=False)
        self._start = hashlib.blake2b(told.encode(), digest_size=KEY_BYTES)
        self._start.update(struct.pack("<q", len(told)))  # where the text begins

    def of(self, text: str) -> bytes:
        key = self._start.copy()
        key.update(text.encode("utf-8", "surrogatepass"))
        return key.digest()
