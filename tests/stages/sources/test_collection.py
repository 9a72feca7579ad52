from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.prepare import prepare_all
from stages.core.records import Judgements, Location, RawDocument, RawQuery, SetAside
from stages.sources import FIRST_STAGE, DataSettings, open_source
from stages.sources.lines import read_objects
from stages.sources.trec import read_qrels
from tests.examples import examples

DATA = Path(__file__).parents[3].parent / "shared" / "data"

CORPUS = [
    {"_id": "d1", "title": "One", "text": "first"},
    {"_id": "d2", "title": "", "text": "second"},
    {"_id": "d3", "text": "third"},
    {"_id": "d4", "title": "no one asks", "text": "for this"},
]
QUERIES: list[dict[str, object]] = [
    {"_id": "q1", "text": "who", "instruction": "find it", "metadata": {"language": "de", "n": 1}, "topic": "law"},
    {"_id": "q2", "text": "why"},
]
RUN = "q2 Q0 d1 1 1.0 bm25\nq1 Q0 d3 1 0.5 bm25\nq1 Q0 d1 9 2.5 bm25\nq1 Q0 d2 2 0.5 bm25\n"
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq3\td1\t2\n"


def json_lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(json_lines(CORPUS))
    (tmp_path / "queries.jsonl").write_text(json_lines(QUERIES))
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS)
    (tmp_path / "run.trec").write_text(RUN)
    return tmp_path


def of_beir(folder: Path, **more: object) -> DataSettings:
    given = {"format": "beir", "path": str(folder), "run": folder / "run.trec", **more}
    return DataSettings.model_validate(given)


def read(settings: DataSettings) -> tuple[list[RawQuery], list[SetAside]]:
    aside: list[SetAside] = []
    return list(open_source(settings).queries(aside.append)), aside


def judged(settings: DataSettings) -> tuple[Judgements, list[SetAside]]:
    aside: list[SetAside] = []
    return open_source(settings).judgements(aside.append), aside


def said(aside: list[SetAside]) -> list[tuple[str, int, str]]:
    return [(Path(row.where.file).name, row.where.line, row.reason) for row in aside]


def test_a_beir_folder_gives_each_query_of_the_run_with_its_documents_in_first_stage_order(beir: Path) -> None:
    queries, aside = read(of_beir(beir))
    run = str(beir / "run.trec")
    assert aside == []
    assert queries[1] == RawQuery(
        "q1",
        "who",
        (
            RawDocument("d1", "One first", 2.5, Location(run, 3)),
            RawDocument("d3", "third", 0.5, Location(run, 2)),
            RawDocument("d2", "second", 0.5, Location(run, 4)),
        ),
        Location(str(beir / "queries.jsonl"), 1),
        "find it",
        {"language": "de", "topic": "law"},
    )
    assert [query.query_id for query in queries] == ["q2", "q1"]


def test_below_the_depth_documents_are_handed_over_without_text(beir: Path) -> None:
    queries, _ = read(of_beir(beir, depth=1))
    assert [document.text for document in queries[1].documents] == ["One first"]
    assert [(document.doc_id, document.text, document.score) for document in queries[1].tail] == [
        ("d3", None, 0.5),
        ("d2", None, 0.5),
    ]


def test_judgements_include_queries_that_the_run_lacks(beir: Path) -> None:
    assert judged(of_beir(beir)) == (Judgements({"q1": {"d1": 1, "d2": 0}, "q3": {"d1": 2}}), [])


def test_a_limit_takes_the_first_queries_of_the_run_and_their_judgements_alone(beir: Path) -> None:
    settings = of_beir(beir, limit=1)
    assert [query.query_id for query in read(settings)[0]] == ["q2"]
    assert judged(settings)[0] == Judgements({})


def test_the_name_is_the_folders(beir: Path) -> None:
    assert open_source(of_beir(beir)).name == beir.name


