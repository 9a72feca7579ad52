"""The ids of an index's documents, by their place in the corpus, in an Arrow file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

SCHEMA = pa.schema([("doc_id", pa.large_string())])
IDS_PER_BATCH = 2**16


class IdsFile:
    """Ids go in one after the other."""

    def __init__(self, file: Path) -> None:
        self._sink = pa.OSFile(str(file), "wb")
        self._writer = pa.ipc.new_file(self._sink, SCHEMA)
        self._some: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._sink, self._writer:
            self._flush()

    def add(self, doc_id: str) -> None:
        self._some.append(doc_id)
        if len(self._some) == IDS_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        self._writer.write(pa.record_batch([pa.array(self._some, pa.large_string())], schema=SCHEMA))
        self._some = []


def read_ids(file: Path) -> pa.Array:
    """Mapped where they were written at once: what is not looked at is not read."""
    with pa.ipc.open_file(pa.memory_map(str(file))) as opened:
        return opened.read_all().column("doc_id").combine_chunks()


def write_ids(ids: pa.Array, file: Path) -> None:
    """At once."""
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write(pa.record_batch([ids], schema=SCHEMA))


@dataclass(frozen=True, slots=True)
class Sorted:
    """`ranks[document]` is where its id stands among all of them, sorted; `repeated[document]` whether an earlier
    document has the same.
    """

    ranks: npt.NDArray[np.int32]
    repeated: npt.NDArray[np.bool_]


def sort_ids(ids: pa.Array) -> Sorted:
    """By the bytes of UTF-8, as trec_eval compares them."""
    order = pc.array_sort_indices(ids).to_numpy()
    ranks, repeated = np.empty(len(order), np.int32), np.zeros(len(order), np.bool_)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    if len(order) > 1:
        in_order = ids.take(pa.array(order))
        same = pc.equal(in_order[1:], in_order[:-1]).to_numpy(zero_copy_only=False)
        if same.any():
            group = np.concatenate([[0], np.cumsum(~same)])
            first = np.minimum.reduceat(order, np.flatnonzero(np.diff(group, prepend=-1)))
            repeated[order] = order != first[group]
    return Sorted(ranks, repeated)
