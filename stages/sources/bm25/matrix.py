"""Counted postings -> the matrix of scores that bm25s searches, as bm25s would have made it, without it in memory.

bm25s holds all tokens, and several copies of the matrix, while it makes one. Here the columns are files, and each batch
of postings is put where it belongs in them. The formulas are bm25s's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.sources.bm25.postings import Postings, PostingsFile
from stages.sources.bm25.settings import Bm25Settings


@dataclass(frozen=True, slots=True)
class Counted:
    """Postings of so many terms; of documents that are in `repeated`, which count as if they were not there, none is
    used.
    """

    postings: PostingsFile
    terms: int
    repeated: npt.NDArray[np.bool_]

    def batches(self) -> Iterator[Postings]:
        for batch in self.postings.batches():
            yield batch[~self.repeated[batch["document"]]] if self.repeated.any() else batch


def matrix(counted: Counted, settings: Bm25Settings, folder: Path) -> dict[str, Any]:
    """`scores` of a bm25s.BM25, its long columns in files of `folder`."""
    from bm25s.scoring import _build_idf_array, _select_idf_scorer, _select_tfc_scorer

    lengths = counted.postings.lengths
    there = lengths[~counted.repeated]
    frequencies = _frequencies(counted.batches(), counted.terms)
    idf = _build_idf_array(
        dict(enumerate(frequencies.tolist())), len(there), _select_idf_scorer(settings.method), "float32"
    )
    score, mean = _select_tfc_scorer(settings.method), there.mean()
    starts = np.zeros(counted.terms + 1, np.int64)
    np.cumsum(frequencies, out=starts[1:])
    data = _column(folder / "data", np.float32, int(starts[-1]))
    documents = _column(folder / "documents", np.int32, int(starts[-1]))
    free = starts[:-1].copy()
    for batch in counted.batches():
        terms = batch["term"]
        places = _places(terms, free)
        frequency = score(
            tf_array=batch["count"].astype(np.float32),
            l_d=lengths[batch["document"]],
            l_avg=mean,
            k1=settings.k1,
            b=settings.b,
            delta=None,
        )
        data[places] = idf[terms] * frequency
        documents[places] = batch["document"]
    return {"data": data, "indices": documents, "indptr": starts, "num_docs": len(lengths)}


def _frequencies(batches: Iterable[Postings], terms: int) -> npt.NDArray[np.int64]:
    """How many documents have each term."""
    found = np.zeros(terms, np.int64)
    for batch in batches:
        found += np.bincount(batch["term"], minlength=terms)
    return found


def _places(terms: npt.NDArray[np.int32], free: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where postings of these terms, which are sorted, go; `free` is the next place of each term, and moves on."""
    begins = np.flatnonzero(np.diff(terms, prepend=-1))
    sizes = np.diff(begins, append=len(terms))
    different = terms[begins]
    places: npt.NDArray[np.int64] = np.arange(len(terms)) + np.repeat(free[different] - begins, sizes)
    free[different] += sizes
    return places


def _column(file: Path, kind: type, length: int) -> npt.NDArray[Any]:
    """Room is taken first: a mapped file that finds none later ends the process."""
    with file.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, length * np.dtype(kind).itemsize)
    return np.memmap(file, kind, "r+", shape=(length,))
