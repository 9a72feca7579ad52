"""Finished runs -> a plan: which queries people judge, in which order, and how many at first."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.judging.existing import Existing, existing_judgements, existing_spread
from pipelines.judging.folder import DrawnQuery, Plan, PlanFolder
from pipelines.judging.population import Population, check_runs, read_population, read_texts
from pipelines.runs.read import RunContent, read_fields, read_run_folder
from pipelines.verdict.runs import settings_of
from stages.core.errors import ConfigError, DataError
from stages.core.words import counted, did_you_mean
from stages.files.columns import attribute_names
from stages.judging.draw import Drawn, draw, strata_of
from stages.judging.number import LEAST, PILOT, Aim, first_number, narrowest, worst_number
from stages.judging.pool import is_bounded, pool_depth, pooled
from stages.judging.precision import About
from stages.quality.measures import parse_metric

HIGHEST = 3
"""The largest grade, unless judgements that are used go otherwise."""
MOST_GRADES = 9
"""A grade is one key."""


@dataclass(frozen=True, slots=True)
class PlanOrder:
    """What is asked for; None where a default follows from the runs."""

    runs: Sequence[Path]
    out: Path
    metric: str
    width: float
    about: str = About.LIKE_THESE.value
    confidence: float | None = None
    seed: int | None = None
    pilot: int = PILOT
    sd: float | None = None
    stratify: str | None = None
    pool: int | None = None
    highest: int | None = None
    qrels: Path | None = None


def make_plan(order: PlanOrder) -> PlanFolder:
    """Raises ConfigError and DataError, before anything is written, where the order makes no sense or the runs lack
    what it needs.
    """
    pool = _check(order)
    folder = PlanFolder(order.out)
    folder.require_free()
    runs = [read_run_folder(path) for path in order.runs]
    check_runs(runs)
    population = read_population(runs, order.metric)
    existing = existing_judgements(runs, order.qrels)
    highest = _highest(order, existing)
    unchanged = set(population.unchanged)
    open_ids = [query_id for query_id in population.queries if query_id not in unchanged]
    if not open_ids:
        raise DataError(
            f"{order.metric} sees the same documents in the same order before and after in all "
            f"{counted(len(unchanged), 'query', 'queries')}: it does not change, whatever anybody judges"
        )
    own = settings_of(runs)
    aim = Aim(order.width, order.confidence or own.confidence, About(order.about), order.pilot)
    sd, source = _spread(order, population, existing)
    first = first_number(aim, len(population.queries), len(open_ids), sd)
    seed = own.seed if order.seed is None else order.seed
    strata = _strata(order, runs, open_ids, first)
    drawn = draw(strata, seed)[: _most(order, aim, len(population.queries), len(open_ids))]
    queries, remarks = _with_texts(drawn, population, runs, existing, pool, seed)
    plan = Plan(
        metric=order.metric,
        width=order.width,
        confidence=aim.confidence,
        about=aim.about,
        seed=seed,
        pilot=order.pilot,
        first=first,
        sd=sd,
        sd_source=source,
        before=population.names[0],
        after=population.names[1],
        pool=pool,
        highest=highest,
        population=len(population.queries),
        unchanged=len(unchanged),
        stratify=order.stratify,
        sizes={name: len(ids) for name, ids in strata.items()},
        order=[one.query_id for one in queries],
        runs=[_told(run) for run in runs],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        remarks=[
            *population.remarks,
            *existing.remarks,
            *remarks,
            *_of_metric(order, pool),
            *_of_width(aim, len(population.queries), len(open_ids), sd),
        ],
    )
    folder.create(plan, queries)
    return folder


def _check(order: PlanOrder) -> int:
    """The depth of the pool. Raises ConfigError."""
    if not order.width > 0:
        raise ConfigError(f"--width {order.width:g}: an interval of +- so much is wanted, as 0.03")
    if order.width >= 1 and is_bounded(order.metric):
        raise ConfigError(f"--width {order.width:g}: {order.metric} cannot change by more than 1; give less, as 0.03")
    if order.confidence is not None and not 0 < order.confidence < 1:
        raise ConfigError(f"--confidence {order.confidence:g}: a number between 0 and 1, as 0.95")
    if order.about not in tuple(About):
        raise ConfigError(f"--about {order.about}: choose from {', '.join(About)}")
    if order.pilot < LEAST:
        raise ConfigError(f"--pilot {order.pilot}: fewer than {LEAST} queries tell no spread; give {LEAST} or more")
    if order.sd is not None and order.sd <= 0:
        raise ConfigError(f"--sd {order.sd:g}: the standard deviation of a query's change is above 0, as 0.2")
    if order.highest is not None and not 1 <= order.highest <= MOST_GRADES:
        raise ConfigError(f"--highest {order.highest}: grades go from 0 to 1 ... {MOST_GRADES}, one key each")
    return pool_depth(order.metric, order.pool)


def _highest(order: PlanOrder, existing: Existing) -> int:
    """Raises ConfigError where existing grades are on another scale."""
    if not existing.grades:
        return order.highest or HIGHEST
    if not 1 <= existing.largest <= MOST_GRADES:
        raise ConfigError(
            f"the judgements of {existing.name} have grades up to {existing.largest}: more grades than keys, or none "
            "that is relevant. Give others with --qrels"
        )
    if order.highest is not None and order.highest != existing.largest:
        raise ConfigError(
            f"--highest {order.highest}: the judgements of {existing.name} go up to {existing.largest}, and gains of "
            "two scales cannot be added. Leave it out, or give other judgements with --qrels"
        )
    return existing.largest


def _spread(order: PlanOrder, population: Population, existing: Existing) -> tuple[float | None, str]:
    """What the first number is made from, and whence it is."""
    if order.sd is not None:
        return order.sd, "assumed with --sd"
    if (found := existing_spread(population, existing, order.metric)) is not None:
        return found, f"of the judgements of {existing.name}"
    return None, "of the pilot, once it is judged"


def _strata(order: PlanOrder, runs: Sequence[RunContent], query_ids: Sequence[str], first: int) -> dict[str, list[str]]:
    """Raises DataError where the queries have no such field."""
    if order.stratify is None:
        return {"": list(query_ids)}
    values = read_fields(runs[0].folder, [order.stratify])[order.stratify]
    if not values:
        known = sorted(attribute_names(runs[0].folder.candidates))
        raise DataError(
            f"--stratify {order.stratify}: the queries have no such field"
            + (did_you_mean(order.stratify, known) or "; fields are the further texts of a query's row")
        )
    return strata_of(query_ids, values, first)


def _most(order: PlanOrder, aim: Aim, population: int, open_queries: int) -> int:
    """How many queries may ever be drawn: those that the largest spread there is would need."""
    return worst_number(aim, population, open_queries) if is_bounded(order.metric) else open_queries


def _with_texts(
    drawn: Sequence[Drawn],
    population: Population,
    runs: Sequence[RunContent],
    existing: Existing,
    pool: int,
    seed: int,
) -> tuple[list[DrawnQuery], list[str]]:
    """The drawn queries with what is judged of each, and what to mind of that."""
    pools = {
        one.query_id: pooled([lists.get(one.query_id, ()) for lists in population.lists], pool, seed, one.query_id)
        for one in drawn
    }
    _check_ids(pools)
    texts, differing = read_texts(runs, pools)
    queries = []
    for query_id, stratum in drawn:
        grades: Mapping[str, int] = existing.grades.get(query_id, {})
        queries.append(
            DrawnQuery(
                query_id=query_id,
                stratum=stratum,
                query=population.queries[query_id],
                doc_ids=tuple(pools[query_id]),
                texts=tuple(texts[query_id].get(doc_id) for doc_id in pools[query_id]),
                known=tuple(grades.get(doc_id) for doc_id in pools[query_id]),
                before=population.before[query_id],
                after=population.after[query_id],
            )
        )
    return queries, [*_of_texts(queries, differing)]


def _of_texts(queries: Sequence[DrawnQuery], differing: int) -> list[str]:
    told = []
    pairs = [(text, known) for one in queries for text, known in zip(one.texts, one.known, strict=True)]
    if missing := sum(text is None and known is None for text, known in pairs):
        told.append(
            f"{counted(missing, 'document')} of {len(pairs):,} to judge have no text here: the page shows their id"
        )
    if differing:
        told.append(f"{counted(differing, 'document')} read otherwise in the second run: the first's is shown")
    return told


def _of_metric(order: PlanOrder, pool: int) -> list[str]:
    """What the number is not: nobody judges what no list has at its top."""
    parsed = parse_metric(order.metric)
    if not parsed.cutoff:
        return [f"what lies below {pool} in every list is not judged, and counts as not relevant"]
    if parsed.measure in ("ndcg", "ndcg_burges", "recall", "map", "f1"):
        return [f"relevant documents that no list has among its first {pool} are not known to {order.metric}"]
    return []


def _of_width(aim: Aim, population: int, open_queries: int, sd: float | None) -> list[str]:
    """Where the spread is known, and all queries together give no interval as narrow: said before anybody judges."""
    if sd is None or (least := narrowest(aim, population, open_queries, sd)) <= aim.width:
        return []
    all_of_them = counted(open_queries, "query", "queries")
    return [f"--width {aim.width:g} is out of reach: with this spread all {all_of_them} give about +-{least:.4f}"]


def _check_ids(pools: Mapping[str, Sequence[str]]) -> None:
    """Raises DataError for an id that a line of qrels cannot hold."""
    for one in (*pools, *(doc_id for pool in pools.values() for doc_id in pool)):
        if one != one.strip() or any(mark in one for mark in "\t\r\n"):
            raise DataError(f"the id {one!r:.60} has tabs, line ends or blanks around it: no line of qrels can hold it")


def _told(run: RunContent) -> dict[str, Any]:
    """A run as plan.json names it; the digest is of its metrics.json."""
    digest = hashlib.sha256(run.folder.metrics.read_bytes()).hexdigest()
    known = {key: run.metrics.get(key) for key in ("candidates_digest", "lists_digest", "judgements_digest")}
    return {"run_id": run.run_id, "path": str(run.folder.path), "metrics_sha256": digest} | known
