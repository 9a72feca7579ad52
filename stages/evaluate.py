"""Rankings and judgements -> the value of each metric for each judged query. Every value is computed by ranx.

This is the only module that imports ranx, and it does so on first use: ranx brings in numba, pandas and matplotlib and
takes 2 s to load. Its metrics are compiled on first use, once per machine: 3 to 5 s for each metric, then numba keeps
them on disk (beside ranx, in the user's cache folder, or in NUMBA_CACHE_DIR) and they load in 0.1 s each.

Definitions. A document is relevant when its grade is 1 or more; an unjudged one, and one with grade 0 or below, is not.
With `@k` only the first k documents of a ranking count; without it all do. In trec_eval's names:

    ndcg@k, ndcg            ndcg_cut_k, ndcg: grade / log2(rank + 1), over that of all judged documents, best first
    mrr@k, mrr              recip_rank: 1 / rank of the first relevant document, 0 where that rank is over k
    map@k, map              map_cut_k, map: divided by all relevant documents, not by at most k
    recall@k, recall        recall_k, set_recall
    precision@k, precision  P_k, set_P: a ranking shorter than k is divided by k all the same
    f1@k, f1                harmonic mean of precision and recall, as set_F
    hit_rate@k, hit_rate    success_k
    hits@k, hits            num_rel_ret: a count, the only value that may exceed 1
    r-precision             Rprec: precision at the number of relevant documents
"""

from __future__ import annotations

import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from numbers import Integral
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stages.errors import ConfigError, DataError
from stages.records import Judgements, QueryMetrics

SUPPORTED: Mapping[str, str] = {
    "ndcg": "ndcg",
    "mrr": "reciprocal_rank",
    "map": "average_precision",
    "recall": "recall",
    "precision": "precision",
    "f1": "f1",
    "hit_rate": "hit_rate",
    "hits": "hits",
    "r-precision": "r_precision",
}
"""Metric name without its cutoff -> name of the function in `ranx.metrics`."""

_WITHOUT_CUTOFF = frozenset({"r-precision"})
_OTHER_NAMES = {
    "recip_rank": "mrr",
    "rr": "mrr",
    "ap": "map",
    "p": "precision",
    "rprec": "r-precision",
    "success": "hit_rate",
}
_CUTOFF = re.compile(r"[1-9][0-9]{0,8}")

# numba's "workqueue" threads, which ranx selects, abort the whole process when two threads enter them at once.
_NUMBA_LOCK = threading.Lock()

# A query of 100 judged documents takes 5 kB of rows, in ours and in ranx's lists; larger chunks are no faster.
QUERIES_PER_CHUNK = 1000

_Rows = npt.NDArray[np.float64]


class _QueryRows(NamedTuple):
    judged: _Rows
    ranked: _Rows


def check_metric(name: str) -> str:
    """Return `name` if `evaluate` knows it: a key of SUPPORTED, or one with a cutoff from 1 to 999999999 (`ndcg@10`).

    Raises ConfigError, which lists the choices and names the nearest one.
    """
    base, at, cutoff = name.partition("@")
    if base not in SUPPORTED or (at and (base in _WITHOUT_CUTOFF or not _CUTOFF.fullmatch(cutoff))):
        raise ConfigError(
            f"Unknown metric {name!r}; the nearest one is {_nearest(name)!r}. Choose from: {', '.join(SUPPORTED)}; "
            f"all but {', '.join(_WITHOUT_CUTOFF)} also with a cutoff, as in ndcg@10."
        )
    return name


def metric_key(name: str) -> str:
    """The metric's key in metrics.json and MLflow, which forbids `@`: `ndcg@10` -> `ndcg_at_10`."""
    return check_metric(name).replace("@", "_at_")


