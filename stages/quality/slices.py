"""Groups of the queries that a user named, each with its own change, tested with correction for their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from stages.core.records import QueryMetrics
from stages.quality.comparison import Tested, compare_systems
from stages.quality.regression import MIN_QUERIES
from stages.quality.significance import CONFIDENCE, holm, in_words

Groups = Mapping[str, Mapping[str, str]]
"""Name of a slicing (`language`) -> query id -> its group (`zh`). A query may be in none."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The judged queries of one group; `name` is as in `language=zh`.

    `means` are of the baseline (under the name BASELINE) and of each system, by metric; none where no query is judged.
    `tested` are the systems' changes, empty under MIN_QUERIES queries.
    """

    name: str
    queries: int
    means: Mapping[str, Mapping[str, float]]
    tested: Sequence[Tested]


BASELINE = ""


def compare_slices(
    baseline: QueryMetrics,
    systems: Mapping[str, QueryMetrics],
    groups: Groups,
    metrics: Sequence[str],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> list[Slice]:
    """Every group, in the order of `groups` and of their names; all evaluated on the same queries.

    p values are corrected by Holm over all groups, systems and metrics at once: that any of them is called different
    where none is has the probability of the level at most, however the groups overlap. How many queries a group has
    decides whether it is tested, never how these came out, so those that are not do not count.
    """
    members = dict(_members(groups, baseline.query_ids))
    systems = {name: _in_order(values, baseline) for name, values in systems.items()}
    found = {
        name: compare_systems(
            _of(baseline, places),
            {system: _of(values, places) for system, values in systems.items()},
            metrics,
            seed=seed,
            confidence=confidence,
        )
        for name, places in members.items()
        if len(places) >= MIN_QUERIES
    }
    corrected = holm({(name, one): p for name, one, p in _p_values(found)})
    return [
        Slice(
            name,
            len(places),
            _means({BASELINE: baseline, **systems}, places),
            [_corrected(one, name, corrected[name, place], len(corrected)) for place, one in enumerate(tested)],
        )
        for name, places in members.items()
        for tested in [found.get(name, ())]
    ]


def _members(groups: Groups, query_ids: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    for name, group_of in groups.items():
        places: dict[str, list[int]] = {group: [] for group in dict.fromkeys(group_of.values())}
        for place, query_id in enumerate(query_ids):
            if query_id in group_of:
                places[group_of[query_id]].append(place)
        yield from ((f"{name}={group}", found) for group, found in places.items())


def _p_values(found: Mapping[str, Sequence[Tested]]) -> Iterator[tuple[str, int, float]]:
    for name, several in found.items():
        for place, one in enumerate(several):
            yield name, place, one.difference.p_randomization


def _corrected(tested: Tested, name: str, p: float, comparisons: int) -> Tested:
    difference = replace(tested.difference, comparisons=comparisons)
    words = in_words(difference, f"{tested.metric} of {name}", p, 1 - difference.confidence)
    return replace(tested, difference=difference, corrected_p=p, words=words)


def _means(systems: Mapping[str, QueryMetrics], places: Sequence[int]) -> dict[str, dict[str, float]]:
    if not places:
        return {}
    return {
        system: {metric: sum(of[place] for place in places) / len(places) for metric, of in values.values.items()}
        for system, values in systems.items()
    }


def _in_order(values: QueryMetrics, baseline: QueryMetrics) -> QueryMetrics:
    if values.query_ids == baseline.query_ids:
        return values
    known = {query_id: place for place, query_id in enumerate(values.query_ids)}
    return _of(values, [known[query_id] for query_id in baseline.query_ids])


def _of(values: QueryMetrics, places: Sequence[int]) -> QueryMetrics:
    return QueryMetrics(
        tuple(values.query_ids[place] for place in places),
        {metric: tuple(of_query[place] for place in places) for metric, of_query in values.values.items()},
        tuple(values.answered[place] for place in places),
    )