def test_gzipped_files_read_the_same(beir: Path) -> None:
    plain = [query.documents[0].text for query in read(of_beir(beir))[0]]
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "run.trec"):
        file = beir / name
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    settings = of_beir(beir, run=beir / "run.trec.gz")
    assert [query.documents[0].text for query in read(settings)[0]] == plain
    assert judged(settings)[0].grades["q1"] == {"d1": 1, "d2": 0}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("corpus.jsonl", "data.documents"),
        ("queries.jsonl", "data.queries"),
        ("qrels/test.tsv", "data.qrels"),
        ("run.trec", "data.run"),
    ],
)
def test_a_missing_file_is_an_error_before_anything_is_read(beir: Path, name: str, setting: str) -> None:
    (beir / name).unlink()
    with pytest.raises(DataError, match=rf"{setting}: .*{name} does not exist; give the path of a file"):
        open_source(of_beir(beir))


def test_a_folder_that_is_none_and_a_file_that_is_a_folder_are_errors(beir: Path) -> None:
    with pytest.raises(DataError, match=r"data.path: .* is not a folder"):
        open_source(of_beir(beir / "run.trec", run=beir / "run.trec"))
    with pytest.raises(DataError, match=r"data.run: .* is a folder"):
        open_source(of_beir(beir, run=beir))


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst"])
def test_a_file_of_a_beir_folder_may_be_packed(beir: Path, ending: str) -> None:
    """What it is packed with its bytes say; see test_packed."""
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        (beir / name).rename(beir / (name + ending))
    assert len(read(of_beir(beir))[0]) == 2
    assert judged(of_beir(beir))[0].grades["q3"] == {"d1": 2}


def test_runs_of_other_columns_are_read_everywhere_as_the_setting_says(beir: Path) -> None:
    (beir / "run.trec").write_text("q2\td1\t1\nq1\td1\t1\nq1\td2\t2\nq1\td3\t3\n")
    ranked = of_beir(beir, run_columns=["query_id", "doc_id", "rank"], limit=2)
    queries, aside = read(ranked)
    assert [document.doc_id for document in queries[1].documents] == ["d1", "d2", "d3"]
    assert [document.score for document in queries[1].documents] == [-1.0, -2.0, -3.0]
    assert [query.order_only for query in queries] == [True, True], "places are no scores, and that is told"
    assert judged(ranked)[0].grades["q1"] == {"d1": 1, "d2": 0}
    assert open_source(ranked).meetings()[FIRST_STAGE].shared == 1
    assert aside == []
    with pytest.raises(DataError, match="column 3 looks like a rank"):
        read(of_beir(beir))


