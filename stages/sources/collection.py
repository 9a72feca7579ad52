"""BEIR folders and TREC files: one or several runs over a corpus, joined query by query.

The runs are indexed first; then the corpus streams by once, and only the texts that the runs' top `depth` needs are put
into a temporary file. In memory are the queries' texts, about 250 bytes a query and run, 24 bytes a document, and what
belongs to one query.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import Judgements, Location, RawDocument, RawQuery, SetAside
from stages.sources.corpus import Corpus, open_corpus
from stages.sources.id_set import IdSet
from stages.sources.lines import existing_file
from stages.sources.run_index import QueryIds, RunIndex, open_run
from stages.sources.settings import FIRST_STAGE, DataSettings
from stages.sources.texts import QueryText, query_texts
from stages.sources.trec import read_qrels


class CollectionSource:
    """Runs, their queries, corpus and judgements. Raises DataError where one of the files is missing."""

    def __init__(self, settings: DataSettings) -> None:
        files = _files(settings)
        folder = files["documents"].parent if settings.path is None else Path(settings.path)
        self.name = folder.resolve().name
        self._qrels, self._queries, self._documents = files["qrels"], files["queries"], files["documents"]
        self._runs = _runs(settings)
        self._depth, self._limit = settings.depth, settings.limit

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._runs)

    def queries(self, set_aside: Report) -> Iterator[RawQuery]:
        for lists in self.query_lists(set_aside):
            yield from lists.values()

    def query_lists(self, set_aside: Report) -> Iterator[Mapping[str, RawQuery]]:
        with ExitStack() as stack:
            query_ids = QueryIds(self._limit)
            runs = {
                name: stack.enter_context(open_run(path, query_ids, set_aside)) for name, path in self._runs.items()
            }
            queries = query_texts(self._queries, query_ids, set_aside)
            wanted = IdSet(_top_ids(runs.values(), self._depth))
            corpus = stack.enter_context(open_corpus(self._documents, wanted, set_aside))
            for query_id in query_ids:
                yield {
                    name: self._raw_query(query_id, run, queries.get(query_id), corpus)
                    for name, run in runs.items()
                    if query_id in run
                }

    def judgements(self, set_aside: Report) -> Judgements:
        judgements = read_qrels(self._qrels, set_aside)
        if self._limit is None:
            return judgements
        query_ids = QueryIds(self._limit)
        for path in self._runs.values():
            with open_run(path, query_ids, _reported_by_queries):
                pass  # it is opened for its query ids alone
        grades = judgements.grades
        return Judgements({query_id: grades[query_id] for query_id in query_ids if query_id in grades})

    def _raw_query(self, query_id: str, run: RunIndex, query: QueryText | None, corpus: Corpus) -> RawQuery:
        run_list, file = run.read(query_id), str(run.path)
        retrieved = (
            RawDocument(doc_id, None, score, Location(file, line))
            for doc_id, score, line in zip(run_list.doc_ids, run_list.scores, run_list.lines, strict=True)
        )
        top = tuple(map(corpus.join, islice(retrieved, self._depth)))
        query = query or QueryText(None, Location(file, min(run_list.lines)))
        return RawQuery(
            query_id, query.value, top, query.where, query.instruction, query.attributes, tail=tuple(retrieved)
        )


def _top_ids(runs: Collection[RunIndex], depth: int | None) -> Iterator[str]:
    """The documents whose texts are needed, as often as they are."""
    for run in runs:
        for query_id in run:
            yield from run.read(query_id).doc_ids[:depth]


def _runs(settings: DataSettings) -> dict[str, Path]:
    """The run files by name; the one of `data.run` is called FIRST_STAGE."""
    if settings.runs is None:
        return {FIRST_STAGE: existing_file(Path(str(settings.run)), "data.run")}
    return {name: existing_file(path, f"data.runs.{name}") for name, path in settings.runs.items()}


def _files(settings: DataSettings) -> dict[str, Path]:
    folder = Path(settings.path or ".")
    if settings.path is not None and not folder.is_dir():
        raise DataError(
            f"data.path: {folder} is not a folder; give the folder that holds corpus.jsonl and queries.jsonl"
        )
    defaults = {
        "queries": folder / "queries.jsonl",
        "documents": folder / "corpus.jsonl",
        "qrels": folder / "qrels" / f"{settings.split}.tsv",
    }
    given = {name: getattr(settings, name) for name in ("qrels", "queries", "documents")}
    return {name: existing_file(path or _plain_or_gz(defaults[name]), f"data.{name}") for name, path in given.items()}


def _plain_or_gz(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() and not path.is_file() else path


def _reported_by_queries(_: SetAside) -> None:
    """What is wrong with a run is `query_lists`' to report, once."""
