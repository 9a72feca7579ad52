"""What people judged of the runs' queries: as the runs keep it, of a file, or of a plan's folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.grading.pool import Grades
from pipelines.judging.campaign import Campaign
from pipelines.judging.existing import existing_judgements
from pipelines.judging.folder import DrawnQuery, Plan, PlanFolder
from pipelines.judging.journal import alone_with
from pipelines.runs.read import RunContent, read_fields
from stages.core.errors import ConfigError, DataError
from stages.files.columns import read_first_stage
from stages.grading.scale import Scale, scale_of
from stages.judging.draw import OTHER


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plan that is carried out: of its queries those that people `judged` were drawn at random, and `skipped` were
    drawn and could not be judged. `strata` are those of all queries that could be drawn, as far as they are known.
    """

    plan: Plan
    strata: Mapping[str, str]
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

    def scale(self, highest: int | None) -> Scale | None:
        """Up to `highest` where it is set, else as high as people could or did go; None where that is not known."""
        given = max((grade for grades in self.grades.values() for grade in grades.values()), default=0)
        top = max(given, highest or self.highest or 0)
        return scale_of(top) if self.grades and top > 0 else None


def people_of(runs: Sequence[RunContent], qrels: Path | None, plan: Path | None) -> People:
    """Raises ConfigError where two are given, DataError for what cannot be read, and for a plan that is not finished:
    the verdict would tell the estimate before the planned number is judged.
    """
    if qrels is not None and plan is not None:
        raise ConfigError("--qrels and --plan are both what people judged: give one of them")
    if plan is not None:
        return _of_plan(plan, runs)
    found = existing_judgements(runs, qrels)
    return People(found.grades, found.name, found.remarks)


def _of_plan(path: Path, runs: Sequence[RunContent]) -> People:
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
    strata, remarks = _strata(path, campaign.plan, campaign.queries, runs)
    drawn = Drawn(campaign.plan, strata, frozenset(grades), len(campaign.skipped))
    return People(grades, f"the plan {path}", remarks, drawn, campaign.plan.highest)


def _strata(
    path: Path, plan: Plan, drawn: Sequence[DrawnQuery], runs: Sequence[RunContent]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The stratum of each query that could be drawn, and what to mind. A plan holds the queries alone that may be
    judged; of the others the field that it was stratified by tells.
    """
    strata = {one.query_id: one.stratum for one in drawn}
    planned = [one["run_id"] for one in plan.runs]
    if not set(planned) <= {run.run_id for run in runs}:
        return strata, (f"the plan {path} is of {' and '.join(planned)}: how it drew tells nothing of another change",)
    if plan.stratify is None or len(drawn) == sum(plan.sizes.values()):
        return strata, ()
    (first,) = (run for run in runs if run.run_id == planned[0])
    values = read_fields(first.folder, [plan.stratify])[plan.stratify]
    for query_id, _ in read_first_stage(first.folder.candidates):
        stratum = values.get(query_id, "") if values.get(query_id, "") in plan.sizes else OTHER
        if stratum in plan.sizes:
            strata.setdefault(query_id, stratum)
    found = Counter(strata.values())
    if fewer := [name for name, size in plan.sizes.items() if found[name] < size]:
        told = ", ".join(map(repr, sorted(fewer)))
        return strata, (f"the plan {path} had more queries of {plan.stratify} {told} than the run has: they changed",)
    return strata, ()
