"""Collections, such as BEIR folders and TREC files: one or several runs over a corpus, joined query by query.

The runs are indexed first; then the corpus streams by once, and only the texts that the runs' top `depth` needs are put
into a temporary file. In memory are the queries' texts, about 250 bytes a query and run, 24 bytes a document, and what
belongs to one query.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from stages.core.errors import DataError, NothingLeftError
from stages.core.first_stage import MadeFirstStage
from stages.core.meeting import Encounter, Meeting, alike
from stages.core.prepare import Report
from stages.core.records import Answers, Judgements, Location, RawDocument, RawQuery, SetAside
from stages.sources.answers import query_answers
from stages.sources.bm25.first_stage import Bm25Run
from stages.sources.corpus import Corpus, open_corpus
from stages.sources.id_set import IdSet
from stages.sources.lines import JSON_ENDINGS, ending
from stages.sources.parts import OpenRun, Parts, Texts
from stages.sources.refusal import Tally
from stages.sources.run_index import QueryIds, RunList
from stages.sources.settings import ANSWERS, OWN_DOCUMENT, DataSettings
from stages.sources.text_keys import DOCUMENTS, QUERIES, TextKeys
from stages.sources.texts import QueryText, ids_of, query_texts

# How many ids of each side are looked at for two that are one in another form, where none is the same.
IDS_SEEN = 10_000


def _reported_by_queries(_: SetAside) -> None:
    """What is wrong with a run is `query_lists`' to report, once."""


