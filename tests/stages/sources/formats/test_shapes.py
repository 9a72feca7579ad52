"""Files that the tools themselves wrote are read as each tool reads them. In `files/`, with invented content:

- rank_llm-*: rank_llm 0.26.0, DataWriter; the results as listwise reranking leaves them, old scores on new places
- flagembedding-hn-mine.jsonl: FlagEmbedding at 7ed43d6 (1.4.2), scripts/hn_mine.py
- tevatron-rerank.jsonl: Tevatron at dd06310, examples/reranker/prepare_rerank_file.py
- langchain-*: langchain-core 1.8.4, `dumps` and `model_dump_json` of what an InMemoryVectorStore found
- llamaindex-*: llama-index-core 0.14.25, `model_dump_json` and `to_dict` of what a VectorStoreIndex found
- haystack-*: haystack-ai 3.4.1, `to_dict` of what an InMemoryBM25Retriever found
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from stages.core.errors import DataError
from stages.core.prepare import prepare_all
from stages.core.records import Candidates, SetAside
from stages.sources import DataSettings, Source, open_source
from stages.sources.recognise import recognise

FILES = Path(__file__).parent / "files"
WHY, WHEN = "why does it rain", "when do flights leave"
RAIN, FLIGHTS, BREAD = "Rain falls from clouds.", 'Flights leave "every" hour.', "Bread needs yeast."
# File, data.format, and each query with the ids, texts and scores of its candidates (None: the order counts).
READ = [
    (
        "rank_llm-requests.jsonl",
        "rank_llm",
        [
            ("q1", WHY, ("d1", "d3"), (RAIN, f"{BREAD}"), (9.5, 3.25)),
            ("7", "7 up", ("12", "d2"), ("A drink.", "Flights leave “every” hour."), (2.0, 1.0)),
        ],
    ),
    (
        "rank_llm-requests.json",
        "rank_llm",
        [
            ("q1", WHY, ("d1", "d3"), (RAIN, f"{BREAD}"), (9.5, 3.25)),
            ("7", "7 up", ("12", "d2"), ("A drink.", "Flights leave “every” hour."), (2.0, 1.0)),
        ],
    ),
    (
        "tevatron-rerank.jsonl",
        "tevatron",
        [
            ("1", WHY, ("10", "12"), ("Rain It falls from clouds.", "Bread It needs yeast."), (12.5, 3.25)),
            ("2", WHEN, ("11", "10"), ("Flights leave every hour.", "Rain It falls from clouds."), (9.0, 1.5)),
        ],
    ),
    *(
        (name, "langchain", [("q1", WHY, ("d3", "d1", "d2"), (BREAD, RAIN, FLIGHTS), scores)])
        for name, scores in (
            ("langchain-dumps.jsonl", None),
            ("langchain-model-dump.jsonl", None),
            ("langchain-pairs.jsonl", (0.6824553896115119, 0.24819149431682078, -0.003510943010958)),
        )
    ),
    *(
        (
            name,
            "llamaindex",
            [("q1", WHY, tuple(f"node-src-{one}" for one in ("d1", "d2", "d3")), (RAIN, FLIGHTS, BREAD), None)],
        )
        for name in ("llamaindex-nodes.jsonl", "llamaindex-to-dict.jsonl")
    ),
    *(
        (
            name,
            "haystack",
            [
                ("q1", WHY, ("d1",), (RAIN,), (1.1993835974328173,)),
                ("q2", WHEN, ("d2",), (FLIGHTS,), (2.3987671948656346,)),
            ],
        )
        for name in ("haystack-flat.jsonl", "haystack-nested.jsonl")
    ),
]


def source_of(path: Path, form: str, **more: object) -> Source:
    return open_source(DataSettings.model_validate({"format": form, "path": str(path), **more}))


def prepared(source: Source) -> list[Candidates]:
    aside: list[SetAside] = []
    found = list(prepare_all(source.queries(aside.append), None, aside.append))
    assert aside == []
    return found


def by_place(length: int) -> tuple[float, ...]:
    return tuple(-float(place) for place in range(1, length + 1))


@pytest.mark.parametrize(("name", "form", "expected"), READ, ids=[name for name, _, _ in READ])
def test_what_a_tool_wrote_is_read(
    name: str, form: str, expected: list[tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[float, ...] | None]]
) -> None:
    found = prepared(source_of(FILES / name, form))
    assert [(one.query_id, one.query, one.doc_ids, one.texts, one.scores) for one in found[: len(expected)]] == [
        (query_id, query, ids, texts, scores or by_place(len(ids))) for query_id, query, ids, texts, scores in expected
    ]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name, form, _ in READ] + [("flagembedding-hn-mine.jsonl", "flagembedding")]
)
def test_its_format_is_recognised_and_another_is_refused_with_that_one(name: str, form: str) -> None:
    (finding,) = recognise(FILES / name)
    assert finding.data["format"] == form
    other = "haystack" if form != "haystack" else "langchain"
    with pytest.raises(DataError, match=rf"^data\.path: .*: set data\.format to {form}$"):
        source_of(FILES / name, other)


def test_listwise_results_keep_their_order_though_old_scores_stand_on_its_places() -> None:
    ranked, *_ = prepared(source_of(FILES / "rank_llm-results-appended.json", "rank_llm", limit=1))
    assert (ranked.doc_ids, ranked.scores) == (("d3", "d1", "d2"), by_place(3))


def test_labels_beside_candidates_are_judgements_and_no_scores(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (FILES / "rank_llm-requests.jsonl").read_text().splitlines()]
    for candidate in rows[0]["candidates"]:
        candidate["judgment"] = 3
    path = tmp_path / "judged.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = source_of(path, "rank_llm")
    assert prepared(source)[0].scores == (9.5, 3.25)
    assert source.judgements(lambda _: None).grades == {"q1": {"d1": 3, "d3": 3}}


def test_an_early_rank_llms_hits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "hits.json"
    hits = [{"content": "Title: Rain Content: Clouds.", "qid": 7, "docid": "d1", "rank": 1, "score": 4.5}]
    path.write_text(json.dumps([{"query": "why", "hits": hits}]))
    (one,) = prepared(source_of(path, "rank_llm"))
    assert (one.query_id, one.doc_ids, one.texts) == ("7", ("d1",), ("Title: Rain Content: Clouds.",))


def test_a_title_that_begins_the_text_is_not_put_in_front_again(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    docs = [{"title": "Rain", "contents": "Rain\nClouds."}, {"title": "Rain", "contents": "Clouds."}, "Clouds."]
    candidates = [{"docid": f"d{place}", "score": -place, "doc": doc} for place, doc in enumerate(docs)]
    path.write_text(json.dumps({"query": {"text": "why", "qid": "q"}, "candidates": candidates}) + "\n")
    assert prepared(source_of(path, "rank_llm"))[0].texts == ("Rain\nClouds.", "Rain Clouds.", "Clouds.")


def test_hard_negatives_of_flagembedding_are_judged_and_have_no_first_stage() -> None:
    source = source_of(FILES / "flagembedding-hn-mine.jsonl", "flagembedding")
    first, second = prepared(source)
    assert {*first.texts} == {RAIN, "The sun is a star.", BREAD}
    assert first.attributes["type"] == "symmetric_sts"
    grades = source.judgements(lambda _: None).grades
    assert sorted(grades["q1"].values()) == sorted(grades["q2"].values()) == [0, 0, 1]
    assert len({*first.doc_ids, *second.doc_ids}) == 4  # the same text has the same id for every query
    assert "no order" in next(source.meetings()["first_stage"].remarks())


def test_ids_are_taken_from_a_key_of_the_metadata() -> None:
    found = prepared(source_of(FILES / "langchain-dumps.jsonl", "langchain", columns={"doc_id": "source"}))
    assert found[0].doc_ids == ("s-d3.txt", "s-d1.txt", "s-d2.txt")  # the last beside a key `lc`, which is escaped
    found = prepared(source_of(FILES / "haystack-nested.jsonl", "haystack", columns={"doc_id": "url"}))
    assert found[0].doc_ids == ("u/d1",)
    found = prepared(source_of(FILES / "llamaindex-nodes.jsonl", "llamaindex", columns={"doc_id": "ref_doc_id"}))
    assert found[0].doc_ids == ("src-d1", "src-d2", "src-d3")


def test_a_key_that_no_metadata_has_is_told() -> None:
    aside: list[SetAside] = []
    source = source_of(FILES / "langchain-dumps.jsonl", "langchain", columns={"doc_id": "nowhere"})
    assert list(source.queries(aside.append)) == []
    assert aside[0].reason == "no document has 'nowhere' in its metadata, which data.columns.doc_id names"


@pytest.mark.parametrize("name", ["langchain-model-dump.jsonl", "llamaindex-to-dict.jsonl", "haystack-flat.jsonl"])
@pytest.mark.parametrize("beside", [True, False])
def test_judgements_that_a_user_adds_to_a_dump_are_read(name: str, beside: bool, tmp_path: Path) -> None:
    row = json.loads((FILES / name).read_text(encoding="utf-8").splitlines()[0])
    key = next(key for key, value in row.items() if isinstance(value, list))
    grades = [2, 0, 1][: len(row[key])]
    if beside:
        row["labels"] = grades
    else:
        row[key] = [{**one, "relevance": grade} for one, grade in zip(row[key], grades, strict=True)]
    path = tmp_path / name
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    source = open_source(DataSettings.model_validate({"format": name.partition("-")[0], "path": str(path)}))
    assert list(next(iter(source.judgements(pytest.fail).grades.values())).values()) == grades


def test_documents_without_ids_are_known_by_their_texts_and_that_is_told() -> None:
    (one,) = prepared(source_of(FILES / "langchain-no-ids.jsonl", "langchain"))
    assert all(len(doc_id) == 16 for doc_id in one.doc_ids)
    (finding,) = recognise(FILES / "langchain-no-ids.jsonl")
    assert "data.columns.doc_id may name a key of their metadata" in finding.unsure[0]


@pytest.mark.parametrize(
    ("name", "form", "told"),
    [
        (
            "langchain-bare.json",
            "langchain",
            "LangChain documents without their query: put each query's list on a line",
        ),
        ("llamaindex-bare.json", "llamaindex", "LlamaIndex nodes without their query: put each query's list on a line"),
        ("rank_llm-history.json", "rank_llm", "rank_llm's history of invocations"),
    ],
)
def test_what_lacks_queries_or_candidates_is_refused_with_what_to_give(name: str, form: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        source_of(FILES / name, form)
    (finding,) = recognise(FILES / name)
    assert finding.role == "other"
    assert finding.told.startswith(told.partition(":")[0])


def test_the_same_records_are_read_from_parquet_and_a_saved_data_set(tmp_path: Path) -> None:
    rows = [{"query": "why", "positive": ["A"], "documents": ["B", "A"]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"))
    (packed,) = prepared(source_of(tmp_path / "rows.parquet", "sentence_transformers"))
    (saved,) = prepared(source_of(tmp_path / "saved", "sentence_transformers"))
    assert packed == saved
    assert packed.texts == ("B", "A")


def test_records_that_are_none_of_the_shape_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    good = {"query": {"text": "why", "qid": "q"}, "candidates": [{"docid": "d", "score": 1, "doc": {"text": "x"}}]}
    bad = [{"query": {"text": "why", "qid": "q2"}}, {"query": "why", "candidates": []}, good | {"candidates": {}}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*bad, good]))
    aside: list[SetAside] = []
    assert len(list(source_of(path, "rank_llm").queries(aside.append))) == 1
    assert [(row.where.line, row.reason) for row in aside] == [
        (1, "no candidates"),
        (2, "query is not an object with text and qid"),
        (3, "candidates is not a list but dict"),
    ]
