"""Bodies that nobody should send: each is refused or rightly answered, never a 5xx, and the service lives on."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.api_server import RunningApi, running_api

MANY = 1000
SHORT = ["", "red fox", "\x00", "\ufeff", "<|im_end|>", "[SEP]</s>", "é́", "\ud800", "\udc00\ud800"]
TEXTS = [*SHORT, "😀" * 50, "a" * 9000]
NUMBERS: list[Any] = [0, 1, -1, 3, 3.0, 1e308, float("nan"), float("inf"), 10**25, -(10**4000)]
FIELDS = ["query", "documents", "docs", "top_n", "return_documents", "instruction", "max_tokens_per_doc", "model"]
FIELDS += ["text_1", "text_2", "text", "rank_fields", "\ud800", ""]


@pytest.fixture(scope="module")
def api() -> Iterator[RunningApi]:
    with running_api() as running:
        yield running


def value(random_: random.Random, depth: int = 0) -> Any:
    """A value that JSON can hold, of any kind."""
    kinds: list[Callable[[], Any]] = [
        lambda: random_.choice(TEXTS),
        lambda: random_.choice(NUMBERS),
        lambda: random_.choice([None, True, False]),
        lambda: [value(random_, depth + 1) for _ in range(random_.randrange(4))],
        lambda: {random_.choice(FIELDS): value(random_, depth + 1) for _ in range(random_.randrange(4))},
        lambda: [random_.choice(SHORT)] * random_.choice([1, 1000, 10_000]),
    ]
    return random_.choice(kinds[:3] if depth > 3 else kinds)()


def almost_right(random_: random.Random) -> Any:
    """A right request, but for at most one field."""
    body = {"query": "red fox", "documents": ["fox", "red fox"], "text_1": "red fox", "text_2": ["fox", "dog"]}
    if random_.random() < 0.8:
        body[random_.choice(FIELDS)] = value(random_)
    return body


def broken(random_: random.Random, content: bytes) -> bytes:
    """The content with a byte changed, put in or left out; or cut short, or said twice."""
    at, byte = random_.randrange(len(content)), random_.choice(b'\x00"{}[],:\\\x80\xff\xed0')
    return random_.choice(
        [
            content[:at] + bytes([byte]) + content[at + 1 :],
            content[:at] + bytes([byte]) + content[at:],
            content[:at] + content[at + 1 :],
            content[:at],
            content + content,
            b"\xef\xbb\xbf" + content,
            content.replace(b'"query"', b'"query": 1, "query"', 1),
        ]
    )


def bodies(seed: int) -> Iterator[bytes]:
    random_ = random.Random(seed)
    for _ in range(MANY):
        body = value(random_) if random_.random() < 0.3 else almost_right(random_)
        content = json.dumps(body, ensure_ascii=random_.random() < 0.7).encode("utf-8", "surrogatepass")
        yield broken(random_, content) if random_.random() < 0.3 else content


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code in {400, 404, 413, 422}, f"{answer.status_code}: {answer.text}"
    assert answer.json()["error"]["message"]


def assert_right(answer: httpx.Response, content: bytes) -> None:
    """Judged by another parser, of what that takes for JSON."""
    body = json.loads(content)
    if "/score" in str(answer.url):
        assert [one["index"] for one in answer.json()["data"]] == list(range(len(answer.json()["data"])))
        assert isinstance(body["text_1"], str | list | dict)
        return
    documents = body.get("documents", body.get("docs"))
    results = answer.json()["results"]
    assert isinstance(body["query"], str)
    assert body["query"]
    expected = min(body.get("top_n") or len(documents), len(documents))
    assert len({result["index"] for result in results}) == len(results) == expected <= 1000
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)


def assert_answers(api: RunningApi) -> None:
    answer = api.client.post("/v1/rerank", json={"query": "red fox", "documents": ["dog", "red fox"]})
    assert [result["index"] for result in answer.json()["results"]] == [1, 0]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/score"])
def test_of_a_thousand_generated_bodies_each_is_refused_or_rightly_answered(api: RunningApi, path: str) -> None:
    statuses = set()
    for content in bodies(seed=20):
        answer = api.client.post(path, content=content)
        statuses.add(answer.status_code)
        if answer.status_code == 200:
            assert_right(answer, content)
        else:
            assert_refused(answer)
    assert statuses >= {200, 400, 422}
    assert_answers(api)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"query": "a", "documents": ["a"], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"query": "a", "documents": ["a"], "top_n": ' + b"9" * 100_000 + b"}", 400),
        (b'{"query": "a", "documents": ["a"], "top_n": NaN}', 422),
        (b'{"query": "a", "documents": ["a"], "top_n": -Infinity}', 422),
        (b'{"query": "a", "documents": ["a"], "top_n": 1e999}', 422),
        (b'{"query": "a", "documents": ["a"], "query": "b"}', 200),
        (b'{"query": "a", "documents": ["a"], "\\u0000": 1}', 200),
        (b'{"query": "a\\ud800", "documents": ["a"]}', 400),
        (b'{"query": "a", "documents": ["\\udfff"]}', 400),
        (b'{"query": "a", "documents": ["a"], "model": "\\ud800"}', 400),
        (b'{"query": "a", "documents": ["a"], "model": "%s"}' % (b"x" * 100_000), 404),
        (b'{"query": "a\xed\xa0\x80", "documents": ["a"]}', 400),
        (b'{"query": "a\xff", "documents": ["a"]}', 400),
        (b'{"query": "a\x00", "documents": ["a"]}', 400),
        (b'\xef\xbb\xbf{"query": "a", "documents": ["a"]}', 400),
        ('{"query": "a", "documents": ["a"]}'.encode("utf-16"), 400),
        (b'{"query": "a", "documents": [' + b'"a",' * 9_999 + b'"a"]}', 422),
        (b'{"query": "%s", "documents": ["a"]}' % (b"<|im_end|>" * 10_000), 200),
        (b"", 400),
        (b"null", 422),
        (b"\x00" * 1000, 400),
        (b" " * (50 << 20), 413),
    ],
    ids=lambda one: repr(one[:45]) if isinstance(one, bytes) else str(one),
)
def test_a_hostile_body_gets_the_right_status(api: RunningApi, content: bytes, status: int) -> None:
    answer = api.client.post("/v1/rerank", content=content)
    assert answer.status_code == status, answer.text
    assert len(answer.content) < 2000, "an answer does not repeat what was sent"
    assert_answers(api)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400"])
def test_an_answer_is_json_even_where_the_document_that_it_holds_was_not(api: RunningApi, number: str) -> None:
    body = f'{{"query": "fox", "documents": [{{"text": "fox", "rank": {number}}}]}}'
    answer = api.client.post("/v1/rerank", content=body).text
    assert json.loads(answer, parse_constant=pytest.fail)["results"][0]["document"] == {"text": "fox", "rank": None}


def test_fifty_megabytes_of_no_declared_length_are_refused(api: RunningApi) -> None:
    answer = api.client.post("/v1/rerank", content=(b" " * (1 << 20) for _ in range(50)))
    assert answer.status_code == 413
    assert_answers(api)


@pytest.mark.parametrize(
    ("path", "start"),
    [("/v1/rerank", b'{"query": "a", "documents": ['), ("/v1/score", b'{"text_1": "a", "text_2": [')],
)
def test_millions_of_faults_cost_no_more_than_one(api: RunningApi, path: str, start: bytes) -> None:
    content = start + b"1," * (2 << 20) + b"1]}"
    started_s = time.process_time()
    answer = api.client.post(path, content=content)
    assert time.process_time() - started_s < 4, "collecting every fault takes 10 s and 4 GB"
    assert answer.status_code == 422
    assert len(answer.content) < 2000
