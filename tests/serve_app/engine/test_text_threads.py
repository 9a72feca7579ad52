"""Texts are read by several threads where they are long together, and come back in their order."""

from __future__ import annotations

import threading

import pytest

from serve_app.engine.text_threads import LEAST_CHARS, each_read
from stages.core.errors import ScoringError


def test_long_texts_are_read_by_several_threads_at_the_same_time_and_come_in_order() -> None:
    together = threading.Barrier(3, timeout=120)
    texts = ["a" * LEAST_CHARS, "b" * LEAST_CHARS, "c" * LEAST_CHARS]

    def read(text: str) -> str:
        together.wait()  # passes only once three threads are here
        return text[0]

    assert list(each_read(read, texts, LEAST_CHARS, threads=3)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("texts", "chars", "threads"),
    [
        (["a" * LEAST_CHARS] * 4, LEAST_CHARS, 1),
        (["a" * LEAST_CHARS, "b" * (LEAST_CHARS - 1)], LEAST_CHARS, 4),
        (["a" * LEAST_CHARS] * 4, LEAST_CHARS // 4, 4),  # of which little is read
        ([], LEAST_CHARS, 4),
    ],
)
def test_where_that_saves_nothing_the_caller_reads_them(texts: list[str], chars: int, threads: int) -> None:
    names = each_read(lambda _: threading.current_thread().name, texts, chars, threads)
    assert set(names) <= {threading.current_thread().name}


def test_any_number_of_texts_is_read_once_each() -> None:
    for number in range(1, 30):
        texts = [str(place) + "x" * LEAST_CHARS for place in range(number)]
        assert list(each_read(str, texts, LEAST_CHARS, threads=4)) == texts


def test_what_reading_raises_comes_out() -> None:
    def read(text: str) -> str:
        raise ScoringError(f"cannot read {text[0]}")

    with pytest.raises(ScoringError, match="cannot read a"):
        list(each_read(read, ["a" * LEAST_CHARS, "b" * LEAST_CHARS], LEAST_CHARS, threads=2))
