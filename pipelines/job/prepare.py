"""Hops 1 and 2: the user's data -> candidates on disk, judgements, and what was set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from pipelines.job.remarks import data_remarks
from pipelines.runs.folder import RunFolder
from stages.core.errors import DataError
from stages.core.meeting import Meeting
from stages.core.prepare import Report, prepare_all
from stages.core.records import Candidates, Judgements, SetAside
from stages.core.several import merge, prepare_lists
from stages.core.withheld import told_row
from stages.files.failures import write_failures
from stages.files.tables import CandidatesManifest, CandidatesWriter, ManifestCounter, write_candidates
from stages.files.untexted import labels_of, write_without_texts
from stages.sources import FIRST_STAGE, DataSettings, Source

See = Callable[[Candidates], None]
WHOLE = ""
"""Under which the candidates of the job stand, beside those of its several first stages."""


@dataclass(slots=True)
class Prepared:
    """What is known about the data before an engine is asked. `runs` are the several first stages, if they are.

    `meetings` tell how far each first stage and the judgements are about the same; `limit` is data.limit. `labels` are
    the only columns of the queries that may be told, beside ids and scores; None: all.
    """

    manifest: CandidatesManifest
    judgements: Judgements
    set_aside: list[SetAside] = field(default_factory=list)
    runs: Mapping[str, CandidatesManifest] = field(default_factory=dict)
    meetings: Mapping[str, Meeting] = field(default_factory=dict)
    limit: int | None = None
    labels: frozenset[str] | None = None

    def remarks(self, name: str | None = None) -> list[str]:
        """What the reader of its values must know: of the job, or of one of its several first stages alone."""
        meetings = self.meetings if name is None else {name: self.meetings[name]} if self.meetings else {}
        return list(data_remarks(meetings, self.judgements, self.set_aside, self.limit))


def prepare_data(source: Source, data: DataSettings, folder: RunFolder, see: See) -> Prepared:
    """Read, validate, cut, and write the candidates once; `see` looks at each query's on their way to be scored.

    Where the folder is to hold no texts, it gets the candidates without them, and reasons that quote none. Raises
    DataError where candidates, judgements and corpus do not meet, and where nothing is left to rerank.
    """
    set_aside: list[SetAside] = []
    report = set_aside.append if folder.private is None else lambda row: set_aside.append(told_row(row))
    judgements, meetings, depth = source.judgements(report), source.meetings(), data.depth
    runs: Mapping[str, CandidatesManifest] = {}
    try:
        if source.names == (FIRST_STAGE,):
            candidates = all_candidates(source, depth, report)
            manifest = write_candidates(_seen(candidates, see), folder.texts)
        else:
            manifest, runs = _prepare_several(source, depth, folder, see, report)
    finally:
        write_failures(set_aside, folder.failures)  # also where nothing is left: it says why
    labels = None
    if folder.private is not None:
        labels = labels_of(folder.texts)
        for one in (folder, *map(folder.child, runs)):
            write_without_texts(one.texts, one.candidates, labels)
    return Prepared(manifest, judgements, set_aside, runs, meetings, data.limit, labels)


def candidates_digests(source: Source, depth: int | None) -> dict[str, str]:
    """The digests that `prepare_data` would find: the job's under WHOLE and, of several first stages, each one's under
    its name. Writes nothing.

    Raises DataError where nothing is left to rerank.
    """
    if source.names == (FIRST_STAGE,):
        return {WHOLE: _digest(prepare_all(source.queries(_reported_by_runs), depth, _reported_by_runs))}
    counters = {name: ManifestCounter() for name in (WHOLE, *source.names)}
    for lists in prepare_lists(source.query_lists(_reported_by_runs), depth, _reported_by_runs):
        for name, candidates in {WHOLE: merge(lists), **lists}.items():
            counters[name].add([candidates])
    return {name: counter.manifest().digest for name, counter in counters.items()}


def all_candidates(source: Source, depth: int | None, set_aside: Report) -> Iterator[Candidates]:
    """What would be scored, query by query."""
    if source.names == (FIRST_STAGE,):
        return prepare_all(source.queries(set_aside), depth, set_aside)
    return (merge(lists) for lists in prepare_lists(source.query_lists(set_aside), depth, set_aside))


def _prepare_several(
    source: Source, depth: int | None, folder: RunFolder, see: See, set_aside: Report
) -> tuple[CandidatesManifest, dict[str, CandidatesManifest]]:
    """One folder with each distinct pair once, which is scored, and one of each first stage's own."""
    with ExitStack() as stack:
        whole = stack.enter_context(CandidatesWriter(folder.texts))
        writers = {name: stack.enter_context(CandidatesWriter(folder.child(name).texts)) for name in source.names}
        for lists in prepare_lists(source.query_lists(set_aside), depth, set_aside):
            merged = merge(lists)
            see(merged)
            whole.add(merged)
            for name, candidates in lists.items():
                writers[name].add(candidates)
        return whole.finish(), {name: _finish(writer, name) for name, writer in writers.items()}


def _finish(writer: CandidatesWriter, name: str) -> CandidatesManifest:
    try:
        return writer.finish()
    except DataError as error:
        raise DataError(f"data.runs {name}: {error}") from error


def _seen(candidates: Iterable[Candidates], see: See) -> Iterator[Candidates]:
    for one in candidates:
        see(one)
        yield one


def _digest(candidates: Iterable[Candidates]) -> str:
    counter = ManifestCounter()
    for one in candidates:
        counter.add([one])
    return counter.manifest().digest


def _reported_by_runs(_: SetAside) -> None:
    """What is set aside each run tells."""