def test_a_truncated_gzip_file_is_an_error_that_names_it(beir: Path) -> None:
    packed = gzip.compress(RUN.encode() * 1000)
    (beir / "run.trec.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"cannot read .*run\.trec\.gz"):
        read(of_beir(beir, run=beir / "run.trec.gz"))


def test_malformed_lines_of_a_run_are_set_aside(beir: Path) -> None:
    (beir / "run.trec").write_text("q1 Q0 d1 1 high x\n\nq1 Q0 d1 1 nan x\nq1 d1 1 2.0\nq1 Q0 d2 1 2.0 x\r\n")
    queries, aside = read(of_beir(beir))
    assert [document.doc_id for document in queries[0].documents] == ["d2"]
    assert said(aside) == [
        ("run.trec", 1, "score is not a finite number: 'high'"),
        ("run.trec", 3, "score is not a finite number: 'nan'"),
        ("run.trec", 4, "a run has 6 columns, this line 4"),
    ]
    assert (aside[0].query_id, aside[0].doc_id) == ("q1", "d1")


def test_malformed_lines_of_texts_are_set_aside_and_what_they_leave_out_is_unknown(beir: Path) -> None:
    (beir / "corpus.jsonl").write_bytes(
        b'\xef\xbb\xbf{"_id": "d1", "text": "one"}\n{"_id": "d1", "text": "again"}\n'
        b'{"_id"\n[1]\n{"text": "x"}\n\xff\n{"_id": null, "text": "x"}\n{"_id": "d2"}\n{"_id": "d3", "text": 5}\n'
    )
    (beir / "queries.jsonl").write_text('{"_id": "q1", "text": null}\n')
    queries, aside = read(of_beir(beir))
    by_id = {str(document.doc_id): document for document in queries[1].documents}
    assert [(by_id[name].text, by_id[name].where.line) for name in ("d1", "d2", "d3")] == [("one", 3), ("", 8), (5, 9)]
    assert (queries[0].query, queries[1].query) == (None, "")
    lines = [(line, reason.split(":")[0]) for _, line, reason in said(aside)]
    assert lines == [
        (2, "duplicate id 'd1'"),
        (3, "not JSON"),
        (4, "not a JSON object but list"),
        (5, "no id; it stands under _id, id, doc_id, docid, docno, pid"),
        (6, "not UTF-8"),
        (7, "no id; it stands under _id, id, doc_id, docid, docno, pid"),
    ]


def test_what_is_missing_from_queries_and_corpus_is_set_aside_in_prepare(beir: Path) -> None:
    (beir / "corpus.jsonl").write_text(json_lines(CORPUS[:1]))
    (beir / "queries.jsonl").write_text(json_lines(QUERIES[:1]))
    queries, aside = read(of_beir(beir))
    kept = list(prepare_all(queries, 2, aside.append))
    assert [(candidates.query_id, candidates.doc_ids, candidates.top, candidates.tail) for candidates in kept] == [
        ("q2", (), ("d1",), ()),
        ("q1", ("d1",), ("d1", "d3"), ("d2",)),
    ]
    assert said(aside) == [
        ("run.trec", 1, "unknown query: no text for this id"),
        ("run.trec", 2, "document d3 is not in the corpus"),
    ]


def test_a_query_s_own_document_leaves_the_list_before_it_is_cut_where_that_is_asked_for(beir: Path) -> None:
    own = "q1 Q0 q1 1 9.0 bm25\n"
    (beir / "run.trec").write_text(RUN + own)
    (beir / "corpus.jsonl").write_text(json_lines([*CORPUS, {"_id": "q1", "text": "who"}]))
    kept, aside = read(of_beir(beir, depth=2))
    assert ([document.doc_id for document in kept[1].documents], aside) == (["q1", "d1"], [])
    queries, aside = read(of_beir(beir, depth=2, drop_self=True))
    assert [(document.doc_id, document.text) for document in queries[1].documents] == [
        ("d1", "One first"),
        ("d3", "third"),
    ], "the text of what moves up is read"
    assert [document.doc_id for document in queries[1].tail] == ["d2"]
    assert said(aside) == [("run.trec", 5, "the query's own document (data.drop_self)")]
    assert (aside[0].query_id, aside[0].doc_id) == ("q1", "q1")


def test_a_run_or_qrels_without_a_usable_line_is_an_error_with_the_form(beir: Path) -> None:
    (beir / "run.trec").write_text("no run\n")
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    told = r"run\.trec has no usable line: a run has 6 columns, this line 2 \(line 1, 'no run'; the only one\); a TREC "
    with pytest.raises(DataError, match=told + "run has lines of `query_id Q0 doc_id rank score tag`"):
        read(of_beir(beir))
    with pytest.raises(DataError, match=r"test.tsv has no usable line: there is none but blank ones"):
        judged(of_beir(beir))


def with_two_runs(folder: Path, dense: str, **more: object) -> DataSettings:
    (folder / "dense.trec").write_text(dense)
    runs = {"bm25": folder / "run.trec", "dense": folder / "dense.trec"}
    return of_beir(folder, run=None, runs=runs, **more)


def lists_of(settings: DataSettings) -> list[dict[str, list[tuple[object, object]]]]:
    """Per query, each run's (document, text)s."""
    lists = open_source(settings).query_lists(lambda _: None)
    return [
        {name: [(one.doc_id, one.text) for one in raw.documents] for name, raw in of_query.items()}
        for of_query in lists
    ]


def test_several_runs_give_each_query_one_list_per_run_that_retrieved_something_for_it(beir: Path) -> None:
    settings = with_two_runs(beir, "q1 Q0 d4 1 1.0 x\nq3 Q0 d1 1 1.0 x\nq1 Q0 d1 1 0.5 x\n", depth=2)
    assert open_source(settings).names == ("bm25", "dense")
    assert lists_of(settings) == [
        {"bm25": [("d1", "One first")]},
        {
            "bm25": [("d1", "One first"), ("d3", "third")],
            "dense": [("d4", "no one asks for this"), ("d1", "One first")],
        },
        {"dense": [("d1", "One first")]},
    ]


def test_a_limit_counts_queries_over_all_runs(beir: Path) -> None:
    settings = with_two_runs(beir, "q3 Q0 d1 1 1.0 x\nq4 Q0 d1 1 1.0 x\nq1 Q0 d2 1 1.0 x\n", limit=3)
    assert [list(of_query) for of_query in lists_of(settings)] == [["bm25"], ["bm25", "dense"], ["dense"]]
    assert judged(settings)[0] == Judgements({"q1": {"d1": 1, "d2": 0}, "q3": {"d1": 2}})


def test_malformed_lines_of_several_runs_are_set_aside_once_with_their_file(beir: Path) -> None:
    settings = with_two_runs(beir, "q1 Q0 d4 1 1.0 x\nbroken\n")
    aside = read(settings)[1]
    assert said(aside) == [("dense.trec", 2, "a run has 6 columns, this line 1")]


def test_a_missing_run_among_several_is_an_error_that_names_it(beir: Path) -> None:
    settings = with_two_runs(beir, "")
    (beir / "dense.trec").unlink()
    with pytest.raises(DataError, match=r"data.runs.dense: .*dense.trec does not exist"):
        open_source(settings)


def test_one_run_is_one_list_called_first_stage(beir: Path) -> None:
    assert open_source(of_beir(beir)).names == (FIRST_STAGE,)
    assert [list(of_query) for of_query in lists_of(of_beir(beir))] == [[FIRST_STAGE], [FIRST_STAGE]]


@pytest.mark.heavy
def test_memory_grows_with_queries_by_far_less_than_their_pairs_need(tmp_path: Path) -> None:
    (tmp_path / "corpus.tsv").write_text("".join(f"document-{n}\t{'text ' * 20}{n}\n" for n in range(2000)))
    (tmp_path / "qrels").write_text("q0 0 document-1 1\n")

    def peak_bytes(queries: int) -> int:
        (tmp_path / "queries.tsv").write_text("".join(f"q{q}\tquery\n" for q in range(queries)))
        lines = (f"q{q} Q0 document-{(q * 97 + n * 7) % 2000} 0 {-n} x\n" for q in range(queries) for n in range(100))
        (tmp_path / "run").write_text("".join(lines))
        files = {"run": "run", "qrels": "qrels", "queries": "queries.tsv", "documents": "corpus.tsv"}
        settings = DataSettings.model_validate(
            {"format": "trec", **{key: tmp_path / name for key, name in files.items()}}
        )
        tracemalloc.start()
        pairs = sum(len(raw.documents) for raw in open_source(settings).queries(lambda _: None))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert pairs == queries * 100
        return peak

    assert peak_bytes(420) - peak_bytes(170) < 250 * 2_000  # 25,000 further pairs; a string for each takes 1.5 MB


@pytest.fixture
def qrels(tmp_path: Path) -> Callable[[str], tuple[Judgements, list[SetAside]]]:
    def reader(content: str) -> tuple[Judgements, list[SetAside]]:
        aside: list[SetAside] = []
        (tmp_path / "qrels").write_text(content)
        return read_qrels(tmp_path / "qrels", aside.append), aside

    return reader


QrelsReader = Callable[[str], tuple[Judgements, list[SetAside]]]


def test_qrels_are_read_in_both_forms_with_and_without_header(qrels: QrelsReader) -> None:
    expected: tuple[Judgements, list[SetAside]] = (Judgements({"q1": {"d1": 1, "d2": -1}}), [])
    assert qrels("q1 0 d1 1\nq1 0 d2 -1\n") == expected
    assert qrels("q1\td1\t1\nq1\td2\t-1\n") == expected
    assert qrels("query-id\tcorpus-id\tscore\nq1\td1\t1.0\nq1\td2\t-1.0\n") == expected
    assert qrels("query 0 doc rel\nq1\t0\td1\t1\nq1 0\td2 -1\n") == expected


def test_ids_with_spaces_are_kept_where_tabs_separate(qrels: QrelsReader) -> None:
    assert qrels("q 1\td 1\t2\n")[0] == Judgements({"q 1": {"d 1": 2}})


def test_malformed_qrels_lines_are_set_aside(qrels: QrelsReader) -> None:
    judgements, aside = qrels("q 0 d 1\nq 0 d 2\nq d\nq 0 e x\nq 0 e inf\nq\t\t1\nq 0 f 1e30\n")
    assert judgements == Judgements({"q": {"d": 1}})
    assert said(aside) == [
        ("qrels", 2, "judged twice: the first judgement counts"),
        ("qrels", 3, "qrels have 3 or 4 columns, this line 2"),
        ("qrels", 4, "judgement is not an integer: 'x'"),
        ("qrels", 5, "judgement is not an integer: 'inf'"),
        ("qrels", 6, "query or document id missing"),
        ("qrels", 7, "judgement is not an integer: '1e30'"),
    ]


def test_a_first_line_is_a_header_by_its_words_and_not_because_its_grade_is_none(qrels: QrelsReader) -> None:
    for header in (
        "query-id\tcorpus-id\tscore",
        "query_id 0 doc_id relevance",
        "QID\tDocID\tLabel",
        "topic Q0 docno rel",
    ):
        assert qrels(f"{header}\nq1 0 d1 1\n") == (Judgements({"q1": {"d1": 1}}), [])
    for first in ("q1 0 d1 high", "q1\td1\tscore", "query 0 d1 1,5", "query-id\tcorpus-id\tWert"):
        judgements, aside = qrels(f"{first}\nq1 0 d2 1\n")
        assert judgements == Judgements({"q1": {"d2": 1}})
        assert [(row.where.line, row.reason.split(":")[0]) for row in aside] == [(1, "judgement is not an integer")]
    with pytest.raises(DataError, match=r"qrels:1: judgement 0\.5 is a fraction"):
        qrels("q1 0 d1 0.5\nq1 0 d2 1\n")


def test_blank_columns_at_the_end_of_a_judgement_do_not_count(qrels: QrelsReader) -> None:
    assert qrels("q1\td1\t1\t\nq1\td2\t0\t \t\n") == (Judgements({"q1": {"d1": 1, "d2": 0}}), [])
    judgements, aside = qrels("q1\t0\t7\t\nq1\t0\t8\t1\t\n")  # the first has TREC's columns, and no judgement
    assert judgements == Judgements({"q1": {"8": 1}})
    assert said(aside) == [("qrels", 1, "judgement is not an integer: ''")]


def test_a_fractional_judgement_is_an_error_with_the_remedy(qrels: QrelsReader) -> None:
    with pytest.raises(
        DataError, match=r"qrels:2: judgement 0\.5 is a fraction; grades are integers: multiply or round"
    ):
        qrels("q 0 d 1\nq 0 e 0.5\n")


def test_trec_files_are_read_with_tsv_texts(beir: Path) -> None:
    (beir / "docs.tsv").write_text("d1\tfirst\nd2\tsecond\tthird\nd3\t\n\tno id\n")
    (beir / "topics.txt").write_text("q1\twho\nq2\twhy\n")
    (beir / "qrels.trec").write_text("q1 0 d1 1\n")
    paths = {"run": "run.trec", "qrels": "qrels.trec", "queries": "topics.txt", "documents": "docs.tsv"}
    settings = DataSettings.model_validate({"format": "trec", **{key: beir / name for key, name in paths.items()}})
    queries, aside = read(settings)
    assert [query.query for query in queries] == ["why", "who"]
    assert [document.text for document in queries[1].documents] == ["first", "", None]
    assert [row[1:] for row in said(aside)] == [
        (2, "not `id<TAB>text`: 3 columns (a first line may name them)"),
        (4, "no id; it stands under _id, id, doc_id, docid, docno, pid"),
    ]
    assert judged(settings)[0] == Judgements({"q1": {"d1": 1}})
    assert open_source(settings).name == beir.name


def test_texts_with_an_unknown_ending_are_an_error_that_lists_the_known_ones(beir: Path) -> None:
    (beir / "corpus.xml").write_text("<d/>")
    with pytest.raises(DataError, match=r"unknown ending '\.xml'\. Choose from: \.jsonl, "):
        read(of_beir(beir, documents=beir / "corpus.xml"))


def test_deeply_nested_json_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "deep.jsonl").write_text("[" * 100_000 + "\n" + '{"a": ' * 100_000 + "\n")
    aside: list[SetAside] = []
    assert list(read_objects(tmp_path / "deep.jsonl", aside.append)) == []
    assert [row.where.line for row in aside] == [1, 2]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["_id", "text", "title"]), inner),
    max_leaves=4,
)
objects = st.dictionaries(st.sampled_from(["_id", "id", "text", "title", "instruction", "metadata"]), json_values)
words = st.sampled_from(["q1", "d1", "d2", "Q0", "1", "0", "1.5", "nan", "x", "\t", " ", "\xa0", "é"])
garbage = (
    st.binary(max_size=12)
    | objects.map(lambda value: json.dumps(value).encode())
    | st.lists(words, max_size=7).map(lambda parts: " ".join(parts).encode())
)


