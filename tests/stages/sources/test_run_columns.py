"""Which column orders a run is said, never guessed; and a list has the order that its file gives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.records import SetAside
from stages.sources.run_columns import RunColumns
from stages.sources.run_index import QueryIds, open_run
from tests.examples import examples

RANKED, SCORED = ("query_id", "doc_id", "rank"), ("query_id", "doc_id", "score")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run.tsv"


def lists(path: Path, names: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Query id -> documents in first-stage order; nothing may be set aside."""
    columns = None if names is None else RunColumns.named(names)
    with open_run(path, QueryIds(), lambda row: pytest.fail(f"{row.where}: {row.reason}"), columns) as index:
        return {query_id: index.read(query_id).doc_ids for query_id in index}


def aside(path: Path, names: Sequence[str] | None = None) -> list[tuple[int, str]]:
    found: list[SetAside] = []
    with open_run(path, QueryIds(), found.append, None if names is None else RunColumns.named(names)) as index:
        assert list(index)
    return [(row.where.line, row.reason) for row in found]


PYSERINI = "q1\td7\t1\nq1\td9\t2\nq1\td8\t3\nq2\td7\t1\n"  # laid out as 2.3.0's --output-format msmarco
TEVATRON = "1\t2\t12.3\n1\t3\t11\n1\t4\t11.5\n"  # laid out as by its search, at dd06310
PYTERRIER = "q1\td7\t0\nq1\td9\t1\nq1\td8\t2\n"  # laid out as by 1.1.2, format="minimal"


def test_a_third_column_is_what_the_setting_calls_it(run: Path) -> None:
    run.write_text(PYSERINI)
    assert lists(run, RANKED) == {"q1": ["d7", "d9", "d8"], "q2": ["d7"]}
    assert lists(run, SCORED) == {"q1": ["d8", "d9", "d7"], "q2": ["d7"]}
    run.write_text(PYTERRIER)
    assert lists(run, RANKED) == {"q1": ["d7", "d9", "d8"]}
    run.write_text(TEVATRON)
    assert lists(run, SCORED) == {"1": ["2", "4", "3"]}


RANK, SCORE = "[query_id, doc_id, rank]", "[query_id, doc_id, score]"
QUESTIONS = {
    PYSERINI: ("this one 3, such as 'q1 d7 1'; column 3 looks like a rank", f"{RANK} or {SCORE}"),
    PYTERRIER: ("such as 'q1 d7 0'; column 3 looks like a rank", f"{RANK} or {SCORE}"),
    TEVATRON: ("such as '1 2 12.3'; column 3 looks like a score", f"{SCORE} or {RANK}"),
    "q1 d7 1 9.5\nq1 d9 2 9.25\n": (
        "column 3 looks like a rank (1, 2, 3 ... or 0, 1, 2 ... in each query) and column 4 looks like a score",
        "[query_id, doc_id, rank, score]",
    ),
    "q1 Q0 d7 1 9.5\nq1 Q0 d9 2 9.25\n": ("this one 5", "[query_id, _, doc_id, rank, score]"),
    "q1 0 d7 2\nq1 0 d9 0\n": (
        "this one 4",
        "[query_id, _, doc_id, rank]; if these are judgements, data.qrels takes them",
    ),
    "query-id\tcorpus-id\tscore\nq1\td7\t9.5\n": (
        "such as 'query-id corpus-id score'; column 3 looks like a score",
        SCORE,
    ),
    "# made by hand\nq 1\td 7\t2.5\nq 1\td 9\t3\n": ("such as 'q 1 d 7 2.5'; column 3 looks like a score", SCORE),
}


@pytest.mark.parametrize("content", QUESTIONS)
def test_a_run_of_fewer_columns_is_refused_with_its_first_line_what_it_looks_like_and_the_setting(
    run: Path, content: str
) -> None:
    run.write_text(content)
    with pytest.raises(DataError) as error:
        aside(run)
    looks, setting = QUESTIONS[content]
    assert looks in str(error.value)
    assert "say it with data.run_columns (evaluate: --run-columns), " in str(error.value)
    assert setting in str(error.value)


def test_columns_of_a_setting_are_checked_by_name() -> None:
    for names, told in (
        (("query_id", "docid", "rank"), "'docid' is no column of a run; choose from query_id, doc_id, score, rank, _"),
        (("query_id", "query_id", "doc_id"), "query_id is named twice"),
        (("query_id", "rank"), "doc_id not named"),
    ):
        with pytest.raises(ValueError, match=told):
            RunColumns.named(names)


def test_a_score_counts_before_a_rank_and_without_either_the_order_of_the_file(run: Path) -> None:
    run.write_text("q1 d1 1 2.5\nq1 d2 2 9\nq2 d1 1 0\nq1 d3 3 5\n")
    assert lists(run, ("query_id", "doc_id", "rank", "score"))["q1"] == ["d2", "d3", "d1"]
    assert lists(run, ("query_id", "doc_id", "rank", "_"))["q1"] == ["d1", "d2", "d3"]
    assert lists(run, ("query_id", "doc_id", "_", "_"))["q1"] == ["d1", "d2", "d3"]


def test_a_run_of_trecs_columns_beside_those_that_the_setting_is_for_is_read_as_one(run: Path) -> None:
    run.write_text("q1 Q0 d1 1 2.5 x\nq1 Q0 d2 2 9 x\n")
    assert lists(run, RANKED) == {"q1": ["d2", "d1"]}
    assert lists(run, ("query_id", "_", "doc_id", "rank", "_", "_")) == {"q1": ["d1", "d2"]}


