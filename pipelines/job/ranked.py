"""What the rankings of a folder come to: counts, values, failures, and the files that hold them query by query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.base.environment import describe_environment
from pipelines.job.analysis import Findings
from pipelines.job.summary import Coverage
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_fields
from stages.core.judges import by_query
from stages.core.records import Judgements, Location, QueryMetrics, SetAside
from stages.files.failures import write_failures
from stages.files.judgements import write_judgements
from stages.files.rankings import read_failed, read_lists, read_rankings, write_trec_run
from stages.quality.evaluate import evaluate_stream

NOT_JUDGED = QueryMetrics(query_ids=(), values={}, answered=())


def write_trec(folder: RunFolder) -> Coverage:
    """Write run.trec, and count what was answered on the way."""
    coverage = Coverage()
    with folder.trec_run.open("w", encoding="utf-8") as lines:
        for ranking in read_rankings(folder.rankings):
            coverage.add(ranking)
            write_trec_run([ranking], lines, tag="rerank-eval")
    return coverage


def failed_pairs(folder: RunFolder) -> Iterator[SetAside]:
    """The pairs without a score, with their reasons."""
    where = Location(str(folder.candidates))
    for query_id, failed in read_failed(folder.rankings):
        for doc_id, reason in failed.items():
            yield SetAside(where, reason, query_id, doc_id)


def evaluate_lists(
    rankings: Iterable[tuple[str, tuple[str, ...]]], judgements: Judgements, config: RunConfig
) -> QueryMetrics:
    """Of each query's ids, best first; without values where nothing is judged."""
    return evaluate_stream(rankings, judgements, config.evaluate.metrics) if len(judgements) else NOT_JUDGED


def evaluate_rankings(folder: RunFolder, answered: Iterable[str], found: Judgements, config: RunConfig) -> QueryMetrics:
    """Of its rankings. `answered`: the queries of which a document was scored; the others have a list all the same,
    the one they were given with.
    """
    reranked, scored = evaluate_lists(read_lists(folder.rankings), found, config), frozenset(answered)
    return replace(reranked, answered=tuple(query_id in scored for query_id in reranked.query_ids))


def query_ids_of(folder: RunFolder) -> Iterator[str]:
    """Those that it has candidates of."""
    for file in sorted(folder.candidates.glob("part-*.parquet")):
        yield from pq.read_table(file, columns=["query_id"], partitioning=None).column("query_id").to_pylist()


def write_findings(
    folder: RunFolder, config: RunConfig, found: Findings, dataset: str, engines: list[dict[str, Any]]
) -> None:
    """The values, judgements and failures of each query, and what they were found with."""
    fields = {**read_fields(folder, config.gate.slices), **found.slices}
    folder.write_per_query(found.first_stage, found.reranked, fields, by_query(found.judgements))
    if len(found.judgements):
        write_judgements(found.judgements, folder.judgements)
    folder.write_json(folder.environment, describe_environment(dataset, engines))
    write_failures(found.failures, folder.failures)
