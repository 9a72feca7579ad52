"""Finished runs -> the queries that can be judged, with both lists of each; and the texts of those that are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from pipelines.runs.read import RunContent
from stages.core.errors import ConfigError, DataError
from stages.core.words import counted
from stages.files.columns import read_columns, read_first_stage
from stages.files.rankings import read_lists
from stages.files.tables import WITHOUT_TEXTS, part_files, read_candidates, readable
from stages.judging.pool import seen_by

Lists = Mapping[str, tuple[str, ...]]
"""Query id -> document ids, best first."""


@dataclass(frozen=True, slots=True)
class Population:
    """`lists` are all that are pooled: of each run the first stage's and the reranked one. The change is that from
    `before` to `after`, of which there is what the metric sees. `queries` maps the ids of all to their texts.
    """

    queries: Mapping[str, str]
    lists: Sequence[Lists]
    before: Lists
    after: Lists
    names: tuple[str, str]
    remarks: tuple[str, ...]

    @property
    def unchanged(self) -> list[str]:
        """Those of which the metric sees the same in both."""
        return [query_id for query_id in self.queries if self.before[query_id] == self.after[query_id]]


class Texts(NamedTuple):
    """Query id -> document id -> text, and how many documents read otherwise in another run."""

    of_queries: Mapping[str, Mapping[str, str]]
    differing: int


def check_runs(runs: Sequence[RunContent]) -> None:
    """Raises ConfigError for a number of runs that makes no change, DataError where a run lacks what is needed."""
    if not 1 <= len(runs) <= 2:
        raise ConfigError(
            "give one run (its reranked order against its first stage's) or two (the second against the first)"
        )
    if len(runs) == 2 and runs[0].run_id == runs[1].run_id:
        raise DataError(f"given twice: {runs[0].run_id}. A run is not compared with itself")
    for run in runs:
        if children := run.folder.children():
            folders = ", ".join(str(child.path) for child in children)
            raise ConfigError(f"{run.folder.path} has several first stages; plan for one of {folders}")
        for needed in (run.folder.candidates, run.folder.rankings):
            if not any(needed.glob("*.parquet")):
                raise DataError(f"{needed} is missing: plan from the run folder itself, not from what MLflow keeps")


def read_population(runs: Sequence[RunContent], metric: str) -> Population:
    """Raises DataError where the runs share no query, or read one otherwise than the other."""
    texts = [_query_texts(run) for run in runs]
    first_stages = [dict(read_first_stage(run.folder.candidates)) for run in runs]
    reranked = [dict(read_lists(run.folder.rankings)) for run in runs]
    remarks, queries = list[str](), _shared(runs, texts)
    if left_out := len(set().union(*texts)) - len(queries):
        remarks.append(f"{counted(left_out, 'query', 'queries')} that not every run has: left out")
    if without := [query_id for query_id, text in queries.items() if not text.strip()]:
        remarks.append(f"{counted(len(without), 'query', 'queries')} without a text, which nobody can judge: left out")
        queries = {query_id: text for query_id, text in queries.items() if query_id not in set(without)}
    if not queries:
        raise DataError("no query of the runs has a text: there is nothing to judge")
    before, after = (first_stages[0], reranked[0]) if len(runs) == 1 else (reranked[0], reranked[1])
    names = ("first stage", "reranked") if len(runs) == 1 else (runs[0].run_id, runs[1].run_id)
    return Population(
        queries=queries,
        lists=[*first_stages, *reranked],
        before={query_id: tuple(seen_by(metric, before.get(query_id, ()))) for query_id in queries},
        after={query_id: tuple(seen_by(metric, after.get(query_id, ()))) for query_id in queries},
        names=names,
        remarks=tuple(remarks),
    )


def read_texts(runs: Sequence[RunContent], pools: Mapping[str, Sequence[str]]) -> Texts:
    """Of the documents in `pools`, query id -> document ids; the first run's, where runs differ."""
    found: dict[str, dict[str, str]] = {query_id: {} for query_id in pools}
    differing = 0
    for run in runs:
        for query in read_candidates(run.folder.candidates):
            if (wanted := pools.get(query.query_id)) is None:
                continue
            known, pool = found[query.query_id], set(wanted)
            for doc_id, text in zip(query.doc_ids, query.texts, strict=True):
                if doc_id in pool:
                    differing += known.setdefault(doc_id, text) != text
    return Texts(found, differing)


def _query_texts(run: RunContent) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in part_files(run.folder.candidates):
        if "text_digests" in pq.read_schema(file).names:
            raise DataError(f"{run.folder.candidates} {WITHOUT_TEXTS}")
        with readable(file):
            columns: list[list[Any]] = read_columns(file, ("query_id", "query"))
        found.update(zip(*columns, strict=True))
    return found


def _shared(runs: Sequence[RunContent], texts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = texts
    shared = {query_id: text for query_id, text in first.items() if all(query_id in other for other in others)}
    if not shared:
        raise DataError("the runs have no query in common: plan for runs over the same queries, under the same ids")
    for query_id, run in _differing(shared, runs, others):
        raise DataError(
            f"query {query_id!r:.60} reads otherwise in {run.run_id} than in {runs[0].run_id}: plan for runs over the "
            "same queries"
        )
    return shared


def _differing(
    shared: Mapping[str, str], runs: Sequence[RunContent], others: Sequence[Mapping[str, str]]
) -> Iterator[tuple[str, RunContent]]:
    for run, other in zip(runs[1:], others, strict=True):
        yield from ((query_id, run) for query_id, text in shared.items() if other[query_id] != text)
