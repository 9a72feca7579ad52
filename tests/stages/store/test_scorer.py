"""A scorer behind a store: a pair is asked for once, and a store that fails costs time, never results."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from stages.core.errors import QueryTooLongError
from stages.core.records import Asked, Outcome, PairScore
from stages.core.scoring import OverlapScorer, required
from stages.store.file import PAGE_BYTES
from stages.store.records import query_keys
from stages.store.scorer import ForgivingStore, StoredScorer, StoreFaults, stored_scores
from stages.store.store import ScoreStore

LEAF_PAGE = 0x0D  # the first byte of a page that holds rows, by SQLite's file format


class Counting(OverlapScorer):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        self.asked += documents
        await asyncio.sleep(0.01)
        return await super().score(query, documents, instruction)


class Forbidden:
    """A scorer that must not be asked."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        raise AssertionError(f"asked for {documents}")


def opened(folder: Path, *, read_only: bool = False) -> ForgivingStore:
    return ForgivingStore(ScoreStore(folder, read_only=read_only), lambda faults: None)


def scored(scorer: StoredScorer, query: str, *documents: str, instruction: str | None = None) -> list[PairScore]:
    return asyncio.run(scorer.score(query, documents, instruction))


def test_what_was_scored_once_is_never_scored_again(tmp_path: Path) -> None:
    inner = Counting()
    first = scored(StoredScorer(inner, opened(tmp_path), "m"), "a b", "a", "b c")
    second = scored(StoredScorer(Forbidden(), opened(tmp_path), "m"), "a b", "b c", "a")
    assert inner.asked == ["a", "b c"]
    assert [pair.score for pair in second] == [first[1].score, first[0].score]
    assert all(pair.stored for pair in second) and not any(pair.stored for pair in first)


def test_only_the_new_documents_are_asked_for(tmp_path: Path) -> None:
    scorer = StoredScorer(inner := Counting(), opened(tmp_path), "m")
    scored(scorer, "q", "one", "two")
    scored(scorer, "q", "two", "three", "one")
    assert inner.asked == ["one", "two", "three"]


def test_a_text_that_occurs_twice_for_a_query_is_scored_once(tmp_path: Path) -> None:
    pairs = scored(StoredScorer(inner := Counting(), opened(tmp_path), "m"), "a", "a", "b", "a")
    assert inner.asked == ["a", "b"]
    assert [pair.stored for pair in pairs] == [False, False, True]
    assert pairs[0].score == pairs[2].score


def test_the_same_query_text_under_several_ids_at_once_is_scored_once(tmp_path: Path) -> None:
    scorer = StoredScorer(inner := Counting(), opened(tmp_path), "m")

    async def at_once() -> list[list[PairScore]]:
        calls = [scorer.score("a b", documents) for documents in (["a", "b"], ["b", "c"], ["a", "b", "c"])]
        return await asyncio.gather(*calls, scorer.score("other", ["a"]))

    one, two, three, _ = asyncio.run(at_once())
    assert sorted(inner.asked) == ["a", "a", "b", "c"]
    assert [pair.score for pair in three] == [one[0].score, one[1].score, two[1].score]
    assert all(pair.stored for pair in three)


