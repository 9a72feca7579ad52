"""Hop 2 of a further stage of a cascade: what the stage before left -> candidates on disk."""

from __future__ import annotations

from dataclasses import replace

from pipelines.job.prepare import Prepared, See
from pipelines.runs.folder import RunFolder
from stages.core.cascade import next_candidates
from stages.files.rankings import RankingTable
from stages.files.tables import CandidatesWriter, read_candidates
from stages.files.untexted import write_without_texts


def prepare_next(before: RunFolder, folder: RunFolder, depth: int, prepared: Prepared, see: See) -> Prepared:
    """The top `depth` of each list that the stage in `before` left, from its candidates as `prepared`; `see` looks at
    each query's on their way to be scored. Raises DataError where nothing of it can be scored.
    """
    rankings = RankingTable(before.rankings)
    with CandidatesWriter(folder.texts) as writer:
        for candidates in read_candidates(before.texts):
            one = next_candidates(candidates, rankings.of(candidates.query_id), depth)
            see(one)
            writer.add(one)
        manifest = writer.finish()
    if folder.private is not None:
        write_without_texts(folder.texts, folder.candidates, prepared.labels or frozenset())
    return replace(prepared, manifest=manifest, set_aside=[], meetings={})
