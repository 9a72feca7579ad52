"""A set of document ids as sorted hashes: 16 bytes an id, where a Python string in a set takes over a hundred."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

DIGEST_BYTES = 16  # at 128 bits, two of ten million ids share a hash with a probability below 1e-24
IDS_PER_MERGE = 2**14


class IdSet:
    """The distinct ids among `ids`, each at a place: 0, 1, ... by hash. Filling it takes four times its size."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._digests = _distinct(map(_digest, ids))

    def __len__(self) -> int:
        return len(self._digests)

    def places(self, doc_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """`place` of each id, -1 for None: at once, where numpy takes longer to be called than to look."""
        if not len(self) or not doc_ids:
            return np.full(len(doc_ids), -1, np.int64)
        digests = np.frombuffer(b"".join(map(_digest, doc_ids)), self._digests.dtype)
        places = self._digests.searchsorted(digests).astype(np.int64)
        places[places == len(self)] = -1
        places[self._digests[places] != digests] = -1
        return places

    def place(self, doc_id: str) -> int | None:
        """Where the id stands, None where it is not in the set; an id that shares another's hash has its place."""
        digest = _digest(doc_id)
        place = int(self._digests.searchsorted(digest))
        # numpy gives its byte strings back without the zeros at their end
        found = place < len(self) and self._digests[place] == digest.rstrip(b"\0")
        return place if found else None


def _digest(doc_id: str) -> bytes:
    return blake2b(doc_id.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


def _distinct(digests: Iterable[bytes]) -> npt.NDArray[np.bytes_]:
    """Sorted, each once. Merges come when as much is new as is known, so that their time adds up to n log n."""
    dtype = f"S{DIGEST_BYTES}"
    known, new = np.empty(0, dtype), bytearray()
    for digest in digests:
        new += digest
        if len(new) >= DIGEST_BYTES * max(IDS_PER_MERGE, len(known)):
            known, new = np.union1d(known, np.frombuffer(new, dtype)), bytearray()
    return np.union1d(known, np.frombuffer(new, dtype))
