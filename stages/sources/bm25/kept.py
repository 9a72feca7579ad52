"""Indexes kept for the next run, in a folder of their own: `KIND-CORPUS`. KIND stands for the settings, the version
of bm25s and of what is here, and CORPUS for every id and text.

An index is made beside its place and moved there when it is whole, so that several jobs may make one at once. What is
damaged is told by the files' digests, and made anew.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b, file_digest
from importlib.metadata import version
from pathlib import Path

from stages.core.errors import DataError
from stages.sources.bm25.index import Corpus, CorpusDigest, Texts, make_index
from stages.sources.bm25.settings import Bm25Settings

LAYOUT = 1  # another one where the same corpus would give another index, or other words
ABOUT = "about.json"
UNFINISHED = ".unfinished-"
FORGOTTEN_S = 24 * 3600  # what a job left unfinished that long ago, nobody works on


@dataclass(frozen=True, slots=True)
class Kept:
    """Where an index is, what it is of, and how it came there: found, made, or made anew as it was damaged."""

    folder: Path
    corpus: Corpus
    how: str


def default_root() -> Path:
    """Where indexes are kept unless `data.bm25.folder` says it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "rerank-eval" / "bm25"


def require_writable(root: Path) -> None:
    """Raises DataError where no index can be kept there."""
    there = next(one for one in (root.absolute(), *root.absolute().parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise _unwritable(root, f"{there} cannot be written")


def kind_of(settings: Bm25Settings) -> str:
    """16 hex digits: what else decides an index but the corpus."""
    told = settings.model_dump(exclude={"folder", "top"}) | {"bm25s": version("bm25s"), "layout": LAYOUT}
    if settings.language:
        told["stemmer"] = version("PyStemmer")
    return blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()


def kept_index(root: Path, settings: Bm25Settings, texts: Callable[[], Texts], source: str) -> Kept:
    """The index of what `texts` gives, made where it is not kept. Raises DataError where it cannot be written."""
    kind, damaged = kind_of(settings), None
    if any(root.glob(f"{kind}-*")):  # else there is nothing to look for, and one pass over the corpus is enough
        folder = root / f"{kind}-{CorpusDigest.of(texts())}"
        if (corpus := _read(folder)) is not None:
            return Kept(folder, corpus, "found")
        damaged = folder if folder.exists() else None
    with _writing(root), _unfinished(root) as made:
        corpus = make_index(texts(), settings, made, source)
        _seal(made, corpus)
        folder = root / f"{kind}-{corpus.digest}"
        if damaged == folder:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            made.rename(folder)
        except OSError:
            if _read(folder) is None:  # another job that was as quick would have left a whole one
                raise
    return Kept(folder, corpus, "made anew, as the kept one was damaged" if damaged else "made")


def _read(folder: Path) -> Corpus | None:
    """What is kept in a folder; None where that is not whole."""
    try:
        told = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        whole = all(_digest(folder / name) == digest for name, digest in told["files"].items())
        return Corpus(**told["corpus"]) if whole and told["files"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _seal(folder: Path, corpus: Corpus) -> None:
    files = {file.name: _digest(file) for file in sorted(folder.iterdir())}
    (folder / ABOUT).write_text(json.dumps({"corpus": asdict(corpus), "files": files}, indent=2), encoding="utf-8")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, lambda: blake2b(digest_size=16)).hexdigest()


@contextmanager
def _unfinished(root: Path) -> Iterator[Path]:
    """A new folder beside those that are kept; gone afterwards, if it was not moved."""
    root.mkdir(parents=True, exist_ok=True)
    for old in root.glob(f"{UNFINISHED}*"):
        if time.time() - old.stat().st_mtime > FORGOTTEN_S:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unwritable(root, str(error)) from error


def _unwritable(root: Path, told: str) -> DataError:
    return DataError(f"data.bm25.folder {root}: the index cannot be kept there ({told}); name a folder with room")
