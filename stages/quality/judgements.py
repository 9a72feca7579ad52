"""Can these judgements be measured by these metrics?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

from stages.core.errors import DataError
from stages.core.records import Judgements
from stages.quality.measures import Metric, parse_metric

# Gains of 2^grade add up to a finite number up to here; beyond 2^1023 they are infinite, and ndcg_burges not a number.
LARGEST_BURGES_GRADE = 1000


def check_judgements(judgements: Judgements, metrics: Sequence[str]) -> None:
    """Raises DataError for a grade that `metrics` cannot take, and for metrics of another kind of judgements."""
    parsed = {name: parse_metric(name) for name in metrics}
    if judgements.kind != "answers" and (name := next((name for name, one in parsed.items() if one.of_answers), None)):
        raise DataError(
            f"{name} is of judgements from answers, and these are qrels: give answers (data.columns.answers), or take "
            "hit_rate@k instead"
        )
    largest = _largest_grade(parsed.values())
    for query_id, grades in judgements.grades.items():
        _check_grades(query_id, grades, largest)


def check_tokens(judgements: Judgements, metrics: Mapping[str, Metric]) -> None:
    """Raises DataError where a metric counts tokens, and nobody has counted those of the documents."""
    name = next((name for name, metric in metrics.items() if metric.tokens), None)
    if name is not None and not judgements.tokens:
        raise DataError(f"{name} needs the tokens of each document's text, and these judgements come without")


def _largest_grade(metrics: Iterable[Metric]) -> int | None:
    return LARGEST_BURGES_GRADE if any(metric.measure.endswith("_burges") for metric in metrics) else None


def _check_grades(query_id: str, grades: Mapping[str, int], largest: int | None) -> None:
    for doc_id, grade in grades.items():
        if not isinstance(grade, (int, Integral)):
            raise DataError(
                f"The judgement of document {doc_id!r} for query {query_id!r} is {grade!r}, not an integer: "
                "grades are whole numbers, relevant from 1 on. Rescale them in the qrels."
            )
        if largest is not None and grade > largest:
            raise DataError(
                f"The judgement of document {doc_id!r} for query {query_id!r} is {grade}: dcg_burges and ndcg_burges "
                f"take 2 to its power, which needs grades up to {largest}. Leave them out, or rescale the grades."
            )
