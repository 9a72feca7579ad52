"""Scores that differ -> the fault that explains them: the same pairs are scored directly under each hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.direct.prompts import Pair, Recipe
from pipelines.direct.scorer import DirectScorer
from pipelines.service.verify.hypotheses import Hypothesis, hypotheses
from pipelines.service.verify.sample_pairs import Sample
from pipelines.service.verify.service import Served
from pipelines.service.verify.tokens import ServiceTokens, compare_recipes, compare_usage
from stages.core.errors import EngineError
from stages.core.words import number
from stages.quality.agreement import (
    Agreement,
    Explanation,
    agreement,
    differs_beyond,
    explanations,
    nearest_noise,
)

# Whole queries are tried until there are so many pairs, those that differ most first.
PAIRS_TRIED = 48
HALF = ("bfloat16", "float16")
# Below this the order of documents has nothing to do with the right one.
UNRELATED = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, in words: `kind` is one of hypotheses.FaultKind, or `unknown`; `evidence` are whole sentences."""

    name: str
    kind: str
    says: str
    mend: str
    setting: str | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that was found: pairs of the sample with both scores and the published `prompts`.

    `limits` are those, in tokens, that the service may have, the likeliest first; `expected` is the dtype that it
    should have, `told_dtype` what it says it has, `load` makes a scorer of another dtype.
    """

    sample: Sample
    served: Served
    direct: tuple[float | None, ...]
    prompts: Sequence[Sequence[Sequence[int]]]
    scorer: DirectScorer
    tolerance: float
    tokens: ServiceTokens
    limits: tuple[int, ...]
    expected: str
    told_dtype: str | None
    load: Callable[[str], DirectScorer]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each pair's prompt; for embedding models of its document."""
        return [len(parts[-1]) for parts in self.prompts]

    @property
    def pairs(self) -> list[Pair]:
        return [pair for query in self.sample.queries for pair in query.pairs]

    @property
    def names(self) -> list[str]:
        return [query.query_id for query in self.sample.queries for _ in query.texts]

    def compare(
        self, places: Sequence[int], direct: Sequence[float | None], served: Sequence[float | None] | None = None
    ) -> Agreement | None:
        """Over some places; `direct` and `served` are parallel to these."""
        names = self.names
        return agreement(
            [names[place] for place in places],
            served if served is not None else [self.served.scores[place] for place in places],
            direct,
            self.tolerance,
            probabilities=self.scorer.family != "embedding",
        )


@dataclass(frozen=True, slots=True)
class FoundFault:
    """The fault, and all that was tried for it, the best explanation first."""

    fault: Fault
    tried: tuple[Explanation, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)


def find_fault(case: Case) -> FoundFault:
    """Which hypothesis explains the served scores: one of prompts and reading first, then a dtype, else none."""
    places = worst_places(case)
    published = case.compare(places, [case.direct[place] for place in places])
    if published is None:
        raise EngineError("no pair of the sample has both scores: there is nothing to explain")
    own = any(pair.instruction for pair in case.pairs)
    tried = hypotheses(case.scorer.family, case.scorer.published, case.limits, own)
    remains = {hypothesis.name: _under(case, hypothesis, places) for hypothesis in tried}
    told = explanations(published, remains, case.tolerance)
    words = {hypothesis.name: hypothesis.says for hypothesis in tried}
    best = next((one for one in told if one.explains), None)
    if best is not None:
        chosen = next(hypothesis for hypothesis in tried if hypothesis.name == best.name)
        evidence = tuple(_evidence(case, chosen, best, published))
        return FoundFault(
            Fault(chosen.name, chosen.kind, chosen.says, chosen.mend, chosen.setting, evidence), told, words
        )
    return FoundFault(_dtype(case, places, published) or _unknown(case, published), told, words)


def worst_places(case: Case) -> list[int]:
    """Places in the sample: whole queries, the one with the largest difference first, up to about PAIRS_TRIED pairs."""
    grouped: dict[str, list[int]] = {}
    for place, name in enumerate(case.names):
        grouped.setdefault(name, []).append(place)

    def largest(places: Sequence[int]) -> float:
        both = [(case.served.scores[place], case.direct[place]) for place in places]
        return max((abs(one - other) for one, other in both if one is not None and other is not None), default=0.0)

    taken: list[int] = []
    for places in sorted(grouped.values(), key=largest, reverse=True):
        if len(taken) < PAIRS_TRIED:
            taken += places
    return taken


def _under(case: Case, hypothesis: Hypothesis, places: Sequence[int]) -> Agreement | None:
    """How far the served scores are from what the hypothesis makes; None where it changes nothing that is scored."""
    direct = [case.direct[place] for place in places]
    if hypothesis.undo is not None:
        raw = [case.served.scores[place] for place in places]
        return case.compare(places, direct, [None if score is None else hypothesis.undo(score) for score in raw])
    if hypothesis.recipe is None:
        return None
    pairs = case.pairs
    # What the published way does not score was not compared before, and is not now.
    changed = [one for one in _changed(case, hypothesis.recipe, places) if direct[one] is not None]
    if not changed:
        return None
    scored = case.scorer.score_all([pairs[places[one]] for one in changed], hypothesis.recipe)
    for one, pair in zip(changed, scored, strict=True):
        direct[one] = pair.score
    return case.compare(places, direct)


