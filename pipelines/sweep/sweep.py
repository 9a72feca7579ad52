"""`rerank-eval sweep`: every point of a grid as a run, one after the other, over one store of scores."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.base.config import RunConfig
from pipelines.base.config_file import ConfigFile
from pipelines.base.process import same_again
from pipelines.base.redaction import redacted
from pipelines.base.sections import GateSettings, TrackingSettings
from pipelines.job.connection import LateCluster, most_replicas
from pipelines.job.console import JobConsole
from pipelines.runs.folder import RunFolder
from pipelines.sweep.folder import PointResult, SweepFolder, SweepState
from pipelines.sweep.grid import MAX_POINTS, GridPoint, by_engine, grid_points, in_order, parse_grid, shown
from pipelines.sweep.report import compare_command, sweep_document
from pipelines.sweep.state import dataset, sweep_remarks, sweep_state, take_numbers
from pipelines.sweep.tracking import SweepTracker
from pipelines.tracking.uri import check_tracking
from stages.core.errors import InterruptedRunError, RerankEvalError, TrackingError
from stages.core.judges import shown_name
from stages.core.metrics import Metrics
from stages.core.words import count, metric_value, shortened
from stages.report.terminal import print_document

NAMES_SHOWN = 200
"""Letters of the names of points in one line."""


@dataclass(frozen=True, slots=True)
class SweepOrder:
    """What the user asked for. `name` None: a new sweep, under a name of its own."""

    config: Path
    grid: Sequence[str]
    overrides: Sequence[str] = ()
    name: str | None = None
    max_points: int = MAX_POINTS

    def points(self) -> list[GridPoint]:
        """Raises ConfigError, before anything is started."""
        return grid_points(self.config, self.overrides, parse_grid(self.grid), self.max_points)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was done. `exit_code` is that of the first point that failed, else 4 where MLflow failed, else 0."""

    folder: SweepFolder
    state: SweepState
    exit_code: int


class PointConsole(JobConsole):
    """A job's course without its tables: the sweep has one of its own."""

    def table(self, metrics: Metrics, runs: Mapping[str, Metrics]) -> None:
        """Nothing."""

    def verdict(self, folder: RunFolder) -> None:
        """Nothing."""

    def where(self, folder: RunFolder, tracking: TrackingSettings) -> None:
        """Nothing."""


def run_sweep(order: SweepOrder, console: JobConsole) -> Sweep:
    """Run what has no results yet. A point that fails is noted with its message, and the others go on.

    Raises ConfigError for a wrong grid, DataError where the folder cannot be used, EngineError where Ray cannot be
    reached, InterruptedRunError (130) for Ctrl-C: the same command under the same name then goes on.
    """
    points = order.points()
    console.notes(check_tracking(points[0].config.tracking.uri))
    name = order.name or f"{ConfigFile.find(order.config).name}-{secrets.token_hex(2)}"
    folder = SweepFolder.open(Path(points[0].config.output.dir), name)
    points = [GridPoint(point.values, _placed(point, folder)) for point in points]
    with folder.locked():
        with console.working("reading the data: do earlier results still hold?"):
            state = sweep_state(folder, name, order.config, order.overrides, parse_grid(order.grid), points)
        tracker = SweepTracker(points[0].config.tracking, folder)
        todo = [point for point in in_order(points) if not state.at(point.config.digest).finished]
        console.say(f"sweep       {len(points):,} points, {len(points) - len(todo):,} have results; {folder.path}")
        _say_anew(console, state)
        try:
            _run_all(todo, folder, state, tracker, PointConsole(quiet=console.rich.quiet))
        except (InterruptedRunError, KeyboardInterrupt) as error:
            raise InterruptedRunError(_how_to_go_on(order, name, folder, state)) from error
        finally:
            folder.write(state)
    state.remarks = list(sweep_remarks(folder, state, points))
    folder.write(state)
    _show(console, folder, state, tracker.fault)
    console.remarks(state.remarks)
    return Sweep(folder, state, state.exit_code or (TrackingError.exit_code if tracker.fault else 0))


def print_plan(order: SweepOrder, *, as_json: bool) -> None:
    """The points in the order in which they would run. Raises ConfigError."""
    points = order.points()
    check_tracking(points[0].config.tracking.uri)
    engines = {id(point): number for number, group in enumerate(by_engine(points), 1) for point in group}
    ordered = [(engines[id(point)], point) for point in in_order(points)]
    if as_json:
        told = [{"engine": engine, "values": redacted(point.values)} for engine, point in ordered]
        print(json.dumps({"points": told}, indent=2, ensure_ascii=False, default=str))
        return
    for place, (engine, point) in enumerate(ordered, 1):
        print(f"{place:4}  engine {engine}  {point.name}")
    print(f"{len(points):,} points, {len(set(engines.values())):,} engine settings; nothing was started")


