"""BM25 as a first stage of a collection: the judged queries, asked of the corpus' index.

Lists are kept beside the index, by the queries and the depth: a source opens its runs several times, and the next job
asks the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.errors import DataError, NothingLeftError
from stages.core.first_stage import WORDS_THAT_TELL, MadeFirstStage
from stages.core.prepare import Report, is_encodable
from stages.core.records import SetAside
from stages.sources.answers import query_answers
from stages.sources.bm25.index import Index
from stages.sources.bm25.kept import Kept, default_root, kept_index, require_writable
from stages.sources.bm25.settings import Bm25Settings
from stages.sources.bm25.terms import STOPWORDS
from stages.sources.formats.lists import ListIndex, Stretch, open_lists
from stages.sources.lines import reading
from stages.sources.parts import Parts
from stages.sources.run_index import QueryIds
from stages.sources.settings import ANSWERS, BM25, FIRST_STAGE, DataSettings
from stages.sources.text_keys import DOCUMENTS
from stages.sources.texts import query_texts, record_id

SCHEMA = pa.schema(
    [("query_id", pa.string()), ("doc_ids", pa.list_(pa.large_string())), ("scores", pa.list_(pa.float32()))]
)
MADE = b"made"  # the key of the file's metadata under which its MadeFirstStage stands
LISTS_AT_ONCE = 256


class Bm25Run:
    """The first stage `data.first_stage: bm25` of these parts, `top` documents a query."""

    def __init__(self, parts: Parts, settings: Bm25Settings, top: int, answers: str | None = None) -> None:
        """`answers`: the key of the queries that they are judged by, where no qrels do."""
        for package in ("bm25s", *(["Stemmer"] if settings.language else [])):
            if find_spec(package) is None:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        self._parts, self._settings, self._top, self._answers = parts, settings, top, answers
        self._root = Path(settings.folder).expanduser() if settings.folder else default_root()
        require_writable(self._root)

    def __str__(self) -> str:
        return f"BM25 over {self._parts.documents}"

    @property
    def made(self) -> MadeFirstStage:
        """What was made; it is, if it was not yet. Raises what `open` raises."""
        file = self._lists
        with reading(file):
            told = json.loads(pq.read_metadata(file).metadata[MADE])
        return replace(MadeFirstStage(**told), kept=str(self._kept.folder), how=self._kept.how)

    @contextmanager
    def open(self, admitted: QueryIds, set_aside: Report) -> Iterator[ListIndex]:
        """Raises DataError where there is nothing to search or to ask, and where the index cannot be kept."""
        with open_lists(str(self), self._stretches(), admitted, set_aside) as index:
            yield index

    def _stretches(self) -> Iterator[Stretch]:
        file = self._lists
        with reading(file):
            for batch in pq.ParquetFile(file, page_checksum_verification=True).iter_batches(LISTS_AT_ONCE):
                for row in batch.to_pylist():
                    yield Stretch(row["query_id"], row["doc_ids"], row["scores"])

    @cached_property
    def _kept(self) -> Kept:
        return kept_index(self._root, self._settings, self._texts, str(self._parts.documents))

    def _texts(self) -> Iterator[tuple[str, str | None]]:
        """The corpus; what is wrong with it is told where its documents are read to be reranked."""
        for record in self._parts.documents.records(None, _reported_elsewhere):
            doc_id = record_id(record, DOCUMENTS, _reported_elsewhere)
            if doc_id is None or not is_encodable(doc_id):
                continue
            try:
                text = DOCUMENTS.document(record.fields)
            except ValueError:  # two texts, of which nobody can say which is meant
                text = None
            yield doc_id, text if isinstance(text, str) and text.strip() and is_encodable(text) else None

    @cached_property
    def _queries(self) -> dict[str, str]:
        """The judged queries that can be asked, as the file of queries has them in order."""
        judged = self._judged()
        found = query_texts(self._parts.queries.records(judged, _reported_elsewhere), judged, _reported_elsewhere)
        asked = {
            query_id: one.value
            for query_id, one in found.items()
            if isinstance(one.value, str) and one.value.strip() and is_encodable(query_id + one.value)
        }
        if not asked:
            raise NothingLeftError(
                f"{self._parts.queries} has no text of a query that has answers, so that BM25 cannot be asked"
                if self._answers
                else f"{self._parts.queries} has no text of a query that {self._parts.qrels} judges, so that BM25 "
                "cannot be asked. Give both of the same collection, with ids in the same form"
            )
        return asked

    def _judged(self) -> Collection[str]:
        if self._answers is None:
            return self._parts.qrels.read(_reported_elsewhere).grades
        records = self._parts.queries.records(None, _reported_elsewhere)
        return query_answers(records, self._answers, str(self._parts.queries), _reported_elsewhere)

    @cached_property
    def _lists(self) -> Path:
        """The file of all lists, made where it is not kept."""
        asked = json.dumps([self._kept.folder.name, self._top, *self._queries.items()]).encode()
        file = self._root / "lists" / f"{blake2b(asked, digest_size=16).hexdigest()}.parquet"
        if not _is_whole(file):
            try:
                file.parent.mkdir(exist_ok=True)
                partial = file.with_name(f".{file.name}-{token_hex(4)}")
                self._search(partial)
                os.replace(partial, file)
            except OSError as error:
                raise DataError(
                    f"data.bm25.folder {self._root}: lists cannot be kept there ({error}); name a folder with room"
                ) from error
        return file

    def _search(self, file: Path) -> None:
        index, nothing = Index(self._kept.folder, self._settings), list[str]()
        with pq.ParquetWriter(file, SCHEMA, write_page_checksum=True) as writer:
            rows: list[dict[str, object]] = []
            for place, (query_id, text) in enumerate(self._queries.items(), 1):
                found = index.search(text, self._top)
                if not found.doc_ids:
                    nothing.append(query_id)
                rows.append({"query_id": query_id, "doc_ids": found.doc_ids, "scores": found.scores})
                if len(rows) == LISTS_AT_ONCE or place == len(self._queries):
                    writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                    rows = []
            writer.add_key_value_metadata({MADE: json.dumps(asdict(self._told(nothing)))})

    def _told(self, nothing: list[str]) -> MadeFirstStage:
        corpus, settings = self._kept.corpus, self._settings
        tells = settings.language in STOPWORDS and corpus.plain_words >= WORDS_THAT_TELL
        return MadeFirstStage(
            version=version("bm25s"),
            method=settings.method,
            k1=settings.k1,
            b=settings.b,
            language=settings.language,
            top=self._top,
            documents=corpus.documents,
            without_words=corpus.without_words,
            repeated=corpus.repeated,
            queries=len(self._queries),
            nothing_found=len(nothing),
            first_of_them=next(iter(nothing), None),
            stop_share=corpus.stopped / corpus.plain_words if tells else None,
            kept=str(self._kept.folder),
            how=self._kept.how,
        )


def _is_whole(file: Path) -> bool:
    """Whether all of it can be read, by its checksums."""
    try:
        for _ in pq.ParquetFile(file, page_checksum_verification=True).iter_batches():
            pass
        return MADE in (pq.read_metadata(file).metadata or {})
    except (OSError, pa.ArrowException):
        return False


def _reported_elsewhere(_: SetAside) -> None:
    """What is wrong with a collection is told where it is read to be reranked."""


def with_bm25(parts: Parts, settings: DataSettings) -> Parts:
    """The parts with the first stage that `settings` ask for: alone, or beside those of `data.runs`.

    Raises ModuleNotFoundError where a package of the extra `job` is missing, DataError where nothing can be kept.
    """
    top = settings.bm25.top or settings.depth
    if settings.first_stage is None or top is None:
        return parts
    answers = settings.columns[ANSWERS] if settings.by_answers else None
    run = Bm25Run(parts, settings.bm25, top + settings.drop_self, answers)
    return replace(parts, runs={**parts.runs, BM25: run} if settings.runs else {FIRST_STAGE: run})