def test_a_rank_that_is_none_or_comes_twice_is_told(run: Path) -> None:
    run.write_text("q1 d1 1\nq1 d2 2.5\nq1 d3 -1\nq1 d4 2\n")
    assert aside(run, RANKED) == [(2, "rank is not a whole number: '2.5'"), (3, "rank is not a whole number: '-1'")]
    run.write_text("q1 d1 0\nq1 d2 0\n")
    with pytest.raises(DataError, match=r"run\.tsv:2: query 'q1' has rank 0 twice, which gives no order"):
        lists(run, RANKED)


@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["q1", "q2"]), st.integers(0, 10**6)), unique=True, max_size=30))
def test_ranks_and_the_order_of_a_file_give_the_same_list_whatever_the_ids_are(
    run: Path, pairs: list[tuple[str, int]]
) -> None:
    pairs = [("q1", 10**7), *pairs]
    places = {query: [doc for one, doc in pairs if one == query] for query, _ in pairs}
    run.write_text("".join(f"{query} d{doc} {places[query].index(doc)} 0\n" for query, doc in pairs))
    expected = {query: [f"d{doc}" for doc in docs] for query, docs in places.items()}
    assert lists(run, ("query_id", "doc_id", "rank", "_")) == lists(run, ("query_id", "doc_id", "_", "_")) == expected


def test_scores_that_are_all_the_same_are_refused_where_ranks_give_another_order_than_ids(run: Path) -> None:
    run.write_text("q1 Q0 d1 1 0.0 ir_datasets\nq1 Q0 d2 2 0.0 ir_datasets\n")
    with pytest.raises(DataError, match=r"all scores are the same.*\[query_id, _, doc_id, rank, _, _\] or \[query_id"):
        lists(run)
    assert lists(run, ("query_id", "_", "doc_id", "rank", "_", "_")) == {"q1": ["d1", "d2"]}
    assert lists(run, ("query_id", "_", "doc_id", "_", "score", "_")) == {"q1": ["d2", "d1"]}


@pytest.mark.parametrize(
    "content",
    [
        "q1 Q0 d2 1 1.0 x\nq1 Q0 d1 2 1.0 x\n",  # ranks as trec_eval would give them
        "q1 Q0 d1 0 1.0 x\nq1 Q0 d2 0 1.0 x\n",  # BEIR's writer: rank 0 everywhere
        "q1 Q0 d1 - 1.0 x\nq1 Q0 d2 - 1.0 x\n",
        "q1 Q0 d1 1 1.0 x\nq2 Q0 d2 1 1.0 x\n",
    ],
)
def test_the_same_scores_are_read_where_ranks_say_nothing_else(run: Path, content: str) -> None:
    run.write_text(content)
    assert lists(run)["q1"] in (["d2", "d1"], ["d1"])


# Laid out as PyTerrier 1.1.2 writes ids with a blank and a quote, which is pandas' `to_csv` with blanks between.
QUOTED = '"q 1" Q0 d1 0 1.5 "my run"\n"q 1" Q0 "d ""2""" 1 1.25 "my run"\n"q 1" Q0 "d""3" 2 1.0 "my run"\n'


def test_ids_that_pyterrier_quotes_are_read_as_they_were(run: Path) -> None:
    run.write_text(QUOTED)
    assert lists(run) == {"q 1": ["d1", 'd "2"', 'd"3']}
    run.write_text(
        'q1 Q0 "d""3" 0 1.5 x\nq1 Q0 "d4" 1 1.25 x\n'
    )  # the second is no CSV of PyTerrier's: an id with quotes
    assert lists(run) == {"q1": ['d"3', '"d4"']}


def test_ids_with_blanks_are_read_where_tabs_separate(run: Path) -> None:
    run.write_text("q 1\tQ0\td 1\t1\t2.5\tmy run\nq 1\tQ0\td2\t2\t2\tmy run\t\t\n")
    assert lists(run) == {"q 1": ["d 1", "d2"]}


def test_a_score_that_is_empty_is_told_as_such(run: Path) -> None:
    run.write_text("q1 Q0 d1 0 1.5 pyterrier\nq1 Q0 d2 1  pyterrier\nq1\tQ0\td3\t1\t\ttag\nq1 Q0 d4 1 nan x\n")
    assert aside(run) == [
        (2, "score is not a finite number: ''"),
        (3, "score is not a finite number: ''"),
        (4, "score is not a finite number: 'nan'"),
    ]


# Laid out as repro_eval 0.5.0 writes it.
METADATA = """# ir_metadata.start
# ir_metadata.version: 0.1
# tag: my run 1 2.5 x
# research goal:
#   venue:
# a b c 1 2.5 x
# ir_metadata.end
"""


def test_comments_and_metadata_blocks_are_no_lines_of_a_run(run: Path) -> None:
    run.write_text(f"{METADATA}q1 Q0 d1 1 2.5 x\n#\n# a word about it\n#metoo Q0 d1 1 1.0 x\n#metoo Q0 d2 2 2.0 x\n")
    assert lists(run) == {"q1": ["d1"], "#metoo": ["d2", "d1"]}
    run.write_text("\ufeff" + METADATA + "q1 d1 1\n" + METADATA)
    assert lists(run, RANKED) == {"q1": ["d1"]}


def test_what_could_be_a_line_of_a_query_called_hash_is_told(run: Path) -> None:
    run.write_text("# Q0 d1 1 2.5 x\nq1 Q0 d1 1 2.5 x\n# Q0 d1 1 2.5 x\n")
    assert aside(run) == [
        (1, "taken for a comment, as it begins with #"),
        (3, "taken for a comment, as it begins with #"),
    ]
