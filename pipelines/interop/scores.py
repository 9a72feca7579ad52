"""Where a harness's scores come from: the engine of a config, or a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from pipelines.base.config import RunConfig
from pipelines.base.extras import needed_by, require_package
from pipelines.base.given_config import config_with
from pipelines.base.surroundings import settle
from pipelines.runs.finished import FinishedRun, open_folder
from stages.core.records import Candidates

Given = RunConfig | FinishedRun | Mapping[str, Any] | str | Path
"""A config (a YAML file, a RunConfig, or its sections as a dict), or a finished run or its folder."""


class PairScores(Protocol):
    """Scores of pairs, whatever they come from. `name` and `revision` say of what: another revision where a score may
    differ. `needs_texts`: it finds them by texts, and asks for no ids. What is still open is closed by `close`.
    """

    name: str
    revision: str
    max_length: int | None
    needs_texts: bool

    def score(self, batch: Sequence[Candidates]) -> list[list[float]]:
        """What ranks each document of each query, in their order: the logit, or the score where the model has none.

        Raises DataError or ScoringError where one has none: a harness would take whatever stood there for a score.
        """

    def close(self) -> None: ...


def scores_of(given: Given, by: Literal["ids", "texts"], *, quiet: bool) -> PairScores:
    """The engine of a config, not yet started; or a run's scores, found by the ids or the texts of pairs.

    Raises ConfigError and DataError for what cannot be used.
    """
    settle()
    if isinstance(given, str | Path) and Path(given).is_dir():
        given = open_folder(Path(given))
    if isinstance(given, FinishedRun):
        from pipelines.interop.run_scores import RunScores

        return RunScores(given, by)
    with needed_by("pipelines.interop"):
        require_package("ray")
        from pipelines.interop.engine_scores import EngineScores

        return EngineScores(config_with(given, {}), quiet=quiet)


class Scored:
    """A harness's object over `scores`; a context manager that closes them."""

    def __init__(self, scores: PairScores) -> None:
        self.scores = scores

    def close(self) -> None:
        """Stop what was started for it. It may be asked again, and then starts anew."""
        self.scores.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
