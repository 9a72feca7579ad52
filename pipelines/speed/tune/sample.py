"""A run config's own data -> the prompts that every trial scores, so that real lengths and real queries decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.base.config import RunConfig
from pipelines.job.prepare import askable_candidates
from serve_app.engine.models import ModelInfo
from serve_app.engine.procedure import load_encoder
from serve_app.engine.prompts import Prompt
from stages.core.errors import DataError, ScoringError
from stages.core.records import Candidates
from stages.sources import open_source

WARM_UP_DOCUMENTS = 32
# Asked about real documents before the clock runs: behind the template nothing of such a prompt is found again.
WARM_UP_QUERY = "warm up"


@dataclass(frozen=True, slots=True)
class PromptSample:
    """`prompts` are in the order of the data: one for each pair; of an embedding model, one for each different text,
    as a job embeds each but once.
    """

    queries: int
    pairs: int
    prompts: tuple[Prompt, ...]
    warm_up: tuple[Prompt, ...]

    @property
    def tokens(self) -> int:
        return sum(len(one.token_ids) for one in self.prompts)


def read_sample(config: RunConfig, model: ModelInfo, pairs: int) -> PromptSample:
    """The first queries that have, together, at most so many pairs; the first one in any case, and each one whole.

    A query that does not fit the model is left out. Raises ConfigError for a model without an engine, DataError where
    the data holds nothing that can be scored.
    """
    encoder = load_encoder(model, config.model)
    queries: list[Candidates] = []
    prompts: list[Prompt] = []
    embedded: set[tuple[int, ...]] = set()
    reason = "there is no query"
    for one in askable_candidates(open_source(config.data), config.data.depth):
        if queries and sum(len(query.texts) for query in [*queries, one]) > pairs:
            break
        try:
            found = encoder.encode(one.query, one.instruction, one.texts)
        except ScoringError as error:
            reason = str(error)
        else:
            queries.append(one)
            prompts += _new(found, embedded) if model.family == "embedding" else found
    if not queries:
        raise DataError(f"data: nothing to measure with: {reason}")
    warm_up = encoder.encode(WARM_UP_QUERY, None, queries[0].texts[:WARM_UP_DOCUMENTS])
    return PromptSample(len(queries), sum(len(one.texts) for one in queries), tuple(prompts), tuple(warm_up))


def _new(prompts: Sequence[Prompt], embedded: set[tuple[int, ...]]) -> Iterator[Prompt]:
    """Those that no query before had, and no text before of the same query."""
    for one in prompts:
        if (ids := tuple(one.token_ids)) not in embedded:
            embedded.add(ids)
            yield one
