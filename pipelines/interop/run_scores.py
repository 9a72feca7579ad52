"""A finished run's scores, found again by the pairs' ids or texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pipelines.runs.finished import FinishedRun
from stages.core.errors import DataError
from stages.core.order import ranking_keys
from stages.core.records import Candidates, Ranking
from stages.files.rankings import read_rankings
from stages.files.tables import read_candidates

Pair = tuple[str, str]


class RunScores:
    """PairScores of what a run scored. By ids a pair is its query's and document's id; by texts, their texts."""

    def __init__(self, run: FinishedRun, by: Literal["ids", "texts"]) -> None:
        """Raises DataError where the run's folder has lost its rankings or, asked by texts, holds none."""
        self.name: str = run.metrics["model"]["name"]
        self.revision = run.run_id
        self.max_length: int | None = run.metrics["model"]["max_length"]
        self._run, self.needs_texts = run, by == "texts"
        folder = run.content.folder
        if not folder.rankings.is_dir():
            raise DataError(f"{run.path}: its rankings are missing. Open the whole run folder, or run the job again.")
        texts = dict(_texts(read_candidates(folder.candidates))) if self.needs_texts else None
        self._scores: dict[Pair, float] = {}
        self._disagree: set[Pair] = set()
        for ranking in read_rankings(folder.rankings):
            self._add(ranking, texts)

    def score(self, batch: Sequence[Candidates]) -> list[list[float]]:
        return [[self._score(pair) for pair in self._pairs(one)] for one in batch]

    def close(self) -> None:
        """Nothing is open."""

    def _add(self, ranking: Ranking, texts: dict[Pair, Pair] | None) -> None:
        for doc_id, key in zip(ranking.doc_ids, ranking_keys(ranking), strict=False):
            pair = (ranking.query_id, doc_id)
            pair = texts[pair] if texts is not None else pair
            if self._scores.setdefault(pair, key) != key:  # queries that differ in their instruction, or in their list
                self._disagree.add(pair)

    def _pairs(self, one: Candidates) -> list[Pair]:
        if self.needs_texts:
            return [(one.query, text) for text in one.texts]
        return [(one.query_id, doc_id) for doc_id in one.doc_ids]

    def _score(self, pair: Pair) -> float:
        told = f"query {pair[0]!r:.80}, document {pair[1]!r:.80}"
        if pair in self._disagree:
            raise DataError(
                f"run {self._run.run_id} has several scores for these texts, which are not told apart: {told}"
            )
        if pair not in self._scores:
            raise DataError(
                f"run {self._run.run_id} has no score for {told}. Run the job over the same candidates, or give its "
                "config instead of the run: then the engine scores what is missing"
            )
        return self._scores[pair]


def _texts(candidates: Iterator[Candidates]) -> Iterator[tuple[Pair, Pair]]:
    """Each pair's ids, and its texts."""
    for one in candidates:
        for doc_id, text in zip(one.doc_ids, one.texts, strict=True):
            yield (one.query_id, doc_id), (one.query, text)
