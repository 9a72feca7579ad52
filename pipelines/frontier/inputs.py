"""Finished runs' folders -> each query's candidates with every run's scores. Those that cannot stand together are
refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from pipelines.runs.config import section
from pipelines.runs.read import RunContent, read_run_folder
from pipelines.verdict.runs import differing_inputs
from stages.core.errors import DataError, RerankEvalError, first_line
from stages.core.identity import LISTWISE
from stages.core.records import Candidates, Judgements, Ranking
from stages.files.columns import read_listed, read_texts
from stages.files.judgements import read_judgements
from stages.files.rankings import read_rankings
from stages.frontier.lists import ScoredQuery
from stages.sources import DataSettings, open_source

MOST_RUNS = 8


class Texts(NamedTuple):
    """Of one query, parallel to its candidates that have a text: a number for each text, the same for the same one, and
    its characters with those of the query, None where the run kept no texts.
    """

    numbers: tuple[int, ...]
    characters: tuple[int, ...] | None


@dataclass(frozen=True)
class Inputs:
    """`rankings` has for each run its rankings by query; `reach` the depth that it scored to; `texts` is parallel to
    `queries`.
    """

    runs: tuple[RunContent, ...]
    judgements: Judgements
    queries: tuple[ScoredQuery, ...]
    rankings: tuple[dict[str, Ranking], ...]
    reach: tuple[int, ...]
    texts: tuple[Texts, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Queries, and the candidates of the one with the most."""
        return len(self.queries), max(len(query.top) for query in self.queries)

    @cached_property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Those of the candidates' texts, in this shape; -1 where there is none."""
        found = np.full(self.shape, -1, dtype=np.int64)
        for row, query in enumerate(self.queries):
            found[row, : len(query.texts)] = query.texts
        return found

    def asked(self, depth: int) -> npt.NDArray[np.bool_]:
        """The pairs, in this shape, that reranking to this depth asks for."""
        return (self.numbers >= 0) & (np.arange(self.shape[1]) < depth)[None, :]


def read_inputs(paths: Sequence[Path]) -> Inputs:
    """Raises DataError, in one line, where a folder is none of a finished run of one model, or runs differ in what they
    reranked or how that was judged.
    """
    if len(paths) > MOST_RUNS:
        raise DataError(f"{len(paths)} runs are more than the {MOST_RUNS} that a frontier is drawn of")
    runs = tuple(map(read_run_folder, paths))
    _check_alike(runs)
    for run in runs:
        _check_usable(run)
    judgements = _judgements(runs[0])
    rankings = tuple(map(_rankings, runs))
    deepest = max(range(len(runs)), key=lambda place: _depth(runs[place]) or float("inf"))
    folder = runs[deepest].folder.candidates
    lists = list(read_listed(folder))
    texts = tuple(_texts(folder))
    order_only = bool(runs[deepest].analysis.get("order_only_queries"))
    queries = tuple(
        _scored(candidates, numbered, rankings, runs, order_only=order_only)
        for candidates, numbered in zip(lists, texts, strict=True)
    )
    longest = max(len(query.top) for query in queries)
    reach = tuple(min(_depth(run) or longest, longest) for run in runs)
    return Inputs(runs, judgements, queries, rankings, reach, texts)


def _check_alike(runs: Sequence[RunContent]) -> None:
    ids = [run.run_id for run in runs]
    if repeated := {run_id for run_id in ids if ids.count(run_id) > 1}:
        raise DataError(f"given twice: {', '.join(sorted(repeated))}. A run is no cascade with itself")
    for run in runs[1:]:
        if differ := differing_inputs(runs[0], run):
            raise DataError(
                f"{runs[0].run_id} and {run.run_id} have different {' and '.join(differ)}: a cascade is of rerankers "
                "over the same. Run both over the same candidates, with the same judgements"
            )


