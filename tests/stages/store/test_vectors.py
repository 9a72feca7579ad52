"""Kept vectors are found again bit for bit, by many processes, within a bound, and never wrongly."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.vectors import Vectors
from stages.store.file import FILE, FILE_ERRORS
from stages.store.store import ScoreStore
from stages.store.vectors import VECTORS, VectorStore, pack, unpack
from tests.examples import examples

MIB = 1 << 20
KEYS = st.binary(min_size=16, max_size=16)
NUMBERS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=5, max_size=5)
DOCUMENTS = st.dictionaries(KEYS, st.dictionaries(KEYS, NUMBERS, min_size=1, max_size=3), max_size=8)
spawn = multiprocessing.get_context("spawn")


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def vectors_of(number: int, size: int = 384) -> Vectors:
    return {key(-number): np.random.default_rng(number).normal(size=size).astype(np.float32)}


def some(*numbers: int) -> dict[bytes, Vectors]:
    return {key(number): vectors_of(number) for number in numbers}


def told(found: object) -> object:
    """With lists for arrays, which compare as a whole."""
    if isinstance(found, dict):
        return {name: told(one) for name, one in found.items()}
    return found.tolist() if isinstance(found, np.ndarray) else found


# --- what is written is found ---


@given(DOCUMENTS)
@examples(30)
def test_what_is_written_is_found_again_bit_for_bit(documents: dict[bytes, dict[bytes, list[float]]]) -> None:
    vectors = {
        text: {prompt: np.array(numbers, np.float32) for prompt, numbers in one.items()}
        for text, one in documents.items()
    }
    with TemporaryDirectory() as folder:
        store = VectorStore(Path(folder), MIB)
        assert store.write(vectors, "m")
        store.close()
        again = VectorStore(Path(folder), MIB, read_only=True)
        assert told(again.lookup([*documents, b"unknown" + b"." * 9])) == told(vectors)
        again.close()


def test_more_texts_than_a_statement_takes_are_found(tmp_path: Path) -> None:
    store, documents = VectorStore(tmp_path, 64 * MIB), some(*range(1200))
    store.write(documents, "m")
    assert told(store.lookup(documents.keys())) == told(documents)


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, MIB)
    store.write(some(1, 2), "m")
    store.write(some(2, 3), "m")
    assert store.stats().documents == 3


def test_texts_whose_keys_begin_alike_are_told_apart(tmp_path: Path) -> None:
    store, first = VectorStore(tmp_path, MIB), b"12345678" + b"a" * 8
    store.write({first: vectors_of(1)}, "m")
    assert store.lookup([b"12345678" + b"b" * 8]) == {}
    assert told(store.lookup([first])) == {first: told(vectors_of(1))}


def write_many(folder: Path, first: int) -> None:
    store = VectorStore(folder, 64 * MIB)
    for number in range(first, first + 100, 10):
        store.write(some(*range(number, number + 20)), f"m{first}")
    store.close()


@pytest.mark.heavy
def test_several_processes_write_at_once_and_lose_nothing(tmp_path: Path) -> None:
    workers = [spawn.Process(target=write_many, args=(tmp_path, first)) for first in (0, 50, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    store, documents = VectorStore(tmp_path, MIB), some(*range(210))
    assert told(store.lookup(documents.keys())) == told(documents)
    assert store.stats().documents == 210


# --- its bound ---


def test_beyond_the_bound_nothing_is_written_and_what_is_there_is_found(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, MIB)
    written = [number for number in range(100) if store.write(some(*range(20 * number, 20 * number + 20)), "m")]
    assert store.full
    assert 20 < len(written) < 40
    assert store.stats().bytes < MIB + 20 * 3000
    assert len(store.lookup(some(*range(2000)).keys())) == 20 * len(written)


def test_pruning_makes_room_and_shrinks_the_file(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, MIB)
    assert store.write(some(*range(100)), "another", "large")
    assert store.write(some(*range(100, 700)), "one identity", "small")
    assert not store.write(some(1000), "another", "large")
    before = store.stats().bytes
    assert store.prune(model="small") == 600
    assert store.path.stat().st_size < before / 3
    assert told(store.lookup(some(*range(700)).keys())) == told(some(*range(100)))
    assert store.write(some(1000), "another", "large")
    assert store.prune(before_s=0) == 0
    assert store.prune(before_s=time.time() + 5) == 101
    assert store.stats().documents == 0


def test_a_score_store_beside_it_is_a_file_of_its_own(tmp_path: Path) -> None:
    VectorStore(tmp_path, MIB).close()
    assert not (tmp_path / FILE).exists()
    assert len(ScoreStore(tmp_path)) == 0


# --- damage ---


@given(st.integers(0, 2**32), st.integers(1, 255))
@examples(200)
def test_a_row_with_a_changed_byte_is_not_read(place: int, change: int) -> None:
    row = bytearray(pack(key(1), {key(2): np.ones(4, np.float32), key(3): np.zeros(4, np.float32)}))
    row[place % len(row)] ^= change
    assert unpack(bytes(row)) is None
    assert unpack(bytes(row[: place % len(row)])) is None


def test_a_damaged_row_is_counted_dropped_and_can_be_written_anew(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, MIB)
    store.write(some(1, 2), "m")
    (row, packed) = store._database.execute("SELECT id, vectors FROM documents LIMIT 1").fetchone()
    store._database.execute("UPDATE documents SET vectors = ? WHERE id = ?", (packed[:-1] + b"\x00", row))
    reader = VectorStore(tmp_path, MIB, read_only=True)
    assert told(reader.lookup(some(1, 2).keys())) == told(some(2))
    assert (reader.damaged, reader.stats().documents) == (1, 2)
    assert told(store.lookup(some(1, 2).keys())) == told(some(2))
    assert (store.damaged, store.stats().documents) == (1, 1)
    store.write(some(1), "m")
    assert told(store.lookup(some(1, 2).keys())) == told(some(1, 2))


@given(st.lists(st.tuples(st.integers(0, 2**32), st.binary(min_size=1, max_size=64)), min_size=1, max_size=4))
@examples(40)
def test_bytes_overwritten_anywhere_never_make_a_wrong_vector(changes: list[tuple[int, bytes]]) -> None:
    documents = some(*range(30))
    with TemporaryDirectory() as folder:
        store = VectorStore(Path(folder), MIB)
        store.write(documents, "m")
        store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        store.close()
        content = bytearray(store.path.read_bytes())
        for place, written in changes:
            start = place % (len(content) - len(written))
            content[start : start + len(written)] = written
        store.path.write_bytes(content)
        try:
            found = VectorStore(Path(folder), MIB).lookup(documents.keys())
        except (DataError, *FILE_ERRORS):
            return
        assert all(told(one) == told(documents[text]) for text, one in found.items())


def test_another_versions_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / VECTORS.file)
    database.execute("CREATE TABLE documents (id INTEGER PRIMARY KEY)")
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(DataError, match=r"vectors.sqlite has layout 99, this version reads 1"):
        VectorStore(tmp_path, MIB)


# --- privacy ---


def test_no_text_is_in_the_file(tmp_path: Path) -> None:
    """Keys are digests: what a run withholds (`output.texts`) is not found in its store."""
    from stages.core.vectors import TextKeys
    from tests.stages.core.test_identity import IDENTITY

    store, text = VectorStore(tmp_path, MIB), "a secret that nobody is to read"
    store.write({TextKeys(IDENTITY).of(text): vectors_of(1)}, IDENTITY.key)
    store.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"secret" not in written
