"""rerank-eval in Python, for notebooks and scripts: `from pipelines import run, open_run, compare, evaluate`.

Mistakes and failures are the exceptions of `stages.core.errors`, all of them RerankEvalError; nothing ends the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.extras import needed_by, require_package
from pipelines.base.surroundings import settle
from stages.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pipelines.base.config import RunConfig
    from pipelines.comparing.table import ComparedRuns
    from pipelines.job.evaluate_files import Evaluation
    from pipelines.runs.finished import FinishedRun


def run(
    config: RunConfig | Mapping[str, Any] | str | Path, *, quiet: bool = False, **sections: Mapping[str, Any]
) -> FinishedRun:
    """Run the job as `rerank-eval run` does, and open what it left.

    `config` is a YAML file, a RunConfig, or its sections as a dict; `sections` change some of its keys:
    `data={"depth": 20}`. Relative paths start at the working directory. `quiet` prints nothing.

    Raises InputError for what the user gave, EngineError or CanaryError where nothing could be scored; and, with the
    folder in the message and everything in it, TooManyFailuresError, TrackingError, and where the config has a gate
    RegressedError and CannotTellError: `open_run` opens it. In a light install NotInstalledError, with the command that
    installs what is missing.
    """
    from pipelines.base.given_config import config_with
    from pipelines.runs.finished import open_folder

    settle()
    settings = config_with(config, sections, cascade=True)
    with needed_by("run"):
        require_package("ray")
        from pipelines.job.console import JobConsole
        from pipelines.job.run import run as run_job

        folder = run_job(settings, JobConsole.for_python(quiet=quiet))
    return open_folder(folder.path)


def open_run(run: str | Path, *, uri: str | None = None) -> FinishedRun:
    """A finished run: its folder (`results/latest`), or the id or name of a run in MLflow at `uri`.

    Raises DataError where there is none, TrackingError where MLflow cannot be reached.
    """
    from pipelines.runs.finished import open_folder
    from pipelines.tracking.find import fetched_run

    if not isinstance(run, str | Path):
        raise DataError(f"a run is named by its folder, id or name, not by a {type(run).__name__}")
    if uri is None or Path(run).is_dir():
        return open_folder(Path(run))
    return fetched_run(str(run), uri)


def compare(
    *runs: FinishedRun | str | Path,
    metrics: Sequence[str] = (),
    confidence: float | None = None,
    seed: int | None = None,
    different_judgements: bool = False,
    different_candidates: bool = False,
) -> ComparedRuns:
    """Runs against the first one: differences with intervals at `confidence`, and p values corrected by Holm.

    `metrics` are those to compare, such as `ndcg@10`; by default all that every run has. `confidence` and `seed` are by
    default those of the runs' `evaluate` section: the highest confidence of all, the first one's seed. Raises DataError
    where the runs cannot be compared: different judgements and candidates must be allowed; ConfigError for a confidence
    that is none.
    """
    if confidence is not None and not 0.5 < confidence < 1:
        raise ConfigError(f"confidence {confidence} does not lie between 0.5 and 1: write 0.95 for 95 %")
    from pipelines.comparing.table import ComparedRuns
    from pipelines.runs.finished import FinishedRun
    from pipelines.verdict.runs import Allowed, compare_runs

    opened = [one if isinstance(one, FinishedRun) else open_run(one) for one in runs]
    allowed = Allowed(judgements=different_judgements, candidates=different_candidates)
    contents = [one.content for one in opened]
    return ComparedRuns(compare_runs(contents, metrics=metrics, allowed=allowed, confidence=confidence, seed=seed))


def evaluate(
    run: str | Path | Mapping[str, Mapping[str, float]],
    qrels: str | Path | Mapping[str, Mapping[str, int]],
    metrics: Sequence[str] = ("ndcg@10", "mrr@10"),
    run_columns: Sequence[str] | None = None,
    *,
    drop_self: bool = False,
) -> Evaluation:
    """Score a run against judgements as trec_eval does; no engine is involved.

    Both are files (a TREC run; TREC or BEIR qrels), or mappings: query id -> document id -> score or grade. Means are
    over all judged queries. `run_columns` are those of a run without TREC's six, such as ["query_id", "doc_id",
    "rank"]. `drop_self` leaves out documents that have their query's id, as BEIR's own evaluation does. Raises
    DataError for what cannot be read, ConfigError for a metric that does not exist.
    """
    from pipelines.job.evaluate_files import evaluate_run

    return evaluate_run(run, qrels, metrics, run_columns, drop_self=drop_self)
