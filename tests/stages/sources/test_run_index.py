"""A run is read query by query as if it had been read whole, and what is malformed is reported once."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.order import trec_positions
from stages.core.records import Location, SetAside
from stages.sources.lines import decoded
from stages.sources.run_columns import TREC, RunColumns
from stages.sources.run_index import QueryIds, open_run
from tests.examples import examples
from tests.full_disk import files_of_at_most_64_kib

INTERLEAVED = "q2 Q0 d1 1 1.0 x\nq1 Q0 d3 1 0.5 x\nq2 Q0 d2 1 3.0 x\nq1 broken\n\nq1 Q0 d1 9 2.5 x\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run.trec").write_text(INTERLEAVED)
    return tmp_path / "run.trec"


def read(
    path: Path, admitted: QueryIds | None = None, columns: RunColumns | None = None
) -> tuple[dict[str, list[tuple[str, float, int]]], list[SetAside]]:
    """Query id -> (document, score, line) in first-stage order, and what was set aside."""
    aside: list[SetAside] = []
    with open_run(path, admitted or QueryIds(), aside.append, columns) as index:
        lists = {query_id: index.read(query_id) for query_id in index}
    return {key: list(zip(one.doc_ids, one.scores, one.lines, strict=True)) for key, one in lists.items()}, aside


def test_the_lines_of_a_query_are_found_wherever_they_stand(run: Path) -> None:
    lists, aside = read(run)
    assert lists == {"q2": [("d2", 3.0, 3), ("d1", 1.0, 1)], "q1": [("d1", 2.5, 6), ("d3", 0.5, 2)]}
    assert [(row.where.line, row.reason) for row in aside] == [(4, "a run has 6 columns, this line 2")]


def test_a_compressed_run_reads_the_same_and_leaves_nothing_behind(run: Path, temporary: Path) -> None:
    packed = run.with_name("run.trec.gz")
    packed.write_bytes(gzip.compress(run.read_bytes()))
    assert read(packed)[0] == read(run)[0]
    assert list(temporary.iterdir()) == []


def test_where_a_run_cannot_be_unpacked_the_error_says_to_set_tmpdir(run: Path, temporary: Path) -> None:
    packed = run.with_name("run.trec.gz")
    packed.write_bytes(gzip.compress(run.read_bytes() * 2000))
    told = r"cannot write temporary files: .*; set TMPDIR to a folder with room"
    with files_of_at_most_64_kib(), pytest.raises(DataError, match=told):
        read(packed)
    assert list(temporary.iterdir()) == []


def test_a_limit_counts_queries_by_first_appearance_over_several_runs(run: Path) -> None:
    other = run.with_name("other.trec")
    other.write_text("q9 Q0 d1 1 1.0 y\nq1 Q0 d7 1 1.0 y\nq8 Q0 d1 1 1.0 y\n")
    admitted = QueryIds(3)
    assert list(read(run, admitted)[0]) == ["q2", "q1"]
    assert list(read(other, admitted)[0]) == ["q9", "q1"]
    assert list(admitted) == ["q2", "q1", "q9"]


def test_a_run_of_other_queries_than_the_limited_ones_is_empty_and_no_error(run: Path) -> None:
    admitted = QueryIds(1)
    assert admitted.admit("q7")
    assert read(run, admitted)[0] == {}


def test_a_file_that_changes_while_it_is_read_is_an_error(run: Path) -> None:
    content = INTERLEAVED * 10_000  # more than is buffered
    for changed in ("", content.rstrip("\n"), content.replace("q1", "q7")):
        run.write_text(content)
        with open_run(run, QueryIds(), lambda _: None) as index:
            run.write_text(changed)
            with pytest.raises(DataError, match=r"run\.trec changed while it was read; run again"):
                index.read("q1")


QUERY_IDS = st.sampled_from(["q1", "q2", "q3", "q\xa04"])
DOC_IDS = st.sampled_from(["d1", "d2", "é", "文"])
GOOD = st.tuples(QUERY_IDS, DOC_IDS, st.integers(-3, 3), st.sampled_from(["\n", "\r\n"])).map(
    lambda row: f"{row[0]} Q0 {row[1]} 0 {row[2]} x{row[3]}".encode()
)
BAD = st.sampled_from([b"\n", b"q1\n", b"q1 Q0 d1 0 nan x\n", b"\xff\n", b"q2 Q0 \xff 0 1 x\n", b" \xa0 \n"])


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(GOOD | BAD, max_size=20), st.none() | st.integers(1, 3))
def test_lists_are_those_of_the_whole_file_however_its_lines_are_mixed(
    tmp_path: Path, lines: list[bytes], limit: int | None
) -> None:
    lines = [b"q1 Q0 d0 0 1 x\n", *lines]
    (tmp_path / "run.trec").write_bytes(b"".join(lines))
    expected: dict[str, list[tuple[str, float, int]]] = {}
    for number, line in enumerate(lines, 1):
        if line.count(b" ") == 5 and b"nan" not in line and b"\xff" not in line:
            query_id, _, doc_id, _, score, _ = line.decode().strip().split(" ")
            expected.setdefault(query_id, []).append((doc_id, float(score), number))
    expected = dict(list(expected.items())[:limit])
    for query_id, rows in expected.items():
        expected[query_id] = [rows[i] for i in trec_positions([row[0] for row in rows], [row[1] for row in rows])]
    assert read(tmp_path / "run.trec", QueryIds(limit))[0] == expected


PLAIN = (" ", " ", "\t", "\x0b", "\x1c", "\r", "\n", "q1", "Q0", "1", "2.5", "1e400", "nan", "1_0", "-3", "x")
OTHERS = ("\u00a0", "\u0663", "\u2028", "d\u00e9", "\ufeff")  # a blank, a digit, a line separator ...
PIECES = st.sampled_from([*(piece.encode() for piece in (*PLAIN, *OTHERS)), b"\xff"])


@given(st.lists(PIECES, max_size=16).map(b"".join) | st.lists(PIECES, min_size=6, max_size=6).map(b" ".join))
@pytest.mark.parametrize("names", [TREC.names, ("query_id", "_", "doc_id", "rank", "_", "_")], ids=["score", "rank"])
def test_a_line_that_is_read_the_quick_way_says_what_the_careful_way_reads(
    names: tuple[str, ...], content: bytes
) -> None:
    columns = RunColumns.named(names)
    quick = columns.plain(content)
    line = decoded(content, Location("run.trec", 2), lambda _: None)
    slow = line and columns.parsed(line, lambda _: None)
    assert quick is None or (slow and quick == (slow.query_id.encode(), slow.doc_id.encode(), slow.value))


def test_a_plain_line_is_read_the_quick_way() -> None:
    assert TREC.plain(b"q\xc3\xa91 Q0\td7 3 -2.5e1 tag\r\n") == (b"q\xc3\xa91", b"d7", -25.0)
