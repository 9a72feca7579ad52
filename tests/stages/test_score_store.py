"""The score store: a score is found again under exactly what decided it."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import DataError, QueryTooLongError, ScoringError
from stages.records import PairScore
from stages.score_store import ScoreStore, StoredScorer, pair_key
from stages.scoring import OverlapScorer, sigmoid

PARTS = st.tuples(st.text(max_size=6), st.none() | st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))


class Counting(OverlapScorer):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        self.asked += documents
        return await super().score(query, documents, instruction)


class Forbidden:
    """A scorer that must not be asked."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        raise AssertionError(f"asked for {documents}")


def scored(scorer: StoredScorer, query: str, *documents: str, instruction: str | None = None) -> list[PairScore]:
    return asyncio.run(scorer.score(query, documents, instruction))


@given(PARTS, PARTS)
def test_two_pairs_share_a_key_only_when_everything_is_equal(
    one: tuple[str, str | None, str, str], other: tuple[str, str | None, str, str]
) -> None:
    assert (pair_key(*one) == pair_key(*other)) == (one == other)
    assert len(pair_key(*one)) == 16


def test_parts_do_not_run_into_each_other() -> None:
    keys = {pair_key("s", *parts) for parts in itertools.product((None, "", "a"), ("", "a", "ab"), ("b", "ab", ""))}
    assert len(keys) == 27


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(0, 60_000), st.booleans(), st.booleans())
def test_a_score_comes_back_to_the_last_bit(number: float, tokens: int, truncated: bool, has_logit: bool) -> None:
    pair = PairScore(number, None, tokens, 0, truncated)
    if has_logit:
        pair = PairScore(sigmoid(number), number, tokens, 0, truncated)
    with TemporaryDirectory() as folder:
        store = ScoreStore(Path(folder))
        store.write({b"k" * 16: pair})
        (found,) = store.lookup([b"k" * 16]).values()
        store.close()
    assert (found.score, found.logit, found.prompt_tokens, found.truncated) == (
        pair.score,
        pair.logit,
        tokens,
        truncated,
    )
    assert found.stored


def test_what_was_scored_once_is_never_scored_again(tmp_path: Path) -> None:
    inner = Counting()
    scorer = StoredScorer(inner, ScoreStore(tmp_path), "m")
    first = scored(scorer, "a b", "a", "b c")
    again = StoredScorer(Forbidden(), ScoreStore(tmp_path), "m")
    second = scored(again, "a b", "b c", "a")
    assert inner.asked == ["a", "b c"]
    assert [pair.score for pair in second] == [first[1].score, first[0].score]
    assert all(pair.stored for pair in second) and not any(pair.stored for pair in first)


def test_only_the_new_documents_are_asked_for(tmp_path: Path) -> None:
    inner = Counting()
    scorer = StoredScorer(inner, ScoreStore(tmp_path), "m")
    scored(scorer, "q", "one", "two")
    scored(scorer, "q", "two", "three", "one")
    assert inner.asked == ["one", "two", "three"]


def test_a_text_that_occurs_twice_for_a_query_is_scored_once(tmp_path: Path) -> None:
    inner = Counting()
    pairs = scored(StoredScorer(inner, ScoreStore(tmp_path), "m"), "a", "a", "b", "a")
    assert inner.asked == ["a", "b"]
    assert [pair.stored for pair in pairs] == [False, False, True]
    assert pairs[0].score == pairs[2].score


@pytest.mark.parametrize("other", [("n", None, "q"), ("m", "now this", "q"), ("m", None, "q ")])
def test_another_model_instruction_or_query_never_meets_the_score(
    tmp_path: Path, other: tuple[str, str | None, str]
) -> None:
    scored(StoredScorer(OverlapScorer(), ScoreStore(tmp_path), "m"), "q", "text")
    scoring, instruction, query = other
    inner = Counting()
    scored(StoredScorer(inner, ScoreStore(tmp_path), scoring), query, "text", instruction=instruction)
    assert inner.asked == ["text"]


def test_a_failed_pair_is_not_kept_and_the_scorers_own_errors_pass(tmp_path: Path) -> None:
    class Failing:
        async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
            if query == "long":
                raise QueryTooLongError("too long")
            return [PairScore(None, error="broken") for _ in documents]

    store = ScoreStore(tmp_path)
    assert [pair.error for pair in scored(StoredScorer(Failing(), store, "m"), "q", "x", "x")] == ["broken", "broken"]
    assert len(store) == 0
    with pytest.raises(QueryTooLongError):
        scored(StoredScorer(Failing(), store, "m"), "long", "x")


def test_a_file_that_is_no_store_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "scores.sqlite").write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(DataError, match=r"rerank\.store .*Move it away"):
        ScoreStore(tmp_path)


def test_a_store_that_breaks_in_use_fails_the_query_with_its_path(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    sqlite3.connect(store.path).execute("DROP TABLE scores").connection.commit()
    with pytest.raises(ScoringError, match=str(store.path)):
        scored(StoredScorer(OverlapScorer(), store, "m"), "q", "x")


def write_many(folder: Path, worker: int, forever: bool) -> None:
    store = ScoreStore(folder)
    for number in itertools.count() if forever else range(200):
        store.write({pair_key("m", None, f"{worker}/{number}", str(place)): PairScore(0.5) for place in range(20)})


def test_several_processes_write_at_once_and_lose_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=write_many, args=(tmp_path, worker, False)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(ScoreStore(tmp_path)) == 3 * 200 * 20


def test_a_killed_writer_leaves_whole_queries_behind(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=write_many, args=(tmp_path, 0, True))
    worker.start()
    store = ScoreStore(tmp_path)
    while len(store) < 400:
        pass
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    kept = len(ScoreStore(tmp_path))
    assert kept >= 400
    assert kept % 20 == 0, "half of a query's scores were kept"
