"""BM25 as a first stage of a collection: the judged queries, asked of the corpus' index.

Lists are kept beside the index, by the queries and the depth: a source opens its runs several times, and the next job
asks the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

from stages.core.errors import DataError
from stages.core.first_stage import WORDS_THAT_TELL, MadeFirstStage
from stages.core.prepare import Report
from stages.sources.bm25.asked import asked_queries, corpus_texts
from stages.sources.bm25.index import Index
from stages.sources.bm25.kept import Kept, default_root, kept_index, require_writable
from stages.sources.bm25.kept_lists import is_whole, read_lists, read_made, write_lists
from stages.sources.bm25.settings import Bm25Settings
from stages.sources.bm25.terms import STOPWORDS
from stages.sources.formats.lists import ListIndex, open_lists
from stages.sources.parts import Parts
from stages.sources.run_index import QueryIds
from stages.sources.settings import ANSWERS, BM25, FIRST_STAGE, DataSettings


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
        return replace(read_made(self._lists), kept=str(self._kept.folder), how=self._kept.how)

    @contextmanager
    def open(self, admitted: QueryIds, set_aside: Report) -> Iterator[ListIndex]:
        """Raises DataError where there is nothing to search or to ask, and where the index cannot be kept."""
        with open_lists(str(self), read_lists(self._lists), admitted, set_aside) as index:
            yield index

    @cached_property
    def _kept(self) -> Kept:
        return kept_index(self._root, self._settings, partial(corpus_texts, self._parts), str(self._parts.documents))

    @cached_property
    def _queries(self) -> dict[str, str]:
        return asked_queries(self._parts, self._answers)

    @cached_property
    def _lists(self) -> Path:
        """The file of all lists, made where it is not kept."""
        asked = json.dumps([self._kept.folder.name, self._top, *self._queries.items()]).encode()
        file = self._root / "lists" / f"{blake2b(asked, digest_size=16).hexdigest()}.parquet"
        if not is_whole(file):
            try:
                file.parent.mkdir(exist_ok=True)
                partial_file = file.with_name(f".{file.name}-{token_hex(4)}")
                index = Index(self._kept.folder, self._settings)
                write_lists(partial_file, index, self._queries, self._top, self._told)
                os.replace(partial_file, file)
            except OSError as error:
                raise DataError(
                    f"data.bm25.folder {self._root}: lists cannot be kept there ({error}); name a folder with room"
                ) from error
        return file

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