def _check_usable(run: RunContent) -> None:
    if (run.folder.path / "stages").is_dir() or section(run.config, "rerank").get("stages"):
        raise DataError(
            f"{run.run_id} is a cascade: its later stages scored only what the earlier ones left. Give a run of each "
            "of its models alone, over all candidates"
        )
    if (run.folder.stage_number or 1) > 1:
        # Its config, as any of one model, reranks the first stage: what --write would write were another list.
        raise DataError(
            f"{run.run_id} is a later stage of a cascade: it reranked what the stage before left, which no run of its "
            "model alone does. Give a run of each of the models alone, over all candidates"
        )
    family = identity_of(run).get("family") or run.metrics["model"]["family"]
    if family == LISTWISE:
        raise DataError(
            f"{run.run_id}: {run.metrics['model']['name']} scores a list as a whole, so that a shorter list, or "
            "another order, would have other scores: nothing follows from these. Run each depth: rerank-eval sweep"
        )
    if not run.reranked.query_ids:
        raise DataError(f"{run.run_id}: nothing was judged, so there is no quality to hold against cost")
    if children := run.folder.children():
        raise DataError(
            f"{run.run_id} reranked several first stages together: give one of them, such as {children[0].path}"
        )


def identity_of(run: RunContent) -> dict[str, Any]:
    """What decided its scores; empty of an earlier version."""
    told = run.metrics.get("identity")
    return dict(told) if told else {}


def _depth(run: RunContent) -> int | None:
    depth = section(run.config, "data").get("depth")
    return None if depth is None else int(depth)


def _judgements(run: RunContent) -> Judgements:
    """As the run kept them; of one of before it did, read again from its data, if they are still the same."""
    wanted = run.metrics.get("judgements_digest")
    try:
        if run.folder.judgements.is_file():
            found = read_judgements(run.folder.judgements)
        else:
            found = open_source(DataSettings.model_validate(section(run.config, "data"))).judgements(lambda _: None)
    except (OSError, ValueError, KeyError, ValidationError, RerankEvalError) as error:
        raise DataError(
            f"{run.run_id}: its judgements cannot be read ({first_line(error)}). Run the job again; what is stored is "
            "not scored anew"
        ) from error
    if found.digest != wanted:
        raise DataError(
            f"{run.run_id}: the judgements are no longer those that it was evaluated with. Run the job again; what is "
            "stored is not scored anew"
        )
    return found


def _rankings(run: RunContent) -> dict[str, Ranking]:
    try:
        found = {ranking.query_id: ranking for ranking in read_rankings(run.folder.rankings)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{run.folder.rankings}: cannot be read ({first_line(error)})") from error
    if not found:
        raise DataError(f"{run.folder.path}: its rankings are missing. Give the whole run folder, not a part of it")
    return found


def _texts(folder: Path) -> Iterator[Texts]:
    numbers: dict[int, int] = {}
    for told in read_texts(folder):
        kept = tuple(len(text) + len(told.query) for text in told.texts) if told.query is not None else None
        yield Texts(tuple(numbers.setdefault(hash(text), len(numbers)) for text in told.texts), kept)


def _scored(
    candidates: Candidates,
    texts: Texts,
    rankings: Sequence[dict[str, Ranking]],
    runs: Sequence[RunContent],
    *,
    order_only: bool,
) -> ScoredQuery:
    numbers = dict(zip(candidates.doc_ids, texts.numbers, strict=True))
    found = []
    for run, of_run in zip(runs, rankings, strict=True):
        if candidates.query_id not in of_run:
            raise DataError(f"{run.run_id}: has no ranking of query {candidates.query_id!r:.60}. Run the job again")
        found.append(of_run[candidates.query_id])
    return ScoredQuery(
        query_id=candidates.query_id,
        top=candidates.top,
        tail=candidates.tail,
        first_scores=() if order_only else candidates.scores,
        texts=tuple(numbers.get(doc_id, -1) for doc_id in candidates.top),
        orders=tuple(ranking.doc_ids for ranking in found),
        tokens=tuple(
            dict(zip(ranking.doc_ids, ranking.pair_tokens, strict=True)) if ranking.pair_tokens else {}
            for ranking in found
        ),
    )
