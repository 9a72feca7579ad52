"""Candidates as ranges of rows: small things that Ray hands around, each read where it is scored.

The files lie on the driver's node. A worker there reads them itself; one on another node asks an actor of its own that
Ray puts on the driver's node, as with the score store: others need not see output.dir.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stages.core.records import Candidates
from stages.files.tables import SCHEMA, from_table

# A range is what progress is seen by, and what Ctrl-C waits for: about 250 documents.
RANGE_BYTES = 1 << 18
# More blocks than these would take the driver more memory than their ranges.
MOST_BLOCKS = 2_000
# Files that a reader keeps, of a few MB each: it comes to a file's ranges one after the other.
FILES_KEPT = 2


class Range(NamedTuple):
    """Some rows of a file of candidates: the first, counted from 0, and how many."""

    file: str
    first: int
    rows: int


class Reader(Protocol):
    """What a worker gets the queries of a range from; from threads."""

    def read(self, part: Range) -> list[Candidates]: ...


@dataclass(frozen=True, slots=True)
class CandidatesAccess:
    """All that a worker needs to reach the candidates: the node that their files lie on."""

    node_id: str

    def connect(self) -> Reader:
        """Their reader, from any node of the cluster."""
        here = ray.get_runtime_context().get_node_id() == self.node_id
        return LocalReader() if here else RemoteReader(self.node_id)


class LocalReader:
    def __init__(self) -> None:
        self._file = lru_cache(FILES_KEPT)(_file)

    def read(self, part: Range) -> list[Candidates]:
        return from_table(self.rows(part))

    def rows(self, part: Range) -> pa.Table:
        """The part as it stands in its file."""
        return self._file(part.file).slice(part.first, part.rows)


class RemoteReader:
    """A Reader over an actor on the files' node. The actor ends with the worker that made it."""

    def __init__(self, node_id: str) -> None:
        actor: Any = ray.remote(ReaderActor).options(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        self._actor = actor.remote()

    def read(self, part: Range) -> list[Candidates]:
        return received(ray.get(self._actor.rows.remote(part)))


class ReaderActor:
    """Reads files on their node, for a worker that is elsewhere."""

    def __init__(self) -> None:
        self._reader = LocalReader()

    def rows(self, part: Range) -> bytes:
        """As Arrow's stream, which holds these rows alone: a pickled slice may hold its whole file."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_table(self._reader.rows(part))
        content: bytes = sink.getvalue().to_pybytes()
        return content


def received(content: bytes) -> list[Candidates]:
    """The queries that `ReaderActor.rows` sent."""
    return from_table(pa.ipc.open_stream(content).read_all())


def ranges_of(folder: Path, most_rows: int) -> Iterator[Range]:
    """All rows of a folder of candidates, each in one range of at most `most_rows`, and of RANGE_BYTES where a row is
    smaller than that.
    """
    for file in sorted(folder.resolve().glob("part-*.parquet")):
        told = pq.read_metadata(file)
        size = sum(told.row_group(group).total_byte_size for group in range(told.num_row_groups))
        rows = max(1, min(most_rows, RANGE_BYTES * told.num_rows // max(size, 1)))
        for first in range(0, told.num_rows, rows):
            yield Range(str(file), first, min(rows, told.num_rows - first))


def blocks_of(ranges: Sequence[Range]) -> list[pa.Table]:
    """Ranges as Ray Data's blocks, a row each: as few in a block as MOST_BLOCKS allow."""
    size = -(-len(ranges) // MOST_BLOCKS)
    parts = [ranges[start : start + size] for start in range(0, len(ranges), size)]
    return [pa.table({name: [getattr(one, name) for one in part] for name in Range._fields}) for part in parts]


def range_of(row: pa.Table) -> Range:
    """The range that a table of one row says."""
    (values,) = row.to_pylist()
    return Range(**values)


def _file(path: str) -> pa.Table:
    return pq.read_table(path, columns=SCHEMA.names, partitioning=None)
