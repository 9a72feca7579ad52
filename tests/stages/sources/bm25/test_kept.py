"""Indexes are kept, found again, and made anew where they are damaged or of something else."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.core.errors import DataError
from stages.sources.bm25.index import Index, Texts
from stages.sources.bm25.kept import ABOUT, UNFINISHED, default_root, kept_index, require_writable
from stages.sources.bm25.settings import Bm25Settings

PLAIN = Bm25Settings(language=None)
CORPUS = [("a", "red apple"), ("b", "green apple"), ("c", None)]


def test_an_index_is_found_again_and_finds_the_same(tmp_path: Path) -> None:
    made, found = (kept_index(tmp_path, PLAIN, lambda: CORPUS, "corpus") for _ in range(2))
    assert (made.how, found.how) == ("made", "found")
    assert (made.folder, made.corpus) == (found.folder, found.corpus)
    assert [one.name for one in tmp_path.iterdir()] == [made.folder.name]
    fresh = kept_index(tmp_path / "other", PLAIN, lambda: CORPUS, "corpus")
    for query in ("apple", "red", "green apple", "sky"):
        assert Index(found.folder, PLAIN).search(query, 5) == Index(fresh.folder, PLAIN).search(query, 5)


@pytest.mark.parametrize(
    "corpus",
    [
        [("a", "red apple"), ("b", "green apple"), ("c", "")],
        [("a", "red apple"), ("b", "green apple")],
        [("a", "red appleb"), ("", "green apple"), ("c", None)],
        [("x", "red apple"), ("b", "green apple"), ("c", None)],
    ],
)
def test_another_corpus_has_another_index(tmp_path: Path, corpus: list[tuple[str, str | None]]) -> None:
    first = kept_index(tmp_path, PLAIN, lambda: CORPUS, "corpus")
    second = kept_index(tmp_path, PLAIN, lambda: corpus, "corpus")
    assert second.how == "made" and second.folder != first.folder


@pytest.mark.parametrize("changed", [{"k1": 1.2}, {"b": 0.75}, {"method": "atire"}, {"language": "german"}])
def test_other_settings_have_another_index(tmp_path: Path, changed: dict[str, object]) -> None:
    kept_index(tmp_path, PLAIN, lambda: CORPUS, "corpus")
    assert kept_index(tmp_path, PLAIN.model_copy(update=changed), lambda: CORPUS, "corpus").how == "made"


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["data.csc.index.npy", "vocab.index.json", "ids.arrow", "ranks.npy", ABOUT])
def test_a_damaged_index_is_made_anew(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    whole = kept_index(tmp_path, PLAIN, lambda: CORPUS, "corpus")
    expected = Index(whole.folder, PLAIN).search("apple", 5)
    damage(whole.folder / name)
    again = kept_index(tmp_path, PLAIN, lambda: CORPUS, "corpus")
    if name == ABOUT and damage is flip:  # the line end: nothing of it is lost
        assert again.how in ("found", "made anew, as the kept one was damaged")
    else:
        assert again.how == "made anew, as the kept one was damaged"
    assert Index(again.folder, PLAIN).search("apple", 5) == expected
    assert kept_index(tmp_path, PLAIN, lambda: CORPUS, "corpus").how == "found"


def test_several_at_once_leave_one_whole_index(tmp_path: Path) -> None:
    barrier, found = threading.Barrier(4), list[str]()

    def texts() -> Texts:
        barrier.wait()
        yield from CORPUS

    def work() -> None:
        found.append(str(kept_index(tmp_path, PLAIN, texts, "corpus").folder))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert [str(one) for one in tmp_path.iterdir()] == found[:1]


def test_what_fails_half_way_leaves_nothing_and_what_others_left_long_ago_goes(tmp_path: Path) -> None:
    old, new = tmp_path / f"{UNFINISHED}old", tmp_path / f"{UNFINISHED}new"
    for one in (old, new):
        one.mkdir()
    day_ago = time.time() - 25 * 3600
    os.utime(old, (day_ago, day_ago))

    def texts() -> Texts:
        yield "a", "apple"
        raise DataError("cannot read it")

    with pytest.raises(DataError, match="cannot read it"):
        kept_index(tmp_path, PLAIN, texts, "corpus")
    assert list(tmp_path.iterdir()) == [new]


def test_a_folder_that_cannot_be_written_is_told_with_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(
        DataError, match=r"data.bm25.folder .*file/bm25: the index cannot be kept there .*name a folder"
    ):
        require_writable(file / "bm25")
    with pytest.raises(DataError, match=r"data.bm25.folder"):
        kept_index(file / "bm25", PLAIN, lambda: CORPUS, "corpus")
    shutil.rmtree(tmp_path / "none", ignore_errors=True)
    require_writable(tmp_path / "none" / "bm25")
    assert not (tmp_path / "none").exists()


def test_they_are_kept_where_the_user_keeps_such_things(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "rerank-eval" / "bm25"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".cache" / "rerank-eval" / "bm25"
