"""Rankings survive Arrow and Parquet unchanged, and a TREC run file that other tools read in the same order."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from stages.core.records import Candidates, PairScore, Ranking
from stages.core.rerank import rank
from stages.files.rankings import (
    RANKING_SCHEMA,
    rankings_from,
    rankings_table,
    read_answered,
    read_failed,
    read_lists,
    read_rankings,
    write_trec_run,
)
from stages.sources.trec import read_trec_run

FULL = Ranking(
    query_id="q1",
    doc_ids=("b", "中 文"),
    scores=(0.9, 0.1),
    logits=(2.2, None),
    tail=("t1", "t2"),
    failed={"x": "the engine returned nothing", "y": "aborted"},
    prompt_tokens=50,
    cached_tokens=30,
    truncated_pairs=1,
    store_hits=1,
    reused_pairs=2,
    passages=(1, 3),
    cut_scores=(0.9, 0.05),
    cut_logits=(2.2, None),
    unscored=1,
    pair_tokens=(20, 30),
)
EMPTY = Ranking(query_id="q2", doc_ids=(), scores=(), logits=(), failed={"a": "aborted"})

IDS = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), max_size=6, unique=True)


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    doc_ids = tuple(draw(IDS))
    size = len(doc_ids)
    read = size if draw(st.booleans()) else 0  # in passages
    return Ranking(
        query_id=draw(st.text(st.characters(codec="utf-8"), min_size=1)),
        doc_ids=doc_ids,
        scores=tuple(draw(st.lists(st.floats(allow_nan=False), min_size=size, max_size=size))),
        logits=tuple(draw(st.lists(st.none() | st.floats(allow_nan=False), min_size=size, max_size=size))),
        tail=tuple(draw(IDS)),
        failed=draw(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))),
        prompt_tokens=draw(st.integers(0, 2**40)),
        cached_tokens=draw(st.integers(0, 2**40)),
        truncated_pairs=draw(st.integers(0, 100)),
        store_hits=draw(st.integers(0, 100)),
        reused_pairs=draw(st.integers(0, 100)),
        passages=tuple(draw(st.lists(st.integers(1, 2**16), min_size=read, max_size=read))),
        cut_scores=tuple(draw(st.lists(st.floats(allow_nan=False), min_size=read, max_size=read))),
        cut_logits=tuple(draw(st.lists(st.none() | st.floats(allow_nan=False), min_size=read, max_size=read))),
        unscored=draw(st.integers(0, 6)),
        pair_tokens=tuple(draw(st.lists(st.integers(0, 2**20), min_size=read, max_size=read))),
    )


# --- Arrow and Parquet ---


@given(st.lists(rankings(), max_size=4))
def test_a_table_of_rankings_gives_the_same_rankings_back(given_rankings: list[Ranking]) -> None:
    table = rankings_table(given_rankings)
    assert table.schema == RANKING_SCHEMA
    assert rankings_from(table) == given_rankings


def test_further_columns_are_ignored() -> None:
    table = rankings_table([FULL]).append_column("worker", pa.array(["w1"]))
    assert rankings_from(table) == [FULL]


def test_rankings_of_before_failed_documents_were_ranked_are_read_as_they_were(tmp_path: Path) -> None:
    pq.write_table(rankings_table([EMPTY, FULL]).drop_columns("unscored"), tmp_path / "part-00000.parquet")
    assert list(read_rankings(tmp_path)) == [EMPTY, replace(FULL, unscored=0)]
    assert list(read_lists(tmp_path)) == [("q2", ()), ("q1", ("b", "中 文", "t1", "t2"))]


def test_rankings_of_before_there_were_passages_are_read(tmp_path: Path) -> None:
    later = ["passages", "cut_scores", "cut_logits", "pair_tokens"]
    pq.write_table(rankings_table([FULL]).drop_columns(later), tmp_path / "part-00000.parquet")
    assert list(read_rankings(tmp_path)) == [replace(FULL, passages=(), cut_scores=(), cut_logits=(), pair_tokens=())]


def test_a_folder_is_read_file_by_file_in_the_order_of_their_names(tmp_path: Path) -> None:
    pq.write_table(rankings_table([EMPTY]), tmp_path / "part-00001.parquet")
    pq.write_table(rankings_table([FULL]), tmp_path / "part-00000.parquet")
    (tmp_path / "notes.txt").write_text("not a ranking")
    assert list(read_rankings(tmp_path)) == [FULL, EMPTY]


@given(st.lists(rankings(), max_size=4))
def test_lists_and_failed_documents_are_read_as_from_whole_rankings(given_rankings: list[Ranking]) -> None:
    with tempfile.TemporaryDirectory() as name:
        pq.write_table(rankings_table(given_rankings), Path(name) / "part-00000.parquet")
        assert list(read_lists(Path(name))) == [(one.query_id, one.ordered()) for one in given_rankings]
        assert list(read_answered(Path(name))) == [one.query_id for one in given_rankings if one.answered]
        assert list(read_failed(Path(name))) == [(one.query_id, one.failed) for one in given_rankings if one.failed]


# --- run.trec ---


def written(*of_queries: Ranking) -> list[str]:
    stream = StringIO()
    write_trec_run(of_queries, stream, "tag")
    return stream.getvalue().splitlines()


def test_lines_hold_what_ranked_the_documents_and_the_tail_falls_by_one() -> None:
    ranking = Ranking("q", ("b", "a"), (0.9, 0.8), (2.5, 1.25), tail=("t1", "t2"))
    assert written(ranking) == [
        "q Q0 b 1 2.5 tag",
        "q Q0 a 2 1.25 tag",
        "q Q0 t1 3 0.25 tag",
        "q Q0 t2 4 -0.75 tag",
    ]


def test_scores_stand_in_for_logits_that_are_not_there() -> None:
    assert written(Ranking("q", ("b",), (0.9,), (None,))) == ["q Q0 b 1 0.9 tag"]


def test_a_query_without_an_answer_has_the_list_that_it_was_given() -> None:
    ranking = rank(Candidates("q", "", (), (), (), ("t",), listed=("b", "a")), [])
    assert written(ranking) == ["q Q0 b 1 -1 tag", "q Q0 a 2 -2 tag", "q Q0 t 3 -3 tag"]


def test_blanks_in_ids_are_written_as_in_a_url() -> None:
    [line] = written(Ranking("q 1", ("a\tb\u3000c",), (1.0,), (None,)))
    assert line == "q%201 Q0 a%09b%E3%80%80c 1 1 tag"
    assert len(line.split()) == 6


PLAIN_IDS = st.lists(st.text("abcXYZ019", min_size=1, max_size=3), min_size=1, max_size=8, unique=True)


@given(PLAIN_IDS, st.data())
def test_a_reader_of_the_run_file_finds_the_ranking_and_then_the_tail(
    tmp_path_factory: object, doc_ids: list[str], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(doc_ids)))
    logits = data.draw(st.lists(st.floats(-40, 40), min_size=cut, max_size=cut))
    candidates = Candidates(
        "q", "text", tuple(doc_ids[:cut]), ("",) * cut, tuple(range(cut, 0, -1)), tail=tuple(doc_ids[cut:])
    )
    ranking = rank(candidates, [PairScore(0.5, logit=logit) for logit in logits])
    path = Path(tmp_path_factory.mktemp("run")) / "run.trec"  # type: ignore[attr-defined]
    path.write_text("\n".join(written(ranking)))
    read = read_trec_run(path, None, lambda fault: (_ for _ in ()).throw(AssertionError(fault.reason)))
    assert tuple(read["q"].doc_ids) == ranking.ordered()
