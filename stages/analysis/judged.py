"""How much of what is measured was judged at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from stages.records import Judgements, QueryMetrics


def judged_at(
    rankings: Iterable[tuple[str, Sequence[str]]], judgements: Judgements, cutoffs: Sequence[int]
) -> QueryMetrics:
    """Per judged query the share of the top k documents that have a judgement, as `judged@k` for each k of `cutoffs`.

    Of a list shorter than k, the share of all of it, as in ir_measures' Judged@k; 0 where there is no list. Where it is
    low, a metric tells little: a document that no judge saw counts as not relevant.
    """
    places = {query_id: place for place, query_id in enumerate(sorted(judgements.grades))}
    values = {f"judged@{k}": np.zeros(len(places)) for k in cutoffs}
    answered = np.zeros(len(places), dtype=bool)
    for query_id, ranking in rankings:
        if not ranking or query_id not in places:
            continue
        answered[places[query_id]] = True
        has_grade = [doc_id in judgements.grades[query_id] for doc_id in ranking[: max(cutoffs, default=0)]]
        for k in cutoffs:
            values[f"judged@{k}"][places[query_id]] = np.mean(has_grade[:k])
    by_name = {name: tuple(of_cutoff.tolist()) for name, of_cutoff in values.items()}
    return QueryMetrics(tuple(places), by_name, tuple(answered.tolist()))
