"""The score store: what was written is found again, by many processes, after a crash, and never wrongly."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.records import PairScore
from stages.store.file import FILE, FILE_ERRORS, PAGE_BYTES, on_network, set_aside_if_damaged
from stages.store.records import QueryKeys, query_keys
from stages.store.store import ScoreStore
from tests.examples import examples
from tests.stages.store.test_records import SCORES

spawn = multiprocessing.get_context("spawn")


def keys_of(name: object, documents: int = 20) -> QueryKeys:
    return query_keys("m", None, str(name), [str(place) for place in range(documents)])


def write(store: ScoreStore, name: object, score: float = 0.5, model: str = "m", documents: int = 20) -> QueryKeys:
    keys = keys_of(name, documents)
    store.write(keys.query, dict.fromkeys(keys.pairs, PairScore(score)), model, model)
    return keys


# --- what is written is found ---


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), SCORES), max_size=6, unique_by=lambda one: one[0]))
@examples(30)
def test_what_is_written_is_found_again_bit_for_bit(batches: list[tuple[int, dict[bytes, PairScore]]]) -> None:
    with TemporaryDirectory() as folder:
        store = ScoreStore(Path(folder))
        for query, scores in batches:
            store.write(query, scores, "m")
        store.close()
        again = ScoreStore(Path(folder))
        assert len(again) == sum(len(scores) for _, scores in batches)
        for query, scores in batches:
            assert again.lookup(QueryKeys(query, (*scores, b"unknown" + b"." * 9))) == scores
        again.close()


def test_a_querys_later_documents_are_found_beside_the_earlier_ones(tmp_path: Path) -> None:
    store, keys = ScoreStore(tmp_path), keys_of("q")
    store.write(keys.query, dict.fromkeys(keys.pairs[:5], PairScore(0.25)), "m")
    store.write(keys.query, dict.fromkeys(keys.pairs[5:], PairScore(0.75)), "m")
    assert [store.lookup(keys)[key].score for key in keys.pairs] == [0.25] * 5 + [0.75] * 15


def test_more_documents_than_a_page_holds_are_kept(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    assert len(store.lookup(write(store, "q", documents=2000))) == 2000


def test_a_failed_pair_is_not_kept(tmp_path: Path) -> None:
    store, keys = ScoreStore(tmp_path), keys_of("q", 2)
    store.write(keys.query, {keys.pairs[0]: PairScore(None, error="broken"), keys.pairs[1]: PairScore(0.5)}, "m")
    assert list(store.lookup(keys)) == [keys.pairs[1]]


def test_a_hundred_million_scores_fit_into_5_gb(tmp_path: Path) -> None:
    """The file grows by the query, so that 20,000 scores tell what many take."""
    for documents in (20, 100, 180, 1000):
        store = ScoreStore(tmp_path / str(documents))
        for number in range(20_000 // documents):
            write(store, number, documents=documents)
        store.close()
        assert store.path.stat().st_size / 20_000 < 50, documents


# --- several processes, and a crash ---


def write_many(folder: Path, worker: int, forever: bool) -> None:
    store = ScoreStore(folder)
    for number in itertools.count() if forever else range(200):
        keys = write(store, f"{worker}/{number}")
        assert len(store.lookup(keys)) == 20


def test_several_processes_write_and_read_at_once_and_lose_nothing(tmp_path: Path) -> None:
    """They also make the store at once: none is there when they start."""
    workers = [spawn.Process(target=write_many, args=(tmp_path, worker, False)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    store = ScoreStore(tmp_path)
    assert len(store) == 4 * 200 * 20
    for worker, number in itertools.product(range(4), range(200)):
        assert len(store.lookup(keys_of(f"{worker}/{number}"))) == 20


def test_a_killed_writer_leaves_whole_queries_behind(tmp_path: Path) -> None:
    worker = spawn.Process(target=write_many, args=(tmp_path, 0, True))
    store = ScoreStore(tmp_path)
    worker.start()
    while len(store) < 400:
        time.sleep(0.01)
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    again = ScoreStore(tmp_path)
    kept = len(again)
    assert kept >= 400
    for number in range(kept // 20):
        assert len(again.lookup(keys_of(f"0/{number}"))) == 20
    assert again.damaged == 0


def kill_amid_a_transaction(folder: Path) -> None:
    store = ScoreStore(folder)
    store._database.execute("PRAGMA cache_size=1")  # so that unfinished work reaches the file before its end
    store._database.execute("BEGIN")
    for number in range(200):
        write(store, number)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_writer_killed_amid_a_transaction_leaves_nothing_of_it(tmp_path: Path) -> None:
    write(ScoreStore(tmp_path), "before")
    worker = spawn.Process(target=kill_amid_a_transaction, args=(tmp_path,))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    store = ScoreStore(tmp_path)
    assert len(store) == 20
    write(store, "after")
    assert len(store) == 40


# --- damage ---


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a store with the scores of 40 queries."""
    store = ScoreStore(tmp_path_factory.mktemp("whole"))
    for number in range(40):
        write(store, number, score=number / 64)
    store.close()
    return store.path.read_bytes()


