"""MS MARCO's folders: `collection.tsv`, `queries.*.tsv`, `qrels.*.tsv`, and a run, or the `top1000` to rerank.

TSV without header or quoting. Version 2 has passages under `pid` (their `docid` is the document they are of) and
documents of title, headings and body, as JSON Lines in one file or many. The texts of the first version are partly
encoded twice; they are read as they are, where ir_datasets mends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import SetAside
from stages.sources.formats.lists import ListIndex, Stretch, open_lists
from stages.sources.given import given_documents, given_qrels, given_queries, given_runs
from stages.sources.lines import JSON_ENDINGS, Line, Record, ending, read_lines, read_objects, reading, unpacked
from stages.sources.parts import Parts, QrelsFile, Run, TopicsFile
from stages.sources.run_index import QueryIds
from stages.sources.settings import FIRST_STAGE, DataSettings

UNRANKED = "top1000 names candidates alone"
DOCUMENT_NAMES = ("collection*", "*passage*", "*doc*")
OTHER_NAMES = ("queries", "qrels", "top100", "run", "triples")


def msmarco_parts(settings: DataSettings) -> Parts:
    """The files of `data.path`, or those given. Raises DataError where one is missing or cannot be told from others."""
    folder = Path(str(settings.path))
    if not folder.is_dir():
        raise DataError(f"data.path: {folder} is not a folder; give the folder that holds MS MARCO's files")
    queries = given_queries(settings) or TopicsFile(_one(folder, "queries", settings.split))
    qrels = given_qrels(settings) or QrelsFile(_one(folder, "qrels", settings.split))
    documents = given_documents(settings) or Collection(_collection(folder))
    runs: dict[str, Run] = given_runs(settings)
    if not runs and settings.first_stage is None:
        runs = {FIRST_STAGE: _top1000(folder, settings.split)}
    return Parts(folder.resolve().name, runs, queries, documents, qrels)


@dataclass(frozen=True, slots=True)
class Collection:
    """Passages or documents, of either version."""

    files: tuple[Path, ...]

    def __str__(self) -> str:
        return str(self.files[0] if len(self.files) == 1 else self.files[0].parent)

    def records(self, _wanted: Iterable[str] | None, set_aside: Report) -> Iterator[Record]:
        for file in self.files:
            read = read_objects if _is_json(file) else _tsv
            for record in read(file, set_aside):
                yield Record(record.where, _document(record))


@dataclass(frozen=True, slots=True)
class Top1000:
    """`qid<TAB>pid<TAB>query<TAB>passage`: what is to be reranked, in no order."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def open(self, admitted: QueryIds, set_aside: Report) -> AbstractContextManager[ListIndex]:
        return open_lists(str(self.path), self._stretches(set_aside), admitted, set_aside, UNRANKED)

    def _stretches(self, set_aside: Report) -> Iterator[Stretch]:
        for query_id, lines in groupby(self._pairs(set_aside), lambda pair: pair[0]):
            group = list(lines)
            yield Stretch(query_id, [doc_id for _, doc_id, _ in group], [0.0] * len(group), group[0][2].where.line)

    def _pairs(self, set_aside: Report) -> Iterator[tuple[str, str, Line]]:
        for line in read_lines(self.path, set_aside):
            columns = line.text.split("\t", 2)
            if len(columns) == 3:
                yield columns[0], columns[1], line
            else:
                set_aside(SetAside(line.where, f"not `qid<TAB>pid<TAB>query<TAB>passage`: {len(columns)} columns"))


def _document(record: Record) -> dict[str, object]:
    fields = record.fields
    if "pid" in fields:
        return {"_id": fields["pid"], "text": fields.get("passage")}
    parts = [fields[key] for key in ("headings", "body", "segment") if fields.get(key)]
    text = " ".join(map(str, parts)) if parts else fields.get("text")
    return {"_id": fields.get("docid", fields.get("_id")), "title": fields.get("title"), "text": text}


def _tsv(path: Path, set_aside: Report) -> Iterator[Record]:
    """`pid<TAB>passage`, or `docid<TAB>url<TAB>title<TAB>body`."""
    for line in read_lines(path, set_aside):
        columns = line.text.split("\t")
        if len(columns) == 2:
            yield Record(line.where, {"pid": columns[0].strip(), "passage": columns[1]})
        elif len(columns) == 4:
            yield Record(line.where, {"docid": columns[0].strip(), "title": columns[2], "body": columns[3]})
        else:
            reason = f"not `pid<TAB>passage` nor `docid<TAB>url<TAB>title<TAB>body`: {len(columns)} columns"
            set_aside(SetAside(line.where, reason))


def _collection(folder: Path) -> tuple[Path, ...]:
    for pattern in DOCUMENT_NAMES:
        matching = sorted(folder.glob(pattern))
        inside = [file for one in matching if one.is_dir() for file in sorted(one.iterdir())]
        files = [file for file in (*matching, *inside) if _is_text(file)]
        if found := tuple(file for file in files if not any(name in file.name for name in OTHER_NAMES)):
            return found
    raise DataError(f"data.path: {folder} has no collection.tsv and no passages or documents; give data.documents")


def _one(folder: Path, what: str, split: str) -> Path:
    """The file of queries or judgements: that of the split, else the only one."""
    files = [file for file in sorted(folder.glob(f"*{what}*")) if _is_text(file)]
    of_split = [file for file in files if f".{split}." in f".{file.name.replace('_', '.').replace('-', '.')}."]
    exact = [file for file in of_split if file.name.startswith((f"{what}.{split}.tsv", f"{what}.{split}.txt"))]
    for found in (exact, of_split, files):
        if len(found) == 1:
            return found[0]
    if not files:
        raise DataError(f"data.path: {folder} has no {what}.tsv; give data.{what}")
    raise DataError(
        f"data.split: {folder} has several files of {what} for {split!r}: {', '.join(file.name for file in files)}. "
        f"Set data.split (dev, dev.small ...), or give data.{what}"
    )


def _top1000(folder: Path, split: str) -> Run:
    files = [file for file in sorted(folder.glob("top1000*")) if file.is_file() and file.suffix not in (".tar", ".zip")]
    chosen = [file for file in files if split in file.name.split(".")] or files
    if len(chosen) != 1:
        found = f"several: {', '.join(file.name for file in chosen)}" if chosen else "none"
        raise DataError(
            "data.format msmarco needs a first stage: give data.run (`qid pid rank` with data.run_columns: [query_id, "
            f"doc_id, rank]), data.first_stage: bm25, or top1000 in {folder}, which has {found}"
        )
    return Top1000(chosen[0])


def _is_text(file: Path) -> bool:
    """Version 2 has passages as `msmarco_passage_00.gz`, without another ending."""
    return file.is_file() and ending(file) in (*JSON_ENDINGS, ".tsv", ".txt", "")


def _is_json(file: Path) -> bool:
    with reading(file), unpacked(file) as opened:
        return opened.read(1) == b"{"
