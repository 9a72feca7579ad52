"""A ServedScorer of embedding models whose documents' vectors are kept between runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from serve_app.replica.client import Answer, ServedScorer
from stages.core.columns import Columns, unpack
from stages.core.records import Asked, PairScore
from stages.core.vectors import TextKeys, VectorKeeper, VectorRows, distinct_texts, vector_rows


class EmbeddingScorer(ServedScorer):
    """The vectors that `keeper` knows go along with a call, and those of the other documents come back with its scores,
    to be kept. Texts go along in any case: the replica makes the prompts, by which it finds a vector.
    """

    def __init__(self, scorer: ServedScorer, keeper: VectorKeeper, keys: TextKeys) -> None:
        super().__init__(scorer.handle, scorer.retry_for_s, scorer.identity, listwise=scorer.listwise)
        self.keeper, self.keys = keeper, keys

    async def _call(self, batch: Sequence[Asked]) -> Sequence[Answer[PairScore]]:
        texts = [self.keys.of(text) for text in distinct_texts(batch)]
        # In a thread, as other lookups: a process may hold the file for a while, and other queries go on meanwhile.
        known = await asyncio.to_thread(self._known, texts)
        columns: Columns
        back: VectorRows
        columns, back = await self.handle.score_with_vectors.remote(
            list(batch), self.identity, known, wanted=self.keeper.keeps
        )
        if len(back.places):
            vectors = {texts[place]: one for place, one in back.by_place().items()}
            await asyncio.to_thread(self.keeper.keep, vectors)
        return unpack(columns)

    def _known(self, texts: Sequence[bytes]) -> VectorRows:
        found = self.keeper.lookup(texts)
        return vector_rows({place: found[text] for place, text in enumerate(texts) if text in found})
