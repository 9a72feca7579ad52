"""`rerank-eval evaluate`: a run and qrels -> metrics. No engine, no cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from html import escape
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import ConfigError, DataError
from stages.core.judges import PEOPLE, JudgedBy, by_query, judged_by, mark_of_judgements
from stages.core.meeting import Encounter, Meeting
from stages.core.order import trec_order
from stages.core.records import Judgements, Location, QueryMetrics, SetAside
from stages.quality.evaluate import evaluate
from stages.quality.measures import metric_key, parse_metric
from stages.sources.formats.nested import read_any_qrels, read_any_run
from stages.sources.grades import parse_grade
from stages.sources.run_columns import RunColumns
from stages.sources.settings import OWN_DOCUMENT

if TYPE_CHECKING:
    from pandas import DataFrame

RunGiven = str | Path | Mapping[str, Mapping[str, float]]
QrelsGiven = str | Path | Mapping[str, Mapping[str, int]]
TOP = 10
"""How much of a ranking is looked at for judgements where no metric has a cutoff."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run is worth by some judgements: `values` of each judged query, also of those that the run lacks.

    `unjudged_share` is that part of the first `unjudged_top` documents that has no judgement, averaged over the
    answered queries; None where there are none. `unjudged_top` is the largest cutoff of the metrics, or TOP.
    `set_aside` are the lines that could not be used, `remarks` where run and judgements meet in part. `judged_by` says
    who judged; where a model did, `mark` stands beside every value, and `by_query` says whose grades each query has.
    """

    values: QueryMetrics
    unjudged_top: int
    unjudged_share: float | None
    set_aside: Sequence[SetAside]
    remarks: Sequence[str] = ()
    judged_by: JudgedBy = PEOPLE
    mark: str | None = None
    by_query: Mapping[str, str] = field(default_factory=dict)

    @property
    def means(self) -> dict[str, float]:
        """Metric, as it was named -> mean over all judged queries."""
        return {name: self.values.mean(name) for name in self.values.values}

    @property
    def per_query(self) -> DataFrame:
        """A row for each judged query: `query_id`, `answered`, each metric; `judged_by` where a model judged."""
        from pandas import DataFrame

        columns = {"query_id": self.values.query_ids, "answered": self.values.answered}
        judged = {"judged_by": [self.by_query[one] for one in self.values.query_ids]} if self.by_query else {}
        return DataFrame(columns | judged | dict(self.values.values))

    def summary(self) -> dict[str, Any]:
        """The content of `--json`."""
        queries, answered = len(self.values.query_ids), sum(self.values.answered)
        return {
            "judged_by": asdict(self.judged_by),
            "means": {metric_key(name): mean for name, mean in self.means.items()},
            "queries": queries,
            "answered": answered,
            "unanswered": queries - answered,
            "unjudged": {"top": self.unjudged_top, "share": self.unjudged_share},
            "set_aside_rows": len(self.set_aside),
            "remarks": list(self.remarks),
        }

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {mean:.4f}" for name, mean in self.means.items())
        mind = "".join(f"; mind: {remark}" for remark in self.remarks)
        mark = f", {self.mark}" if self.mark else ""
        return f"<evaluation: {told} over {len(self.values.query_ids):,} judged queries{mark}{mind}>"

    def _repr_html_(self) -> str:
        from pandas import Series

        mind = "".join(f"<p>Mind: {escape(remark)}.</p>" for remark in self.remarks)
        return str(Series(self.means, name=self.mark or "mean").to_frame().to_html(float_format="{:.4f}".format)) + mind


def evaluate_run(
    run: RunGiven,
    qrels: QrelsGiven,
    metrics: Sequence[str],
    run_columns: Sequence[str] | None = None,
    *,
    drop_self: bool = False,
) -> Evaluation:
    """Both are files, or mappings: query id -> document id -> score or grade. Bad lines of files are set aside, and
    with `drop_self` the documents that have their query's id, as BEIR's own evaluation drops them. `run_columns` are
    those of a run file that does not have TREC's, as `data.run_columns` names them.

    Raises ConfigError for a metric that does not exist and columns that are none of a run, DataError for a file that
    cannot be read, a grade that is no whole number, a score that is none at all, and a run and judgements that have no
    query in common, or documents under other ids.
    """
    wanted = tuple(name.strip() for name in metrics)
    top = max((parse_metric(name).cutoff for name in wanted), default=0) or TOP
    set_aside: list[SetAside] = []
    judgements = _judgements(qrels, set_aside)
    rankings = _rankings(run, set_aside, _columns(run_columns))
    if drop_self:
        rankings = {query_id: _without(query_id, ranking, set_aside) for query_id, ranking in rankings.items()}
    meeting = _meeting(run, qrels, rankings, judgements)
    found = evaluate(rankings, judgements, (*wanted, f"judged@{top}"))
    values = QueryMetrics(found.query_ids, {name: found.values[name] for name in wanted}, found.answered)
    # An unanswered query adds 0 to the sum.
    answered, judged = sum(values.answered), sum(found.values[f"judged@{top}"])
    unjudged = 1 - judged / answered if answered else None
    return Evaluation(
        values,
        top,
        unjudged,
        tuple(set_aside),
        tuple(meeting.remarks()),
        judged_by(judgements),
        mark_of_judgements(judgements),
        by_query(judgements),
    )


def _meeting(
    run: RunGiven, qrels: QrelsGiven, rankings: Mapping[str, Sequence[str]], judgements: Judgements
) -> Meeting:
    """Raises DataError where the two do not meet."""
    encounter = Encounter(judgements.grades)
    for query_id, doc_ids in rankings.items():
        encounter.add(query_id, partial(iter, doc_ids))
    meeting = encounter.meeting()
    names = ("the run" if isinstance(run, Mapping) else run, "qrels" if isinstance(qrels, Mapping) else qrels)
    if told := meeting.refusal(*map(str, names)):
        raise DataError(told)
    return meeting


def _judgements(qrels: QrelsGiven, set_aside: list[SetAside]) -> Judgements:
    if not isinstance(qrels, Mapping):
        return read_any_qrels(_path(qrels, "qrels"), set_aside.append)
    grades: dict[str, dict[str, int]] = {}
    for query_id, documents in _by_text(qrels, "qrels").items():
        for doc_id, given in _by_text(documents, f"qrels[{query_id!r}]").items():
            where = Location(f"qrels[{query_id!r}][{doc_id!r}]")
            grade = parse_grade(float(given) if isinstance(given, Real) else given, where)  # numpy's numbers are Real
            if grade is None:
                raise DataError(f"{where}: judgement is not an integer: {given!r:.40}")
            grades.setdefault(query_id, {})[doc_id] = grade
    if not grades:
        raise DataError("there is no judgement: give query id -> document id -> grade")
    return Judgements(grades)


def _columns(names: Sequence[str] | None) -> RunColumns | None:
    try:
        return None if names is None else RunColumns.named(names)
    except ValueError as error:
        raise ConfigError(f"run_columns: {error}") from error


def _rankings(run: RunGiven, set_aside: list[SetAside], columns: RunColumns | None) -> dict[str, Sequence[str]]:
    if not isinstance(run, Mapping):
        found = read_any_run(_path(run, "run"), set_aside.append, columns)
        return {query_id: one.doc_ids for query_id, one in found.items()}
    rankings: dict[str, Sequence[str]] = {}
    for query_id, documents in _by_text(run, "run").items():
        scored = _by_text(documents, f"run[{query_id!r}]")
        try:
            scores = [float(score) for score in scored.values()]
        except (TypeError, ValueError) as error:
            raise DataError(f"run[{query_id!r}]: a score is not a number ({error})") from error
        rankings[query_id] = trec_order(list(scored), scores)
    return rankings


def _without(query_id: str, ranking: Sequence[str], set_aside: list[SetAside]) -> Sequence[str]:
    """The ranking without the query's own document."""
    if query_id not in ranking:
        return ranking
    set_aside.append(SetAside(Location("run"), OWN_DOCUMENT, query_id, query_id))
    return [doc_id for doc_id in ranking if doc_id != query_id]


def _path(given: object, name: str) -> Path:
    if not isinstance(given, str | Path):
        raise DataError(f"{name} is neither a file nor a mapping of query ids, but {type(given).__name__}")
    return Path(given)


def _by_text(given: object, name: str) -> dict[str, Any]:
    """The mapping with its ids as text, as files have them. Raises DataError where two ids become one, as 7 and "7"."""
    if not isinstance(given, Mapping):
        raise DataError(f"{name} is no mapping of ids, but {type(given).__name__}")
    found = {str(key): value for key, value in given.items()}
    if len(found) < len(given):
        raise DataError(f"{name} has ids that are the same as text, such as 7 and '7': make them one")
    return found
