"""Tokens compared: what our encoder sends against the published prompt, id by id; and what a service says it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.direct.prompts import Recipe
from pipelines.direct.scorer import DirectScorer
from pipelines.service.verify.sample_pairs import Sample
from serve_app.engine.models import ModelInfo
from serve_app.engine.procedure import load_encoder
from serve_app.settings import ModelSettings
from stages.core.errors import QueryTooLongError
from stages.quality.agreement import first_difference

AROUND = 3


@dataclass(frozen=True, slots=True)
class TokenDifference:
    """Where two prompts of one pair part: `position` counts from 0, the pieces are what stands around it."""

    query_id: str
    doc_id: str
    position: int
    one: str
    other: str


@dataclass(frozen=True, slots=True)
class EncoderTokens:
    """Our encoder against the published prompts: pairs compared, how many differ, and the first that does."""

    pairs: int
    differing: int
    first: TokenDifference | None


@dataclass(frozen=True, slots=True)
class ServiceTokens:
    """The service's counts against the published ones: requests compared, how many differ, and the first that does.

    `excess` is how many tokens more the service reads for a document, where that is the same for all; None elsewhere.
    `longest` is what it reads of the document too long, and `longest_direct` what the published way does.
    """

    requests: int
    differing: int
    first: tuple[str, int, int] | None
    excess: int | None
    longest: int | None
    longest_direct: int


def compare_encoder(model: ModelInfo, settings: ModelSettings, scorer: DirectScorer, sample: Sample) -> EncoderTokens:
    """What the service's own encoder makes of each pair, against what the publisher's procedure does."""
    encoder = load_encoder(model, settings)
    pairs, differing, first = 0, 0, None
    for query in sample.queries:
        try:
            made = encoder.encode(query.query, query.instruction, query.texts)
        except QueryTooLongError:
            continue
        direct = scorer.prompts(query.pairs)
        if model.family == "embedding":
            ours = [[made[0].token_ids, prompt.token_ids] for prompt in made[1:]]
        else:
            ours = [[prompt.token_ids] for prompt in made]
        for doc_id, one, other in zip(query.doc_ids, ours, direct, strict=True):
            found = _parted(scorer.tokenizer, query.query_id, doc_id, one, other)
            pairs, differing, first = pairs + 1, differing + (found is not None), first or found
    return EncoderTokens(pairs, differing, first)


def compare_recipes(scorer: DirectScorer, sample: Sample, other: Recipe) -> TokenDifference | None:
    """The first token that another recipe changes, in the first pair that it changes."""
    for query in sample.queries:
        made = zip(query.doc_ids, scorer.prompts(query.pairs), scorer.prompts(query.pairs, other), strict=True)
        for doc_id, published, changed in made:
            if len(published) == len(changed) and (
                found := _parted(scorer.tokenizer, query.query_id, doc_id, changed, published)
            ):
                return found
    return None


def compare_usage(
    sample: Sample, prompts: Sequence[Sequence[Sequence[int]]], told: Mapping[str, int], longest: int | None
) -> ServiceTokens:
    """`prompts` are those of the sample's pairs; `told` is what the service says it read for each query, `longest` for
    the document too long alone.
    """
    rest = iter(prompts)
    counts = {query.query_id: direct_counts([next(rest) for _ in query.texts]) for query in sample.queries}
    parted = [(name, read, counts[name][0]) for name, read in told.items() if read not in counts[name]]
    documents = {query.query_id: len(query.texts) for query in sample.queries}
    excesses = {(told[name] - counts[name][0]) / documents[name] for name in told}
    excess = excesses.pop() if len(excesses) == 1 else None
    return ServiceTokens(
        requests=len(told),
        differing=len(parted),
        first=parted[0] if parted else None,
        excess=int(excess) if excess is not None and excess.is_integer() else None,
        longest=longest,
        longest_direct=max(len(parts[-1]) for parts in prompts),
    )


def direct_counts(prompts: Sequence[Sequence[Sequence[int]]]) -> tuple[int, int]:
    """Tokens of a request's documents; and with the query's, where that is a prompt of its own, as vLLM counts it."""
    documents = sum(len(parts[-1]) for parts in prompts)
    return documents, documents + (len(prompts[0][0]) if len(prompts[0]) > 1 else 0)


def _parted(
    tokenizer: Any, query_id: str, doc_id: str, one: Sequence[Sequence[int]], other: Sequence[Sequence[int]]
) -> TokenDifference | None:
    for mine, theirs in zip(one, other, strict=True):
        place = first_difference(mine, theirs)
        if place is not None:
            pieces = [_pieces(tokenizer, ids, place) for ids in (mine, theirs)]
            return TokenDifference(query_id, doc_id, place, *pieces)
    return None


def _pieces(tokenizer: Any, ids: Sequence[int], place: int) -> str:
    """What stands around a place, each token in quotes, so that line breaks and blanks can be told apart."""
    return " ".join(repr(tokenizer.decode([token])) for token in ids[max(0, place - AROUND) : place + AROUND])
