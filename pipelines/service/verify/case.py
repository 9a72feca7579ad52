"""A sample, a service and a direct scorer -> both sides' scores, how far apart they may be, and what else was seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.direct.scorer import DirectScorer
from pipelines.service.tolerance import Tolerance, measured_tolerance
from pipelines.service.verify.faults import Case
from pipelines.service.verify.sample_pairs import LONG_QUERY, Sample
from pipelines.service.verify.service import ask, tokens_of_pair
from pipelines.service.verify.setup import Setup
from pipelines.service.verify.tokens import EncoderTokens, compare_encoder, compare_usage
from serve_app.engine.models import ModelInfo, describe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Measured:
    """What belongs to a case but explains no fault. `seconds` is what the direct scores took."""

    encoder: EncoderTokens
    truncated: tuple[bool, ...]
    seconds: float
    tolerance_origin: str


def measure(
    setup: Setup, sample: Sample, scorer: DirectScorer, load: Callable[[str], DirectScorer]
) -> tuple[Case, Measured]:
    """Score the sample on both sides. Raises EngineError where the service scores nothing."""
    served = ask(setup.target, sample)
    pairs = [pair for query in sample.queries for pair in query.pairs]
    started_s = time.perf_counter()
    direct = scorer.score_all(pairs)
    seconds = time.perf_counter() - started_s
    scores, prompts = tuple(pair.score for pair in direct), scorer.prompts(pairs)
    given = setup.order.tolerance
    tolerance = (
        measured_tolerance(setup.expected, pairs, scores, load) if given is None else Tolerance(given, "--tolerance")
    )
    long = next(query for query in sample.queries if query.query_id == LONG_QUERY)
    tokens = compare_usage(sample, prompts, served.tokens, tokens_of_pair(setup.target, long, 0))
    case = Case(
        sample=sample,
        served=served,
        direct=scores,
        prompts=prompts,
        scorer=scorer,
        tolerance=tolerance.value,
        tokens=tokens,
        limits=limits_of(setup, tokens.longest, scorer.prompts(long.pairs)[0]),
        expected=setup.expected,
        told_dtype=setup.told.get("dtype"),
        load=load,
    )
    encoder = compare_encoder(setup.model, setup.config.model, scorer, sample)
    return case, Measured(encoder, tuple(pair.truncated for pair in direct), seconds, tolerance.origin)


def limits_of(setup: Setup, longest: int | None, long: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Limits, in tokens, that the service may have: ours; the one that it tells, or else the model's own; and what is
    left, as it counts, of the document too long, whose published prompts are `long`.

    An embedding model's query is a prompt of its own, which some servers count with the document's.
    """
    settings = setup.config.model
    told, own = setup.told.get("max_model_len"), describe(settings.model_copy(update={"max_length": None})).max_length
    read = [longest, longest - len(long[0]) if len(long) > 1 else None] if longest is not None else []
    found = [setup.model.max_length, told if _can_be(told, settings) else own, *read]
    return tuple(dict.fromkeys(limit for limit in found if limit is not None and limit > 0))


def _can_be(told: Any, settings: ModelSettings) -> bool:
    """Whether what a service says is a number that the model can have as its limit."""
    if not isinstance(told, int):
        return False
    try:
        describe(settings.model_copy(update={"max_length": told}))
    except ConfigError:
        return False
    return True


def notes(model: ModelInfo, told: Mapping[str, Any], expected: str, case: Case, measured: Measured) -> Iterator[str]:
    """What is worth knowing whether or not the scores agree: sentences without a full stop."""
    if told.get("id") not in (None, model.name):
        yield f"The service calls its model {told['id']}, the config {model.name}"
    if told.get("dtype") not in (None, expected):
        yield f"The service says that it computes in {told['dtype']}, {expected} is expected"
    if told.get("max_model_len") not in (None, model.max_length):
        yield f"The service reads {told['max_model_len']} tokens, the config's model.max_length is {model.max_length}"
    refused = [error for error in case.served.errors if error]
    if refused:
        yield f"{len(refused)} pairs got no score and are not compared; the first: {refused[0]}"
    if measured.encoder.differing:
        yield (
            f"Our own encoder differs from the published prompt in {measured.encoder.differing} of "
            f"{measured.encoder.pairs} pairs: please report that, the model's tokenizer is of a kind that is not known"
        )
    if case.tokens.differing:
        requests = f"{case.tokens.differing} of {case.tokens.requests} requests"
        yield f"The service reports another number of tokens than the published prompt has, in {requests}"
