"""A corpus, counted: which terms each document has, and how often; in a file, in batches sorted by term.

In memory are one batch, four bytes a document, and the vocabulary.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

# One posting: a document, by its place in the corpus, has the term so often.
POSTING = np.dtype([("term", "<i4"), ("document", "<i4"), ("count", "<i4")])
TERMS_PER_BATCH = 2**21

Postings = npt.NDArray[np.void]


class PostingsFile:
    """Documents go in one after the other; once it is closed, `batches` gives what they hold.

    `lengths[document]` counts its terms, repetitions among them.
    """

    def __init__(self, file: Path, terms_per_batch: int = TERMS_PER_BATCH) -> None:
        self._path, self._per_batch = file, terms_per_batch
        self._file = file.open("wb")
        self._terms, self._lengths = array("i"), array("i")
        self._first, self._sizes = 0, list[int]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if error is None:
                self._flush()
        finally:
            self._file.close()

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        return np.frombuffer(self._lengths, np.int32) if self._lengths else np.empty(0, np.int32)

    def add(self, terms: list[int]) -> None:
        """The next document's."""
        self._terms.extend(terms)
        self._lengths.append(len(terms))
        if len(self._terms) >= self._per_batch:
            self._flush()

    def batches(self) -> Iterator[Postings]:
        """Each document in one of them, documents in order; within a batch by term, then by document."""
        with self._path.open("rb") as file:
            for size in self._sizes:
                yield np.fromfile(file, POSTING, size)

    def _flush(self) -> None:
        if not self._terms:
            return
        lengths = np.frombuffer(self._lengths, np.int32)[self._first :]
        documents = np.repeat(np.arange(self._first, self._first + len(lengths)), lengths)
        both = (np.frombuffer(self._terms, np.int32).astype(np.int64) << 32) | documents
        found, counts = np.unique(both, return_counts=True)
        batch = np.empty(len(found), POSTING)
        batch["term"], batch["document"], batch["count"] = found >> 32, found & 0xFFFFFFFF, counts
        batch.tofile(self._file)
        self._sizes.append(len(batch))
        self._first = len(self._lengths)
        del lengths, both, documents
        self._terms = array("i")