def _placed(point: GridPoint, folder: SweepFolder) -> RunConfig:
    """Its results, scores and tags are the sweep's."""
    config = point.config
    swept = {f"swept.{key}": shown(value) for key, value in redacted(point.values).items()}
    tags = config.tracking.tags | {"sweep": folder.sweep_id} | swept
    rerank = config.rerank
    if rerank.store is None and rerank.store_mode == "read_write":
        rerank = rerank.model_copy(update={"store": str(folder.scores.resolve())})
    return config.model_copy(
        update={
            "gate": GateSettings(),  # a point is looked at beside the others, not held against a night
            "rerank": rerank,
            "tracking": config.tracking.model_copy(update={"tags": tags}),
            "output": config.output.model_copy(update={"dir": str(folder.points)}),
        }
    )


def _run_all(
    todo: Sequence[GridPoint], folder: SweepFolder, state: SweepState, tracker: SweepTracker, console: JobConsole
) -> None:
    """Run and log, over one connection to Ray where a point needs it; then log what an earlier try could not."""
    from pipelines.base.interruption import Interruption
    from pipelines.base.logs import libraries_log_to

    with libraries_log_to(folder.logs):
        if todo:
            replicas = max(most_replicas(point.config) for point in todo)
            with LateCluster(todo[0].config.serve, replicas) as cluster, Interruption(console.say):
                for place, point in enumerate(todo, 1):
                    console.say(f"\npoint {place} of {len(todo)}  {_plain(point.name)}")
                    _run_point(point, state.at(point.config.digest), folder, tracker, console, cluster)
                    folder.write(state)
        for result in state.points:
            if result.finished and result.mlflow_run_id is None:
                tracker.log(folder.run_folder(result))
                result.mlflow_run_id = tracker.logged.get(folder.run_folder(result).run_id)
            tracker.mark_replaced(result)
        state.dataset = state.dataset or dataset(folder, state)
        tracker.finish(state)


def _run_point(
    point: GridPoint,
    result: PointResult,
    folder: SweepFolder,
    tracker: SweepTracker,
    console: JobConsole,
    cluster: LateCluster,
) -> None:
    from pipelines.job.run import run

    before = set(folder.points.iterdir())
    result.exit_code, result.message = None, None
    try:
        run(point.config, console, tracker.log, cluster)
        result.exit_code = 0
    except InterruptedRunError:
        raise
    except RerankEvalError as error:
        result.exit_code, result.message = error.exit_code, str(error)
        console.say(f"failed      {_plain(result.message)}")
    finally:
        (folder.points / "latest").unlink(missing_ok=True)  # of no use among points, and one run more to `points/*`
    for path in set(folder.points.iterdir()) - before:
        result.mlflow_run_id = tracker.logged.get(path.name)
        take_numbers(result, RunFolder(path), folder, point.config)
    if result.finished:
        quality = ", ".join(f"{shown_name(key)} {metric_value(value)}" for key, value in result.metrics.items())
        console.say(f"done        {quality or 'no judgements'}; {count(result.scored_pairs)} pairs scored")


def _say_anew(console: JobConsole, state: SweepState) -> None:
    """In one line, which points have results that stand for them no more, and why."""
    reasons: dict[str, list[str]] = {}
    for point in state.points:
        if point.anew:
            reasons.setdefault(point.anew, []).append(point.name)
    told = [f"{reason}: {shortened('; '.join(names), NAMES_SHOWN)}" for reason, names in reasons.items()]
    if told:
        places = sum(map(len, reasons.values()))
        console.say(f"anew        {places:,} points, as {_plain(' | '.join(told))}")


def _show(console: JobConsole, folder: SweepFolder, state: SweepState, fault: str | None) -> None:
    console.say("")
    print_document(sweep_document(state), console.rich)
    for point in state.points:
        if point.message:
            console.say(f"failed      {_plain(f'{point.name}: {point.message}')}")
    if fault:
        console.say(f"note        {_plain(fault)}")
    if command := compare_command(folder, state):
        console.say(f"compare     {_plain(command)}")
    console.say(f"sweep       {_plain(str(folder.path))}")


def _how_to_go_on(order: SweepOrder, name: str, folder: SweepFolder, state: SweepState) -> str:
    done = sum(point.finished for point in state.points)
    return (
        f"interrupted: {done:,} of {len(state.points):,} points have results, in {folder.path}. To go on from there: "
        f"{_again(order, name)}"
    )


def _again(order: SweepOrder, name: str) -> str:
    """What to call to go on in this sweep."""
    return same_again(*([] if order.name else ["--name", name]))


def _plain(text: str) -> str:
    """Brackets in a value are no markup of rich's."""
    return text.replace("[", "\\[")
