"""The parts of a collection that the settings name as files, and those of a BEIR folder."""

from __future__ import annotations

from pathlib import Path

from stages.core.errors import DataError
from stages.sources.lines import existing_file
from stages.sources.packed import ENDINGS
from stages.sources.parts import DocumentsFile, NoQrels, Parts, Qrels, QrelsFile, Run, RunFile, Texts, TopicsFile
from stages.sources.run_columns import RunColumns
from stages.sources.settings import CHOOSE, FIRST_STAGE, DataSettings


def file_parts(settings: DataSettings) -> Parts:
    """Those of a BEIR folder, or the files that `settings` name. Raises DataError where one is missing."""
    folder = Path(settings.path or ".")
    if settings.path is not None and not folder.is_dir():
        raise DataError(
            f"data.path: {folder} is not a folder; give the folder that holds corpus.jsonl and queries.jsonl"
        )
    queries = given_queries(settings) or TopicsFile(_file(folder / "queries.jsonl", "queries"), settings.columns)
    documents = given_documents(settings) or DocumentsFile(
        _file(folder / "corpus.jsonl", "documents"), settings.columns
    )
    qrels = given_qrels(settings) or _folder_qrels(folder, settings)
    if settings.path is None:
        folder = Path(str(settings.documents)).parent
    return Parts(folder.resolve().name, given_runs(settings), queries, documents, qrels)


def _folder_qrels(folder: Path, settings: DataSettings) -> Qrels:
    """Where answers judge, none are needed. Raises DataError where both are there and neither was chosen."""
    path = folder / "qrels" / f"{settings.split}.tsv"
    if not settings.by_answers:
        return QrelsFile(_file(path, "qrels"))
    if settings.path is not None and settings.judgements is None and _packed(path).is_file():
        raise DataError(f"{_packed(path)} and data.columns.answers both judge: {CHOOSE}")
    return NoQrels()


def given_runs(settings: DataSettings) -> dict[str, Run]:
    """The run files by name; the one of `data.run` is called FIRST_STAGE."""
    given = settings.runs or ({} if settings.run is None else {FIRST_STAGE: settings.run})
    files = {
        name: existing_file(path, "data.run" if settings.runs is None else f"data.runs.{name}")
        for name, path in given.items()
    }
    columns = None if settings.run_columns is None else RunColumns.named(settings.run_columns)
    return {name: RunFile(file, columns, settings.subset, settings.split) for name, file in files.items()}


def given_queries(settings: DataSettings) -> Texts | None:
    if settings.queries is None:
        return None
    return TopicsFile(existing_file(settings.queries, "data.queries"), settings.columns)


def given_documents(settings: DataSettings) -> Texts | None:
    if settings.documents is None:
        return None
    return DocumentsFile(existing_file(settings.documents, "data.documents"), settings.columns)


def given_qrels(settings: DataSettings) -> Qrels | None:
    return None if settings.qrels is None else QrelsFile(existing_file(settings.qrels, "data.qrels"))


def _file(path: Path, name: str) -> Path:
    """The file, plain or packed."""
    return existing_file(_packed(path), f"data.{name}")


def _packed(path: Path) -> Path:
    """The file as it is, or packed; the plain one where there is neither."""
    packed = (path.with_name(path.name + one) for one in ENDINGS)
    return path if path.is_file() else next(filter(Path.is_file, packed), path)
