"""What the next stage of a RAG workflow takes from a finished run: each query with its best documents and their texts.

Query by query: of the candidates' texts one file is in memory at a time, of the rankings the first ids of each query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.runs.folder import RunFolder
from stages.core.errors import DataError
from stages.core.order import ranking_keys
from stages.core.records import Candidates, Ranking
from stages.files.columns import read_listed
from stages.files.tables import read_candidates

LISTS = ("doc_ids", "scores", "logits", "tail")
TEXTS_AT_ONCE = 16  # so many are counted before it is seen whether they fit


@dataclass(frozen=True, slots=True)
class Budget:
    """So many tokens for all of a query's texts together, as `count` counts each."""

    tokens: int
    count: Callable[[Sequence[str]], Sequence[int]]

    def fitting(self, texts: Sequence[str]) -> int:
        """How many of the texts, from the first on, fit."""
        left = self.tokens
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            for place, tokens in enumerate(self.count(texts[start : start + TEXTS_AT_ONCE]), start):
                left -= tokens
                if left < 0:
                    return place
        return len(texts)


@dataclass(frozen=True, slots=True)
class Choice:
    """The `top` documents of each query at most, in the reranked order or the first stage's; of these as many from the
    first on as fit the budget.
    """

    top: int
    first_stage: bool = False
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Contexts:
    """One query and its chosen documents, best first; `ranking` holds these alone, in its `tail` those without a score.
    `texts` are parallel to `doc_ids`, and empty where none were asked for. `answered`: some document has a score.
    """

    query: Candidates
    ranking: Ranking
    texts: tuple[str, ...]
    answered: bool

    @property
    def doc_ids(self) -> tuple[str, ...]:
        return self.ranking.doc_ids + self.ranking.tail

    @property
    def scores(self) -> list[float]:
        """What ranks each document, as in run.trec: falling below the last scored one where it has no score."""
        return ranking_keys(self.ranking)


def read_contexts(folder: RunFolder, choice: Choice, *, with_texts: bool) -> Iterator[Contexts]:
    """Each query of a finished run, in the order of its candidates. One that was not answered has its first-stage list.

    With texts, documents without one are left out, such as those below `data.depth`. Raises DataError where candidates
    or rankings are missing, or the run was left without texts.
    """
    with_texts = with_texts or choice.budget is not None
    order = None if choice.first_stage else _Reranked(folder.rankings, choice.top)
    for query in read_candidates(folder.candidates) if with_texts else read_listed(folder.candidates):
        ranking = _first_stage(query, with_texts=with_texts) if order is None else order.of(query)
        if not with_texts:
            yield Contexts(query, _first(ranking, choice.top), (), ranking.answered)
            continue
        known = dict(zip(query.doc_ids, query.texts, strict=True))
        ranking = replace(ranking, tail=tuple(doc_id for doc_id in ranking.tail if doc_id in known))
        ranking = _first(ranking, choice.top)
        texts = tuple(known[doc_id] for doc_id in ranking.doc_ids + ranking.tail)
        fitting = len(texts) if choice.budget is None else choice.budget.fitting(texts)
        yield Contexts(query, _first(ranking, fitting), texts[:fitting], ranking.answered)


def _first_stage(query: Candidates, *, with_texts: bool) -> Ranking:
    """The list as it was given. The scores of documents without a text are not kept: then places stand for all."""
    if query.listed and not with_texts:
        scores = tuple(-float(place) for place in range(1, len(query.top) + 1))
        return Ranking(query.query_id, query.top, scores, (None,) * len(scores), query.tail)
    return Ranking(query.query_id, query.doc_ids, query.scores, (None,) * len(query.doc_ids), query.tail)


def _first(ranking: Ranking, most: int) -> Ranking:
    """Its first `most` documents, and nothing of what they cost."""
    tail = ranking.tail[: max(0, most - len(ranking.doc_ids))]
    return Ranking(ranking.query_id, ranking.doc_ids[:most], ranking.scores[:most], ranking.logits[:most], tail)


class _Reranked:
    """The first `top` scored documents of each query, and what follows them where they are fewer, held as Arrow: a
    tenth of what objects would take.
    """

    def __init__(self, folder: Path, top: int) -> None:
        files = sorted(folder.glob("*.parquet"))
        if not files:
            raise DataError(f"{folder} holds no rankings; open the whole run folder, or run the job again")
        self._top = top
        self._tables = [_cut(file, top) for file in files]
        self._places = {
            query_id: (number, row)
            for number, table in enumerate(self._tables)
            for row, query_id in enumerate(table.column("query_id").to_pylist())
        }

    def of(self, query: Candidates) -> Ranking:
        """The query's scored documents, and behind them those that got no score, in the order of the ranking."""
        found = self._row(query.query_id)
        doc_ids, tail = found["doc_ids"], found["tail"]
        if len(doc_ids) < self._top:
            # Runs of before failed documents kept their places left them out, and all of a query without a score.
            listed = {*doc_ids, *tail}
            tail = (*(one for one in query.top if one not in listed), *(tail or query.tail))
        return Ranking(query.query_id, doc_ids, found["scores"], found["logits"], tail)

    def _row(self, query_id: str) -> dict[str, tuple[Any, ...]]:
        if (place := self._places.get(query_id)) is None:
            return dict.fromkeys(LISTS, ())
        number, row = place
        [found] = self._tables[number].slice(row, 1).to_pylist()
        return {name: tuple(found[name]) for name in LISTS}


def _cut(file: Path, top: int) -> pa.Table:
    try:
        table = pq.read_table(file, columns=["query_id", *LISTS], partitioning=None)
        place, tail = table.column_names.index("tail"), table.column("tail")
        needed = pc.less(pc.list_value_length(table.column("doc_ids")), top)
        table = table.set_column(place, "tail", pc.if_else(needed, tail, pa.scalar([], tail.type)))
        for name in LISTS[:-1]:
            table = table.set_column(table.column_names.index(name), name, pc.list_slice(table.column(name), 0, top))
        return table.combine_chunks()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(f"cannot read rankings from {file}: {error}; run the job again") from error