@examples(200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(garbage, max_size=4), st.lists(garbage, max_size=4), st.lists(garbage, max_size=4))
def test_garbage_lines_never_hide_the_good_ones_or_end_in_another_error_than_ours(
    beir: Path, corpus: list[bytes], queries: list[bytes], run: list[bytes]
) -> None:
    good = {"corpus": b'{"_id": "good", "text": "text"}', "queries": b'{"_id": "Q", "text": "query"}'}
    (beir / "corpus.jsonl").write_bytes(b"\n".join([good["corpus"], *corpus]))
    (beir / "queries.jsonl").write_bytes(b"\n".join([good["queries"], *queries]))
    (beir / "run.trec").write_bytes(b"\n".join([b"Q Q0 good 1 1.0 x", *run]))
    raw, aside = read(of_beir(beir))
    kept = list(prepare_all(raw, 3, aside.append))
    assert ("Q", ("good",)) in [(candidates.query_id, candidates.doc_ids) for candidates in kept]


@examples(200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(garbage, max_size=6))
def test_garbage_in_qrels_is_set_aside_or_one_of_our_errors(tmp_path: Path, lines: list[bytes]) -> None:
    (tmp_path / "qrels").write_bytes(b"\n".join([b"q 0 d 1", *lines]))
    try:
        judgements = read_qrels(tmp_path / "qrels", lambda _: None)
    except DataError as error:
        assert "is a fraction" in str(error)
    else:
        assert judgements.grades["q"]["d"] == 1