def _changed(case: Case, recipe: Recipe, places: Sequence[int]) -> list[int]:
    """Which of the places a recipe reads another prompt of, or reads in another way."""
    published = case.scorer.published
    if (recipe.pooling, recipe.token_types) != (published.pooling, published.token_types):
        return list(range(len(places)))
    pairs = case.pairs
    made = case.scorer.prompts([pairs[place] for place in places], recipe)
    return [one for one, place in enumerate(places) if made[one] != case.prompts[place]]


def _evidence(case: Case, chosen: Hypothesis, best: Explanation, published: Agreement) -> Iterator[str]:
    pairs, left, before = best.remains.pairs, best.remains, published
    yield (
        f"So computed, the largest difference over {pairs} pairs is {number(left.largest)} instead of "
        f"{number(before.largest)}, the mean one {number(left.mean)} instead of {number(before.mean)}"
    )
    beyond = differs_beyond(case.lengths, case.served.scores, case.direct, case.tolerance)
    if beyond is not None:
        yield f"Only pairs of more than {beyond:,} tokens differ"
    if chosen.recipe is None:
        return
    parted = compare_recipes(case.scorer, case.sample, chosen.recipe)
    if parted is not None:
        yield (
            f"The first token that differs is number {parted.position + 1} of {parted.doc_id}: {parted.one} there, "
            f"{parted.other} in the published prompt"
        )
    made = case.scorer.prompts(case.pairs, chosen.recipe)
    counts = compare_usage(case.sample, made, case.served.tokens, None)
    if case.tokens.differing and counts.requests and not counts.differing:
        yield f"It reads as many tokens as the service reports, in all {counts.requests} requests, unlike the published"


def _dtype(case: Case, places: Sequence[int], published: Agreement) -> Fault | None:
    """Noise of another dtype: in all pairs, without effect on tokens, as large as that dtype's own."""
    if case.tokens.differing:
        return None
    noises: dict[str, Agreement] = {}
    for dtype in HALF:
        scores = case.load(dtype).score_all([case.pairs[place] for place in places])
        noise = case.compare(places, [case.direct[place] for place in places], [pair.score for pair in scores])
        if noise is not None:
            noises[dtype] = noise
    found = nearest_noise(published, noises)
    if found is None:
        return None
    name = "other_dtype"
    says = (
        f"The service computes in {found}, not in {case.expected}: small differences everywhere, hardly another order"
    )
    mend = f"set engine.dtype to {case.expected} in the service's config, or to {found} here if that is meant"
    if found == case.expected:
        name, says = "noise", f"The differences are {found}'s own noise: the tolerance is narrower than what it costs"
        mend = "allow more with --tolerance, or serve in float32"
    return Fault(name, "dtype", says, mend, "engine.dtype", tuple(_noise_evidence(case, published, noises)))


def _noise_evidence(case: Case, published: Agreement, noises: Mapping[str, Agreement]) -> Iterator[str]:
    sizes = " and ".join(f"{number(noise.rms)} in {dtype}" for dtype, noise in noises.items())
    yield f"Differences have the size {number(published.rms)} (root mean square); computed directly it is {sizes}"
    if published.tau_mean is not None:
        yield f"Kendall's tau is {published.tau_mean:.3f} on average, so the order hardly changes"
    if case.tokens.requests:
        yield f"Token counts are the same in all {case.tokens.requests} requests"
    if case.told_dtype and case.told_dtype != case.expected:
        yield f"The service says itself that it runs in {case.told_dtype}"


def _unknown(case: Case, published: Agreement) -> Fault:
    evidence, mend = [], "compare the model's folder and revision, the server's arguments and its log with this config"
    if case.tokens.differing and case.tokens.excess:
        evidence.append(f"Every prompt has {case.tokens.excess:+d} tokens: another instruction, or another template")
        mend = "compare instruction and template; the service's prompt is not one that is known here"
    elif case.tokens.requests and not case.tokens.differing:
        evidence.append(f"Token counts are right in all {case.tokens.requests} requests, so the prompt most likely is")
        mend = "compare the weights: model.name, model.revision, engine.load_format"
    if published.tau_mean is not None and abs(published.tau_mean) < UNRELATED:
        evidence.append(
            f"Kendall's tau is {published.tau_mean:.2f} on average: the order is unrelated, as with other weights, or "
            "with a head of random ones, which AutoModelForSequenceClassification makes of an original Qwen3-Reranker"
        )
    if len(scores := {score for score in case.served.scores if score is not None}) == 1:
        evidence.append(f"All pairs get the same score, {scores.pop():g}, as with a head that was never loaded")
    beyond = differs_beyond(case.lengths, case.served.scores, case.direct, case.tolerance)
    if beyond is not None:
        evidence.append(f"Only pairs of more than {beyond:,} tokens differ, so look at how long texts are cut")
    says = "The scores differ, and nothing that was tried explains them"
    return Fault("unknown", "unknown", says, mend, None, tuple(evidence))
