"""Systems against a baseline on the same queries: every metric tested, p values corrected together, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stages.core.errors import DataError
from stages.core.judges import NO_INTERVAL
from stages.core.records import QueryMetrics
from stages.quality.significance import CONFIDENCE, SIGNIFICANT, Difference, compare_values, holm, in_words


@dataclass(frozen=True, slots=True)
class Tested:
    """How `system` differs from the baseline in `metric`.

    `corrected_p` is the randomization test's, corrected by Holm over all metrics and systems of the comparison;
    `words` is one sentence on it.
    """

    system: str
    metric: str
    difference: Difference
    corrected_p: float
    words: str

    def significant(self) -> bool:
        return self.corrected_p < 1 - self.difference.confidence


def with_mark(tested: Tested, mark: str | None) -> Tested:
    """The sentence says that a model judged: the test is of which queries there are, and not of its errors."""
    if mark is None:
        return tested
    words = tested.words.replace(SIGNIFICANT, "more than chance over these queries")
    return replace(tested, words=f"{words}; {mark}: {NO_INTERVAL}")


def compare_systems(
    baseline: QueryMetrics,
    systems: Mapping[str, QueryMetrics],
    metrics: Sequence[str],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> list[Tested]:
    """Every system in every metric, systems first, in the given order.

    Queries are paired by their id. Raises DataError where a system was evaluated on other queries than the baseline,
    and where there is none.
    """
    comparisons = len(systems) * len(metrics)
    found: dict[tuple[str, str], Difference] = {}
    for name, system in systems.items():
        places = _places(name, baseline, system)
        for metric in metrics:
            values = [system.values[metric][place] for place in places]
            found[name, metric] = compare_values(
                baseline.values[metric], values, seed=seed, confidence=confidence, comparisons=comparisons
            )
    corrected = holm({key: difference.p_randomization for key, difference in found.items()})
    return [
        Tested(*key, difference, corrected[key], in_words(difference, key[1], corrected[key], 1 - confidence))
        for key, difference in found.items()
    ]


def _places(name: str, baseline: QueryMetrics, system: QueryMetrics) -> list[int]:
    """Where each of the baseline's queries stands in the system's."""
    places = {query_id: place for place, query_id in enumerate(system.query_ids)}
    if places.keys() != set(baseline.query_ids):
        missing = len(set(baseline.query_ids) - places.keys())
        more = len(places.keys() - set(baseline.query_ids))
        raise DataError(
            f"{name} was evaluated on other queries than the baseline: {missing} of the baseline's are missing, {more} "
            "are its own. Evaluate both with the same judgements."
        )
    return [places[query_id] for query_id in baseline.query_ids]
