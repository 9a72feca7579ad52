"""The folder of one sweep: sweep.json, its points' run folders, its scores. A sweep of the same name goes on in it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipelines.base.places import place_in
from pipelines.base.versions import check_version
from pipelines.runs.folder import RunFolder
from stages.core import words
from stages.core.errors import DataError, first_line

STATE_VERSION = 2
STAMP = len("20261129-221500")
_NAMED = re.compile(r"\d{8}-\d{6}-sweep-.")


class PointResult(BaseModel):
    """What became of one point. `exit_code` is None until it was run; `run_folder` is relative to the sweep's.

    `metrics` are the means of the reranked lists, by their keys in metrics.json, with `by_model/` before those that a
    model's judgements give: no point is the best of both. `mlflow_run_id` is None until it is
    logged. `anew` says why results of an earlier try, in the folder `replaces`, do not stand for it.
    """

    name: str
    values: dict[str, Any]
    config_digest: str
    anew: str | None = None
    replaces: str | None = None
    run_folder: str | None = None
    exit_code: int | None = None
    message: str | None = None
    mlflow_run_id: str | None = None
    metrics: dict[str, float] = {}
    pairs: int | None = None
    scored_pairs: int | None = None
    pairs_per_s: float | None = None
    wall_s: float | None = None

    @property
    def finished(self) -> bool:
        """It has results, even if more pairs failed than allowed."""
        return bool(self.run_folder) and self.exit_code in (0, 3, 4)


class SweepState(BaseModel):
    """The content of sweep.json; points stand in the order of the grid. 0.1.0 wrote no version, which stands for 1."""

    schema_version: int = 1
    sweep_id: str
    name: str
    config: str
    overrides: list[str]
    grid: dict[str, list[Any]]
    dataset: str | None = None
    points: list[PointResult]
    remarks: list[str] = []

    def at(self, digest: str) -> PointResult:
        return next(point for point in self.points if point.config_digest == digest)

    @property
    def exit_code(self) -> int:
        """That of the first point that failed; 0 where none did."""
        return next((point.exit_code for point in self.points if point.exit_code), 0)


class SweepFolder:
    """`<output.dir>/<time>-sweep-<name>/` and the paths in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sweep_id = path.name
        self.state = path / "sweep.json"
        self.points = path / "points"
        self.scores = path / "scores"
        self.logs = path / "logs"

    @classmethod
    def open(cls, parent: Path, name: str) -> SweepFolder:
        """The last one of this name in `parent`, else a new one. Raises DataError where it cannot be made."""
        slug = words.distinct(name, words.slug(name)[:60])
        folders = (cls(path) for path in parent.glob("*-sweep-*") if _NAMED.match(path.name))
        earlier = [one.path for one in folders if one.is_called(name, slug)]
        folder = cls(max(earlier, default=parent / f"{datetime.now():%Y%m%d-%H%M%S}-sweep-{slug}"))
        try:
            folder.points.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"output.dir {parent}: cannot make a sweep's folder ({error.strerror}). Choose another."
            ) from error
        return folder

    def is_called(self, name: str, slug: str) -> bool:
        """By sweep.json; without a readable one by the folder's own name. Two names may have had one slug in 0.1.0."""
        try:
            return bool(json.loads(self.state.read_text(encoding="utf-8"))["name"] == name)
        except (OSError, ValueError, KeyError, TypeError):
            return self.sweep_id == f"{self.sweep_id[:STAMP]}-sweep-{slug}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Raises DataError where another process runs this sweep."""
        import fcntl  # here, as `sync` reads this file's folders where there is no such module

        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DataError(f"{self.path} is at work already in another process. Choose another --name.") from error
            yield

    def write(self, state: SweepState) -> None:
        RunFolder(self.path).write_json(self.state, state.model_dump(mode="json"))

    def read(self) -> SweepState | None:
        """None before the first point. Raises DataError for a file that is not ours, or a later version's."""
        try:
            state = SweepState.model_validate_json(self.state.read_bytes())
            check_version(state.schema_version, STATE_VERSION, str(self.state))
            return state
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise DataError(
                f"{self.state}: cannot be read ({first_line(error)}). Remove it, and run the sweep again."
            ) from error

    def run_folder(self, point: PointResult) -> RunFolder:
        """That of a point which has one. Raises DataError where sweep.json names one outside the sweep's folder."""
        told = point.run_folder or ""
        place = place_in(self.points, Path(told).name, f"{self.state}: run_folder")
        if told != str(place.relative_to(self.path)):
            raise DataError(f"{self.state}: run_folder {told!r:.80} lies outside {self.points}. Run the sweep again")
        return RunFolder(place)

    def finished_runs(self) -> list[RunFolder]:
        """Those that are complete, the newest first."""
        files = sorted(self.points.glob("*/metrics.json"), reverse=True)
        return [RunFolder(file.parent) for file in files if not file.parent.is_symlink()]
