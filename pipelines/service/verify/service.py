"""A sample of pairs -> what a service answers for each, over HTTP: scores, and the tokens that it says it read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.service.target import Target
from pipelines.service.verify.sample_pairs import Sample, SampledQuery
from stages.core.errors import EngineError


@dataclass(frozen=True, slots=True)
class Served:
    """Parallel to the sample's pairs: `scores`, and `errors` where there is none. `tokens` are those of a whole
    request, by the id of its query, where the service told them and answered it whole.
    """

    scores: tuple[float | None, ...]
    errors: tuple[str | None, ...]
    tokens: Mapping[str, int]


def ask(target: Target, sample: Sample, on_query: Callable[[], None] = lambda: None) -> Served:
    """A request for each query. Where one is refused its pairs are asked one by one.

    Raises EngineError where no pair at all gets a score, with the service's reason.
    """
    scores: list[float | None] = []
    errors: list[str | None] = []
    tokens: dict[str, int] = {}
    for query in sample.queries:
        try:
            values, read = _request(target, query, query.texts)
        except EngineError:
            values, reasons = _one_by_one(target, query)
        else:
            reasons = [None] * len(values)
            if read is not None:
                tokens[query.query_id] = read
        scores += values
        errors += reasons
        on_query()
    if all(score is None for score in scores):
        raise EngineError(next(filter(None, errors), f"{target.url} scores nothing"))
    return Served(tuple(scores), tuple(errors), tokens)


def tokens_of_pair(target: Target, query: SampledQuery, place: int) -> int | None:
    """How many tokens the service reads of one pair; None where it refuses the pair, or does not tell."""
    try:
        _, read = _request(target, query, (query.texts[place],))
    except EngineError:
        return None
    return read


def told_model(target: Target) -> dict[str, Any]:
    """What the service says of its model; {} where it has no such list, as some servers do not."""
    try:
        return target.model()
    except EngineError as error:
        if "answers 404" in str(error):
            return {}
        raise


def _one_by_one(target: Target, query: SampledQuery) -> tuple[list[float | None], list[str | None]]:
    scores: list[float | None] = []
    errors: list[str | None] = []
    for text in query.texts:
        try:
            values, _ = _request(target, query, (text,))
        except EngineError as error:
            scores.append(None)
            errors.append(str(error))
        else:
            scores += values
            errors.append(None)
    return scores, errors


def _request(target: Target, query: SampledQuery, texts: tuple[str, ...]) -> tuple[list[float | None], int | None]:
    answer = target.rerank(query.query, texts, query.instruction)
    found = dict(_results(target, answer))
    if set(found) != set(range(len(texts))):
        raise EngineError(f"{target.url} gives {len(found)} scores for {len(texts)} documents")
    read = (answer.get("usage") or {}).get("prompt_tokens")
    return [found[place] for place in range(len(texts))], int(read) if read is not None else None


def _results(target: Target, answer: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    try:
        for result in answer["results"]:
            score = float(result["relevance_score"])
            if not math.isfinite(score):
                raise EngineError(f"{target.url} gives {score} for a document: that is no score")
            yield int(result["index"]), score
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(f"{target.url} answers /v1/rerank without results of index and relevance_score") from error
