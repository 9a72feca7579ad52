"""The vectors that a replica used last, within a bound on their memory."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from stages.core.vectors import Floats

# What Python takes for one beside its numbers: measured with 384 of them, 305 bytes.
BESIDE_BYTES = 320


class VectorMemory:
    """Key -> vector, the least recently used forgotten first. For one thread."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._kept: OrderedDict[bytes, Floats] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Floats | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: bytes, values: Floats) -> None:
        """A copy: a view would hold what it is a part of."""
        if key in self._kept:
            return
        own = np.array(values, dtype=np.float32)
        own.flags.writeable = False
        self._kept[key] = own
        self.bytes += own.nbytes + BESIDE_BYTES
        while self.bytes > self.most_bytes:
            _, forgotten = self._kept.popitem(last=False)
            self.bytes -= forgotten.nbytes + BESIDE_BYTES
