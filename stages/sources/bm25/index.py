"""An index in its folder: made of a corpus that streams by once, and searched, mapped into memory.

Beside bm25s's own files are the documents' ids, and their ranks, by which documents of one score are ordered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from stages.core.errors import DataError
from stages.sources.bm25.ids import IdsFile, read_ids, sort_ids, write_ids
from stages.sources.bm25.matrix import Counted, matrix
from stages.sources.bm25.postings import PostingsFile
from stages.sources.bm25.settings import Bm25Settings
from stages.sources.bm25.terms import Terms, Vocabulary

IDS, RANKS = "ids.arrow", "ranks.npy"
DIGEST_BYTES = 16

Texts = Iterable[tuple[str, str | None]]
"""Each document's id and its text; None of one without."""


class CorpusDigest:
    """Of ids and texts as they stream by; the same corpus in another file has the same."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=DIGEST_BYTES)

    def add(self, doc_id: str, text: str | None) -> None:
        named, written = doc_id.encode(), b"" if text is None else text.encode()
        self._hash.update(b"%d %d %d " % (len(named), len(written), text is not None) + named + written)

    def hex(self) -> str:
        return self._hash.hexdigest()

    @classmethod
    def of(cls, texts: Texts) -> str:
        found = cls()
        for doc_id, text in texts:
            found.add(doc_id, text)
        return found.hex()


@dataclass(frozen=True, slots=True)
class Corpus:
    """What an index is of. `without_words` of the documents have no term, `repeated` the id of an earlier one.

    `plain_words` are the words of texts in ASCII, `stopped` those of them that are stop words.
    """

    digest: str
    documents: int
    without_words: int
    repeated: int
    plain_words: int
    stopped: int


def make_index(texts: Texts, settings: Bm25Settings, folder: Path, source: str) -> Corpus:
    """Write the index into `folder`, which is there. Raises DataError where no document has a word."""
    import bm25s

    vocabulary, digest = Vocabulary(Terms(settings.language)), CorpusDigest()
    with TemporaryDirectory(dir=folder) as name:
        temporary = Path(name)
        with PostingsFile(temporary / "postings") as postings, IdsFile(temporary / IDS) as ids:
            for doc_id, text in texts:
                digest.add(doc_id, text)
                ids.add(doc_id)
                postings.add([] if text is None else vocabulary.add(text))
        all_ids = read_ids(temporary / IDS)
        write_ids(all_ids, folder / IDS)
        in_order = sort_ids(all_ids)
        if not postings.lengths[~in_order.repeated].any():
            raise DataError(f"{source}: no document has a word, so that BM25 finds nothing. Give the texts of a corpus")
        np.save(folder / RANKS, in_order.ranks)
        index = bm25s.BM25(k1=settings.k1, b=settings.b, method=settings.method)
        index.vocab_dict, index.nonoccurrence_array = vocabulary.numbers, None
        index.scores = matrix(Counted(postings, len(vocabulary.numbers), in_order.repeated), settings, temporary)
        index.save(folder, show_progress=False)
    return Corpus(
        digest=digest.hex(),
        documents=len(in_order.ranks),
        without_words=int((postings.lengths == 0).sum()),
        repeated=int(in_order.repeated.sum()),
        plain_words=vocabulary.plain_words,
        stopped=vocabulary.stopped,
    )


@dataclass(frozen=True, slots=True)
class Found:
    """Documents in order, best first, and their scores."""

    doc_ids: list[str]
    scores: list[float]


class Index:
    """An index that `make_index` wrote."""

    def __init__(self, folder: Path, settings: Bm25Settings) -> None:
        import bm25s

        self._bm25 = bm25s.BM25.load(folder, mmap=True, show_progress=False)
        self._ids, self._ranks = read_ids(folder / IDS), np.load(folder / RANKS, mmap_mode="r")
        self._terms = Terms(settings.language)

    def search(self, text: str, depth: int) -> Found:
        """The documents that have a term of the text, `depth` of them at most; bm25s would fill up with others."""
        numbers = self._bm25.get_tokens_ids(self._terms.of(text))
        if not numbers:
            return Found([], [])
        scores = self._bm25.get_scores_from_ids(numbers)
        documents = best(scores, self._ranks, depth)
        return Found(self._ids.take(documents).to_pylist(), scores[documents].tolist())


def best(scores: npt.NDArray[np.float32], ranks: npt.NDArray[np.int32], depth: int) -> npt.NDArray[np.intp]:
    """The places of the `depth` highest scores above 0, highest first; of equal ones the higher rank."""
    found = np.flatnonzero(scores > 0)
    if len(found) > depth:
        values = scores[found]
        found = found[values >= np.partition(values, len(found) - depth)[len(found) - depth]]
    order: npt.NDArray[np.intp] = found[np.lexsort((-ranks[found], -scores[found]))[:depth]]
    return order
