"""Packed bodies are unpacked within the limit, whoever packed them; what is no such thing is refused in our words."""

from __future__ import annotations

import gzip
import json
import random
import time
import zlib
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.http.body import MOST_PARTS, unpacker_for
from serve_app.http.refusal import RefusalError
from tests.api_server import BODY, RunningApi, indices, refused, running_api

CONTENT = json.dumps(BODY).encode()
MIB = 1 << 20


def unpacked(packed: bytes, encoding: str, limit: int = MIB, piece: int = 1 << 16) -> bytes:
    unpacker = unpacker_for([encoding], limit)
    assert unpacker is not None
    given = b"".join(unpacker.feed(packed[start : start + piece]) for start in range(0, len(packed), piece))
    unpacker.check_complete()
    return given


def refusal(packed: bytes, encoding: str, limit: int = MIB) -> RefusalError:
    with pytest.raises(RefusalError) as raised:
        unpacked(packed, encoding, limit)
    return raised.value


@given(st.binary(max_size=3000), st.integers(1, 500), st.sampled_from(["gzip", "X-GZip", "deflate", "gzip, deflate"]))
def test_what_was_packed_comes_out_as_it_was_whatever_pieces_it_came_in(
    content: bytes, piece: int, encoding: str
) -> None:
    packed = gzip.compress(content) if "gzip" in encoding.lower() else content
    packed = zlib.compress(packed) if "deflate" in encoding else packed
    assert unpacked(packed, encoding, piece=piece) == content


def test_a_gzip_file_of_several_parts_is_one_body() -> None:
    assert unpacked(gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two"), "gzip") == b"one two"


def test_the_limit_holds_for_what_comes_out_and_no_more_than_that_is_ever_held() -> None:
    assert unpacked(gzip.compress(b" " * MIB), "gzip") == b" " * MIB
    for packed in (gzip.compress(b" " * (MIB + 1)), gzip.compress(b" " * (1 << 24))):
        assert (refusal(packed, "gzip").status, refusal(packed, "gzip").reason) == (413, "too_large")
    bomb = gzip.compress(gzip.compress(b" " * (1 << 24)))
    assert len(bomb) < 2000
    assert refusal(bomb, "gzip, gzip").status == 413


@pytest.mark.parametrize(
    ("packed", "encoding", "why"),
    [
        (CONTENT, "gzip", "incorrect header"),
        (b"", "gzip", "too early"),
        (gzip.compress(CONTENT)[:-1], "gzip", "too early"),
        (gzip.compress(CONTENT)[:-8] + bytes(8), "gzip", "incorrect data check"),
        (gzip.compress(CONTENT) + b"more", "gzip", "incorrect header"),
        (zlib.compress(CONTENT) + b"more", "deflate", "follows its end"),
        (gzip.compress(b"") * (MOST_PARTS + 1), "gzip", "too many parts"),
    ],
    ids=["not packed", "nothing", "cut", "checksum", "more", "more deflate", "parts"],
)
def test_what_is_not_packed_as_it_says_is_refused_with_400(packed: bytes, encoding: str, why: str) -> None:
    told = refusal(packed, encoding)
    assert (told.status, told.reason) == (400, "bad_request")
    assert encoding in told.message
    assert why in told.message


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "gzip, gzip, gzip", "x" * 10_000])
def test_an_encoding_that_is_not_known_is_refused_with_415_and_those_that_are(encoding: str) -> None:
    with pytest.raises(RefusalError, match="gzip or deflate") as raised:
        unpacker_for([encoding], MIB)
    assert raised.value.status == 415
    assert len(raised.value.message) < 300


@pytest.mark.parametrize("encodings", [[], [""], ["identity"], ["Identity", ""]])
def test_a_body_that_is_not_packed_is_left_alone(encodings: list[str]) -> None:
    assert unpacker_for(encodings, MIB) is None


def test_a_damaged_body_is_refused_or_comes_out_as_it_was() -> None:
    random_ = random.Random(5)
    refused_ones = 0
    for _ in range(200):
        packed = bytearray(gzip.compress(CONTENT))
        packed[random_.randrange(10, len(packed))] ^= 1 << random_.randrange(8)
        try:
            assert unpacked(bytes(packed), "gzip") == CONTENT
        except RefusalError as error:
            assert error.status in (400, 413)
            refused_ones += 1
    assert refused_ones > 150


# --- over a real connection ---


@pytest.fixture(scope="module")
def api() -> Iterator[RunningApi]:
    with running_api(max_body_mib=1) as running:
        yield running


def post(api: RunningApi, content: bytes, encoding: str) -> httpx.Response:
    return api.client.post("/v1/rerank", content=content, headers={"Content-Encoding": encoding})


def test_a_packed_request_is_answered_and_a_wrong_one_told_what_is_right(api: RunningApi) -> None:
    assert indices(post(api, gzip.compress(CONTENT), "gzip")) == [1, 0, 2]
    assert indices(post(api, zlib.compress(CONTENT), "deflate")) == [1, 0, 2]
    refused(post(api, CONTENT, "gzip"), 400)
    unknown = post(api, CONTENT, "br")
    assert refused(unknown, 415)["type"] == "invalid_request_error"
    assert unknown.headers["accept-encoding"] == "gzip, deflate"


def test_a_bomb_is_refused_at_once(api: RunningApi) -> None:
    bomb = gzip.compress(b" " * (1 << 24))
    started_s = time.process_time()
    refused(post(api, bomb, "gzip"), 413)
    assert time.process_time() - started_s < 2
    assert indices(post(api, gzip.compress(CONTENT), "gzip")) == [1, 0, 2]


def test_packed_nothing_without_end_is_refused_by_its_size_as_it_was_sent(api: RunningApi) -> None:
    nothing = b"\x00\x00\x00\xff\xff" * 1000  # empty blocks
    begun = gzip.compress(b"")[:10]
    answer = api.client.post(
        "/v1/rerank", content=iter([begun, *[nothing] * 300]), headers={"Content-Encoding": "gzip"}
    )
    refused(answer, 413)
