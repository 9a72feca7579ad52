"""What files hold, counted by the readers that a run has. Nothing is kept but counts, and what a reader keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from stages.core.errors import DataError
from stages.core.prepare import DUPLICATE, Report, prepare_all
from stages.core.records import Location, SetAside
from stages.core.withheld import without_quotes
from stages.core.words import counted
from stages.sources import DataSettings, open_source
from stages.sources.formats.nested import open_any_run, read_any_qrels
from stages.sources.formats.topics import read_topics
from stages.sources.lines import Record
from stages.sources.packed import plain_or_packed
from stages.sources.recognise.finding import Finding
from stages.sources.recognise.section import Section
from stages.sources.run_columns import RunColumns
from stages.sources.run_index import QueryIds, RunList
from stages.sources.text_keys import DOCUMENTS, QUERIES, TextKeys
from stages.sources.texts import ids_of, read_records

Counts = dict[str, int]
COLLECTIONS = ("trec", "beir", "msmarco", "mteb")


class NothingCountedError(Exception):
    """Rows of which none can be used. Never leaves this module."""


def count(finding: Finding) -> None:
    """Fill `counts` and `set_aside`. What is found out by reading all of it that keeps a run from it is a `remedy`."""
    counter = COUNTERS.get(finding.role)
    if counter is None:
        return
    reasons: Counter[str] = Counter()
    rows: list[SetAside] = []

    def report(row: SetAside) -> None:
        rows.extend([] if rows else [row])
        reasons[without_quotes(row.reason)] += 1

    try:
        finding.counts = counter(finding, report)
    except DataError as error:
        finding.role, finding.remedy = "other", str(error)
    except NothingCountedError:
        finding.role, finding.remedy = "other", f"nothing in it can be reranked: {_first(rows)}"
    finding.set_aside = dict(reasons.most_common())


def _first(rows: Sequence[SetAside]) -> str:
    return f"the first fault is at {rows[0].where}: {rows[0].reason}" if rows else "it has no row; give one that has"


def check(section: Section) -> None:
    """Add to `unsure` how far files that are read together are about the same queries and documents."""
    if section.data is None or section.missing:
        return
    if section.data["format"] not in COLLECTIONS and "qrels" not in section.data:
        return
    try:
        for meeting in open_source(_settings(section.data)).meetings().values():
            section.unsure.extend(meeting.remarks())
    except DataError as error:
        section.unsure.append(str(error))


def _run(finding: Finding, report: Report) -> Counts:
    named = finding.data.get("run_columns")
    columns = RunColumns.named([str(name) for name in named]) if isinstance(named, list) else None
    with open_any_run(Path(finding.path), QueryIds(), report, columns) as run:
        lengths = [_distinct(run.read(query_id), finding.path, report) for query_id in run]
    return {"queries": len(lengths), "candidates": sum(lengths), "longest list": max(lengths)}


def _distinct(one: RunList, file: str, report: Report) -> int:
    """How many documents a run keeps: of one that is listed twice the better place."""
    seen: set[str] = set()
    for doc_id, line in zip(one.doc_ids, one.lines, strict=True):
        if doc_id in seen:
            report(SetAside(Location(file, line), DUPLICATE))
        seen.add(doc_id)
    return len(seen)


def _qrels(finding: Finding, report: Report) -> Counts:
    return _judged(read_any_qrels(Path(finding.path), report).grades)


def _queries(finding: Finding, report: Report) -> Counts:
    return {"queries": _count(read_topics(Path(finding.path), report), QUERIES, report)}


def _documents(finding: Finding, report: Report) -> Counts:
    return {"documents": _count(read_records(Path(finding.path), report), DOCUMENTS, report)}


def _count(records: Iterable[Record], keys: TextKeys, report: Report) -> int:
    return sum(1 for _ in ids_of(records, keys, report))


def _rows(finding: Finding, report: Report) -> Counts:
    source = open_source(_settings({"path": finding.path, **finding.data}))
    grades = source.judgements(report).grades
    queries = candidates = longest = by_place = 0
    for one in prepare_all(source.queries(report), None, report):
        length = len(one.doc_ids)
        queries, candidates, longest = queries + 1, candidates + length, max(longest, length)
        by_place += one.order_only
    if not candidates:
        raise NothingCountedError
    if by_place and finding.data.get("depth", 100) is not None:
        finding.unsure.append(
            f"{counted(by_place, 'list has', 'lists have')} no scores that fall from its top to its end: "
            "the order in which its documents stand counts as the first stage"
        )
    return {"queries": queries, "candidates": candidates, "longest list": longest} | _judged(grades)


def _judged(grades: Mapping[str, Mapping[str, int]]) -> Counts:
    return {"judged queries": len(grades), "judgements": sum(map(len, grades.values()))}


def _collection(finding: Finding, report: Report) -> Counts:
    """Of a BEIR folder what it holds itself; its runs are findings of their own. Of others nothing is counted apart."""
    if finding.data["format"] != "beir":
        return {}
    folder, split = Path(finding.path), finding.data.get("split", "test")
    queries, documents = (plain_or_packed(folder / name) for name in ("queries.jsonl", "corpus.jsonl"))
    counts = {
        "queries": _count(read_topics(queries, report), QUERIES, report),
        "documents": _count(read_records(documents, report), DOCUMENTS, report),
    }
    qrels = folder / "qrels" / f"{split}.tsv"
    return counts | (_qrels(Finding(str(qrels), "", "qrels"), report) if qrels.is_file() else {})


def _settings(data: Mapping[str, object]) -> DataSettings:
    try:
        return DataSettings.model_validate(data)
    except ValidationError as error:
        raise DataError("; ".join(str(one["msg"]) for one in error.errors())) from error


COUNTERS: Mapping[str, Callable[[Finding, Report], Counts]] = {
    "run": _run,
    "qrels": _qrels,
    "queries": _queries,
    "documents": _documents,
    "rows": _rows,
    "collection": _collection,
}
