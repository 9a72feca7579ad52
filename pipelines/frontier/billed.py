"""What any part of a hosted run's pairs would be billed: by its config's prices, and what its answers were billed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipelines.base.paid_sections import HostedSettings
from pipelines.frontier.inputs import Inputs
from pipelines.hosted.meter import CHARS_PER_TOKEN
from pipelines.hosted.shapes import DOCUMENTS_PER_SEARCH_UNIT, SHAPES
from pipelines.runs.config import section
from pipelines.runs.read import RunContent
from stages.core.errors import ConfigError
from stages.frontier.cost import Cost, Searches, TokensBilled
from stages.frontier.lists import Floats
from stages.frontier.points import letter

# Fewer are billed too little to tell what a pair is.
LEAST_PAIRS = 100


class Billed(NamedTuple):
    """`words` say where it is from; `note` what to mind, if anything."""

    cost: Cost
    words: str
    note: str | None = None


def billed(inputs: Inputs, place: int) -> Billed:
    """Raises ConfigError where the run has no price, or neither bills nor texts to tell tokens by."""
    run = inputs.runs[place]
    settings = HostedSettings.model_validate(dict(section(run.config, "hosted")))
    if not settings.priced:
        raise ConfigError(
            f"{letter(place)} ({run.run_id}) has no price: set hosted.price_per_... in its config and run it again"
        )
    shape = SHAPES[section(run.config, "model")["api"]]
    batch = min(settings.batch_documents, shape.most_documents or settings.batch_documents)
    per_request = (settings.price_per_1000_requests or 0.0) / 1000
    if shape.unit == "search_units":
        per_unit = (settings.price_per_1000_search_units or 0.0) / 1000
        return Billed(Cost(Searches(batch, DOCUMENTS_PER_SEARCH_UNIT, per_request, per_unit)), "its config's prices")
    per_token = (settings.price_per_million_tokens or 0.0) / 1e6
    characters = _characters(inputs)
    if (per_pair := _tokens_billed(run)) is not None:
        asked = inputs.asked(inputs.reach[place])
        tokens = characters * (per_pair * asked.sum() / characters[asked].sum())
        words = f"{per_pair:.4g} tokens a pair, as billed, by its config's prices"
        return Billed(Cost(TokensBilled(tokens, batch, per_request, per_token)), words)
    if any(texts.characters is None for texts in inputs.texts):
        raise ConfigError(
            f"{letter(place)} ({run.run_id}) was billed too little, and kept no texts, to tell what a pair costs: run "
            "it once with --no-store"
        )
    guessed = TokensBilled(characters / CHARS_PER_TOKEN, batch, per_request, per_token)
    note = f"{letter(place)} was billed too little to measure: tokens are guessed, {CHARS_PER_TOKEN} characters each"
    return Billed(Cost(guessed), "tokens guessed from characters, by its config's prices", note)


def _tokens_billed(run: RunContent) -> float | None:
    """Of a pair on average; None where too little was billed."""
    scored, units = run.metrics["throughput"]["scored_pairs"] or 0, run.metrics["hosted"]["billed_units"]
    return units / scored if units and scored >= LEAST_PAIRS else None


def _characters(inputs: Inputs) -> Floats:
    """Of each pair, its query's with its document's; 1 where the run kept no texts."""
    found = np.ones(inputs.shape)
    for row, (query, texts) in enumerate(zip(inputs.queries, inputs.texts, strict=True)):
        if texts.characters is not None:
            found[row, [column for column, number in enumerate(query.texts) if number >= 0]] = texts.characters
    return found
