"""A PyTerrier transformer over our engine and store, or over a run: `first_stage >> transformer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.interop.scores import Given, PairScores, Scored, scores_of
from stages.core.errors import DataError, NotInstalledError
from stages.core.order import trec_positions
from stages.core.records import Candidates

if TYPE_CHECKING:
    from pandas import DataFrame

IDS, TEXTS = ("qid", "docno"), ("query", "text")


def pyterrier_transformer(given: Given, *, quiet: bool = False) -> Any:
    """A `pt.Transformer` of a config's engine and `rerank.store`, or of a finished run, found by the ids of pairs.

    Frames need `qid`, `docno`, `query` and `text`, for a run `qid` and `docno` alone. Close it, or use it in `with`.
    Raises ConfigError and DataError for what cannot be used, NotInstalledError without PyTerrier or in a light install.
    """
    try:
        from pyterrier import Transformer
    except ModuleNotFoundError as error:
        raise NotInstalledError(
            "pipelines.interop.pyterrier_transformer needs PyTerrier: pip install pyterrier"
        ) from error
    scores = scores_of(given, "ids", quiet=quiet)
    kind = type("RerankEval", (RerankFrames, Transformer), {"__doc__": RerankFrames.__doc__})
    return kind(scores)


class RerankFrames(Scored):
    """Frames of candidates -> the same rows with `score` and `rank` (from 0) anew, best first within each query.

    Ties are broken as trec_eval does. `score` is what ranks: the logit, or the score where the model has none.
    """

    def __init__(self, scores: PairScores) -> None:
        super().__init__(scores)
        self._needed = IDS + TEXTS if scores.needs_texts else IDS

    def transform(self, inp: DataFrame) -> DataFrame:
        """Raises DataError where a column is missing, and as PairScores."""
        if missing := [name for name in self._needed if name not in inp.columns]:
            raise DataError(
                f"the frame has no column {', '.join(missing)}; it has {', '.join(map(str, inp.columns))}. Texts are "
                "added by pt.text.get_text: first_stage >> pt.text.get_text(dataset) >> transformer"
            )
        ranked = inp.drop(columns=["score", "rank"], errors="ignore").reset_index(drop=True)
        places, scores, ranks = self._ranked(ranked)
        ranked = ranked.iloc[places].reset_index(drop=True)
        return ranked.assign(score=_column(scores, "float64"), rank=_column(ranks, "int64"))

    def _ranked(self, frame: DataFrame) -> tuple[list[int], list[float], list[int]]:
        """Rows of the frame in the new order, their scores and their ranks."""
        groups: dict[Any, list[int]] = {}
        for place, query_id in enumerate(frame["qid"]):
            groups.setdefault(query_id, []).append(place)
        lists = [self._list(frame.iloc[rows]) for rows in groups.values()]
        places: list[int] = []
        scores: list[float] = []
        ranks: list[int] = []
        # PyTerrier looks at what comes of an empty frame: nothing is started for that.
        for rows, one, keys in zip(groups.values(), lists, self.scores.score(lists) if lists else [], strict=True):
            order = trec_positions(one.doc_ids, keys)
            places += [rows[place] for place in order]
            scores += [keys[place] for place in order]
            ranks += range(len(order))
        return places, scores, ranks

    def _list(self, rows: DataFrame) -> Candidates:
        """One query's rows. Raises DataError where a text is none, or the query has several."""
        query_id = str(rows["qid"].iloc[0])
        texts = {name: tuple(rows[name]) if name in self._needed else () for name in TEXTS}
        for name, values in texts.items():
            if wrong := [value for value in values if not isinstance(value, str)]:
                raise DataError(f"query {query_id!r}: column {name} holds {wrong[0]!r:.80}, which is no text")
        if len(queries := set(texts["query"])) > 1:
            raise DataError(f"query {query_id!r} has several texts in column query: give each a qid of its own")
        return Candidates(
            query_id=query_id,
            query=next(iter(queries), ""),
            doc_ids=tuple(map(str, rows["docno"])),
            texts=texts["text"],
            scores=tuple(-float(place) for place in range(1, len(rows) + 1)),
            order_only=True,
        )


def _column(values: list[Any], kind: str) -> Any:
    from pandas import Series

    return Series(values, dtype=kind)
