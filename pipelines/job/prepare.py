"""Hops 1 and 2: the user's data -> candidates on disk, judgements, and what was set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.base.config import RunConfig
from pipelines.job.judging import Judging
from pipelines.job.remarks import data_remarks
from pipelines.runs.folder import RunFolder
from pipelines.verdict.gate import check_judge_of
from stages.core.errors import DataError, NothingLeftError
from stages.core.first_stage import MadeFirstStage
from stages.core.listed import ListCounts
from stages.core.meeting import Meeting
from stages.core.prepare import Report, prepare_all
from stages.core.reasons import told_kinds
from stages.core.records import Candidates, Judgements, SetAside
from stages.core.several import merge, prepare_lists
from stages.core.withheld import told_row
from stages.files.failures import write_failures
from stages.files.manifest import CandidatesManifest, ManifestCounter
from stages.files.tables import CandidatesWriter, write_candidates
from stages.files.untexted import labels_of, write_without_texts
from stages.quality.answers import AnswerCounts
from stages.quality.has_answer import Match
from stages.quality.judgements import check_judgements
from stages.sources import FIRST_STAGE, Source

See = Callable[[Candidates], object]
WHOLE = ""
"""Under which the candidates of the job stand, beside those of its several first stages."""


@dataclass(slots=True)
class Prepared:
    """What is known about the data before an engine is asked. `runs` are the several first stages, if they are.

    `meetings` tell how far each first stage and the judgements are about the same; `limit` is data.limit. `labels` are
    the only columns of the queries that may be told, beside ids and scores; None: all. `made` are the first stages that
    were made here, `answers` what judged, where they did.
    """

    manifest: CandidatesManifest
    judgements: Judgements
    set_aside: list[SetAside] = field(default_factory=list)
    runs: Mapping[str, CandidatesManifest] = field(default_factory=dict)
    meetings: Mapping[str, Meeting] = field(default_factory=dict)
    limit: int | None = None
    labels: frozenset[str] | None = None
    made: Mapping[str, MadeFirstStage] = field(default_factory=dict)
    answers: AnswerCounts | None = None

    def remarks(self, name: str | None = None) -> list[str]:
        """What the reader of its values must know: of the job, or of one of its several first stages alone."""
        meetings = self.meetings if name is None else {name: self.meetings[name]} if self.meetings else {}
        counts = (self.manifest if name is None else self.runs[name]).counts
        made = self.made_of(name)
        of_data = data_remarks(meetings, self.judgements, counts, self.set_aside, self.limit, made)
        return [*(self.answers.remarks(texts=self.labels is None) if self.answers else ()), *of_data]

    def made_of(self, name: str | None = None) -> Mapping[str, MadeFirstStage]:
        """Of the job, or of one of its several first stages alone."""
        return self.made if name is None else {one: made for one, made in self.made.items() if one == name}

    def has_first_stage(self, name: str | None = None) -> bool:
        """Whether the order that its candidates came in says something: that of several first stages together does not,
        nor one that was shuffled.
        """
        if name is None and self.runs:
            return False
        meeting = self.meetings.get(name or FIRST_STAGE)
        return not (meeting and meeting.unranked)

    def order_only(self, name: str | None = None) -> int:
        """How many queries of the job's only first stage, or of one of several, have an order and no scores."""
        if name is None and self.runs:
            return 0
        return order_only(
            (self.manifest if name is None else self.runs[name]).counts, self.meetings.get(name or FIRST_STAGE)
        )


class Judged(NamedTuple):
    """What judges a source's candidates, and how far that is about them."""

    judging: Judging
    meetings: Mapping[str, Meeting]


