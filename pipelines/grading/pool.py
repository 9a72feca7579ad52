"""Finished runs -> the pairs that a judge grades: the top of every list, less what people judged already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import pyarrow.parquet as pq

from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_run_folder
from stages.core.errors import DataError
from stages.core.records import Candidates
from stages.files.columns import read_first_stage
from stages.files.rankings import read_lists
from stages.files.tables import WITHOUT_TEXTS, CandidatesWriter, part_files, read_candidates

Lists = Mapping[str, tuple[str, ...]]
"""Query id -> document ids, best first."""
Grades = Mapping[str, Mapping[str, int]]
"""Query id -> document id -> grade."""


class Pair(NamedTuple):
    """Ids of a query and a document."""

    query_id: str
    doc_id: str


@dataclass(frozen=True, slots=True)
class PooledRun:
    """A run, and its lists: as the first stage gave them, and reranked."""

    run: RunContent
    before: Lists
    after: Lists


@dataclass(frozen=True, slots=True)
class Wanted:
    """`pool`: query id -> the documents of all lists' tops. Of these `ask` are to be graded; `skipped` pairs are those
    that people judged and the judge is not asked for. `overlap` holds the queries that people judged and it grades too.
    """

    pool: Mapping[str, Sequence[str]]
    ask: Mapping[str, Sequence[str]]
    overlap: frozenset[str]
    skipped: int

    @property
    def pairs(self) -> int:
        return sum(map(len, self.ask.values()))


def read_runs(paths: Sequence[Path]) -> list[RunContent]:
    """Of a run over several first stages, those within. Raises DataError for a run whose texts are not there."""
    runs: list[RunContent] = []
    for path in paths:
        children = [child.path for child in RunFolder(path).children()]
        runs += map(read_run_folder, children or [path])
    for run in runs:
        for needed in (run.folder.candidates, run.folder.rankings):
            if not any(needed.glob("*.parquet")):
                raise DataError(f"{needed} is missing: judge the run folder itself, not what MLflow keeps")
        if any("text_digests" in pq.read_schema(file).names for file in part_files(run.folder.candidates)):
            raise DataError(f"{run.folder.candidates} {WITHOUT_TEXTS}")
    ids = [run.run_id for run in runs]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise DataError(f"given twice: {', '.join(twice)}")
    return runs


def pooled(run: RunContent) -> PooledRun:
    """A run's lists."""
    return PooledRun(run, dict(read_first_stage(run.folder.candidates)), dict(read_lists(run.folder.rankings)))


def wanted(runs: Sequence[PooledRun], depth: int, people: Grades, overlap: int | None, seed: int) -> Wanted:
    """Which pairs to ask for; of `overlap` queries that people judged, drawn by `seed` (None: all), each one."""
    pool: dict[str, dict[str, None]] = {}
    for one in runs:
        for lists in (one.before, one.after):
            for query_id, ranking in lists.items():
                pool.setdefault(query_id, {}).update(dict.fromkeys(ranking[:depth]))
    judged = sorted(query_id for query_id, doc_ids in pool.items() if people.get(query_id, {}).keys() & doc_ids.keys())
    if overlap is not None and overlap < len(judged):
        judged = Random(seed).sample(judged, overlap)
    both = frozenset(judged)
    ask: dict[str, Sequence[str]] = {}
    skipped = 0
    for query_id, doc_ids in pool.items():
        known = {} if query_id in both else people.get(query_id, {})
        ask[query_id] = [doc_id for doc_id in doc_ids if doc_id not in known]
        skipped += len(doc_ids) - len(ask[query_id])
    return Wanted({query_id: list(ids) for query_id, ids in pool.items()}, ask, both, skipped)


def write_pairs(runs: Sequence[RunContent], ask: Mapping[str, Sequence[str]], folder: Path) -> list[Pair]:
    """The pairs with their texts, in `folder`; gives those that no run has a text of. A query may take several rows.

    Raises DataError where a query reads otherwise in another run, or the folder cannot be written.
    """
    left = {query_id: set(doc_ids) for query_id, doc_ids in ask.items() if doc_ids}
    read: dict[str, str] = {}
    with CandidatesWriter(folder) as writer:
        for run in runs:
            for query in read_candidates(run.folder.candidates):
                if read.setdefault(query.query_id, query.query) != query.query:
                    raise DataError(
                        f"query {query.query_id!r:.60} reads otherwise in {run.run_id} than in a run before: judge "
                        "runs over the same queries"
                    )
                if some := _texts(query, left.get(query.query_id, set())):
                    left[query.query_id] -= some.keys()
                    zeros = (0.0,) * len(some)
                    writer.add(Candidates(query.query_id, query.query, tuple(some), tuple(some.values()), zeros))
        writer.finish()
    return [Pair(query_id, doc_id) for query_id, doc_ids in left.items() for doc_id in sorted(doc_ids)]


def texts_of(folder: Path, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, str, str]]:
    """Each of the pairs with the query's and the document's text."""
    chosen: dict[str, set[str]] = {}
    for query_id, doc_id in pairs:
        chosen.setdefault(query_id, set()).add(doc_id)
    for query in read_candidates(folder):
        for doc_id, text in zip(query.doc_ids, query.texts, strict=True):
            if doc_id in chosen.get(query.query_id, ()):
                yield Pair(query.query_id, doc_id), query.query, text


def _texts(query: Candidates, wanted: set[str]) -> dict[str, str]:
    """Of the wanted documents that the row has; nothing of a query without a text, which nobody can judge."""
    if not query.query.strip():
        return {}
    return {doc_id: text for doc_id, text in zip(query.doc_ids, query.texts, strict=True) if doc_id in wanted}
