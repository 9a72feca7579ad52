"""What a reader of the values must know of the data: where candidates, judgements and corpus meet in part only, what
nothing could score, and what was left out on request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.core.first_stage import MadeFirstStage
from stages.core.listed import ListCounts
from stages.core.meeting import Meeting
from stages.core.records import Judgements, SetAside
from stages.core.words import counted
from stages.sources.settings import OWN_DOCUMENT

# Of a score. From here on it is no rounding: engines and batches move one by less.
MOVED = 1e-3


def data_remarks(
    meetings: Mapping[str, Meeting],
    judgements: Judgements,
    counts: ListCounts,
    set_aside: Sequence[SetAside],
    limit: int | None,
    made: Mapping[str, MadeFirstStage],
) -> Iterator[str]:
    """A sentence each, without its full stop. `meetings` are by first stage; of several, each remark names its own."""
    for name, meeting in meetings.items():
        for told in meeting.remarks(limited=limit is not None):
            yield f"data.runs {name}: {told}" if len(meetings) > 1 else told
    for of_made in made.values():
        yield from of_made.remarks()
    if meetings and not judgements:
        yield f"none of the first {limit:,} queries is judged, so there is no quality: see data.limit"
    yield from counts.remarks()
    if own := sum(row.reason == OWN_DOCUMENT for row in set_aside):
        yield f"{own:,} lists held their query's own document, which data.drop_self took out before they were measured"


def failed_remark(failed: int, pairs: int) -> Iterator[str]:
    """Once it is scored."""
    if failed:
        yield (
            f"{failed:,} of {pairs:,} pairs could not be scored: their documents stand behind those that were, in "
            "their old order"
        )


def moved_remark(hosted: Mapping[str, Any] | None) -> Iterator[str]:
    """Of a hosted model, once stored pairs were asked for again."""
    if hosted and (hosted["largest_move"] or 0.0) > MOVED:
        yield (
            f"scores moved: of {counted(hosted['rechecked_pairs'], 'stored pair')} asked for again one is off by "
            f"{hosted['largest_move']:.3g}: the model behind {hosted['url']} is not what it was when they were stored, "
            "and what was stored is used. rerank.store_days 0 asks for all of it anew"
        )
