"""A vector store whose faults cost time, never results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from stages.core.errors import DataError
from stages.core.vectors import Floats, Vectors
from stages.store.file import FILE_ERRORS, is_damaged
from stages.store.scorer import StoreFaults
from stages.store.vectors import VectorStore, is_there


class ForgivingVectors:
    """A VectorKeeper in a folder, for the vectors of one `model`, whose `identity` stands for what decides them.

    What fails is counted and reported, with the sum after each fault; that the file is full is told without a count, as
    nothing more is sent from then on. After damage nothing more is written; a file that cannot be opened knows nothing
    and keeps nothing. One that may not be written is not made.
    """

    def __init__(
        self,
        folder: Path,
        most_bytes: int,
        identity: str,
        model: str,
        report: Callable[[StoreFaults], None],
        *,
        read_only: bool = False,
    ) -> None:
        self.faults = StoreFaults()
        self.keeps = not read_only
        self._identity, self._model, self._report = identity, model, report
        self._store: VectorStore | None = None
        if read_only and not is_there(folder):
            return
        try:
            self._store = VectorStore(folder, most_bytes, read_only=read_only)
        except DataError as error:
            self.keeps = False
            self._note(error, failed_lookups=1)

    def lookup(self, texts: Collection[bytes]) -> dict[bytes, dict[bytes, Floats]]:
        found: dict[bytes, dict[bytes, Floats]] = {}
        if self._store is None:
            return found
        try:
            found = self._store.lookup(texts)
        except FILE_ERRORS as error:
            self._note(error, failed_lookups=self.faults.failed_lookups + 1)
        if self._store.damaged > self.faults.damaged_batches:
            self._note("a checksum does not match", damaged_batches=self._store.damaged)
        return found

    def keep(self, vectors: Mapping[bytes, Vectors]) -> None:
        if self._store is None or not self.keeps:
            return
        try:
            if self._store.write(vectors, self._identity, self._model):
                return
        except FILE_ERRORS as error:
            self._note(error, unkept_vectors=self.faults.unkept_vectors + len(vectors))
            return
        self.keeps = False  # nor are they sent here from now on
        self.faults = replace(self.faults, vectors_full=1)
        self._report(self.faults)

    def _note(self, reason: Exception | str, **counts: int) -> None:
        if isinstance(reason, Exception) and is_damaged(reason):
            self.keeps = False
        self.faults = replace(self.faults, reason=str(reason), **counts)
        self._report(self.faults)
