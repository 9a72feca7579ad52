from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.records import Candidates
from stages.files.columns import read_first_stage
from stages.files.tables import (
    SCHEMA,
    from_table,
    read_candidates,
    to_table,
    write_candidates,
)

FIRST = Candidates("q1", "why", ("a", "b"), ("A", "B"), (2.0, 1.0), ("c",), "find it", {"language": "de"})
SECOND = Candidates("q2", "who", ("a",), ("A",), (0.5,))

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def candidates(draw: st.DrawFn) -> Candidates:
    doc_ids = draw(st.lists(text, max_size=4))
    return Candidates(
        query_id=draw(text),
        query=draw(text),
        doc_ids=tuple(doc_ids),
        texts=tuple(draw(text) for _ in doc_ids),
        scores=tuple(draw(st.floats(allow_nan=False)) for _ in doc_ids),
        tail=tuple(draw(st.lists(text, max_size=3))),
        instruction=draw(st.none() | text),
        attributes=draw(st.dictionaries(text, text, max_size=3)),
        listed=tuple(draw(st.lists(text, max_size=3))),
        order_only=draw(st.booleans()),
    )


@given(st.lists(candidates(), max_size=4))
def test_from_table_undoes_to_table(rows: list[Candidates]) -> None:
    table = to_table(rows)
    assert table.schema.equals(SCHEMA)
    assert from_table(table) == rows
    assert [row.order_only for row in from_table(table)] == [row.order_only for row in rows]


def test_what_is_written_is_read_back_in_order_from_several_files(tmp_path: Path) -> None:
    rows = [replace(FIRST, query_id=f"q{i}") for i in range(5)]
    manifest = write_candidates(iter(rows), tmp_path / "candidates", rows_per_file=2)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "candidates",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]
    assert list(read_candidates(tmp_path / "candidates")) == rows
    assert (manifest.queries, manifest.pairs) == (5, 10)


def test_the_manifest_counts_documents_to_rerank_without_tails(tmp_path: Path) -> None:
    manifest = write_candidates([FIRST, SECOND], tmp_path / "candidates")
    assert (manifest.queries, manifest.pairs) == (2, 3)


def test_the_digest_does_not_depend_on_files_or_on_the_order_of_queries(tmp_path: Path) -> None:
    one = write_candidates([FIRST, SECOND], tmp_path / "one")
    two = write_candidates([SECOND, FIRST], tmp_path / "two", rows_per_file=1)
    assert one.digest == two.digest
    assert len(one.digest) == 64


@pytest.mark.parametrize(
    "changed",
    [
        replace(FIRST, query="what"),
        replace(FIRST, instruction=None),
        replace(FIRST, doc_ids=("b", "a")),
        replace(FIRST, texts=("A", "C")),
        replace(FIRST, scores=(2.0, 1.5)),
        replace(FIRST, tail=()),
        replace(FIRST, attributes={"language": "fr"}),
        replace(FIRST, listed=("a", "x", "b")),
    ],
)
def test_the_digest_depends_on_everything_a_query_holds(changed: Candidates, tmp_path: Path) -> None:
    digests = [write_candidates([row], tmp_path / "candidates").digest for row in (FIRST, changed)]
    assert digests[0] != digests[1]


def test_lists_without_a_gap_have_the_digests_of_before_gaps_were_told(tmp_path: Path) -> None:
    """0.1.0 wrote these."""
    manifest = write_candidates([FIRST, SECOND], tmp_path / "candidates")
    assert manifest.digest == "182c3c301fd248b7acbb53f888665f419a192d2911e923aad6478665fcc5b019"
    assert manifest.lists_digest == "9e99c4a3008fc498aac2f1e401447359ac30c40d0c99082c7f11ae107718476d"


def test_candidates_of_before_gaps_were_told_are_read(tmp_path: Path) -> None:
    earlier = to_table([FIRST, SECOND]).drop_columns(["listed", "order_only"])
    assert from_table(earlier) == [FIRST, SECOND]


def test_a_gap_is_in_the_list_and_in_its_digest_at_every_depth(tmp_path: Path) -> None:
    whole = Candidates("q", "red apple", ("a", "c"), ("x", "z"), (3.0, 1.0), listed=("a", "b", "c"))
    cut = replace(whole, doc_ids=("a",), texts=("x",), scores=(3.0,), tail=("b", "c"), listed=())
    manifests = [write_candidates([row], tmp_path / "candidates") for row in (cut, whole)]
    assert manifests[0].lists_digest == manifests[1].lists_digest
    assert list(read_first_stage(tmp_path / "candidates")) == [("q", ("a", "b", "c"))]
    counts = manifests[1].counts
    assert (counts.candidates, counts.pairs, counts.without_text, counts.first_without_text) == (3, 2, 1, "b")


def test_the_digest_of_the_lists_is_the_same_at_every_depth_and_differs_with_their_order(tmp_path: Path) -> None:
    whole = Candidates("q", "red apple", ("a", "b", "c"), ("x", "y", "z"), (3.0, 2.0, 1.0))
    cut = replace(whole, doc_ids=("a",), texts=("x",), scores=(3.0,), tail=("b", "c"))
    turned = replace(whole, doc_ids=("b", "a", "c"))
    digests = [write_candidates([row], tmp_path / "candidates").lists_digest for row in (whole, cut, turned)]
    assert digests[0] == digests[1] != digests[2]


def test_a_job_that_dies_while_writing_leaves_no_folder(tmp_path: Path) -> None:
    def dying() -> Iterator[Candidates]:
        yield FIRST
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_candidates(dying(), tmp_path / "candidates", rows_per_file=1)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_folder_and_what_a_killed_job_left_are_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "candidates"
    write_candidates([FIRST, SECOND], folder, rows_per_file=1)
    (tmp_path / ".candidates.partial").mkdir()
    (tmp_path / ".candidates.partial" / "part-00007.parquet").write_text("half")
    write_candidates([SECOND], folder)
    assert list(read_candidates(folder)) == [SECOND]
    assert list(tmp_path.iterdir()) == [folder]


def test_no_candidates_at_all_is_an_error_and_leaves_the_earlier_folder(tmp_path: Path) -> None:
    write_candidates([FIRST], tmp_path / "candidates")
    with pytest.raises(DataError, match="nothing left to rerank"):
        write_candidates([], tmp_path / "candidates")
    assert list(read_candidates(tmp_path / "candidates")) == [FIRST]


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write candidates to .*file/candidates"):
        write_candidates([FIRST], tmp_path / "file" / "candidates")


def test_a_missing_or_broken_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere holds no candidates"):
        list(read_candidates(tmp_path / "nowhere"))
    (tmp_path / "part-00000.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"part-00000\.parquet"):
        list(read_candidates(tmp_path))


def test_the_first_stages_lists_are_read_in_the_order_of_the_candidates(tmp_path: Path) -> None:
    rows = [Candidates(f"q{n}", "x", ("b", "a"), ("t", "u"), (2.0, 1.0), ("z",) * (n % 2)) for n in range(5)]
    write_candidates(rows, tmp_path / "some", rows_per_file=2)
    assert list(read_first_stage(tmp_path / "some")) == [(row.query_id, row.doc_ids + row.tail) for row in rows]