def evaluate(rankings: Mapping[str, Sequence[str]], judgements: Judgements, metrics: Sequence[str]) -> QueryMetrics:
    """Compute `metrics` for every judged query, ordered by query id.

    `rankings` maps a query id to its document ids, best first; their order is taken as it is. A judged query that is
    absent or has an empty ranking scores 0 and is not answered; a query without a judgement is ignored; one without a
    relevant document scores 0. Safe to call from several threads: they wait for each other and for `warm_up`.

    Raises ConfigError for an unknown metric; DataError when nothing is judged, when a grade is not an integer, and when
    a ranking holds a document twice, which would count it twice.
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
    for metric in metrics:
        check_metric(metric)
    places = {query_id: place for place, query_id in enumerate(sorted(judgements.grades))}
    if not places:
        raise DataError("There are no judgements to evaluate against: check the qrels file and its split.")
    for query_id, grades in judgements.grades.items():
        _check_grades(query_id, grades)
    values = {metric: np.zeros(len(places)) for metric in metrics}
    answered = np.zeros(len(places), dtype=bool)
    judged = _judged_once(rankings, judgements)
    while chunk := list(islice(judged, queries_per_chunk)):
        rows = [_to_rows(query_id, ranking, judgements.grades[query_id]) for query_id, ranking in chunk]
        here = [places[query_id] for query_id, _ in chunk]
        answered[here] = [len(ranking) > 0 for _, ranking in chunk]
        for metric, of_chunk in _compute(rows, metrics).items():
            values[metric][here] = of_chunk
    by_metric = {metric: tuple(of_metric.tolist()) for metric, of_metric in values.items()}
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
    evaluate({"query": ("document",)}, Judgements({"query": {"document": 1}}), metrics)


def _nearest(name: str) -> str:
    """The supported metric that `name`, perhaps in another tool's spelling (P_5, ndcg_cut_10), most likely means."""
    spelling = re.sub(r"(@|_at_|_cut_|[._])0*(\d+)$", r"@\2", name.strip().lower())
    base, _, cutoff = spelling.partition("@")
    base = _OTHER_NAMES.get(base) or get_close_matches(base, SUPPORTED, n=1, cutoff=0.0)[0]
    has_cutoff = _CUTOFF.fullmatch(cutoff) and base not in _WITHOUT_CUTOFF
    return f"{base}@{cutoff}" if has_cutoff else base


def _to_rows(query_id: str, ranking: Sequence[str], grades: Mapping[str, int]) -> _QueryRows:
    """One query as ranx computes on it: rows of (document number, grade) and of (document number, score).

    Numbers are counted within the query, because ranx would compile anew for every new length of an id. Judged rows
    come best first, the order from which ranx takes the ideal ranking; ranked rows come in their given order, with the
    negated rank for a score. An unjudged document has number -1, which no judged one has.
    """
    _check_distinct(query_id, ranking)
    best_first = sorted(grades, key=grades.__getitem__, reverse=True)
    numbers = {doc_id: number for number, doc_id in enumerate(best_first)}
    judged = _rows(range(len(best_first)), [grades[doc_id] for doc_id in best_first])
    ranked = _rows([numbers.get(doc_id, -1) for doc_id in ranking], range(-1, -len(ranking) - 1, -1))
    return _QueryRows(judged, ranked)


def _rows(numbers: Sequence[int], values: Sequence[int]) -> _Rows:
    rows = np.empty((len(numbers), 2), dtype=np.float64)
    rows[:, 0] = numbers
    rows[:, 1] = values
    return rows


def _check_grades(query_id: str, grades: Mapping[str, int]) -> None:
    for doc_id, grade in grades.items():
        if not isinstance(grade, (int, Integral)):
            raise DataError(
                f"The judgement of document {doc_id!r} for query {query_id!r} is {grade!r}, not an integer: "
                "grades are whole numbers, relevant from 1 on. Rescale them in the qrels."
            )


def _check_distinct(query_id: str, ranking: Sequence[str]) -> None:
    if len(set(ranking)) < len(ranking):
        [(doc_id, count)] = Counter(ranking).most_common(1)
        raise DataError(
            f"The ranking of query {query_id!r} holds document {doc_id!r} {count} times: keep its best rank only."
        )


def _compute(rows: Sequence[_QueryRows], metrics: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    with _NUMBA_LOCK:
        ranx_metrics, typed_list = _import_ranx()
        judged, ranked = (typed_list(column) for column in zip(*rows, strict=True))
        values = {}
        with warnings.catch_warnings():
            # Of numba's own loop counter, which ranx's parallel loops index lists with; it is never negative.
            warnings.filterwarnings("ignore", message="unsafe cast from uint64 to int64")
            for metric in metrics:
                base, _, cutoff = metric.partition("@")
                function = getattr(ranx_metrics, SUPPORTED[base])
                values[metric] = function(judged, ranked, int(cutoff or 0))
        return values


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