@given(st.integers(0, 2**32), st.integers(1, 200), st.booleans())
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_overwritten_anywhere_never_make_a_wrong_score(
    whole_store: bytes, seed: int, length: int, writable: bool
) -> None:
    content, chance = bytearray(whole_store), random.Random(seed)
    for _ in range(chance.choice((1, 10))):
        start = chance.randrange(len(content))
        content[start : start + length] = chance.randbytes(len(content[start : start + length]))
    with TemporaryDirectory() as name:
        (folder := Path(name)).joinpath(FILE).write_bytes(content)
        try:
            store = ScoreStore(folder, read_only=not writable)
        except DataError:
            return
        for number in range(40):
            try:
                found = store.lookup(keys := keys_of(number))
            except FILE_ERRORS:
                continue
            assert set(found) <= set(keys.pairs)
            assert {pair.score for pair in found.values()} <= {number / 64}
        store.close()


def test_a_damaged_batch_is_counted_dropped_and_can_be_written_anew(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    keys, other = write(store, "q"), write(store, "other")
    store._database.execute("UPDATE batches SET records = zeroblob(length(records)) WHERE query = ?", (keys.query,))
    assert store.lookup(keys) == {}
    assert (store.damaged, len(store), len(store.lookup(other))) == (1, 20, 20)
    write(store, "q")
    assert len(store.lookup(keys)) == 20


@pytest.mark.parametrize("content", [b"not a database, whatever its name says" * 100, None], ids=["text", "bad pages"])
def test_a_damaged_file_is_an_error_and_can_be_set_aside(
    tmp_path: Path, whole_store: bytes, content: bytes | None
) -> None:
    (tmp_path / FILE).write_bytes(content or whole_store[:100] + b"\xff" * (len(whole_store) - 100))
    with pytest.raises(DataError, match=r"rerank\.store .*Move it away"):
        ScoreStore(tmp_path)
    aside = set_aside_if_damaged(tmp_path)
    assert aside is not None and aside.is_file() and ".corrupt-" in aside.name
    assert len(ScoreStore(tmp_path)) == 0


def test_a_sound_store_is_not_set_aside(tmp_path: Path) -> None:
    assert set_aside_if_damaged(tmp_path) is None
    write(ScoreStore(tmp_path), "q")
    assert set_aside_if_damaged(tmp_path) is None
    assert len(ScoreStore(tmp_path)) == 20


def test_an_older_layout_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as old:
        old.execute("CREATE TABLE scores (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
    assert set_aside_if_damaged(tmp_path) is None
    with pytest.raises(DataError, match=r"has layout 0, .* choose another folder"):
        ScoreStore(tmp_path)


# --- read-only ---


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_store_read_only_knows_what_is_known_and_cannot_write(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    keys = write(store, "q")
    reader = ScoreStore(tmp_path, read_only=True)
    assert len(reader.lookup(keys)) == 20
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        write(reader, "other")
    later = write(store, "later")
    assert len(reader.lookup(later)) == 20, "what others write is not seen"


def test_a_short_look_leaves_no_file_behind_and_sees_what_a_writer_has_written(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    keys = write(store, "q")
    looking = ScoreStore(tmp_path, read_only=True, untouched=True)
    assert len(looking.lookup(keys)) == 20, "what is in the log of a writer that lives"
    looking.close()
    store.close()
    before = contents(tmp_path)
    looking = ScoreStore(tmp_path, read_only=True, untouched=True)
    assert len(looking.lookup(keys)) == 20
    assert contents(tmp_path) == before
    looking.close()
    assert contents(tmp_path) == before


def test_a_store_read_only_makes_no_folder_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no scores, .* read-only"):
        ScoreStore(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop to a user who may not write")
def test_a_folder_that_may_not_be_written_can_be_read(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    write(store, "q")
    store.close()
    before = contents(tmp_path)
    tmp_path.chmod(0o555)
    for parent in tmp_path.parents[:3]:  # one more where several processes run the tests
        parent.chmod(0o755)
    reader = spawn.Process(target=read_as_nobody, args=(tmp_path,))
    reader.start()
    reader.join()
    tmp_path.chmod(0o755)
    assert reader.exitcode == 0
    assert contents(tmp_path) == before


def read_as_nobody(folder: Path) -> None:
    os.setuid(65534)
    assert not os.access(folder, os.W_OK)
    assert len(ScoreStore(folder, read_only=True).lookup(keys_of("q"))) == 20


# --- what a store holds, and less of it ---


def test_statistics_are_by_scoring(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    write(store, 1, model="small")
    write(store, 2, model="large")
    write(store, 3, model="small")
    assert [(one.model, one.scores) for one in store.scorings()] == [("small", 40), ("large", 20)]
    assert all(time.time() - 60 < one.oldest_s <= one.newest_s <= time.time() for one in store.scorings())


def test_pruning_deletes_a_models_scores_and_gives_the_space_back(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    for number in range(1500):
        write(store, number, model="small" if number % 3 else "large")
    store.close()
    store, before = ScoreStore(tmp_path), (tmp_path / FILE).stat().st_size
    assert store.count(model="small") == store.prune(model="small") == 20_000
    assert len(store) == 10_000
    assert all(bool(store.lookup(keys_of(number))) == (number % 3 == 0) for number in range(1500))
    assert store.prune() == 10_000
    assert (tmp_path / FILE).stat().st_size < 10 * PAGE_BYTES < before
    write(store, "afterwards")
    assert len(store) == 20


def test_pruning_by_age_keeps_what_is_newer(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    write(store, "old")
    store._database.execute("UPDATE batches SET written_s = written_s - 3600")
    new = write(store, "new")
    assert store.prune(model="m", before_s=time.time() - 1800) == 20
    assert len(store.lookup(new)) == len(store) == 20


def test_pruning_lets_others_write(tmp_path: Path) -> None:
    """All that a writer wrote meanwhile is there: it is newer than what is pruned."""
    store = ScoreStore(tmp_path)
    for number in range(1000):
        write(store, f"old/{number}")
    store._database.execute("UPDATE batches SET written_s = written_s - 3600")
    writer = spawn.Process(target=write_many, args=(tmp_path, 0, False))
    writer.start()
    while len(store) < 20_000 + 400:
        time.sleep(0.001)
    assert store.prune(before_s=time.time() - 1800) == 20_000
    writer.join()
    assert (writer.exitcode, len(store)) == (0, 4000)


# --- shared storage ---

MOUNTS = """/dev/vda / ext4 rw 0 0
server:/export /mnt/shared nfs4 rw,vers=4.2 0 0
tmpfs /mnt/shared/fast tmpfs rw 0 0
//host/share /mnt/with\\040blank cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/home/scores", False),
        ("/mnt/shared/scores", True),
        ("/mnt/shared/fast/scores", False),
        ("/mnt/sharedness", False),
        ("/mnt/with blank", True),
    ],
)
def test_a_network_file_system_is_told_by_its_mount(tmp_path: Path, folder: str, expected: bool) -> None:
    (mounts := tmp_path / "mounts").write_text(MOUNTS)
    assert on_network(Path(folder), mounts) is expected
    assert on_network(tmp_path, tmp_path / "no such file") is False


def test_on_a_network_file_system_no_shared_memory_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SQLite asks: WAL does not work there, whatever the local file that stands for it here could do."""
    local = ScoreStore(tmp_path)
    write(local, "local")
    local.close()
    monkeypatch.setattr("stages.store.file.on_network", lambda folder: True)
    store, other = ScoreStore(tmp_path), ScoreStore(tmp_path)
    write(store, 1)
    write(other, 2)
    assert len(store) == len(other) == 60
    assert [file.name for file in tmp_path.iterdir() if file.stat().st_size] == [FILE]
    assert len(ScoreStore(tmp_path, read_only=True)) == 60


# --- which identity an engine told last ---


def test_what_was_told_is_remembered_until_it_is_what_was_foreseen(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    assert store.told("foreseen") is None
    store.remember("foreseen", "told")
    store.remember("foreseen", "told later")
    store.remember("other", "told")
    assert ScoreStore(tmp_path, read_only=True).told("foreseen") == "told later"
    store.remember("foreseen", "foreseen")
    assert ScoreStore(tmp_path).told("foreseen") is None
    assert ScoreStore(tmp_path).told("other") == "told"


def test_scorings_of_0_1_0_are_told_from_those_of_today(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    write(store, "a", model='[["0123"], ["embedding", "single_newline", null, 256], "bfloat16", "auto", {}]')
    write(store, "b", model='{"model": "sha256:0123"}')
    assert [one.before for one in store.scorings()] == [True, False]
