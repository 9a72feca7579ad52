"""What a file of vectors cannot do costs time, never results, and is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.store.scorer import StoreFaults
from stages.store.vector_keeper import ForgivingVectors
from stages.store.vectors import VECTORS, VectorStore
from tests.full_disk import files_of_at_most_64_kib

KEY, OTHER = b"k" * 16, b"o" * 16
VECTORS_OF = {KEY: {b"p" * 16: np.ones(8, np.float32)}}


def keeper(
    folder: Path, faults: list[StoreFaults], most_bytes: int = 1 << 20, *, read_only: bool = False
) -> ForgivingVectors:
    return ForgivingVectors(folder, most_bytes, "identity", "model", faults.append, read_only=read_only)


def test_what_is_kept_is_found_by_the_next_run(tmp_path: Path) -> None:
    faults: list[StoreFaults] = []
    keeper(tmp_path, faults).keep(VECTORS_OF)
    assert keeper(tmp_path, faults).lookup([KEY, OTHER])[KEY][b"p" * 16].tolist() == [1.0] * 8
    assert not faults


def test_read_only_it_finds_and_keeps_nothing_and_makes_no_file(tmp_path: Path) -> None:
    faults: list[StoreFaults] = []
    without = keeper(tmp_path, faults, read_only=True)
    assert (without.keeps, without.lookup([KEY])) == (False, {})
    without.keep(VECTORS_OF)
    assert not list(tmp_path.iterdir())
    keeper(tmp_path, faults).keep(VECTORS_OF)
    reader = keeper(tmp_path, faults, read_only=True)
    reader.keep({OTHER: VECTORS_OF[KEY]})
    assert reader.lookup([KEY, OTHER]).keys() == {KEY}
    assert not faults


def test_a_damaged_file_knows_nothing_stays_as_it_is_and_is_told(tmp_path: Path) -> None:
    faults: list[StoreFaults] = []
    (tmp_path / VECTORS.file).write_bytes(b"no database" * 1000)
    broken = keeper(tmp_path, faults)
    assert (broken.keeps, broken.lookup([KEY])) == (False, {})
    broken.keep(VECTORS_OF)
    assert (tmp_path / VECTORS.file).read_bytes() == b"no database" * 1000
    assert [one.failed_lookups for one in faults] == [1]
    assert "vectors.sqlite" in faults[0].reason


def test_a_damaged_row_is_told_and_made_anew(tmp_path: Path) -> None:
    faults: list[StoreFaults] = []
    kept = keeper(tmp_path, faults)
    kept.keep(VECTORS_OF)
    store = VectorStore(tmp_path, 0)
    store._database.execute("UPDATE documents SET vectors = x'00'")
    assert kept.lookup([KEY]) == {}
    assert [one.damaged_batches for one in faults] == [1]
    kept.keep(VECTORS_OF)
    assert kept.lookup([KEY]).keys() == {KEY}


def test_a_full_disk_costs_no_result_and_is_told(tmp_path: Path) -> None:
    faults: list[StoreFaults] = []
    kept = keeper(tmp_path, faults, 1 << 30)
    kept.keep(VECTORS_OF)
    many = {number.to_bytes(16, "little"): {KEY: np.ones(400, np.float32)} for number in range(100)}
    with files_of_at_most_64_kib():
        kept.keep(many)
    assert [one.unkept_vectors for one in faults] == [100]
    assert kept.lookup([KEY]).keys() == {KEY}
    kept.keep(many)
    assert kept.lookup(many.keys()).keys() == many.keys()


def test_at_its_bound_it_says_so_and_is_sent_nothing_more(tmp_path: Path) -> None:
    faults: list[StoreFaults] = []
    full = keeper(tmp_path, faults, 1)
    full.keep(VECTORS_OF)
    full.keep(VECTORS_OF)
    assert not full.keeps
    assert faults == [StoreFaults(vectors_full=1)], "how many more there were, nobody counts"
