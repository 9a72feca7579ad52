"""What is packed is read by its first bytes, whole and whatever it is called; damage is told in one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import threading
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from stages.core.errors import DataError
from stages.sources.lines import ending, read_lines, read_objects
from stages.sources.run_index import QueryIds, open_run
from stages.sources.texts import read_records
from stages.sources.trec import read_qrels

Pack = Callable[[bytes], bytes]


def zstd(content: bytes) -> bytes:
    """As `zstd` does from a pipe: without the size of what is in it."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


PACKS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}
# What the tools of version 1.5.4 make of a line each.
OF_ZSTD, OF_PZSTD = "KLUv/QRYOQAAZDEJb25lCqeL0MQ=", "UCpNGAQAAAAUAAAAKLUv/QRYOQAAZDIJdHdvCqw4EAA="
packed = pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)


def lines(path: Path) -> list[str]:
    return [line.text for line in read_lines(path, lambda row: pytest.fail(row.reason))]


@packed
@pytest.mark.parametrize("name", ["texts.tsv", "texts.gz", "texts.xz.bak"])
def test_a_packed_file_is_unpacked_whatever_it_is_called(tmp_path: Path, pack: Pack, name: str) -> None:
    (tmp_path / name).write_bytes(pack("d1\tWölfe\nd2\t雨\n".encode()))
    assert lines(tmp_path / name) == ["d1\tWölfe", "d2\t雨"]


@pytest.mark.parametrize("name", PACKS)
def test_a_plain_file_is_read_as_it_is_also_if_its_name_says_packed(tmp_path: Path, name: str) -> None:
    (tmp_path / f"run{name}").write_text("BZh9 Q0 d1 1 1.0 x\n")  # its query id begins as a file of bzip2 does
    assert lines(tmp_path / f"run{name}") == ["BZh9 Q0 d1 1 1.0 x"]


@packed
def test_all_members_of_a_packed_file_are_read(tmp_path: Path, pack: Pack) -> None:
    """As `cat a.gz b.gz` makes them, and pigz, pbzip2, `xz -T` and pzstd; a line may go on in the next."""
    parts = [b"".join(b"line %d of %d\n" % (one, part) for one in range(30_000)) for part in range(3)]
    whole = b"".join(parts)
    (tmp_path / "many").write_bytes(b"".join(pack(whole[at : at + 300_000]) for at in range(0, len(whole), 300_000)))
    assert lines(tmp_path / "many") == whole.decode().splitlines()


def test_files_of_zstd_and_pzstd_are_read_one_after_the_other(tmp_path: Path) -> None:
    """Each has its own beginning: pzstd's first frame is one to skip."""
    for files, expected in (
        ((OF_ZSTD, OF_PZSTD), ["d1\tone", "d2\ttwo"]),
        ((OF_PZSTD, OF_ZSTD), ["d2\ttwo", "d1\tone"]),
    ):
        (tmp_path / "texts").write_bytes(b"".join(map(b64decode, files)))
        assert lines(tmp_path / "texts") == expected


@packed
def test_a_packed_file_of_nothing_holds_nothing(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "empty").write_bytes(pack(b""))
    assert lines(tmp_path / "empty") == []


@packed
def test_a_file_that_ends_too_early_or_is_damaged_is_an_error_of_one_line(tmp_path: Path, pack: Pack) -> None:
    content = pack(b"".join(os.urandom(24).hex().encode() + b"\n" for _ in range(20_000)))
    whole = content if pack is not zstd else b64decode(OF_ZSTD)  # Arrow writes no checksum
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 64]) + whole[middle + 64 :]
    for broken in (content[: len(content) // 2], content[:-3], content + content[:-3], damaged):
        (tmp_path / "broken.bin").write_bytes(broken)
        with pytest.raises(DataError, match=r"cannot read .*broken\.bin: .*; see that it is complete") as error:
            lines(tmp_path / "broken.bin")
        assert len(str(error.value).splitlines()) == 1


@packed
def test_runs_judgements_texts_and_rows_are_unpacked_alike(tmp_path: Path, pack: Pack, temporary: Path) -> None:
    files = {
        "run.trec": b"q1 Q0 d1 1 1.0 x\nq1 Q0 d2 2 0.5 x\n",
        "test.tsv": b"query-id\tcorpus-id\tscore\nq1\td1\t1\n",
        "corpus.jsonl": b'{"_id": "d1", "text": "one"}\n',
        "corpus.tsv": b"d1\tone\n",
    }
    for name, content in files.items():
        (tmp_path / f"{name}.zst").write_bytes(pack(content))
    with open_run(tmp_path / "run.trec.zst", QueryIds(), print) as run:
        assert run.read("q1").doc_ids == ["d1", "d2"]
    assert list(temporary.iterdir()) == []
    assert read_qrels(tmp_path / "test.tsv.zst", print).grades == {"q1": {"d1": 1}}
    for name in ("corpus.jsonl.zst", "corpus.tsv.zst"):
        (record,) = read_records(tmp_path / name, print)
        assert record.fields == {"_id": "d1", "text": "one"}
    assert len(list(read_objects(tmp_path / "corpus.jsonl.zst", print))) == 1


def test_an_ending_is_looked_for_behind_each_that_says_how_a_file_is_packed() -> None:
    assert [ending(Path(f"corpus.jsonl{one}")) for one in ("", *PACKS)] == [".jsonl"] * 5
    assert ending(Path("corpus.gz")) == ""


FOREIGN = {
    b"PK\x03\x04\x14\x00": "a ZIP archive: unpack it",
    b"\x04\x22\x4d\x18\x64\x40": "packed with LZ4",
    b"PAR1\x15\x04\x15": "a Parquet file: data.format parquet",
    "q1 Q0".encode("utf-16"): "UTF-16 text: write it as UTF-8",
    b"version https://git-lfs.github.com/spec/v1\n": "a pointer of Git LFS",
}


@pytest.mark.parametrize(("content", "told"), FOREIGN.items(), ids=[*FOREIGN.values()])
def test_what_is_no_text_is_told_by_its_first_bytes(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "run.trec").write_bytes(content + b"\n" * 2000)
    with pytest.raises(DataError, match=rf"run\.trec is {told}"), open_run(tmp_path / "run.trec", QueryIds(), print):
        pass


def test_an_archive_of_tar_is_told_also_if_it_is_packed(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("d1\tone\n")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a.tsv", "a.tsv")
    with pytest.raises(DataError, match=r"a\.tar\.gz is a tar archive: unpack it"):
        lines(tmp_path / "a.tar.gz")


def test_a_run_that_comes_through_a_pipe_is_read(tmp_path: Path) -> None:
    """As `evaluate --run <(zcat run.gz)` gives it: it can be read once, and not from another place."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[b"q1 Q0 d1 1 1.0 x\nq1 Q0 d2 2 2.0 x\n"])
    writer.start()
    with open_run(tmp_path / "pipe", QueryIds(), print) as run:
        assert run.read("q1").doc_ids == ["d2", "d1"]
    writer.join()
