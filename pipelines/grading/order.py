"""What a judging is asked to do, and everything of it that can be read and refused before anybody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.base.judge_config import JudgeConfig
from pipelines.base.judge_sections import Answer
from pipelines.grading.folder import JudgeFolder
from pipelines.grading.judge import prompt_and_answer
from pipelines.grading.people import People, people_of
from pipelines.grading.pool import PooledRun, Wanted, pooled, read_runs, wanted
from stages.core.errors import DataError
from stages.core.judge_prompt import JudgePrompt

# Of the section judge: what changes nothing of what is asked.
BESIDE = {"store", "store_days", "max_failed_share", "highest"}


@dataclass(frozen=True, slots=True)
class JudgeOrder:
    """Which runs, how, and what people judged: `qrels`, or a `plan`'s folder, or what the runs kept."""

    runs: Sequence[Path]
    config: JudgeConfig
    out: Path
    qrels: Path | None = None
    plan: Path | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Everything read and refused that can be, before anything is asked or written."""

    order: JudgeOrder
    prompt: JudgePrompt
    answer: Answer
    runs: Sequence[PooledRun]
    people: People
    wanted: Wanted


def read_order(order: JudgeOrder) -> Read:
    """Raises ConfigError and DataError, in one line."""
    prompt, answer = prompt_and_answer(order.config)
    contents = read_runs(order.runs)
    people = people_of(contents, order.qrels, order.plan)
    runs = list(map(pooled, contents))
    settings = order.config.judge
    asked = wanted(runs, order.config.depth, people.grades, settings.overlap, settings.seed)
    given = order.plan or order.qrels
    if given is not None and people.grades and not people.grades.keys() & asked.pool.keys():
        raise DataError(
            f"{given} judges none of the runs' {len(asked.pool):,} queries: give that of their data. "
            f"Its queries are called {next(iter(people.grades))!r:.40}, the runs' {next(iter(asked.pool))!r:.40}"
        )
    if not asked.pairs:
        raise DataError(
            "people judged every pair of the pool, and judge.overlap is 0: there is nothing to ask. Set judge.overlap "
            "to null to have the judge grade them too, for its agreement with people"
        )
    return Read(order, prompt, answer, runs, people, asked)


def marks_of(read: Read) -> dict[str, Any]:
    """What a folder is of: the same command goes on in it."""
    judge = read.order.config.judge.model_dump(mode="json", exclude=BESIDE)
    return {"runs": [one.run.run_id for one in read.runs], "judge": judge, "people": read.people.name}


def store_folder(config: JudgeConfig, folder: JudgeFolder) -> Path:
    return Path(config.judge.store) if config.judge.store is not None else folder.store
