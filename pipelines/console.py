"""What a user sees on the terminal while a job runs. The libraries' own output goes to the run folder."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console as Rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from pipelines.config import TrackingSettings
from pipelines.run_folder import RunFolder
from pipelines.stream import Progress as Done
from stages.report import cost_table, quality_table
from stages.tables import CandidatesManifest
from stages.telemetry import TimelinePoint


class Console:
    """Prints the course of a job to the stdout it was made with, wherever that is sent later; nothing when `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        terminal = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self.rich = Rich(file=terminal, quiet=quiet, highlight=False)

    def say(self, text: str) -> None:
        self.rich.print(text, soft_wrap=True)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        with self.rich.status(what):
            yield

    def prepared(self, manifest: CandidatesManifest, set_aside: int) -> None:
        told = f"{manifest.queries:,} queries, {manifest.pairs:,} pairs"
        self.say(f"candidates  {told}" + (f"; {set_aside:,} rows set aside (failures.parquet)" if set_aside else ""))

    def ready(self, started_here: bool, seconds: float) -> None:
        self.say(f"engine      {f'ready after {seconds:.0f} s' if started_here else 'found running, reused'}")

    @contextlib.contextmanager
    def progress(self, manifest: CandidatesManifest) -> Iterator[Callable[[Done, TimelinePoint], None]]:
        """A live line: queries done, pairs per second, time left."""
        columns = (
            SpinnerColumn(),
            TextColumn("reranking"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("queries  {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.rich, transient=True) as bar:
            task = bar.add_task("rerank", total=manifest.queries, rate="")

            def on_progress(done: Done, point: TimelinePoint) -> None:
                overall = done.pairs / point.elapsed_s if point.elapsed_s else 0.0
                bar.update(task, completed=done.queries, rate=f"{overall:,.0f} pairs/s")

            yield on_progress

    def table(self, metrics: dict[str, Any]) -> None:
        self.rich.print(quality_table(metrics), cost_table(metrics))

    def where(self, folder: RunFolder, tracking: TrackingSettings) -> None:
        """The command that opens MLflow and, as the last line, the run folder."""
        if tracking.uri:
            self.say(f"compare     mlflow ui --backend-store-uri {shlex.quote(tracking.uri)}")
        self.say(f"run folder  {folder.path}")