class CollectionSource:
    """Runs, their queries, corpus and judgements."""

    def __init__(self, parts: Parts, settings: DataSettings) -> None:
        self.name = parts.name
        self._qrels, self._queries, self._documents = parts.qrels, parts.queries, parts.documents
        self._runs = parts.runs
        self._depth, self._limit, self._drop_self = settings.depth, settings.limit, settings.drop_self
        self._answers = settings.columns[ANSWERS] if settings.by_answers else None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._runs)

    @property
    def made(self) -> dict[str, MadeFirstStage]:
        return {name: run.made for name, run in self._runs.items() if isinstance(run, Bm25Run)}

    def queries(self, set_aside: Report) -> Iterator[RawQuery]:
        for lists in self.query_lists(set_aside):
            yield from lists.values()

    def query_lists(self, set_aside: Report) -> Iterator[Mapping[str, RawQuery]]:
        with ExitStack() as stack:
            query_ids = QueryIds(self._limit)
            runs = {name: stack.enter_context(run.open(query_ids, set_aside)) for name, run in self._runs.items()}
            for run in runs.values():
                _refuse_a_cut_by_chance(run, self._depth)
            queries = query_texts(self._queries.records(query_ids, set_aside), query_ids, set_aside)
            if not queries:
                raise self._no_text(self._queries, QUERIES, query_ids)
            top = partial(self._top_ids, runs.values())
            documents = self._documents.records(top(), set_aside)
            corpus = stack.enter_context(open_corpus(str(self._documents), documents, IdSet(top()), set_aside))
            if not len(corpus):
                raise self._no_text(self._documents, DOCUMENTS, top())
            for query_id in query_ids:
                yield {
                    name: self._raw_query(query_id, run, queries.get(query_id), corpus, set_aside)
                    for name, run in runs.items()
                    if query_id in run
                }

    def answers(self, set_aside: Report) -> dict[str, Answers] | None:
        if self._answers is None:
            return None
        found = self._all_answers(set_aside)
        if self._limit is None:
            return found
        return {query_id: found[query_id] for query_id in self._limited() if query_id in found}

    def judgements(self, set_aside: Report) -> Judgements:
        judgements = Judgements({}) if self._answers else self._qrels.read(set_aside)
        if self._limit is None:
            return judgements
        return judgements.of(self._limited())

    def _limited(self) -> QueryIds:
        query_ids = QueryIds(self._limit)
        for run in self._runs.values():
            with run.open(query_ids, _reported_by_queries):
                pass  # it is opened for its query ids alone
        return query_ids

    def meetings(self) -> dict[str, Meeting]:
        judgements = self._judged()
        found: dict[str, Meeting] = {}
        for name, run in self._runs.items():
            encounter = Encounter(judgements.grades)
            with run.open(QueryIds(), _reported_by_queries) as lists:
                for query_id in lists:
                    encounter.add(query_id, partial(_doc_ids, lists, query_id))
                found[name] = replace(encounter.meeting(), unranked=lists.unranked)
            self._refuse(found[name], str(run), judgements)
        return found

    def _judged(self) -> Judgements:
        """Which queries are judged, whatever `data.limit` leaves; by answers every candidate is."""
        if self._answers is None:
            return self._qrels.read(_reported_by_queries)
        return Judgements({query_id: {} for query_id in self._all_answers(_reported_by_queries)})

    def _all_answers(self, set_aside: Report) -> dict[str, Answers]:
        records = self._queries.records(None, _reported_by_queries)
        return query_answers(records, str(self._answers), str(self._queries), set_aside)

    def _refuse(self, meeting: Meeting, run: str, judgements: Judgements) -> None:
        """Raises DataError where they do not meet. Whether judged documents are of this collection the corpus tells."""
        if meeting.documents is None:
            if told := meeting.refusal(run, str(self._queries if self._answers else self._qrels)):
                raise DataError(told)
            return
        judged = {doc_id for grades in judgements.grades.values() for doc_id in grades}
        records = self._documents.records(judged, _reported_by_queries)
        if judged.isdisjoint(ids_of(records, DOCUMENTS, _reported_by_queries)):
            raise DataError(
                f"{meeting.strangers(run, str(self._qrels))}, and none of those judged is in {self._documents}. Give "
                "judgements of this collection, with ids in the same form"
            )

    def _no_text(self, texts: Texts, keys: TextKeys, wanted: Iterable[str]) -> DataError:
        """None of the `wanted` ids stands among the texts, or no id at all."""
        tally = Tally(_reported_by_queries)
        there = list(islice(ids_of(texts.records(None, tally), keys, tally), IDS_SEEN))
        if not there:
            return tally.refusal(texts, keys.form(), of_json=ending(Path(str(texts))) in JSON_ENDINGS)
        asked = list(islice(wanted, IDS_SEEN))
        one, other = alike(asked, there) or (asked[0], there[0])
        limited = f", of the first {self._limit:,} queries" if self._limit else ""
        runs = ", ".join(map(str, self._runs.values()))
        return NothingLeftError(
            f"{texts} has no {keys.what} that {runs} names{limited}: there it is {other!r:.60}, here {one!r:.60}. "
            "Give both of the same collection, with ids in the same form"
        )

    def _list(self, query_id: str, run: OpenRun, set_aside: Report = _reported_by_queries) -> RunList:
        """The query's list in first-stage order, without its own document where that is to be dropped."""
        found = run.read(query_id)
        for line in found.take_out(query_id) if self._drop_self else ():
            set_aside(SetAside(Location(run.name, line), OWN_DOCUMENT, query_id, query_id))
        return found

    def _top_ids(self, runs: Collection[OpenRun]) -> Iterator[str]:
        """The documents whose texts are needed, as often as they are."""
        for run in runs:
            for query_id in run:
                yield from self._list(query_id, run).doc_ids[: self._depth]

    def _raw_query(
        self, query_id: str, run: OpenRun, query: QueryText | None, corpus: Corpus, set_aside: Report
    ) -> RawQuery:
        run_list, file = self._list(query_id, run, set_aside), run.name
        retrieved = (
            RawDocument(doc_id, None, score, Location(file, line))
            for doc_id, score, line in zip(run_list.doc_ids, run_list.scores, run_list.lines, strict=True)
        )
        top = corpus.join(islice(retrieved, self._depth))
        query = query or QueryText(None, Location(file, min(run_list.lines, default=0)))
        return RawQuery(
            query_id,
            query.value,
            top,
            query.where,
            query.instruction,
            query.attributes,
            tail=tuple(retrieved),
            order_only=run_list.order_only,
        )


def _doc_ids(run: OpenRun, query_id: str) -> list[str]:
    return run.read(query_id).doc_ids


def _refuse_a_cut_by_chance(run: OpenRun, depth: int | None) -> None:
    """Raises DataError where `depth` would choose among candidates that have no order."""
    if run.unranked is None or depth is None:
        return
    for query_id in run:
        if (length := len(run.read(query_id).doc_ids)) > depth:
            raise DataError(
                f"{run.name}: query {query_id!r:.60} has {length:,} candidates in no order ({run.unranked}), so that "
                f"data.depth {depth:,} would choose by chance. Set data.depth to null, or give a ranking as data.run"
            )
