"""MTEB's collections: configs `corpus`, `queries`, `qrels` (or `default`), and the lists to rerank.

As it reads them, mteb 2.26.24 takes the split that is asked for, else the only one, puts `SUBSET-` before the configs
of a subset, and calls an id `id` or `_id`. It drops queries that nobody judged; here they stay, and are told, as
trec_eval has it. NanoBEIR has its lists under `bm25`, and in its qrels no score; CoIR has underscores in its columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from stages.core.errors import DataError
from stages.core.prepare import Report, as_id
from stages.core.records import Judgements, Location, SetAside
from stages.sources.formats.configs import Configs, open_configs
from stages.sources.formats.lists import ListIndex, Stretch, open_lists
from stages.sources.formats.nested import judged_table, judgements_from
from stages.sources.given import given_qrels, given_runs
from stages.sources.lines import Record
from stages.sources.parts import Parts, Run
from stages.sources.row_files import RowTable
from stages.sources.run_index import QueryIds
from stages.sources.settings import FIRST_STAGE, DataSettings

QUERIES, QRELS, LISTS = ("query", "queries"), ("default", "qrels"), ("top_ranked", "bm25")
QUERIES_IDS = ("_id", "id")
QUERY_ID, DOCUMENT_ID = ("query-id", "query_id", "qid"), ("corpus-id", "corpus_id", "corpus-ids", "corpus_ids")
GIVEN_AWAY = "in every list the relevant documents stand before all others: its order is that of the judgements"
QUERIES_THAT_TELL = 10
LABEL_IN_ID = re.compile(r"(a?positive|negative)_")


def mteb_parts(settings: DataSettings) -> Parts | None:
    """The configs under `data.path`; None where it has no `corpus`: then its rows are positives and negatives.

    Raises DataError where one is missing.
    """
    configs = open_configs(settings)
    if configs is None or not configs.has("corpus"):
        return None
    if settings.columns:
        raise DataError(f"data.columns: {configs.name} has configs, whose columns have names of their own; remove it")
    qrels = given_qrels(settings) or TableQrels(configs.table(QRELS))
    instructions = configs.table(("instruction",)) if configs.has("instruction") else None
    runs = given_runs(settings)
    if not runs and settings.first_stage is None:
        runs = {FIRST_STAGE: _lists(configs, TableQrels(configs.table(QRELS)))}
    return Parts(
        configs.name,
        runs,
        TableQueries(configs.table(QUERIES), instructions),
        TableDocuments(configs.table(("corpus",))),
        qrels,
    )


def _lists(configs: Configs, qrels: TableQrels) -> Run:
    for config in LISTS:
        if configs.has(config):
            return TableLists(configs.table((config,)), qrels)
    raise DataError(
        f"data.path: {configs.name} has no first stage (config {' or '.join(LISTS)}); give one as data.run: TREC "
        "lines, or what mteb wrote as TASK_predictions.json; data.first_stage: bm25 makes one"
    )


@dataclass(frozen=True, slots=True)
class TableDocuments:
    table: RowTable

    def __str__(self) -> str:
        return self.table.name

    def records(self, _wanted: Iterable[str] | None, set_aside: Report) -> Iterator[Record]:
        return self.table.records(set_aside)


@dataclass(frozen=True, slots=True)
class TableQueries:
    table: RowTable
    instructions: RowTable | None

    def __str__(self) -> str:
        return self.table.name

    def records(self, _wanted: Iterable[str] | None, set_aside: Report) -> Iterator[Record]:
        tasks = _instructions(self.instructions, set_aside)
        for record in self.table.records(set_aside):
            fields = dict(record.fields)
            query_id = next((as_id(fields[name]) for name in QUERIES_IDS if name in fields), None)
            fields["instruction"] = tasks.get(query_id, fields.get("instruction"))
            if "text" in fields:
                fields["text"] = as_query(fields["text"])
            yield Record(record.where, fields)


def as_query(text: object) -> object:
    """Turns of a conversation as mteb joins them: `why; and then`, or `user: why; assistant: because`. Whatever is
    neither is given back as it is.
    """
    if not isinstance(text, list) or not text:
        return text
    if all(isinstance(turn, str) for turn in text):
        return "; ".join(text)
    if all(isinstance(turn, dict) and {"role", "content"} <= turn.keys() for turn in text):
        return "; ".join(f"{turn['role']}: {turn['content']}" for turn in text)
    return text


@dataclass(frozen=True, slots=True)
class TableQrels:
    """`query-id`, `corpus-id` (one, or several) and `score`; without scores each is worth 1."""

    table: RowTable

    def __str__(self) -> str:
        return self.table.name

    def read(self, set_aside: Report) -> Judgements:
        judged = judged_table(self.table.name, self.table, set_aside)
        return judged or judgements_from(self.table.name, self._rows(set_aside), set_aside)

    def _rows(self, set_aside: Report) -> Iterator[tuple[Location, object, object, object]]:
        for record in self.table.records(set_aside):
            query_id, documents = _under(record, QUERY_ID, self.table), _under(record, DOCUMENT_ID, self.table)
            for doc_id in documents if isinstance(documents, list) else [documents]:
                yield record.where, query_id, doc_id, record.fields.get("score", 1)


@dataclass(frozen=True, slots=True)
class TableLists:
    """`query-id` and `corpus-ids`: whose order counts, without scores, unless it tells the judgements."""

    table: RowTable
    qrels: TableQrels

    def __str__(self) -> str:
        return self.table.name

    @contextmanager
    def open(self, admitted: QueryIds, set_aside: Report) -> Iterator[ListIndex]:
        grades = self.qrels.read(_reported_elsewhere).grades
        with open_lists(self.table.name, self._stretches(set_aside), admitted, set_aside) as index:
            if _gives_away(self._stretches(_reported_elsewhere), grades):  # of all queries, whatever `admitted` leaves
                index.unranked = GIVEN_AWAY
            yield index

    def _stretches(self, set_aside: Report) -> Iterator[Stretch]:
        for record in self.table.records(set_aside):
            query_id, documents = _under(record, QUERY_ID, self.table), _under(record, DOCUMENT_ID, self.table)
            listed = documents if isinstance(documents, list) else [documents]
            yield Stretch(query_id, listed, None, record.where.line)


def _gives_away(lists: Iterable[Stretch], grades: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether the order is of positives and negatives, as MTEB made many of its lists: ids say so, or in every list
    that has both, of at least QUERIES_THAT_TELL, the relevant documents stand before all others.
    """
    mixed = 0
    for stretch in lists:
        doc_ids = [as_id(doc_id) or "" for doc_id in stretch.doc_ids]
        judged = grades.get(as_id(stretch.query_id) or "", {})
        relevant = [judged.get(doc_id, 0) > 0 for doc_id in doc_ids]
        if all(relevant) or not any(relevant):
            continue
        if relevant != sorted(relevant, reverse=True):
            return False
        mixed += 1
        if LABEL_IN_ID.match(doc_ids[0]) and LABEL_IN_ID.match(doc_ids[-1]):
            return True
    return mixed >= QUERIES_THAT_TELL


def _instructions(table: RowTable | None, set_aside: Report) -> dict[str | None, object]:
    if table is None:
        return {}
    return {
        as_id(_under(record, QUERY_ID, table)): record.fields.get("instruction") for record in table.records(set_aside)
    }


def _under(record: Record, names: tuple[str, ...], table: RowTable) -> object:
    for name in names:
        if name in record.fields:
            return record.fields[name]
    raise DataError(f"{table.name} has no column {' or '.join(names)}; it has {', '.join(record.fields)}")


def _reported_elsewhere(_: SetAside) -> None:
    """What is read more than once is reported once."""
