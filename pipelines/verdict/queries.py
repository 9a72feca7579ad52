"""The judged queries that runs share, and what is lost of each where they do not share all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.runs.read import RunContent, read_fields
from stages.core.errors import DataError
from stages.core.meeting import alike
from stages.core.records import QueryMetrics
from stages.quality.slices import Groups


def shared_queries(runs: Sequence[RunContent]) -> tuple[str, ...]:
    """In the order of the first run, which is one of two at least. Raises DataError where there are none."""
    first, *others = (run.reranked.query_ids for run in runs)
    shared = frozenset(first).intersection(*others)
    if not shared:
        other = next((ids for ids in others if not set(ids) & set(first)), others[0])
        pair = alike(first, other) or (first[0], other[0])
        raise DataError(
            f"the runs have no judged query in common: one has {pair[0]!r:.60}, another {pair[1]!r:.60}. Compare runs "
            "over the same queries, under the same ids"
        )
    return tuple(query_id for query_id in first if query_id in shared)


def restricted(values: QueryMetrics, query_ids: Sequence[str], metrics: Sequence[str]) -> QueryMetrics:
    """The values of these queries and metrics alone, in this order."""
    places = {query_id: place for place, query_id in enumerate(values.query_ids)}
    kept = [places[query_id] for query_id in query_ids]
    by_metric = {metric: tuple(values.values[metric][place] for place in kept) for metric in metrics}
    return QueryMetrics(tuple(query_ids), by_metric, tuple(values.answered[place] for place in kept))


def groups_of(runs: Sequence[RunContent]) -> Groups:
    """The slices of the runs' `evaluate.slices`; of one that several name, those of the first."""
    found: dict[str, dict[str, str]] = {}
    for run in runs:
        names = [name for name in (run.config.get("evaluate") or {}).get("slices") or {} if name not in found]
        order = [one["name"] for one in run.analysis.get("slices") or ()]  # the table of queries has another
        found |= {
            name: dict(sorted(of_query.items(), key=lambda one: _place(order, f"{name}={one[1]}")))
            for name, of_query in read_fields(run.folder, names).items()
            if of_query
        }
    return found


def _place(order: Sequence[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def data_notes(runs: Sequence[RunContent], shared: int) -> Iterator[str]:
    """What to mind of the data: judged queries that are left out, and what each run said of its own data, once."""
    for run in runs:
        if (judged := len(run.reranked.query_ids)) > shared:
            yield f"of the {judged:,} judged queries of {run.run_id} the {shared:,} are compared that every run has"
    told: dict[str, list[str]] = {}
    for run in runs:
        for remark in run.analysis.get("remarks") or ():
            told.setdefault(remark, []).append(run.run_id)
    for remark, run_ids in told.items():
        yield remark if len(run_ids) == len(runs) else f"{', '.join(run_ids)}: {remark}"