class Batched(Counting):
    """Takes several queries at once; of "long" it has no scores."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Asked]] = []

    async def score_batch(self, batch: Sequence[Asked]) -> list[Outcome]:
        self.batches.append(list(batch))
        return [QueryTooLongError("too long") if one.query == "long" else await self.score(*one) for one in batch]


def test_what_the_store_lacks_of_a_batch_is_asked_for_at_once_and_a_query_fails_alone(tmp_path: Path) -> None:
    scorer = StoredScorer(inner := Batched(), opened(tmp_path), "m")
    scored(scorer, "known", "a", "b")
    scored(scorer, "half", "a", "half")
    inner.batches.clear()
    batch = [Asked("known", ("b",)), Asked("half", ("b", "half", "c")), Asked("long", ("a",)), Asked("new", ("new",))]
    known, half, failed, new = asyncio.run(scorer.score_batch(batch))
    assert inner.batches == [[Asked("half", ("b", "c")), Asked("long", ("a",)), Asked("new", ("new",))]]
    assert isinstance(failed, QueryTooLongError)
    assert [[(pair.score, pair.stored) for pair in required(one)] for one in (known, half, new)] == [
        [(0.0, True)],
        [(0.0, False), (1.0, True), (0.0, False)],
        [(1.0, False)],
    ]
    again = asyncio.run(StoredScorer(Forbidden(), opened(tmp_path), "m").score_batch([batch[3], batch[1]]))
    assert [[pair.score for pair in required(one)] for one in again] == [[1.0], [0.0, 1.0, 0.0]]


def test_the_same_query_twice_in_a_batch_is_scored_once(tmp_path: Path) -> None:
    scorer = StoredScorer(inner := Batched(), opened(tmp_path), "m")
    batch = [Asked("q", ("q", "b")), Asked("r", ("q",)), Asked("q", ("b", "q", "c"))]
    first, other, second = asyncio.run(scorer.score_batch(batch))
    assert inner.batches == [[batch[0], batch[1]], [Asked("q", ("c",))]]
    assert [(pair.score, pair.stored) for pair in required(second)] == [(0.0, True), (1.0, True), (0.0, False)]
    assert not any(pair.stored for one in (first, other) for pair in required(one))


def test_batches_that_hold_the_same_queries_in_another_order_do_not_wait_for_each_other_for_ever(
    tmp_path: Path,
) -> None:
    scorer = StoredScorer(inner := Batched(), opened(tmp_path), "m")
    queries = [Asked(str(number), ("a",)) for number in range(5)]

    async def at_once() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*(scorer.score_batch(one) for one in (queries, queries[::-1], queries[2:])))

    asyncio.run(at_once())
    assert len(inner.asked) == 5


@pytest.mark.parametrize("other", [("n", None, "q"), ("m", "now this", "q"), ("m", None, "q ")])
def test_another_scoring_instruction_or_query_never_meets_the_score(
    tmp_path: Path, other: tuple[str, str | None, str]
) -> None:
    scored(StoredScorer(OverlapScorer(), opened(tmp_path), "m"), "q", "text")
    scoring, instruction, query = other
    scored(StoredScorer(inner := Counting(), opened(tmp_path), scoring), query, "text", instruction=instruction)
    assert inner.asked == ["text"]


class Placed(Counting):
    """Scores that a list's whole order decides; asked for `broken`, it fails the pair at that place."""

    def __init__(self, broken: int | None = None) -> None:
        super().__init__()
        self.broken = broken

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        await super().score(query, documents, instruction)
        listed = len("".join(documents[: len(documents) // 2]))
        pairs = [PairScore(listed + place / 8) for place in range(len(documents))]
        return [PairScore(None, error="NaN") if place == self.broken else pair for place, pair in enumerate(pairs)]


def test_the_scores_of_a_whole_list_are_used_for_that_list_alone(tmp_path: Path) -> None:
    scorer = StoredScorer(inner := Placed(), opened(tmp_path), "m", listwise=True)
    lists = [("a", "bb", "a"), ("bb", "a", "a"), ("a", "bb"), ("a", "bb", "a", "c")]
    fresh = [scored(scorer, "q", *texts) for texts in lists]
    assert inner.asked == [text for texts in lists for text in texts]
    again = [scored(StoredScorer(Forbidden(), opened(tmp_path), "m", listwise=True), "q", *texts) for texts in lists]
    assert [[pair.score for pair in one] for one in again] == [[pair.score for pair in one] for one in fresh]
    assert all(pair.stored for one in again for pair in one) and not any(pair.stored for one in fresh for pair in one)


def test_a_list_of_which_one_score_is_missing_is_scored_as_a_whole(tmp_path: Path) -> None:
    scored(StoredScorer(Placed(broken=1), opened(tmp_path), "m", listwise=True), "q", "a", "b", "c")
    pairs = scored(StoredScorer(inner := Placed(), opened(tmp_path), "m", listwise=True), "q", "a", "b", "c")
    assert inner.asked == ["a", "b", "c"]
    assert [(pair.score, pair.stored) for pair in pairs] == [(1.0, False), (1.125, False), (1.25, False)]


def test_a_failed_pair_is_not_kept_and_the_scorers_own_errors_pass(tmp_path: Path) -> None:
    class Failing:
        async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
            if query == "long":
                raise QueryTooLongError("too long")
            return [PairScore(None, error="broken") for _ in documents]

    store = opened(tmp_path)
    assert [pair.error for pair in scored(StoredScorer(Failing(), store, "m"), "q", "x", "x")] == ["broken", "broken"]
    assert len(store.store) == 0
    with pytest.raises(QueryTooLongError):
        scored(StoredScorer(Failing(), store, "m"), "long", "x")


def test_a_store_read_only_is_used_and_not_written(tmp_path: Path) -> None:
    scored(StoredScorer(OverlapScorer(), opened(tmp_path), "m"), "q", "old")
    reader = opened(tmp_path, read_only=True)
    for _ in range(2):
        pairs = scored(StoredScorer(inner := Counting(), reader, "m"), "q", "old", "new")
        assert inner.asked == ["new"]
        assert [pair.stored for pair in pairs] == [True, False]
    assert (len(reader.store), reader.faults) == (1, StoreFaults())


# --- faults ---


def test_a_store_that_breaks_in_use_costs_no_result_and_is_reported(tmp_path: Path) -> None:
    reports: list[StoreFaults] = []
    store = ForgivingStore(ScoreStore(tmp_path), reports.append)
    store.store._database.execute("DROP TABLE batches")
    (pair,) = scored(StoredScorer(OverlapScorer(), store, "m"), "q", "q")
    assert pair.score == 1.0 and pair.error is None
    assert reports[-1] == StoreFaults(unkept_scores=1, failed_lookups=1, reason="no such table: batches")


def test_after_damage_nothing_more_is_written_and_scoring_goes_on(tmp_path: Path) -> None:
    store = opened(tmp_path)
    scorer = StoredScorer(OverlapScorer(), store, "m")
    for number in range(300):
        scored(scorer, str(number), *map(str, range(20)))
    store.store.close()
    content = bytearray(store.store.path.read_bytes())
    pages = [start for start in range(0, len(content), PAGE_BYTES) if content[start] == LEAF_PAGE]
    for start in pages[10:-10]:
        content[start : start + 100] = b"\xff" * 100
    store.store.path.write_bytes(content)

    store = opened(tmp_path)
    scorer = StoredScorer(OverlapScorer(), store, "m")
    for number in range(300):
        pairs = scored(scorer, str(number), *map(str, range(20)))
        assert [pair.score for pair in pairs] == [float(str(place) == str(number)) for place in range(20)]
    assert store.faults.failed_lookups > 0 and store.faults.unkept_scores > 0
    assert "malformed" in store.faults.reason


def score_with_a_full_disk(folder: Path) -> None:
    """A limit on the size of files stands for the disk: SQLite's write fails in the middle all the same."""
    store = opened(folder)
    scorer = StoredScorer(OverlapScorer(), store, "m")
    size = sum(file.stat().st_size for file in folder.iterdir())
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, hard))
    for number in range(100):
        pairs = scored(scorer, f"common {number}", "common", *map(str, range(100, 200)))
        assert pairs[0].score == 0.5 and not any(pair.error for pair in pairs)
    assert store.faults.unkept_scores > 1000 and store.faults.failed_lookups == 0, store.faults
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    scored(scorer, "room again", "text")
    assert scored(scorer, "room again", "text")[0].stored


def test_a_full_disk_costs_no_result_and_what_was_kept_stays(tmp_path: Path) -> None:
    scored(StoredScorer(OverlapScorer(), opened(tmp_path), "m"), "before", "text")
    process = multiprocessing.get_context("spawn").Process(target=score_with_a_full_disk, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert scored(StoredScorer(Forbidden(), opened(tmp_path), "m"), "before", "text")[0].stored
    assert scored(StoredScorer(Forbidden(), opened(tmp_path), "m"), "room again", "text")[0].stored


def test_a_query_of_which_a_single_score_is_missing_has_none_without_a_scorer(tmp_path: Path) -> None:
    store = opened(tmp_path)
    first = scored(StoredScorer(OverlapScorer(), store, "m"), "a b", "a", "b c", "a")
    again = stored_scores(query_keys("m", None, "a b", ["a", "b c", "a"]), store)
    assert again is not None and [pair.score for pair in again] == [pair.score for pair in first]
    assert all(pair.stored for pair in again)
    assert stored_scores(query_keys("m", None, "a b", ["a", "new"]), store) is None
    assert stored_scores(query_keys("another", None, "a b", ["a"]), store) is None
