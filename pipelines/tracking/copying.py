"""A finished run folder -> a copy elsewhere: S3, Google Cloud Storage, HDFS or a mounted folder, through pyarrow."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from pipelines.base.redaction import redacted_text
from pipelines.runs.folder import RunFolder
from pipelines.runs.outgoing import mirror
from stages.core.errors import TrackingError, first_line


def copy_results(folder: RunFolder, to: str | None) -> None:
    """Copy the folder, without its config's secrets, to `to`/<run_id>, over what an earlier try left there.

    Nothing where `to` is None, or where the folder is that copy itself. Files of a local copy keep their modes.
    Credentials and endpoints are the library's own (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 ...). Raises TrackingError,
    which names the command that tries again.
    """
    if to is None:
        return
    try:
        filesystem, base = pafs.FileSystem.from_uri(to if "://" in to else Path(to).resolve().as_uri())
        place = f"{base.rstrip('/')}/{folder.run_id}"
        local = isinstance(filesystem, pafs.LocalFileSystem)
        if local and Path(place).resolve() == folder.path.resolve():
            return
        filesystem.create_dir(place)
        with tempfile.TemporaryDirectory(prefix="rerank-eval-copy-") as scratch:
            mirror(folder, made := Path(scratch, "run"))
            pafs.copy_files(str(made), place, destination_filesystem=filesystem)
        if local:
            _keep_modes(folder.path, Path(place))
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = redacted_text(first_line(error))
        raise TrackingError(
            f"output.copy_to {redacted_text(to)}: the results could not be copied ({reason}). They are complete "
            f"in {folder.path}. Copy them later: rerank-eval sync {folder.path}"
        ) from error


def _keep_modes(folder: Path, copy: Path) -> None:
    """As far as the file system has modes."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            shutil.copymode(path, copy / path.relative_to(folder))
