"""Every query is in one range, read where it is scored: on the files' node, or sent from there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ray
from hypothesis import given
from hypothesis import strategies as st

from pipelines.job import ranges
from pipelines.job.ranges import (
    CandidatesAccess,
    LocalReader,
    Range,
    ReaderActor,
    RemoteReader,
    blocks_of,
    range_of,
    ranges_of,
    received,
)
from stages.core.records import Candidates
from stages.files.tables import read_candidates, write_candidates
from tests.examples import examples


def candidates(number: int, size: int) -> Candidates:
    return Candidates(f"q{number}", f"query {number}", ("a", "b"), ("x" * size, "文"), (2.0, 1.0), ("t",))


@examples(25)
@given(
    sizes=st.lists(st.sampled_from([1, 1000, ranges.RANGE_BYTES]), min_size=1, max_size=12),
    rows_per_file=st.integers(1, 7),
    most_rows=st.integers(1, 9),
)
def test_every_query_is_in_one_range_and_in_its_order_here_and_from_elsewhere(
    sizes: list[int], rows_per_file: int, most_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "candidates"
        write_candidates([candidates(number, size) for number, size in enumerate(sizes)], folder, rows_per_file)
        parts = list(ranges_of(folder, most_rows))
        here = [one for part in parts for one in LocalReader().read(part)]
        sent = [one for part in parts for one in received(ReaderActor().rows(part))]
        assert here == sent == list(read_candidates(folder))
    assert all(1 <= part.rows <= most_rows for part in parts)


def test_a_range_holds_fewer_queries_where_they_are_long(tmp_path: Path) -> None:
    write_candidates([candidates(number, 20_000 + number) for number in range(40)], tmp_path / "some", 40)
    rows = [part.rows for part in ranges_of(tmp_path / "some", 40)]
    assert sum(rows) == 40 and 2 < max(rows) < 20


def test_what_is_sent_of_a_file_is_the_rows_asked_for_alone(tmp_path: Path) -> None:
    write_candidates([candidates(number, 20_000) for number in range(40)], tmp_path / "some", 40)
    (file,) = (tmp_path / "some").glob("*.parquet")
    assert len(ReaderActor().rows(Range(str(file), 7, 2))) < 4 * 20_000


@given(st.integers(1, 300), st.integers(1, 20))
def test_blocks_hold_all_ranges_in_order_and_are_not_too_many(count: int, most: int) -> None:
    parts = [Range("file", number, 1) for number in range(count)]
    ranges.MOST_BLOCKS, kept = most, ranges.MOST_BLOCKS
    try:
        blocks = blocks_of(parts)
    finally:
        ranges.MOST_BLOCKS = kept
    assert len(blocks) <= most
    assert [range_of(block.slice(row, 1)) for block in blocks for row in range(block.num_rows)] == parts


def test_a_worker_elsewhere_is_sent_what_one_on_the_files_node_reads(local_ray: None, tmp_path: Path) -> None:
    write_candidates([candidates(number, 100) for number in range(9)], tmp_path / "some", 4)
    node_id = ray.get_runtime_context().get_node_id()
    here, elsewhere = CandidatesAccess(node_id).connect(), RemoteReader(node_id)
    assert isinstance(here, LocalReader)
    for part in ranges_of(tmp_path / "some", 3):
        assert here.read(part) == elsewhere.read(part)
