"""Data sets of the package ir_datasets, by its ids: `beir/scifact/test`.

Queries and documents are what its `default_text()` says: of MS MARCO's documents title, headings and body, of TREC
topics the title. Documents are looked up in the package's own store where it has been built, else all of them stream
by. `scoreddocs` are the first stage; where all scores are the same (MS MARCO passages and Natural Questions have 0.0
throughout, for candidates in no order) they count as unranked. What the package downloaded it finds again offline.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from stages.core.errors import DataError, first_line
from stages.core.prepare import Report
from stages.core.records import Judgements, Location
from stages.sources.formats.lists import ListIndex, Stretch, open_lists
from stages.sources.formats.nested import judgements_from
from stages.sources.given import given_qrels, given_runs
from stages.sources.lines import Record
from stages.sources.parts import Parts, Run
from stages.sources.run_index import QueryIds
from stages.sources.settings import FIRST_STAGE, DataSettings

ALIKE = "its scoreddocs all have the same score"
IDS_PER_LOOKUP = 10_000
LONGEST_STRETCH = 10_000


def irds_parts(settings: DataSettings) -> Parts:
    """Raises DataError where there is no such data set, or it lacks a part that no setting gives."""
    dataset_id = str(settings.path)
    dataset = _dataset(dataset_id)
    for part in ("docs", "queries"):
        _require(dataset, dataset_id, part, "give a data set that has some")
    qrels = given_qrels(settings)
    if qrels is None:
        _require(dataset, dataset_id, "qrels", "give one that has some, or data.qrels")
    runs: dict[str, Run] = given_runs(settings)
    if not runs and settings.first_stage is None:
        _require(dataset, dataset_id, "scoreddocs", "give a first stage as data.run, or data.first_stage: bm25")
        runs = {FIRST_STAGE: ScoredDocs(dataset_id, dataset)}
    qrels = qrels or Qrels(dataset_id, dataset)
    return Parts(dataset_id, runs, Queries(dataset_id, dataset), Documents(dataset_id, dataset), qrels)


@dataclass(frozen=True, slots=True)
class Part:
    dataset_id: str
    dataset: Any

    def __str__(self) -> str:
        return f"{self.dataset_id} ({type(self).__name__.lower()})"


class Queries(Part):
    def records(self, _wanted: Iterable[str] | None, _set_aside: Report) -> Iterator[Record]:
        with _asked(self.dataset_id, "queries"):
            for number, query in enumerate(self.dataset.queries_iter(), 1):
                yield Record(Location(str(self), number), {"_id": query.query_id, "text": query.default_text()})


class Documents(Part):
    def records(self, wanted: Iterable[str] | None, _set_aside: Report) -> Iterator[Record]:
        with _asked(self.dataset_id, "documents"):
            for document in self._found(wanted):
                text = document.default_text()
                text = text.strip() if isinstance(text, str) else text  # without the blank of an empty title
                yield Record(Location(str(self)), {"_id": document.doc_id, "text": text})

    def _found(self, wanted: Iterable[str] | None) -> Iterator[Any]:
        store = self.dataset.docs_store()
        built = getattr(store, "built", None)  # one that is nothing to build is the data set's own files
        if wanted is None or not (built is None or built()):
            yield from self.dataset.docs_iter()
            return
        ids = _distinct(wanted)
        while chunk := list(islice(ids, IDS_PER_LOOKUP)):
            yield from store.get_many_iter(chunk)


class Qrels(Part):
    def read(self, set_aside: Report) -> Judgements:
        where = Location(str(self))
        with _asked(self.dataset_id, "qrels"):
            rows = ((where, one.query_id, one.doc_id, one.relevance) for one in self.dataset.qrels_iter())
            return judgements_from(str(self), rows, set_aside)


class ScoredDocs(Part):
    def open(self, admitted: QueryIds, set_aside: Report) -> AbstractContextManager[ListIndex]:
        return open_lists(str(self), self._stretches(), admitted, set_aside, ALIKE)

    def _stretches(self) -> Iterator[Stretch]:
        with _asked(self.dataset_id, "scoreddocs"):
            for query_id, documents in groupby(self.dataset.scoreddocs_iter(), lambda one: one.query_id):
                while part := list(islice(documents, LONGEST_STRETCH)):
                    yield Stretch(query_id, [one.doc_id for one in part], [one.score for one in part])


def _dataset(dataset_id: str) -> Any:
    import ir_datasets  # type: ignore[import-untyped]

    with _asked(dataset_id, "description"):
        try:
            return ir_datasets.load(dataset_id)
        except KeyError:
            near = difflib.get_close_matches(dataset_id, list(ir_datasets.registry), 3)
            hint = f"Did you mean {' or '.join(near)}?" if near else "See `ir_datasets list`"
            raise DataError(f"data.path: ir_datasets has no data set {dataset_id!r}. {hint}") from None


def _require(dataset: Any, dataset_id: str, part: str, remedy: str) -> None:
    if dataset.has(part):
        return
    import ir_datasets

    below = [one for one in ir_datasets.registry if one.startswith(f"{dataset_id}/")]
    having = [one for one in below if ir_datasets.load(one).has(part)]
    within = f"; {', '.join(having[:5])} {'has' if len(having) == 1 else 'have'}" if having else ""
    raise DataError(f"data.path: {dataset_id} of ir_datasets has no {part}{within}: {remedy}")


@contextmanager
def _asked(dataset_id: str, what: str) -> Iterator[None]:
    """Whatever fails within the package becomes a DataError: no network, a lack of a package, a broken download."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"data.path: ir_datasets cannot give the {what} of {dataset_id}: {type(error).__name__}: "
            f"{first_line(error)}; download it once where there is a network (it is kept under IR_DATASETS_HOME)"
        ) from error


def _distinct(doc_ids: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for doc_id in doc_ids:
        if doc_id not in seen:
            seen.add(doc_id)
            yield doc_id
