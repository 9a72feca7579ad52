"""Files that live as long as a source is read, in the folder that TMPDIR names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import DataError


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder, removed with all it holds when the context ends, however it ends."""
    with writing_temporary_files():
        folder = tempfile.TemporaryDirectory(prefix="rerank-eval-", ignore_cleanup_errors=True)
    with folder as name:
        yield Path(name)


@contextmanager
def writing_temporary_files() -> Iterator[None]:
    """An OSError within, such as that of a full disk, becomes a DataError that says how to mend it."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write temporary files: {error}; set TMPDIR to a folder with room for the texts to rerank "
            "and for unpacked run files"
        ) from error
