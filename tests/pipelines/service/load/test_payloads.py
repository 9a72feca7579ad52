"""What a load test sends: made-up requests of a shape, a config's candidates, a file of bodies."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.service.load.payload_shape import Payload, Shape, ShapePayloads, parse_shape
from pipelines.service.load.payloads import Payloads, config_payloads, file_payloads, open_payloads
from stages.core.errors import ConfigError, DataError, InputError

DEMO = Path("demo")  # the bundled one


def bodies(payloads: Payloads, number: int, model: str | None = None) -> list[dict[str, Any]]:
    return [json.loads(payloads.take(model).body) for _ in range(number)]


@pytest.mark.parametrize("text", ["1x100x200", "1X100X200", " 1x100x200 tokens", "1x100x200tokens"])
def test_a_shape_is_read(text: str) -> None:
    assert parse_shape(text) == Shape(documents=100, tokens=200)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2x100x200", "a request to /v1/rerank has one query. Write 1x100x200"),
        ("100x200", "write 1xDOCUMENTSxTOKENS"),
        ("1x0x200", "from 1x1x1 to"),
        ("1x100x0", "from 1x1x1 to"),
        ("1x10001x5", "from 1x1x1 to"),
        ("", "write 1xDOCUMENTSxTOKENS"),
    ],
)
def test_what_is_no_shape_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^--shape {text}: .*{reason}"):
        parse_shape(text)


@given(documents=st.integers(1, 30), tokens=st.integers(1, 400), seed=st.integers(0, 9))
def test_a_request_has_the_documents_and_about_the_words_of_its_shape(documents: int, tokens: int, seed: int) -> None:
    payload = ShapePayloads(Shape(documents, tokens), seed=seed).take("tiny")
    body = json.loads(payload.body)
    assert body["model"] == "tiny" and payload.documents == len(body["documents"]) == documents
    assert {len(text.split()) for text in body["documents"]} == {max(1, round(tokens / 1.3))}


def test_no_query_comes_twice_and_documents_are_fresh() -> None:
    sent = bodies(ShapePayloads(Shape(20, 60)), 500)
    assert len({body["query"] for body in sent}) == 500
    assert len({text for body in sent for text in body["documents"]}) > 0.85 * 500 * 20


def test_the_share_of_repeated_queries_is_met_and_they_ask_about_other_documents() -> None:
    sent = bodies(ShapePayloads(Shape(2, 60), repeat=0.4), 1000)
    seen: dict[str, list[str]] = {}
    repeated = 0
    for body in sent:
        repeated += body["query"] in seen
        assert seen.get(body["query"]) != body["documents"]
        seen[body["query"]] = body["documents"]
    assert repeated / 1000 == pytest.approx(0.4, abs=0.06)


def test_the_same_seed_sends_the_same() -> None:
    one, same, other = (bodies(ShapePayloads(Shape(3, 50), 0.3, seed), 20) for seed in (1, 1, 2))
    assert one == same != other


@given(per_word=st.floats(0.6, 3.0), template=st.integers(0, 150), tokens=st.integers(200, 2000))
def test_documents_become_as_long_as_the_service_counts_them(per_word: float, template: int, tokens: int) -> None:
    payloads = ShapePayloads(Shape(4, tokens))

    def counted(payload: Payload) -> float:
        texts = json.loads(payload.body)["documents"]
        return sum(template + per_word * len(text.split()) for text in texts) / len(texts)

    assert payloads.calibrate([counted(probe) for probe in payloads.probes(None)]) is None
    assert counted(payloads.take(None)) == pytest.approx(tokens, abs=per_word)


def test_a_service_that_cuts_documents_is_told_from_one_that_counts() -> None:
    payloads = ShapePayloads(Shape(4, 500))
    before = payloads.words_per_document
    assert "their length is a guess" in str(payloads.calibrate([64.0, 64.0]))
    assert payloads.words_per_document == before


def test_a_template_longer_than_the_shape_is_told() -> None:
    payloads = ShapePayloads(Shape(1, 20))  # its longer probe has 15 words
    note = payloads.calibrate([100 + 8 * 1.5, 100 + 15 * 1.5])
    assert note == "Query and template alone take about 104 tokens a pair: no document is short enough."
    assert payloads.words_per_document == 1


def test_a_service_that_counts_nothing_leaves_the_guess() -> None:
    assert ShapePayloads(Shape(1, 20)).calibrate([]) is None


def test_the_candidates_of_a_config_are_sent_in_order_and_again_from_the_first(
    write_config: Callable[[dict[str, Any]], Path], write_rows: Callable[[list[dict[str, Any]]], dict[str, Any]]
) -> None:
    rows = [
        {
            "query_id": "a",
            "query": "red fox",
            "documents": [{"doc_id": "1", "text": "狐"}, {"doc_id": "2", "text": "b"}],
        },
        {"query_id": "b", "query": "dog", "documents": [{"doc_id": "3", "text": "c"}]},
    ]
    payloads = config_payloads(write_config({"data": write_rows(rows)}))
    assert payloads.words == "the 2 requests (on average 1.5 documents each) of rows, in order, over and over"
    assert bodies(payloads, 3, 'it\'s "tiny"') == [
        {"model": 'it\'s "tiny"', "query": "red fox", "documents": ["狐", "b"], "return_documents": False},
        {"model": 'it\'s "tiny"', "query": "dog", "documents": ["c"], "return_documents": False},
        {"model": 'it\'s "tiny"', "query": "red fox", "documents": ["狐", "b"], "return_documents": False},
    ]


def test_the_demo_collection_can_be_sent() -> None:
    payloads = config_payloads(DEMO)
    sent = [payloads.take("tiny") for _ in range(5)]
    assert all(payload.documents == len(json.loads(payload.body)["documents"]) > 1 for payload in sent)
    assert len({payload.body for payload in sent}) == 5


def test_the_lines_of_a_file_are_sent_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "bodies.jsonl"
    lines = [
        '{"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}',
        "",
        '{"docs": ["a"], "query": "\\u72d0", "model": "mine"}',
    ]
    file.write_text("\n".join(lines) + "\n")
    payloads = file_payloads(file)
    sent = [payloads.take("tiny") for _ in range(3)]
    assert [payload.documents for payload in sent] == [2, 1, 2]
    assert sent[1].body == lines[2].encode()  # it names its model itself
    assert json.loads(sent[0].body) == json.loads(lines[0]) | {"model": "tiny"}
    assert file_payloads(file).take(None).body == lines[0].encode()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "no JSON object"),
        ('{"documents": ["a"]}', '"query" is missing'),
        ('{"query": "", "documents": ["a"]}', '"query" is no text'),
        ('{"query": "q"}', '"documents" is missing'),
        ('{"query": "q", "documents": []}', '"documents" is no list of documents'),
        ('{"query": "q", "documents": "a"}', '"documents" is no list of documents'),
        ('{"query": "q", "documents": ["a", 5]}', r'"documents"\[1\] has no text'),
        ('{"query": "q", "documents": [{"title": "a"}]}', r'"documents"\[0\] has no text'),
    ],
)
def test_a_wrong_line_of_a_file_is_named(line: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "bodies.jsonl"
    file.write_text(f'{{"query": "q", "documents": ["a"]}}\n\n{line}\n')
    with pytest.raises(DataError, match=rf"bodies.jsonl:3: {reason}"):
        file_payloads(file)


def test_a_file_of_other_bytes_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bodies.jsonl"
    file.write_bytes(b'{"query": "\xff", "documents": ["a"]}\n')
    with pytest.raises(DataError, match=r"bodies.jsonl:1: not JSON"):
        file_payloads(file)


def test_a_missing_or_empty_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        file_payloads(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"empty.jsonl: no line in it"):
        file_payloads(tmp_path / "empty.jsonl")


def test_a_large_file_is_read_as_far_as_memory_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.service.load.payloads.MOST_REQUESTS", 3)
    file = tmp_path / "bodies.jsonl"
    file.write_text("".join(f'{{"query": "q{number}", "documents": ["a"]}}\n' for number in range(9)))
    assert [body["query"] for body in bodies(file_payloads(file), 4)] == ["q0", "q1", "q2", "q0"]


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({"config": DEMO, "shape": "1x1x1"}, "--config and --shape: give one of them"),
        ({"config": DEMO, "repeat": 0.5}, "--repeat 0.5 is for --shape: --config has its own queries"),
        ({"shape": "1x1x1", "repeat": 1.5}, "--repeat 1.5: a share"),
    ],
)
def test_what_does_not_go_together_is_refused(given_: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        open_payloads(**{"config": None, "file": None, "shape": None} | given_)


def test_without_a_word_100_documents_are_sent() -> None:
    payloads = open_payloads(None, None, None)
    assert [one.documents for one in islice(iter(lambda: payloads.take(None), None), 2)] == [100, 100]
