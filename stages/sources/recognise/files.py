"""A file or a folder, and what it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from stages.core.errors import DataError, first_line
from stages.core.records import SetAside
from stages.sources.formats.json_values import is_in_pieces, read_values
from stages.sources.formats.nested import LZ4
from stages.sources.formats.shape import Fields
from stages.sources.formats.tables import csv_header
from stages.sources.hub import SAVED_BY_DATASETS
from stages.sources.lines import JSON_ENDINGS, ending, read_objects, reading
from stages.sources.packed import ENDINGS
from stages.sources.recognise.columns import LINES_SEEN, of_lines
from stages.sources.recognise.finding import Finding
from stages.sources.recognise.head import PARQUET, read_head, require_lines, starts_with
from stages.sources.recognise.keys import of_columns, of_records, of_triples
from stages.sources.row_files import PARQUET_ENDINGS, ParquetTable

RECORDS_SEEN = 50
FILES_SEEN = 50
COMMENT = "#"
CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"


def recognise(path: Path) -> list[Finding]:
    """What the file is; of a folder that is read as a whole that alone, else each of its files.

    Raises DataError where nothing is there. A file that cannot be read is a finding as well.
    """
    with reading(path):
        if path.is_dir():
            return _of_folder(path)
        if not path.exists():
            raise DataError(f"{path} does not exist; give a file or a folder")
        if not path.is_file():
            raise DataError(f"{path} is no file that can be read twice; save it as one")
    return [_of_file(path)]


def _of_file(path: Path) -> Finding:
    try:
        if starts_with(path, LZ4):
            return Finding(str(path), "a run of ranx, packed", "run")
        return _of_parquet(path) if starts_with(path, PARQUET) else _of_text(path)
    except DataError as error:
        return Finding(str(path), "a file that cannot be read", remedy=str(error))


def _of_parquet(path: Path) -> Finding:
    table = ParquetTable(path.name, (path,))
    records = [record.fields for record in islice(table.records(_ignore), RECORDS_SEEN)]
    if triples := of_triples(path, table.columns):
        return triples
    finding = _of_table(path, records, "parquet", "Parquet")
    if finding.role == "rows" and ending(path) not in PARQUET_ENDINGS:
        finding.unsure.append(f"its name does not end in {PARQUET_ENDINGS[0]}; it is read as Parquet all the same")
    return finding


def _of_text(path: Path) -> Finding:
    head = read_head(path)
    if head.foreign:
        return Finding(str(path), head.foreign, remedy="give text (JSON, CSV, TREC) or Parquet")
    if not head.text.strip():
        if head.whole:
            return Finding(str(path), "an empty file", remedy="give one with content")
        return Finding(str(path), f"{len(head.text):,} blanks and more", remedy="give one with content")
    if head.text.lstrip().startswith(("{", "[")):
        try:
            return _of_json(path)
        except DataError:
            if ending(path) in JSON_ENDINGS:
                raise  # else it may be a text that begins so, such as TOML
    require_lines(path)
    lines = head.text.split("\n")
    if not head.whole and len(lines) > 1:
        lines.pop()  # it may be cut
    lines = [line for line in lines if line.strip() and not line.startswith(COMMENT)]
    if not lines:
        return Finding(str(path), "comments alone", remedy="give one with content")
    return _checked_table(path, of_lines(path, lines[:LINES_SEEN]))


def _checked_table(path: Path, finding: Finding) -> Finding:
    """The names of a table as the csv module reads them: some may hold the delimiter."""
    if finding.data.get("format") == "csv" and (again := of_columns(path, csv_header(path), "csv")):
        finding.data, finding.unsure = again.data, again.unsure
    return finding


def _of_json(path: Path) -> Finding:
    if not is_in_pieces(path):
        require_lines(path)
        records = [record.fields for record in islice(read_objects(path, _ignore), RECORDS_SEEN)]
        return _of_records(path, records, "jsonl")
    values = [one.value for one in islice(read_values(path), RECORDS_SEEN)]
    records = [value for value in values if isinstance(value, dict)]
    # Pairs of a document and its score, as LangChain's stores return them.
    records += [value[0] for value in values if isinstance(value, list) and value and isinstance(value[0], dict)]
    return _of_records(path, records, "json")


def _of_records(path: Path, records: Sequence[Fields], form: str) -> Finding:
    if not records:
        return Finding(str(path), "JSON without an object", remedy="give an array of objects, or an object per line")
    finding = of_records(path, records, form)
    if form == "json" and finding.role == "documents":
        finding.role, finding.remedy = "other", "write an object per line: a corpus is read from JSON Lines"
    return finding


def _of_folder(folder: Path) -> list[Finding]:
    names = {file.name for file in folder.iterdir()}
    if not names.isdisjoint(SAVED_BY_DATASETS):
        return [_saved(folder)]
    if _has(names, CORPUS) and _has(names, QUERIES):
        return _beir(folder)
    if others := _of_others(folder, names):
        return others
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        raise DataError(f"{folder} holds no file; give one that does")
    return _of_files(folder, files)


def _of_files(folder: Path, files: Sequence[Path]) -> list[Finding]:
    findings = [_of_file(file) for file in files[:FILES_SEEN]]
    if further := len(files) - len(findings):
        findings.append(Finding(str(folder), f"{further:,} files more", remedy="name those that belong together"))
    return findings


def _of_others(folder: Path, names: set[str]) -> list[Finding]:
    """A collection of MS MARCO or MTEB, read as a whole."""
    if any(name.startswith("collection") for name in names) and any(name.startswith("queries.") for name in names):
        finding = Finding(str(folder), "a collection of MS MARCO", "collection", {"format": "msmarco"})
        splits = sorted(
            {name.removeprefix("qrels.").partition(".tsv")[0] for name in names if name.startswith("qrels.")}
        )
        if splits:
            finding.data["split"] = splits[0]
        if len(splits) > 1:
            finding.unsure.append(f"judgements of several splits: {', '.join(splits)}; data.split chooses one")
        return [finding]
    if "corpus" in names and not names.isdisjoint(("queries", "query", "qrels", "default")):
        return [Finding(str(folder), "a collection of MTEB, in configs", "collection", {"format": "mteb"})]
    return []


def _has(names: set[str], name: str) -> bool:
    return any(f"{name}{one}" in names for one in ("", *ENDINGS))


def _beir(folder: Path) -> list[Finding]:
    """The collection, and the runs beside it."""
    splits = sorted(file.stem for file in (folder / "qrels").glob("*.tsv"))
    finding = Finding(str(folder), "a BEIR collection", "collection", {"format": "beir"})
    if not splits:
        finding.unsure.append("it has no judgements in qrels/; give a file of them as data.qrels")
    elif "test" not in splits:
        finding.data["split"] = splits[0]
    if len(splits) > 1:
        finding.unsure.append(f"judgements of several splits: {', '.join(splits)}; data.split chooses one")
    known = {folder / f"{name}{one}" for name in (CORPUS, QUERIES) for one in ("", *ENDINGS)}
    others = [file for file in sorted(folder.rglob("*")) if file.is_file() and file not in known]
    beside = _of_files(folder, [file for file in others if file.parent.name != "qrels"])
    return [finding, *(one for one in beside if one.role == "run")]


def _saved(folder: Path) -> Finding:
    from datasets import load_from_disk

    try:
        loaded = load_from_disk(str(folder))
        splits = list(loaded) if isinstance(loaded, dict) else []
        split = "test" if "test" in splits or not splits else splits[0]
        records = list(islice(loaded[split] if splits else loaded, RECORDS_SEEN))
    except Exception as error:  # whatever a broken folder makes of `datasets`, Arrow or JSON
        return Finding(str(folder), "a folder of save_to_disk that cannot be loaded", remedy=first_line(error))
    finding = _of_table(folder, records, "huggingface", "a data set saved by datasets")
    if split != "test":
        finding.data["split"] = split
    if len(splits) > 1:
        finding.unsure.append(f"it has several splits: {', '.join(splits)}; data.split chooses one")
    return finding


def _of_table(path: Path, records: Sequence[Fields], form: str, kind: str) -> Finding:
    """Of rows; queries and documents are read from text alone."""
    if not records:
        return Finding(str(path), f"{kind} without rows", remedy="give one that has some")
    finding = of_records(path, records, form)
    finding.told = f"{kind}: {finding.told}"
    if finding.role != "rows":
        finding.role = "other"
        finding.remedy = finding.remedy or "write queries and documents as JSON Lines: they are read from text alone"
    return finding


def _ignore(_: SetAside) -> None:
    """For a first look: whoever counts reports."""
