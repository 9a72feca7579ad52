"""Of which documents a job's store has the vectors, only looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.base.sections import RerankSettings
from stages.core.errors import DataError
from stages.core.identity import ScoringIdentity
from stages.core.vectors import KEPT_FAMILY, TextKeys
from stages.store.file import FILE_ERRORS
from stages.store.vectors import VectorStore, is_there


class KnownVectors:
    """Those that a job of this identity would find, and so not make. `note` is why it cannot be told."""

    def __init__(self, rerank: RerankSettings, identity: ScoringIdentity) -> None:
        self.note = ""
        self._keys = TextKeys(identity)
        self._store: VectorStore | None = None
        folder = rerank.store
        if folder is None or identity.family != KEPT_FAMILY or not rerank.store_vectors_gib:
            return
        if is_there(Path(folder)):
            try:
                self._store = VectorStore(Path(folder), 0, read_only=True, untouched=True)
            except DataError as error:
                self._fail(error)

    def among(self, texts: Sequence[str]) -> frozenset[str]:
        """The texts whose vectors are kept."""
        if self._store is None or self.note:
            return frozenset()
        keys = {self._keys.of(text): text for text in texts}
        try:
            return frozenset(keys[key] for key in self._store.lookup(keys))
        except FILE_ERRORS as error:
            self._fail(error)
            return frozenset()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _fail(self, error: Exception) -> None:
        self.note = f"whose vectors are kept cannot be told ({error}): all documents are counted as new"