def prepare_data(source: Source, config: RunConfig, folder: RunFolder, see: See) -> Prepared:
    """Read, validate, cut, and write the candidates once; `see` looks at each query's on their way to be scored.

    Where the folder is to hold no texts, it gets the candidates without them, and reasons that quote none. Raises
    DataError where candidates, judgements and corpus do not meet, where a metric cannot take a judgement, and where
    nothing is left to rerank.
    """
    set_aside: list[SetAside] = []
    report = set_aside.append if folder.private is None else lambda row: set_aside.append(told_row(row))
    judging, meetings = judged(source, config.answers.match, config.evaluate.metrics, report)
    check_judge_of(config, judging.judgements)
    see = _both(judging.see, see)
    depth, runs = config.data.depth, dict[str, CandidatesManifest]()
    try:
        if source.names == (FIRST_STAGE,):
            candidates = all_candidates(source, depth, report)
            manifest = write_candidates(_seen(candidates, see), folder.texts)
        else:
            manifest, runs = _prepare_several(source, depth, folder, see, report)
    except NothingLeftError as error:
        raise with_causes(error, set_aside) from error
    finally:
        write_failures(set_aside, folder.failures)  # also where nothing is left: it says why
    labels = None
    if folder.private is not None:
        labels = labels_of(folder.texts)
        for one in (folder, *map(folder.child, runs)):
            write_without_texts(one.texts, one.candidates, labels)
    limit = config.data.limit
    return Prepared(
        manifest, judging.judgements, set_aside, runs, meetings, limit, labels, source.made, judging.answers
    )


def order_only(counts: ListCounts, meeting: Meeting | None) -> int:
    """None where the order says nothing, either."""
    return 0 if meeting and meeting.unranked else counts.order_only


def judged(source: Source, match: Match, metrics: Sequence[str], set_aside: Report) -> Judged:
    """Raises DataError where candidates and judgements do not meet, or a metric cannot take a judgement."""
    found = Judged(Judging(source, match, set_aside), source.meetings())
    check_judgements(found.judging.judgements, metrics)
    return found


def with_causes(error: NothingLeftError, set_aside: Sequence[SetAside]) -> DataError:
    """The error behind what was set aside before it, which may be why."""
    causes = "; ".join(told_kinds(set_aside, most=2))
    return DataError(f"set aside: {causes}. Then {error}") if causes else error


def candidates_digests(source: Source, depth: int | None, see: See) -> dict[str, str]:
    """The digests that `prepare_data` would find: the job's under WHOLE and, of several first stages, each one's under
    its name. Writes nothing; `see` looks at each query's candidates.

    Raises DataError where nothing is left to rerank.
    """
    if source.names == (FIRST_STAGE,):
        return {WHOLE: _digest(_seen(prepare_all(source.queries(_reported_by_runs), depth, _reported_by_runs), see))}
    counters = {name: ManifestCounter() for name in (WHOLE, *source.names)}
    for lists in prepare_lists(source.query_lists(_reported_by_runs), depth, _reported_by_runs):
        see(merged := merge(lists))
        for name, candidates in {WHOLE: merged, **lists}.items():
            counters[name].add([candidates])
    return {name: counter.manifest().digest for name, counter in counters.items()}


def askable_candidates(source: Source, depth: int | None) -> Iterator[Candidates]:
    """What would be scored, query by query, whatever is set aside."""
    return (one for one in all_candidates(source, depth, _reported_by_runs) if one.texts)


def all_candidates(source: Source, depth: int | None, set_aside: Report) -> Iterator[Candidates]:
    """What a job would work on, query by query, also where nothing of a query can be scored."""
    if source.names == (FIRST_STAGE,):
        return prepare_all(source.queries(set_aside), depth, set_aside)
    return (merge(lists) for lists in prepare_lists(source.query_lists(set_aside), depth, set_aside))


def counted_candidates(
    source: Source, depth: int | None, set_aside: Report, counts: ListCounts
) -> Iterator[Candidates]:
    """As `all_candidates`, added up on their way. Raises NothingLeftError where a run would, once all were seen."""
    if source.names == (FIRST_STAGE,):
        for one in prepare_all(source.queries(set_aside), depth, set_aside):
            counts.add(one)
            yield one
        counts.require_pairs()
        return
    of_runs = {name: ListCounts() for name in source.names}
    for lists in prepare_lists(source.query_lists(set_aside), depth, set_aside):
        for name, candidates in lists.items():
            of_runs[name].add(candidates)
        counts.add(merged := merge(lists))
        yield merged
    counts.require_pairs()
    for name, of_run in of_runs.items():
        with _named(name):
            of_run.require_pairs()


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
    with _named(name):
        return writer.finish()


@contextmanager
def _named(name: str) -> Iterator[None]:
    """An error within names the first stage."""
    try:
        yield
    except DataError as error:
        raise type(error)(f"data.runs {name}: {error}") from error


def _both(one: See, other: See) -> See:
    def see(candidates: Candidates) -> None:
        one(candidates)
        other(candidates)

    return see


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
