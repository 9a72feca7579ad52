"""A finished run folder -> a copy elsewhere: S3, Google Cloud Storage, HDFS or a mounted folder, through pyarrow."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from pipelines.runs.folder import RunFolder
from stages.core.errors import TrackingError, first_line


def copy_results(folder: RunFolder, to: str | None) -> None:
    """Copy the folder to `to`/<run_id>, over what an earlier try left there; nothing where `to` is None.

    Credentials and endpoints are the library's own (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 ...). Raises TrackingError,
    which names the command that tries again.
    """
    if to is None:
        return
    try:
        place = to if "://" in to else Path(to).resolve().as_uri()
        filesystem, path = pafs.FileSystem.from_uri(f"{place.rstrip('/')}/{folder.run_id}")
        filesystem.create_dir(path)
        pafs.copy_files(str(folder.path.resolve()), path, destination_filesystem=filesystem)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise TrackingError(
            f"output.copy_to {to}: the results could not be copied ({first_line(error)}). They are complete "
            f"in {folder.path}. Copy them later: rerank-eval sync {folder.path}"
        ) from error
