"""The parts of a collection that the settings name as files, and those of a BEIR folder."""

from __future__ import annotations

from pathlib import Path

from stages.core.errors import DataError
from stages.sources.lines import existing_file
from stages.sources.parts import DocumentsFile, Parts, Qrels, QrelsFile, Run, RunFile, Texts, TopicsFile
from stages.sources.settings import FIRST_STAGE, DataSettings


def file_parts(settings: DataSettings) -> Parts:
    """Those of a BEIR folder, or the files that `settings` name. Raises DataError where one is missing."""
    folder = Path(settings.path or ".")
    if settings.path is not None and not folder.is_dir():
        raise DataError(
            f"data.path: {folder} is not a folder; give the folder that holds corpus.jsonl and queries.jsonl"
        )
    queries = given_queries(settings) or TopicsFile(_file(folder / "queries.jsonl", "queries"))
    documents = given_documents(settings) or DocumentsFile(_file(folder / "corpus.jsonl", "documents"))
    qrels = given_qrels(settings) or QrelsFile(_file(folder / "qrels" / f"{settings.split}.tsv", "qrels"))
    if settings.path is None:
        folder = Path(str(settings.documents)).parent
    return Parts(folder.resolve().name, given_runs(settings), queries, documents, qrels)


def given_runs(settings: DataSettings) -> dict[str, Run]:
    """The run files by name; the one of `data.run` is called FIRST_STAGE."""
    given = settings.runs or ({} if settings.run is None else {FIRST_STAGE: settings.run})
    where = {name: "data.run" if settings.runs is None else f"data.runs.{name}" for name in given}
    return {
        name: RunFile(existing_file(path, where[name]), settings.subset, settings.split) for name, path in given.items()
    }


def given_queries(settings: DataSettings) -> Texts | None:
    return None if settings.queries is None else TopicsFile(existing_file(settings.queries, "data.queries"))


def given_documents(settings: DataSettings) -> Texts | None:
    return None if settings.documents is None else DocumentsFile(existing_file(settings.documents, "data.documents"))


def given_qrels(settings: DataSettings) -> Qrels | None:
    return None if settings.qrels is None else QrelsFile(existing_file(settings.qrels, "data.qrels"))


def _file(path: Path, name: str) -> Path:
    return existing_file(_plain_or_gz(path), f"data.{name}")


def _plain_or_gz(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() and not path.is_file() else path
