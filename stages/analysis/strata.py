"""Where the reranker helps: its gain by query length, document length, truncation and the user's own columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.analysis.outcome import QueryOutcome
from stages.core.records import QueryMetrics
from stages.quality.interval import Interval
from stages.quality.significance import CONFIDENCE, difference_interval

QUERY_LENGTH = "query length (words)"
DOCUMENT_LENGTH = "mean document length (words)"
TRUNCATED = "documents cut"
IN_PASSAGES = "documents read in passages"
SCRIPT = "script of the query"
OTHER = "(other)"
NO_VALUE = "(no value)"
NO_CANDIDATES = "(no candidates)"

MIN_QUERIES = 5
BINS = 4

# Differences of equal values: they are computed alike, so this is generous.
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Stratum:
    """The judged queries of one `group` of a `column`; means are in the metric's unit, `sd` is that of the per-query
    differences (n - 1 in its denominator; None for one query). `interval` is that of `difference`, for orientation:
    strata are not tested, there are too many of them. None under MIN_QUERIES queries, and without a spread.
    """

    column: str
    group: str
    queries: int
    first_stage: float
    reranked: float
    difference: float
    sd: float | None
    interval: Interval | None
    wins: int
    ties: int
    losses: int


def strata(
    outcomes: Sequence[QueryOutcome],
    first: QueryMetrics,
    reranked: QueryMetrics,
    metric: str,
    confidence: float = CONFIDENCE,
) -> list[Stratum]:
    """Groups of each column, with intervals at `confidence`; those of one column hold every judged query once.

    Columns are the lengths (in quartiles), whether any document was cut, or read in passages where any was, the query's
    script, and every attribute.
    Groups of fewer than MIN_QUERIES queries are put together as OTHER; a judged query without candidates is in
    NO_CANDIDATES.
    """
    judged = frozenset(first.query_ids)
    known = [outcome for outcome in outcomes if outcome.query_id in judged]
    return [
        _stratum(column, group, members, first, reranked, metric, confidence)
        for column, group_of in _columns(known).items()
        for group, members in _members(group_of, first.query_ids).items()
    ]


def _columns(outcomes: Sequence[QueryOutcome]) -> dict[str, dict[str, str]]:
    """Column -> query id -> group, queries in the order in which their groups are to be shown."""
    query_lengths = {outcome.query_id: outcome.query_length for outcome in outcomes}
    document_lengths = {outcome.query_id: round(outcome.mean_document_length) for outcome in outcomes}
    columns = {
        QUERY_LENGTH: _quantile_groups(query_lengths),
        DOCUMENT_LENGTH: _quantile_groups(document_lengths),
        TRUNCATED: _by_name({outcome.query_id: "yes" if outcome.truncated else "no" for outcome in outcomes}),
        SCRIPT: _by_name({outcome.query_id: outcome.script for outcome in outcomes}),
    }
    if any(outcome.in_passages for outcome in outcomes):
        columns[IN_PASSAGES] = _by_name(
            {outcome.query_id: "yes" if outcome.in_passages else "no" for outcome in outcomes}
        )
    for name in sorted({name for outcome in outcomes for name in outcome.attributes}):
        columns[name] = _by_name({outcome.query_id: outcome.attributes.get(name) or NO_VALUE for outcome in outcomes})
    return {column: _merge_small(group_of) for column, group_of in columns.items()}


def _by_name(group_of: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(group_of.items(), key=lambda item: item[1]))


def _quantile_groups(values: Mapping[str, int]) -> dict[str, str]:
    """Query id -> `low-high` of its bin, by rising value: up to BINS bins of about equally many queries."""
    if not values:
        return {}
    ordered = dict(sorted(values.items(), key=lambda item: item[1]))
    numbers = np.array(list(ordered.values()))
    bins = max(1, min(BINS, len(numbers) // MIN_QUERIES))
    edges = np.unique(np.quantile(numbers, np.arange(1, bins) / bins))
    bin_of = np.searchsorted(edges, numbers)
    labels = {}
    for place in np.unique(bin_of):
        inside = numbers[bin_of == place]
        low, high = inside.min(), inside.max()
        labels[int(place)] = f"{low}" if low == high else f"{low}-{high}"
    return {query_id: labels[int(place)] for query_id, place in zip(ordered, bin_of, strict=True)}


def _merge_small(group_of: Mapping[str, str]) -> dict[str, str]:
    """Small groups as OTHER; a single one keeps its name, since it would be no larger."""
    small = {group for group, count in Counter(group_of.values()).items() if count < MIN_QUERIES}
    if len(small) < 2:
        return dict(group_of)
    return {query_id: OTHER if group in small else group for query_id, group in group_of.items()}


def _members(group_of: Mapping[str, str], query_ids: Sequence[str]) -> dict[str, list[int]]:
    """Group -> places of its queries in `query_ids`; OTHER and NO_CANDIDATES come last."""
    members: dict[str, list[int]] = {group: [] for group in group_of.values() if group != OTHER}
    for place, query_id in enumerate(query_ids):
        members.setdefault(group_of.get(query_id, NO_CANDIDATES), []).append(place)
    return members


def _stratum(
    column: str,
    group: str,
    members: Sequence[int],
    first: QueryMetrics,
    reranked: QueryMetrics,
    metric: str,
    confidence: float,
) -> Stratum:
    before = np.array(first.values[metric])[members]
    after = np.array(reranked.values[metric])[members]
    differences = after - before
    wins, losses = int((differences > _TIE).sum()), int((differences < -_TIE).sum())
    return Stratum(
        column=column,
        group=group,
        queries=len(members),
        first_stage=float(before.mean()),
        reranked=float(after.mean()),
        difference=float(differences.mean()),
        sd=float(differences.std(ddof=1)) if len(members) > 1 else None,
        interval=difference_interval(differences, confidence) if len(members) >= MIN_QUERIES else None,
        wins=wins,
        ties=len(members) - wins - losses,
        losses=losses,
    )
