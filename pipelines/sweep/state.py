"""A sweep's points and the run folders that are there -> the content of sweep.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.base.redaction import redacted, redacted_text
from pipelines.runs.folder import RunFolder, too_many_failed
from pipelines.runs.read import read_metrics
from pipelines.sweep.folder import STATE_VERSION, PointResult, SweepFolder, SweepState
from pipelines.sweep.grid import GridPoint, engines_of
from pipelines.sweep.key import CHANGES, PointKey, key_in_time, key_of_run, keys_of_now
from stages.core.errors import TooManyFailuresError
from stages.core.judges import MODEL_PREFIX, judge_of
from stages.core.metrics import Metrics


def sweep_state(
    folder: SweepFolder,
    name: str,
    config: Path,
    overrides: Sequence[str],
    grid: Mapping[str, Sequence[Any]],
    points: Sequence[GridPoint],
) -> SweepState:
    """With the results that an earlier try left, whether or not it lived to write them down, where they would still be
    the same. Without secrets.
    """
    earlier = folder.read()
    known = [point for point in earlier.points if point.finished] if earlier else []
    tried = Earlier(folder, known, [(run, key_of_run(run)) for run in folder.finished_runs()], keys_of_now())
    return SweepState(
        schema_version=STATE_VERSION,
        sweep_id=folder.sweep_id,
        name=name,
        config=str(config),
        overrides=[redacted_text(one) for one in overrides],
        grid={key: [redacted({key: value})[key] for value in values] for key, values in grid.items()},
        points=[_result(point, tried) for point in points],
    )


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier tries left: finished points as sweep.json knows them, and finished runs, the newest first, with the
    key of each. `now` gives the key that a run of a config would have now.
    """

    folder: SweepFolder
    known: Sequence[PointResult]
    runs: Sequence[tuple[RunFolder, PointKey]]
    now: Callable[[RunConfig], PointKey | None]


def _result(point: GridPoint, tried: Earlier) -> PointResult:
    """The newest results that still hold; without any why there are none, though there were."""
    digest = point.config.digest
    result = PointResult(name=point.name, values=redacted(point.values), config_digest=digest)
    runs = [(run, key_in_time(run, key, point.config)) for run, key in tried.runs if key.config == digest]
    if not runs:
        if before := next((one for one in tried.known if one.name == point.name), None):
            result.anew, result.replaces = CHANGES["config"], before.run_folder
        return result
    now = tried.now(point.config)  # data are read only where there is something to compare them with
    if run := next((run for run, key in runs if key == now), None):
        place = _place(run, tried.folder)
        before = next((one for one in tried.known if one.run_folder == place), result)
        result.exit_code, result.message = before.exit_code or 0, before.message
        result.mlflow_run_id = before.mlflow_run_id
        take_numbers(result, run, tried.folder, point.config)
    else:
        newest, key = runs[0]
        result.anew = key.changed(now) if now else "its data or model cannot be read"
        result.replaces = _place(newest, tried.folder)
    return result


def sweep_remarks(folder: SweepFolder, state: SweepState, points: Sequence[GridPoint]) -> Iterator[str]:
    """What the reader of the table must know, a sentence each without its full stop: points that share data, judgements
    or a model, and yet were given different ones, or were computed otherwise.
    """
    seen: dict[tuple[str, str], set[object]] = {}
    computed: dict[str, set[str]] = {}
    for point, result in zip(points, state.points, strict=True):
        if result.finished:
            run, config = folder.run_folder(result), point.config
            key, model = key_of_run(run), engines_of(config)
            given = {"candidates": config.data.model_dump_json(), "scoring": model}
            given["judgements"] = config.data.model_dump_json(exclude={"depth"})
            for what, shared in given.items():
                seen.setdefault((what, shared), set()).add(repr(getattr(key, what)))
            computed.setdefault(model, set()).update(_computed_in(read_metrics(run)))
    edited = dict.fromkeys(CHANGES[what] for (what, _), keys in seen.items() if len(keys) > 1)
    if edited:
        told = " and ".join(edited)
        yield f"while the sweep ran {told}, so its points cannot be compared: the same command computes the older anew"
    for places in computed.values():
        if len(places) > 1:
            told = " and ".join(sorted(places))
            yield f"points of one model were computed in {told}: under another --name all are computed alike"


def _computed_in(metrics: Metrics) -> Iterator[str]:
    """The dtype of what scored a run, and on what device where that is told; nothing where neither is."""
    told: Mapping[str, Any] = dict(metrics)
    part = told.get("identity") or told["model"]
    if part.get("dtype"):
        yield " on ".join(str(part[name]) for name in ("dtype", "device") if part.get(name))


def take_numbers(result: PointResult, run: RunFolder, folder: SweepFolder, config: RunConfig) -> None:
    """The numbers of the run folder, and too many failures where nobody has noted them."""
    result.run_folder = _place(run, folder)
    if not run.metrics.is_file():
        return
    metrics = read_metrics(run)
    coverage, throughput = metrics["coverage"], metrics["throughput"]
    prefix = MODEL_PREFIX if judge_of(metrics) else ""
    result.metrics = {prefix + key: value for key, value in (metrics["quality"]["reranked"] or {}).items()}
    result.pairs, result.scored_pairs = coverage["pairs"], throughput["scored_pairs"]
    result.wall_s, result.pairs_per_s = throughput["wall_s"], throughput["pairs_per_s"]
    if result.exit_code == 0 and too_many_failed(metrics, config.rerank.max_failed_share):
        result.exit_code = TooManyFailuresError.exit_code
        result.message = f"{coverage['failed_pairs']:,} of {coverage['pairs']:,} pairs failed"


def dataset(folder: SweepFolder, state: SweepState) -> str | None:
    """The data set's name, as the first run with results calls it."""
    for point in state.points:
        file = folder.run_folder(point).environment
        if point.finished and file.is_file():
            return str(json.loads(file.read_text(encoding="utf-8"))["dataset"])
    return None


def _place(run: RunFolder, folder: SweepFolder) -> str:
    return str(run.path.relative_to(folder.path))
