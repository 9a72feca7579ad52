"""What a reader of the values must know of the data: where candidates, judgements and corpus meet in part only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stages.core.meeting import Meeting
from stages.core.prepare import NOT_IN_CORPUS, UNKNOWN_QUERY
from stages.core.records import Judgements, SetAside


def data_remarks(
    meetings: Mapping[str, Meeting], judgements: Judgements, set_aside: Sequence[SetAside], limit: int | None
) -> Iterator[str]:
    """A sentence each, without its full stop. `meetings` are by first stage; of several, each remark names its own."""
    for name, meeting in meetings.items():
        for told in meeting.remarks(limited=limit is not None):
            yield f"data.runs {name}: {told}" if len(meetings) > 1 else told
    if meetings and not judgements:
        yield f"none of the first {limit:,} queries is judged, so there is no quality: see data.limit"
    yield from _lost(set_aside)


def _lost(set_aside: Sequence[SetAside]) -> Iterator[str]:
    """What one file names and another lacks."""
    if queries := [row for row in set_aside if row.reason.startswith(UNKNOWN_QUERY)]:
        yield f"queries without a text, set aside: {len(queries):,}, such as {queries[0].query_id!r:.60}"
    if pairs := [row for row in set_aside if row.reason.endswith(NOT_IN_CORPUS)]:
        yield f"pairs whose document is not in the corpus, set aside: {len(pairs):,}, such as {pairs[0].doc_id!r:.60}"