def collection(name: str, **more: object) -> DataSettings:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return DataSettings.model_validate(
        {"format": "beir", "path": str(folder), "run": folder / "runs" / "bm25.trec", **more}
    )


def test_scifact_is_read_whole() -> None:
    settings = collection("scifact", depth=20)
    queries, aside = read(settings)
    kept = list(prepare_all(queries, 20, aside.append))
    assert aside == []
    assert (len(kept), sum(len(candidates.doc_ids) for candidates in kept)) == (300, 6000)
    assert sum(map(len, judged(settings)[0].grades.values())) == 339
    assert (
        len({record.fields["_id"] for record in read_objects(DATA / "scifact" / "corpus.jsonl", aside.append)}) == 5183
    )


def test_the_empty_document_of_epqa_is_set_aside_where_it_stands() -> None:
    queries, aside = read(collection("epqa-dev"))
    kept = list(prepare_all(queries, 100, aside.append))
    assert (len(kept), sum(len(candidates.doc_ids) for candidates in kept)) == (977, 9769)
    assert said(aside) == [("corpus.jsonl", 8787, "no text")]


def test_xquad_is_read_whole() -> None:
    settings = collection("xquad-zh", depth=20)
    queries, aside = read(settings)
    assert (len(queries), len(judged(settings)[0]), aside) == (1190, 1190, [])
