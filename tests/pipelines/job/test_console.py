"""While no query is ranked yet the progress says what is waited for, never a rate of 0."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pipelines.job.console import JobConsole
from pipelines.job.progress import Progress
from pipelines.runs.folder import RunFolder
from stages.files.manifest import CandidatesManifest
from stages.telemetry.telemetry import TimelinePoint


def point(elapsed_s: float, running: int = 0, waiting: int = 0) -> TimelinePoint:
    return TimelinePoint(elapsed_s, 0, 0, 0.0, 0.0, running, waiting, 0.0, None, None)


@pytest.mark.parametrize(
    ("done", "at", "told"),
    [
        (Progress(), point(20), "waiting for the first prompts to be made"),
        (Progress(), point(20, 4, 150), "waiting for the first answer: 154 prompts in the engine, 0 computed"),
        (Progress(prompts=99), point(20, 1, 0), "waiting for the first answer: 1 prompt in the engine, 99 computed"),
        (Progress(queries=8, pairs=160, prompts=200), point(20, 4, 0), "8 pairs/s"),
    ],
)
def test_a_line_of_the_log_says_what_is_waited_for_or_how_fast_it_goes(
    done: Progress, at: TimelinePoint, told: str
) -> None:
    out = io.StringIO()
    manifest = CandidatesManifest(queries=54, pairs=5400, digest="d", lists_digest="l")
    with JobConsole(file=out).progress(manifest) as on_progress:
        on_progress(done, at)
    assert out.getvalue() == f"reranking   {done.queries} of 54 queries, {told}\n"


def test_what_changed_and_what_was_pushed_out_is_said_in_a_line_each() -> None:
    out = io.StringIO()
    useless = {"name": None, "words": "the order cannot be told from a random one"}
    changes = {"words": "Some lists changed.", "anywhere": 3}
    analysis = {"changes": changes, "harm": {"words": "nothing was lost"}, "useless": useless}
    JobConsole(file=out).harm(analysis)
    assert out.getvalue() == (
        "changed     Some lists changed.\n"
        "harm        nothing was lost\n"
        "note        the order cannot be told from a random one\n"
    )


def test_a_name_is_left_to_the_remarks_and_what_does_not_apply_has_no_line() -> None:
    out = io.StringIO()
    JobConsole(file=out).harm({"changes": None, "useless": {"name": "constant", "words": "the scores are constant"}})
    assert out.getvalue() == ""


def test_where_no_list_changed_there_is_no_harm_to_tell() -> None:
    out = io.StringIO()
    changes = {"words": "No list changed.", "anywhere": 0}
    useless = {"name": "first_stage", "words": "the order is the first stage's"}
    JobConsole(file=out).harm({"changes": changes, "harm": {"words": "nothing was lost"}, "useless": useless})
    assert out.getvalue() == "changed     No list changed.\n"


def test_what_names_a_useless_reranker_stands_right_under_the_verdict(tmp_path: Path) -> None:
    folder, out = RunFolder(tmp_path), io.StringIO()
    named = {"name": "constant", "words": "the scores are constant"}
    told = {"changes": {"words": "All changed.", "anywhere": 3}, "useless": named, "remarks": [named["words"], "more"]}
    folder.analysis.write_text(json.dumps(told), encoding="utf-8")
    JobConsole(file=out).verdict(folder)
    assert out.getvalue().splitlines() == [
        "mind        the scores are constant",
        "changed     All changed.",
        "mind        more",
    ]
