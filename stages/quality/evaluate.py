"""Rankings and judgements -> the value of each metric for each judged query. Every value is ranx's, but for judged@k
and what counts tokens.

This is the only module that imports ranx, and it does so on first use: ranx brings in numba, pandas and matplotlib and
takes 2 s to load. Its metrics are compiled on first use, once per machine: 2 to 5 s for each metric, then numba keeps
them on disk (beside ranx, in the user's cache folder, or in NUMBA_CACHE_DIR) and they load in 0.1 s each. A cutoff or
a relevance level costs nothing more; ndcg and ndcg_burges are compiled together, and so are dcg and dcg_burges.

What metrics there are, and their definitions: `stages.quality.measures`.
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stages.core.errors import ConfigError, DataError
from stages.core.records import Judgements, QueryMetrics
from stages.quality.judgements import check_judgements, check_tokens
from stages.quality.measures import SUPPORTED, Metric, check_metric, metric_key, parse_metric
from stages.quality.prompt_tokens import tokens_needed

__all__ = [
    "SUPPORTED",
    "check_judgements",
    "check_metric",
    "evaluate",
    "evaluate_stream",
    "load_ranx",
    "metric_key",
    "warm_up",
]

# numba's "workqueue" threads, which ranx selects, abort the whole process when two threads enter them at once.
_NUMBA_LOCK = threading.Lock()

# A query of 100 judged documents takes 5 kB of rows, in ours and in ranx's lists; larger chunks are no faster.
QUERIES_PER_CHUNK = 1000

_Rows = npt.NDArray[np.float64]
_Values = npt.NDArray[np.float64]


class _QueryRows(NamedTuple):
    judged: _Rows
    ranked: _Rows
    needed: float  # tokens up to the first document with an answer; infinite where that is not known


def evaluate(rankings: Mapping[str, Sequence[str]], judgements: Judgements, metrics: Sequence[str]) -> QueryMetrics:
    """Compute `metrics` for every judged query, ordered by query id.

    `rankings` maps a query id to its document ids, best first; their order is taken as it is. A judged query that is
    absent or has an empty ranking scores 0 and is not answered; a query without a judgement is ignored; one without a
    relevant document scores 0, judged@k aside. Safe to call from several threads: they wait for each other and for
    `warm_up`.

    Raises ConfigError for an unknown metric; DataError when nothing is judged, when a grade is not an integer or too
    large for the burges metrics, and when a ranking holds a document twice, which would count it twice.
    """
    return evaluate_stream(rankings.items(), judgements, metrics)


def evaluate_stream(
    rankings: Iterable[tuple[str, Sequence[str]]],
    judgements: Judgements,
    metrics: Sequence[str],
    queries_per_chunk: int = QUERIES_PER_CHUNK,
) -> QueryMetrics:
    """`evaluate` over rankings as they come, in any order of queries; one chunk of them is in memory at a time.

    Besides what `evaluate` raises: DataError when a judged query comes twice.
    """
    parsed = {name: parse_metric(name) for name in metrics}
    places = {query_id: place for place, query_id in enumerate(sorted(judgements.grades))}
    if not places:
        raise DataError("There are no judgements to evaluate against: check the qrels file and its split.")
    check_judgements(judgements, metrics)
    check_tokens(judgements, parsed)
    values = {name: np.zeros(len(places)) for name in parsed}
    answered = np.zeros(len(places), dtype=bool)
    judged = _judged_once(rankings, judgements)
    while chunk := list(islice(judged, queries_per_chunk)):
        rows = [_to_rows(query_id, ranking, judgements) for query_id, ranking in chunk]
        here = [places[query_id] for query_id, _ in chunk]
        answered[here] = [len(ranking) > 0 for _, ranking in chunk]
        for name, of_chunk in _compute(rows, parsed).items():
            values[name][here] = of_chunk
    by_metric = {name: tuple(of_metric.tolist()) for name, of_metric in values.items()}
    return QueryMetrics(tuple(places), by_metric, tuple(answered.tolist()))


def _judged_once(
    rankings: Iterable[tuple[str, Sequence[str]]], judgements: Judgements
) -> Iterator[tuple[str, Sequence[str]]]:
    met: set[str] = set()
    for query_id, ranking in rankings:
        if query_id not in judgements.grades:
            continue
        if query_id in met:
            raise DataError(f"Query {query_id!r} is ranked twice: give one ranking for each query.")
        met.add(query_id)
        yield query_id, ranking


def warm_up(metrics: Sequence[str]) -> None:
    """Load ranx and compile `metrics`, so that `evaluate` starts at once. Raises ConfigError as `evaluate` does.

    Meant for a daemon thread of the process that will call `evaluate`, started while an engine loads its model: another
    process would fill the disk cache, but leave the 2 s of loading ranx to this one.
    """
    one = {"query": {"document": 1}}
    evaluate({"query": ("document",)}, Judgements(one, "answers", tokens=one), metrics)


def load_ranx() -> None:
    """Import it, in some 2 s. Raises ConfigError where it cannot be, as without a folder for what it compiles."""
    with _NUMBA_LOCK:
        _import_ranx()


def _to_rows(query_id: str, ranking: Sequence[str], judgements: Judgements) -> _QueryRows:
    """One query as ranx computes on it: rows of (document number, grade) and of (document number, score).

    Numbers are counted within the query, because ranx would compile anew for every new length of an id. Judged rows
    come best first, the order from which ranx takes the ideal ranking; ranked rows come in their given order, with the
    negated rank for a score. An unjudged document has number -1, which no judged one has.
    """
    _check_distinct(query_id, ranking)
    grades = judgements.grades[query_id]
    best_first = sorted(grades, key=grades.__getitem__, reverse=True)
    numbers = {doc_id: number for number, doc_id in enumerate(best_first)}
    judged = _rows(range(len(best_first)), [grades[doc_id] for doc_id in best_first])
    ranked = _rows([numbers.get(doc_id, -1) for doc_id in ranking], range(-1, -len(ranking) - 1, -1))
    return _QueryRows(judged, ranked, tokens_needed(ranking, grades, judgements.tokens.get(query_id, {})))


def _rows(numbers: Sequence[int] | _Values, values: Sequence[int] | npt.NDArray[Any]) -> _Rows:
    rows = np.empty((len(numbers), 2), dtype=np.float64)
    rows[:, 0] = numbers
    rows[:, 1] = values
    return rows


def _check_distinct(query_id: str, ranking: Sequence[str]) -> None:
    if len(set(ranking)) < len(ranking):
        [(doc_id, count)] = Counter(ranking).most_common(1)
        raise DataError(
            f"The ranking of query {query_id!r} holds document {doc_id!r} {count} times: keep its best rank only."
        )


def _compute(rows: Sequence[_QueryRows], metrics: Mapping[str, Metric]) -> dict[str, _Values]:
    own = {name: one for name, one in metrics.items() if one.tokens or SUPPORTED[one.measure].function is None}
    of_ranx = {name: metric for name, metric in metrics.items() if name not in own}
    values = _by_ranx(rows, of_ranx) if of_ranx else {}
    return values | {
        name: _within(rows, metric.tokens) if metric.tokens else _judged_shares(rows, metric.cutoff)
        for name, metric in own.items()
    }


def _within(rows: Sequence[_QueryRows], budget: int) -> _Values:
    return np.array([float(row.needed <= budget) for row in rows])


def _judged_shares(rows: Sequence[_QueryRows], cutoff: int) -> _Values:
    tops = (row.ranked[: cutoff or None, 0] for row in rows)
    return np.array([np.mean(top >= 0) if len(top) else 0.0 for top in tops])


def _by_ranx(rows: Sequence[_QueryRows], metrics: Mapping[str, Metric]) -> dict[str, _Values]:
    with _NUMBA_LOCK:
        ranx_metrics, typed_list = _import_ranx()
        graded, ranked = (typed_list(column) for column in ([row.judged for row in rows], [row.ranked for row in rows]))
        values = {}
        with warnings.catch_warnings():
            # Of numba's own loop counter, which ranx's parallel loops index lists with; it is never negative.
            warnings.filterwarnings("ignore", message="unsafe cast from uint64 to int64")
            for name, metric in metrics.items():
                judged, level = graded, metric.level
                if rewrite := _REWRITTEN.get(metric.measure):
                    judged, level = typed_list([rewrite(row.judged, level) for row in rows]), 1
                function = getattr(ranx_metrics, str(SUPPORTED[metric.measure].function))
                values[name] = function(judged, ranked, metric.persistence or metric.cutoff, level)
        return values


def _binary(judged: _Rows, level: int) -> _Rows:
    """Judged rows with grade 1 from `level` on and 0 below: ranx multiplies rbp by the grade."""
    return _rows(judged[:, 0], judged[:, 1] >= level)


def _binary_with_both(judged: _Rows, level: int) -> _Rows:
    """As trec_eval's bpref takes them: without grades below 0, which it holds for not judged.

    Where no document is relevant, or none is not, ranx divides by 0. One that no ranking holds takes its place: then 0,
    and the share of the relevant documents that were found, are the values of trec_eval.
    """
    number = len(judged)
    kept = _binary(judged[judged[:, 1] >= 0], level)
    missing = [(number + grade, grade) for grade in (0, 1) if not np.any(kept[:, 1] == grade)]
    return np.vstack((kept, _rows(*zip(*missing, strict=True)))) if missing else kept


_REWRITTEN: Mapping[str, Callable[[_Rows, int], _Rows]] = {"rbp": _binary, "bpref": _binary_with_both}


def _import_ranx() -> tuple[ModuleType, Callable[..., Any]]:
    try:
        import ranx.metrics
        from numba.typed import List
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"ranx could not be loaded ({error}). It needs two writable folders: set the environment variables "
            "NUMBA_CACHE_DIR (compiled metrics) and IR_DATASETS_HOME."
        ) from error
    return ranx.metrics, List
