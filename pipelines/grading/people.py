"""What people judged of the runs' queries: as the runs keep it, of a file, or of a plan's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.grading.pool import Grades
from pipelines.judging.campaign import Campaign
from pipelines.judging.existing import existing_judgements
from pipelines.judging.folder import DrawnQuery, Plan, PlanFolder
from pipelines.judging.journal import alone_with
from pipelines.runs.read import RunContent
from stages.core.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plan that is carried out: of its queries those that people `judged` were drawn at random, and `skipped` were
    drawn and could not be judged.
    """

    plan: Plan
    queries: Sequence[DrawnQuery]
    judged: frozenset[str]
    skipped: int


@dataclass(frozen=True, slots=True)
class People:
    """`grades`: query id -> document id -> grade; `name` says whose; `remarks` what is not used, and why."""

    grades: Grades
    name: str
    remarks: tuple[str, ...] = ()
    drawn: Drawn | None = None
    highest: int | None = None


def people_of(runs: Sequence[RunContent], qrels: Path | None, plan: Path | None) -> People:
    """Raises ConfigError where two are given, DataError for what cannot be read, and for a plan that is not finished:
    the verdict would tell the estimate before the planned number is judged.
    """
    if qrels is not None and plan is not None:
        raise ConfigError("--qrels and --plan are both what people judged: give one of them")
    if plan is not None:
        return _of_plan(plan)
    found = existing_judgements(runs, qrels)
    return People(found.grades, found.name, found.remarks)


def _of_plan(path: Path) -> People:
    folder = PlanFolder(path)
    if not folder.is_plan():
        raise DataError(f"--plan {path} is no folder of a plan: make one with rerank-eval plan-judging")
    with alone_with(path):
        campaign = Campaign(folder)
        progress = campaign.progress()
        if not progress.finished:
            raise DataError(
                f"--plan {path}: {progress.done:,} of {progress.number:,} queries are judged, and no verdict is made. "
                f"End it first, as no grade may change once the estimate is seen: rerank-eval plan-judging {path}"
            )
        places = [place for place in range(campaign.number) if place not in campaign.skipped]
        grades = {
            campaign.queries[place].query_id: {
                campaign.queries[place].doc_ids[document]: grade for document, grade in campaign.grades(place).items()
            }
            for place in places
        }
    drawn = Drawn(campaign.plan, campaign.queries, frozenset(grades), len(campaign.skipped))
    return People(grades, f"the plan {path}", (), drawn, campaign.plan.highest)
