"""BEIR folders and TREC files: a run over a corpus.

The run is read first; then the corpus streams by once, and only the texts are kept that the run's top `depth` needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stages.errors import DataError
from stages.prepare import Report, as_id
from stages.records import Judgements, Location, RawDocument, RawQuery, SetAside
from stages.sources.lines import JSON_ENDINGS, Record, ending, existing_file, read_lines, read_objects
from stages.sources.settings import DataSettings
from stages.sources.trec import RunList, read_qrels, read_run

TSV_ENDINGS = (".tsv", ".txt")
DOCUMENT_IDS = ("_id", "id", "doc_id")
QUERY_IDS = ("_id", "id", "query_id")


@dataclass(frozen=True, slots=True)
class _Text:
    """The text that belongs to an id, and where it stands; `value` may be anything that JSON can hold but null."""

    value: object
    where: Location
    instruction: object = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return isinstance(self.value, str) and bool(self.value.strip())


class CollectionSource:
    """A run, its queries, corpus and judgements. Raises DataError where one of the files is missing."""

    def __init__(self, settings: DataSettings) -> None:
        files = _files(settings)
        folder = files["documents"].parent if settings.path is None else Path(settings.path)
        self.name = folder.resolve().name
        self._run, self._qrels = files["run"], files["qrels"]
        self._queries, self._documents = files["queries"], files["documents"]
        self._depth, self._limit = settings.depth, settings.limit

    def queries(self, set_aside: Report) -> Iterator[RawQuery]:
        lists = read_run(self._run, self._limit, set_aside)
        needed = {doc_id for run_list in lists.values() for doc_id in run_list.doc_ids[: self._depth]}
        queries = _query_texts(self._queries, lists.keys(), set_aside)
        documents = _document_texts(self._documents, needed, set_aside)
        for query_id, run_list in lists.items():
            yield self._raw_query(query_id, run_list, queries, documents)

    def judgements(self, set_aside: Report) -> Judgements:
        judgements = read_qrels(self._qrels, set_aside)
        if self._limit is None:
            return judgements
        limited = read_run(self._run, self._limit, lambda _: None)  # `queries` reports what is wrong with the run
        return Judgements(
            {query_id: judgements.grades[query_id] for query_id in limited if query_id in judgements.grades}
        )

    def _raw_query(
        self, query_id: str, run_list: RunList, queries: Mapping[str, _Text], documents: Mapping[str, _Text]
    ) -> RawQuery:
        run = str(self._run)
        cut = len(run_list.doc_ids) if self._depth is None else self._depth
        retrieved = [
            RawDocument(doc_id, None, score, Location(run, line))
            for doc_id, score, line in zip(run_list.doc_ids, run_list.scores, run_list.lines, strict=True)
        ]
        top = tuple(_with_text(document, documents.get(str(document.doc_id))) for document in retrieved[:cut])
        query = queries.get(query_id) or _Text(None, Location(run, min(run_list.lines)))
        return RawQuery(
            query_id, query.value, top, query.where, query.instruction, query.attributes, tail=tuple(retrieved[cut:])
        )


def _with_text(document: RawDocument, text: _Text | None) -> RawDocument:
    """A text that cannot be used is reported where it stands; everything else where the run names the document."""
    if text is None:
        return document
    where = document.where if text.usable else text.where
    return RawDocument(document.doc_id, text.value, document.score, where)


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
    given = {name: getattr(settings, name) for name in ("run", "qrels", "queries", "documents")}
    return {name: existing_file(path or _plain_or_gz(defaults[name]), f"data.{name}") for name, path in given.items()}


def _plain_or_gz(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() and not path.is_file() else path


def _query_texts(path: Path, wanted: Collection[str], set_aside: Report) -> dict[str, _Text]:
    texts: dict[str, _Text] = {}
    for record in _records(path, set_aside):
        query_id = _known_id(record, QUERY_IDS, wanted, texts, set_aside)
        if query_id is not None:
            text = record.fields.get("text")
            attributes = _attributes(record.fields)
            texts[query_id] = _Text(
                "" if text is None else text, record.where, record.fields.get("instruction"), attributes
            )
    return texts


def _document_texts(path: Path, wanted: Collection[str], set_aside: Report) -> dict[str, _Text]:
    texts: dict[str, _Text] = {}
    for record in _records(path, set_aside):
        doc_id = _known_id(record, DOCUMENT_IDS, wanted, texts, set_aside)
        if doc_id is not None:
            texts[doc_id] = _Text(document_text(record.fields.get("title"), record.fields.get("text")), record.where)
    return texts


def document_text(title: object, text: object) -> object:
    """`title + " " + text` as BEIR's own evaluation joins them; a text that is no string is given back as it is."""
    if text is None:
        text = ""
    if not isinstance(text, str) or not isinstance(title, str) or not title:
        return text
    return f"{title} {text}".strip()


def _records(path: Path, set_aside: Report) -> Iterator[Record]:
    """JSON Lines, or `id<TAB>text`, by the file's ending."""
    if ending(path) in JSON_ENDINGS:
        return read_objects(path, set_aside)
    if ending(path) in TSV_ENDINGS:
        return _tsv_records(path, set_aside)
    raise DataError(
        f"{path}: unknown ending {ending(path)!r}. Choose from: {', '.join(JSON_ENDINGS + TSV_ENDINGS)}, or these + .gz"
    )


def _tsv_records(path: Path, set_aside: Report) -> Iterator[Record]:
    for line in read_lines(path, set_aside):
        columns = line.text.split("\t")
        if len(columns) == 2:
            yield Record(line.where, {"_id": columns[0].strip(), "text": columns[1]})
        else:
            set_aside(SetAside(line.where, f"not `id<TAB>text`: {len(columns)} columns"))


def _known_id(
    record: Record, names: tuple[str, ...], wanted: Collection[str], taken: Mapping[str, _Text], set_aside: Report
) -> str | None:
    """The record's id, if it is wanted and new; a record without an id, or with one that was met, is set aside."""
    given = [record.fields[name] for name in names if name in record.fields]
    found = as_id(given[0]) if given else None
    if found is None:
        set_aside(SetAside(record.where, f"no id; it stands under {', '.join(names)}"))
    elif found in taken:
        set_aside(SetAside(record.where, f"duplicate id {found!r:.60}: the first one counts"))
        return None
    return found if found in wanted else None


def _attributes(fields: Mapping[str, object]) -> dict[str, str]:
    """Further strings of a query, such as its language; BEIR's `metadata` counts as if its entries stood beside it."""
    metadata = fields.get("metadata")
    entries = {**(metadata if isinstance(metadata, dict) else {}), **fields}
    known = {*QUERY_IDS, "text", "instruction"}
    return {name: value for name, value in entries.items() if name not in known and isinstance(value, str)}
