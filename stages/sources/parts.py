"""The parts of a collection, wherever they stand: runs, queries, documents, judgements. `CollectionSource` joins them.

Here are those that are files as TREC and BEIR have them; `formats` has others. `str()` of a part is where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stages.core.prepare import Report
from stages.core.records import Judgements
from stages.sources.formats.nested import open_any_run, read_any_qrels
from stages.sources.formats.topics import read_topics
from stages.sources.lines import Record
from stages.sources.run_columns import RunColumns
from stages.sources.run_index import QueryIds, RunList
from stages.sources.text_keys import DOCUMENTS, QUERIES
from stages.sources.texts import read_records


class OpenRun(Protocol):
    """A first stage, query by query. `unranked`: why the order within a query says nothing; None where it does."""

    @property
    def name(self) -> str:
        """Where it stands."""
        ...

    @property
    def unranked(self) -> str | None: ...

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, query_id: object) -> bool: ...

    def read(self, query_id: str) -> RunList:
        """The query's list, best first. Raises KeyError for a query that is not in the run."""
        ...


class Run(Protocol):
    def open(self, admitted: QueryIds, set_aside: Report) -> AbstractContextManager[OpenRun]: ...


class Texts(Protocol):
    """Queries or documents: records with an id and a text, as `query_texts` and `open_corpus` know them."""

    def records(self, wanted: Iterable[str] | None, set_aside: Report, /) -> Iterator[Record]:
        """All of them; or, where that is cheaper, those `wanted` at least."""
        ...


class Qrels(Protocol):
    def read(self, set_aside: Report) -> Judgements: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """`runs` by name; `name` is the collection's."""

    name: str
    runs: Mapping[str, Run]
    queries: Texts
    documents: Texts
    qrels: Qrels


@dataclass(frozen=True, slots=True)
class RunFile:
    """A TREC run, or one of `formats.nested`."""

    path: Path
    columns: RunColumns | None = None
    subset: str | None = None
    split: str | None = None

    def __str__(self) -> str:
        return str(self.path)

    def open(self, admitted: QueryIds, set_aside: Report) -> AbstractContextManager[OpenRun]:
        return open_any_run(self.path, admitted, set_aside, self.columns, self.subset, self.split)


@dataclass(frozen=True, slots=True)
class TopicsFile:
    """`columns` are those of `data.columns`."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.path)

    def records(self, _wanted: Iterable[str] | None, set_aside: Report) -> Iterator[Record]:
        records = read_topics(self.path, set_aside)
        return QUERIES.renamed(records, self.columns) if self.columns else records


@dataclass(frozen=True, slots=True)
class DocumentsFile:
    """`columns` are those of `data.columns`."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.path)

    def records(self, _wanted: Iterable[str] | None, set_aside: Report) -> Iterator[Record]:
        records = read_records(self.path, set_aside)
        return DOCUMENTS.renamed(records, self.columns) if self.columns else records


@dataclass(frozen=True, slots=True)
class QrelsFile:
    """TREC or BEIR qrels, or those of `formats.nested`."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def read(self, set_aside: Report) -> Judgements:
        return read_any_qrels(self.path, set_aside)


class NoQrels:
    """Where answers judge."""

    def read(self, _set_aside: Report) -> Judgements:
        return Judgements({})
