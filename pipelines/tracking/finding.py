"""The folder of what was found about a service or an engine: its page, its figures, its JSON; and its run in MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.base.logs import libraries_log_to
from pipelines.runs.folder import RunFolder
from pipelines.runs.outgoing import outgoing
from pipelines.tracking.find import log_finding
from stages.core.errors import DataError
from stages.report.document import Document
from stages.report.html import write_html
from stages.report.markdown import to_markdown

EXPERIMENT = "rerank-eval-service"


class FindingFolder(RunFolder):
    """`<out>/<time>-<kind>-xxxx/`, with the link `<out>/latest`."""

    def leave(self, document: Document, content: dict[str, Any], name: str) -> None:
        """Write report.html, figures/ and `name`.json. Raises DataError where that cannot be written."""
        try:
            write_html(document, self.report, self.figures)
            self.write_json(self.path / f"{name}.json", content)
        except OSError as error:
            raise DataError(f"--out {self.path.parent}: cannot write {self.path} ({error.strerror})") from error
        self.link_as_latest()

    def log(
        self, uri: str, kind: str, params: Mapping[str, Any], metrics: Mapping[str, float], document: Document
    ) -> str:
        """Log all files of the folder, logs without tokens, as an MLflow run of its name; returns MLflow's id.

        Raises TrackingError.
        """
        paths = sorted(path for path in self.path.rglob("*") if path.is_file())
        with tempfile.TemporaryDirectory(prefix="rerank-eval-log-") as scratch, libraries_log_to(self.logs):
            places = (Path(scratch, str(number)) for number in range(len(paths)))
            files = [outgoing(path, set(), _place(place, path)) for place, path in zip(places, paths, strict=True)]
            return log_finding(uri, EXPERIMENT, self.run_id, kind, params, to_markdown(document), metrics, files)


def _place(folder: Path, path: Path) -> Path:
    folder.mkdir()
    return folder / path.name
